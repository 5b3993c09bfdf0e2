"""What a config may be called on a command line: one rule, whatever the command."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Hbtrack

SCRIPT = """
import argparse, json

def get_random_config_id(rng):
    return json.dumps({"lr": rng.randint(1, 10**6) / 10**6, "layers": int(rng.randint(1, 9))})

def run_identity(argv):
    return "named" + "".join(argv)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--gpu")
    args, _ = parser.parse_known_args()
    if json.loads(args.config_id)["layers"] == 3:
        raise ValueError("three")
    print("this is", args.config_id)
    print(json.loads(args.config_id)["lr"] / args.epochs)
"""
KEYED = """
def get_random_config_id(rng):
    return f"KEY{rng.randint(10**9)}"

def run_identity(argv):
    return "keyed"

if __name__ == "__main__":
    print(0.5)
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search in which some configs have failed, with ids that are JSON."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("searched"))
    (hbtrack.folder / "named.py").write_text(SCRIPT)
    hbtrack("run", "-q", "--max-epochs", 9, "--workers", 2, "named.py")
    return hbtrack


def sampled(hbtrack: Hbtrack) -> list[tuple[object, ...]]:
    """Number and id of each config, in the order in which they were sampled."""
    return hbtrack.rows(
        "SELECT config, config_id FROM results WHERE rung = 0 ORDER BY pass, bracket DESC, slot"
    )


@pytest.mark.parametrize("form", ["#{}", "{}"])
def test_a_config_is_shown_by_its_number_with_or_without_the_sign(
    searched: Hbtrack, form: str
) -> None:
    configs = sampled(searched)
    assert [number for number, _ in configs] == [*range(1, len(configs) + 1)]
    for number, config_id in configs[::5]:
        shown = searched.json("show", form.format(number))
        assert (shown["config"], shown["config_id"]) == (number, config_id)


def test_a_config_is_shown_by_its_rank(searched: Hbtrack) -> None:
    [(config_id,)] = searched.rows("SELECT config_id FROM leaderboard WHERE rank = 3")
    assert searched.json("show", "rank:3")["config_id"] == config_id


@pytest.mark.parametrize("form", ["#{}", "{}"])
def test_a_config_s_output_is_shown_by_its_number(searched: Hbtrack, form: str) -> None:
    query = "SELECT config, config_id FROM attempts WHERE status = 'done' LIMIT 1"
    [(number, config_id)] = searched.rows(query)
    logs = searched("logs", form.format(number), "--stdout")
    assert f"this is {config_id}\n" in logs.stdout
    assert re.search(rf"--- stdout of #{number} lr=\S+ layers=\d at ", logs.stderr)


@pytest.mark.parametrize("form", ["#{}", "{}"])
def test_a_config_s_failures_are_taken_back_by_its_number(copied: Hbtrack, form: str) -> None:
    query = "SELECT config, count(*) FROM failures GROUP BY config"
    (number, count), *others = copied.rows(query)
    assert others
    said = copied("retry", "--config", form.format(number)).stderr
    assert f"{count} failed evaluation" in said
    assert copied.rows(query) == others


def test_failures_are_taken_back_by_how_an_id_begins(copied: Hbtrack) -> None:
    (number, config_id), *_ = copied.rows("SELECT config, config_id FROM failures")
    copied("retry", "-q", "--config", str(config_id)[:-2])
    assert not copied.rows("SELECT 1 FROM failures WHERE config = ?", [number])


def test_a_retry_of_a_config_that_is_not_there_changes_nothing(copied: Hbtrack) -> None:
    before = copied.everything()
    assert "has no config #9999" in copied("retry", "--config", "#9999", code=3).stderr
    assert copied.everything() == before


def test_a_number_of_several_searches_needs_the_identity(copied: Hbtrack) -> None:
    copied("run", "-q", "--max-epochs", 1, "named.py", "other")
    for words in (("show", "#1"), ("logs", "1"), ("retry", "--config", "#1")):
        said = copied(*words, code=2).stderr
        assert "is a config of 2 searches ('named', 'namedother')" in said
    assert copied.json("show", "#1", "--identity", "namedother")["config"] == 1


@pytest.mark.parametrize("text", ["#9999", "9999"])
def test_a_number_that_is_none_is_refused_with_those_that_there_are(
    searched: Hbtrack, text: str
) -> None:
    [(last,)] = searched.rows("SELECT max(config) FROM results")
    said = searched("show", text, code=3).stderr
    assert f"named has no config #9999. There are #1 to #{last}." in said


def test_what_is_not_text_is_no_config(searched: Hbtrack) -> None:
    for words in (("show", "\udcff"), ("logs", "\udcff"), ("retry", "--config", "\udcff")):
        assert "has no config '\\\\udcff'" in searched(*words, code=3).stderr


def test_near_configs_are_named_by_number_and_parameters(searched: Hbtrack) -> None:
    several = searched("show", '{"lr', code=3).stderr
    assert re.search(r"configs begin with '\{\"lr': #\d+ lr=\S+ layers=\d, #\d+ lr=", several)
    none = searched("show", "nothing", code=3).stderr
    assert re.search(r"has no config 'nothing'\. The nearest: #\d+ lr=\S+ layers=\d, #", none)


@pytest.mark.parametrize(("key", "text"), [("3-", "3"), ("rank:3-", "rank:3")])
def test_ids_that_begin_so_are_meant_before_a_number_or_a_rank(
    hbtrack: Hbtrack, script: Callable[[str], Path], key: str, text: str
) -> None:
    script(KEYED.replace("KEY", key))
    hbtrack("run", "-q", "--max-epochs", 3, "script.py")
    assert f"5 configs begin with '{text}': #1 " in hbtrack("show", text, code=3).stderr


def test_an_id_that_is_a_number_is_meant_before_that_number(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(KEYED.replace("KEY", "x"))
    hbtrack("run", "-q", "--max-epochs", 3, "--config", "3", "script.py")
    shown = hbtrack.json("show", "3")
    assert (shown["config_id"], shown["config"]) == ("3", 1)
    assert hbtrack.json("show", "#3")["config"] == 3


def test_what_is_printed_to_be_typed_names_a_config_by_its_number(searched: Hbtrack) -> None:
    for text in (searched("errors").stdout, searched("show", failed(searched)).stdout):
        for command in re.findall(r"hbtrack (logs [^\n)]*)", text):
            assert command.startswith("logs '#")
            assert searched(*shlex.split(command))


def failed(hbtrack: Hbtrack) -> object:
    return hbtrack.rows("SELECT config_id FROM failures")[0][0]
