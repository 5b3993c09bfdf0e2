"""`report`, `show` and `errors`: what they say follows from the views, what they advise works."""

import csv
import io
import json
import re
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLER, TOY, Hbtrack, Row, wait_for
from terminal import on_terminal

from hbtrack.report.agreement import Agreement, comparable, mean_agreement, transitions
from hbtrack.report.failures import failure_groups
from hbtrack.report.page.gather import gather
from hbtrack.report.traits import in_common
from hbtrack.store.reading import connected

SCRIPT = """
import argparse, sys, time

def get_random_config_id(rng):
    lr, size = rng.choice([0.1, 0.01, 0.001]), rng.choice([32, 64, 256])
    return f"lr:{lr}.batch_size:{size}.n:{rng.randint(10**9)}"

def get_config(config_id):
    params = dict(part.split(":") for part in config_id.replace("0.", "0_").split("."))
    number = {name: float(value.replace("_", ".")) for name, value in params.items()}
    return {**number, "aside": "x" * 30, "layers": [8, 8], "loss": "hinge"}

def run_identity(argv):
    return "main"

def deep(depth):
    if depth == 0:
        raise RuntimeError("too large\\nfor this")
    deep(depth - 1) if depth % 2 else deep(depth - 1)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--gpu")
    parser.add_argument("--note")
    args = parser.parse_args()
    if "size:256" in args.config_id:
        deep(20)
    print(int(args.config_id.rpartition(":")[2]) % 1000 / 7 / args.epochs)
"""

LONG = """
import sys

def get_random_config_id(rng):
    return "name:" + 2000 * "a"

def run_identity(argv):
    return "long"

if __name__ == "__main__":
    print(1)
"""


OPAQUE = """
def get_random_config_id(rng):
    return f"id {rng.randint(10**9):040}"

def run_identity(argv):
    return "opaque"

if __name__ == "__main__":
    import sys
    print(int(sys.argv[1][3:]) / 1e9)
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search in which every config of batch_size 256 has failed."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("searched"))
    (hbtrack.folder / "a script.py").write_text(SCRIPT)
    hbtrack("run", "--seed", 8, "--max-epochs", 9, "-q", "a script.py", "--note", "it's")
    return hbtrack


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search with one config, whose id is very long."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("long"))
    (hbtrack.folder / "long.py").write_text(LONG)
    hbtrack("run", "--max-epochs", 1, "-q", "long.py")
    return hbtrack


@pytest.fixture
def ask(searched: Hbtrack) -> Callable[..., str]:
    """Runs a command on it that must end with `code`; stdout, or stderr."""

    def call(*words: object, code: int = 0) -> str:
        result = searched(*words, code=code)
        return result.stderr if code else result.stdout

    return call


def best_first(hbtrack: Hbtrack) -> list[Row]:
    return hbtrack.records("SELECT * FROM leaderboard ORDER BY rank")


# --- report --------------------------------------------------------------------------------------


def test_parameters_are_columns_in_the_order_in_which_the_id_has_them(
    ask: Callable[..., str],
) -> None:
    heading = ask("report").splitlines()[3].split()
    assert heading[:7] == ["rank", "config", "loss", "epochs", "lr", "batch_size", "n"]
    assert "config_id" not in heading


def test_csv_has_every_parameter_also_one_that_is_called_like_a_column(
    searched: Hbtrack, ask: Callable[..., str]
) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("report", "--all", "--format", "csv"))))
    assert [row["config_id"] for row in rows] == [row["config_id"] for row in best_first(searched)]
    assert {row["param:loss"] for row in rows} == {"hinge"}
    assert {row["layers"] for row in rows} == {"[8, 8]"}
    assert all(f"lr:{row['lr']}." in row["config_id"] for row in rows)


def test_json_has_the_parameters_of_each_config_by_name(ask: Callable[..., str]) -> None:
    [search] = json.loads(ask("report", "--top", 1, "--format", "json"))["searches"]
    [row] = search["leaderboard"]
    assert sorted(row["params"]) == ["aside", "batch_size", "layers", "loss", "lr", "n"]
    assert row["config_id"].endswith(f"n:{int(row['params']['n'])}")


@pytest.mark.parametrize(
    ("by", "key"),
    [
        ("loss", lambda row: float(row["loss"])),
        ("epochs", lambda row: -int(row["epochs"])),
        ("seconds", lambda row: -float(row["seconds"])),
        ("n", lambda row: float(row["n"])),
    ],
)
def test_the_table_is_sorted_by_what_was_asked_for(
    ask: Callable[..., str], by: str, key: Callable[[Row], float]
) -> None:
    text = ask("report", "--all", "--sort", by, "--format", "csv")
    keys = [key(row) for row in csv.DictReader(io.StringIO(text))]
    assert keys == sorted(keys)
    assert len(set(keys)) > 1


@pytest.mark.parametrize("by", ["nothing", "loss DESC", "1; DROP TABLE _config", "\x1b[2J"])
def test_fault_120_what_cannot_be_sorted_by_is_refused_with_the_choices(
    ask: Callable[..., str], by: str
) -> None:
    said = ask("report", "--sort", by, code=2)
    assert "loss, epochs, seconds, aside, batch_size" in said
    assert "\x1b" not in said


def test_all_and_top_contradict_each_other(ask: Callable[..., str]) -> None:
    assert "not allowed with" in ask("report", "--all", "--top", 3, code=2)


@pytest.mark.parametrize("columns", [40, 60, 100, 160])
def test_the_table_fits_the_terminal(searched: Hbtrack, columns: int) -> None:
    text = on_terminal(searched, columns, "report")
    table = re.search(r"^rank .*\n-+.*\n( .*\n)+", text, re.MULTILINE)
    assert table
    assert max(map(len, table[0].splitlines())) <= columns


@pytest.mark.parametrize("lines", [20, 24, 30])
def test_all_that_a_report_says_is_on_the_first_screen(searched: Hbtrack, lines: int) -> None:
    text = on_terminal(searched, 80, "report", lines=lines)
    assert len(text.splitlines()) < lines
    for each in ("main: finished", "best ", "failed: ", "stopping early right?", "hbtrack show"):
        assert each in text
    ranked = sum(re.match(r" +\d+ ", line) is not None for line in text.splitlines())
    assert ranked == min(10, lines - 15)


def test_as_many_are_ranked_as_were_asked_for(searched: Hbtrack) -> None:
    text = on_terminal(searched, 80, "report", "--top", 12, lines=20)
    assert re.search(r"^ +12 ", text, re.MULTILINE)


def test_opaque_ids_are_cut_only_where_nothing_else_is_left_to_fold(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "-q", "--max-epochs", 3, script(OPAQUE))
    best = best_first(hbtrack)[0]["config_id"]
    assert f" {best}\n" in on_terminal(hbtrack, 80, "report", "--top", 1)
    narrow = on_terminal(hbtrack, 60, "report", "--top", 1)
    shown = re.search(r"^   1 .* (id .*)\.\.\.$", narrow, re.MULTILINE)
    assert shown
    assert best.startswith(shown[1])
    assert "No room: epochs_reached, bracket, seconds" in narrow.replace("\n", " ")


def test_long_texts_and_lists_are_folded_before_numbers(searched: Hbtrack) -> None:
    text = on_terminal(searched, 80, "report", "--top", 1)
    heading = next(line for line in text.splitlines() if line.startswith("rank"))
    assert heading.split()[4:7] == ["lr", "size", "n"]
    assert "x" * 21 + "..." in text
    assert re.search(r"^No room: .*layers", text, re.MULTILINE)


def test_what_a_report_says_to_type_works(ask: Callable[..., str]) -> None:
    commands = re.findall("^[a-z ]+: +hbtrack (.*)$", ask("report"), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["show", "errors"]
    for command in commands:
        assert ask(*shlex.split(command))


def test_whether_stopping_early_was_right_is_said_as_the_page_says_it(
    searched: Hbtrack, ask: Callable[..., str]
) -> None:
    with connected(str(searched.database)) as connection:
        facts = gather(connection, searched.database, "main", 0.0)
    expected = mean_agreement(comparable(transitions(facts.results)))
    [search] = json.loads(ask("report", "--format", "json"))["searches"]
    assert search["agreement"] == asdict(expected)
    assert f"was stopping early right? {expected}" in ask("report")


@pytest.mark.parametrize(
    ("rho", "n", "text"),
    [
        (0.7, 30, "yes: rungs rank alike, rho 0.70 (n = 30)"),
        (0.4, 30, "mostly: rungs rank somewhat alike, rho 0.40 (n = 30)"),
        (-0.2, 9, "doubtful: rungs rank differently, rho -0.20 (n = 9, a hint only)"),
    ],
)
def test_the_verdict_on_stopping_follows_from_the_agreement(rho: float, n: int, text: str) -> None:
    assert str(Agreement(rho, n)) == text


def test_nothing_is_said_of_stopping_where_nothing_was_promoted_twice(long: Hbtrack) -> None:
    assert "stopping" not in long("report").stdout
    assert long.json("report")["searches"][0]["agreement"] is None  # type: ignore[index]


def test_failures_are_a_line_for_each_cause(searched: Hbtrack, ask: Callable[..., str]) -> None:
    [(count,)] = searched.rows("SELECT count(*) FROM failures")
    lines = [line for line in ask("report").splitlines() if " failed: " in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"{count} failed: RuntimeError: too large (e.g. #")


# --- show ----------------------------------------------------------------------------------------


def test_a_config_is_meant_by_its_id_its_beginning_its_rank_or_best(
    searched: Hbtrack, ask: Callable[..., str]
) -> None:
    leader = best_first(searched)[0]
    best = leader["config_id"]
    texts = {ask("show", name) for name in (best, best[:-1], "rank:1", "best")}
    assert len(texts) == 1
    assert texts.pop().startswith(f"config #{leader['config']} of main: rank 1, loss ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lr:", "configs begin with 'lr:': #1 lr="),
        ("batch_size:32.n", "The nearest: #"),
        ("#99", "main has no config #99. There are #1 to #17."),
        ("rank:99", "not so many have a loss"),
        ("\x1b[2J", "has no config"),
        ("' OR 1=1 --", "has no config"),
    ],
)
def test_fault_120_what_is_no_config_or_several_is_exit_3_with_near_names(
    ask: Callable[..., str], name: str, said: str
) -> None:
    text = ask("show", name, code=3)
    assert said in text
    assert "\x1b" not in text


def test_the_path_has_the_rank_in_every_rung(searched: Hbtrack, ask: Callable[..., str]) -> None:
    results = searched.records("SELECT * FROM results")
    for config_id in {row["config_id"] for row in results}:
        shown = json.loads(ask("show", config_id, "--format", "json"))
        assert len(shown["path"]) == len([r for r in results if r["config_id"] == config_id])
        for place in shown["path"]:
            rung = [r for r in results if all(r[k] == place[k] for k in ("bracket", "rung"))]
            done = sorted((r["loss"], r["slot"]) for r in rung if r["status"] == "done")
            own = (place["loss"], place["slot"])
            assert place["rank"] == (done.index(own) + 1 if place["status"] == "done" else None)
            assert place["configs"] == len(rung)
            last = place["epochs"] == 9
            words = {"failed": "failed", "done": "promoted" if place["promoted"] else "stopped"}
            expected = words[place["status"]]
            assert place["outcome"] == ("finished" if last and expected == "stopped" else expected)


def test_the_command_can_be_run_by_hand(searched: Hbtrack, ask: Callable[..., str]) -> None:
    best = best_first(searched)[0]
    command = ask("show", "best").splitlines()[-1]
    result = subprocess.run(["sh", "-c", command], cwd="/", capture_output=True, text=True)
    assert float(result.stdout) == best["loss"]
    assert f"--epochs {best['epochs_reached']} " in command


def test_a_long_id_leaves_the_screen_to_what_is_said_of_it(long: Hbtrack) -> None:
    before, command = on_terminal(long, 80, "show", "best").split("to run it by hand:")
    assert len(before) < 1500
    assert 2000 * "a" in command


def test_a_failure_that_is_used_again_is_counted_and_explained(
    another: Callable[[], Hbtrack],
) -> None:
    hbtrack = another()
    hbtrack("run", "--max-epochs", 3, "-q", TOY, "--fail", 0.4, "--space", 2)
    [(places, ended)] = hbtrack.rows(
        "SELECT evaluations_failed, evaluations_failed + evaluations_done FROM searches"
    )
    [(runs,)] = hbtrack.rows("SELECT count(*) FROM failures")
    reused = int(str(places)) - int(str(runs))
    assert reused > 0
    said = hbtrack("errors").stdout.splitlines()[0]
    assert said.startswith(f"toy: {places} of {ended} evaluations failed, {reused} of them ")


def test_a_failed_config_shows_the_end_of_its_error(
    searched: Hbtrack, ask: Callable[..., str]
) -> None:
    [(config_id,), *_] = searched.rows("SELECT config_id FROM failures")
    text = ask("show", config_id)
    assert re.match(r"config #\d+ of main: it has no loss\n", text)
    assert "\n    RuntimeError: too large\n    for this\n" in text
    assert "line 20" not in text


# --- errors --------------------------------------------------------------------------------------


def test_a_group_counts_what_failed_and_the_time_that_it_cost(searched: Hbtrack) -> None:
    with connected(str(searched.database)) as connection:
        [group] = failure_groups(connection, "main")
    failed = searched.records("SELECT * FROM attempts WHERE status = 'failed' ORDER BY finished_at")
    every = searched.records("SELECT seconds FROM attempts")
    seconds = sum(row["seconds"] for row in failed)
    assert (group.count, group.configs) == (len(failed), len({r["config_id"] for r in failed}))
    assert group.seconds == pytest.approx(seconds)
    assert group.share == pytest.approx(seconds / sum(row["seconds"] for row in every))
    assert (group.first_at, group.last_at) == (failed[0]["finished_at"], failed[-1]["finished_at"])
    assert (group.example, group.error) == (failed[-1]["config_id"], failed[-1]["error"])
    assert (group.error_type, group.error_message) == ("RuntimeError", "too large")


def test_the_failing_configs_have_in_common_what_made_them_fail(
    searched: Hbtrack, ask: Callable[..., str]
) -> None:
    [(configs,)] = searched.rows("SELECT count(DISTINCT config_id) FROM failures")
    text = ask("errors")
    assert f"in common: batch_size = 256 (all {configs}; none of the others)\n" in text


def test_failures_without_a_fingerprint_are_grouped_by_what_they_say(
    searched: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    copied = another()
    searched("db", "backup", copied.database)
    with closing(sqlite3.connect(copied.database)) as connection, connection:
        connection.execute("UPDATE _attempt SET fingerprint = NULL")
        connection.execute(
            "UPDATE _attempt SET error_message = 'other' "
            "WHERE pk = (SELECT min(pk) FROM _attempt WHERE error IS NOT NULL)"
        )
    [(count,)] = searched.rows("SELECT count(*) FROM failures")
    with connected(str(copied.database)) as connection:
        groups = failure_groups(connection, "main")
        assert len(failure_groups(connection, "main", 1)) == 1
    assert [(group.error_message, group.count) for group in groups] == [
        ("too large", int(str(count)) - 1),
        ("other", 1),
    ]


def test_a_traceback_is_cut_to_its_end_unless_all_of_it_is_asked_for(
    ask: Callable[..., str],
) -> None:
    short, full = ask("errors"), ask("errors", "--full")
    assert "lines before; --full shows them]" in short
    assert "Traceback" not in short
    assert "    Traceback (most recent call last):\n" in full


def test_what_errors_says_to_type_works(searched: Hbtrack, another: Callable[[], Hbtrack]) -> None:
    copied = another()
    searched("db", "backup", copied.database)
    text = copied("errors").stdout
    commands = re.findall("^ +(?:see:|again:)? +hbtrack (.*)$", text, re.MULTILINE)
    see, retry, resume = map(shlex.split, commands)
    assert "RuntimeError: too large" in copied(*see).stdout
    assert "queued again" in copied(*retry).stderr
    assert "is finished" in copied(*resume).stderr


def test_json_of_errors_names_its_schema_and_has_all_of_the_traceback(
    ask: Callable[..., str],
) -> None:
    document = json.loads(ask("errors", "--format", "json"))
    assert document["schema"] == "hbtrack.errors/1"
    [group] = document["searches"][0]["groups"]
    assert group["error"].startswith("Traceback")


# --- what configs have in common -----------------------------------------------------------------


def configs(name: str, *values: object) -> list[dict[str, Any]]:
    return [{name: value} for value in values]


GRID = [step / 20 for step in range(20)]


@pytest.mark.parametrize(
    ("failing", "others", "said"),
    [
        (["a"] * 5, ["b"] * 19 + ["a"], ["p = a (all 5; 5 % of the others)"]),
        (["a"] * 10 + ["b"], ["b", "c"] * 20, ["p = a (10 of 11; none of the others)"]),
        ([0.95, 0.97, 0.99, 0.98], GRID, ["p >= 0.95 (all 4; 5 % of the others)"]),
        ([-3, -2.5, -1, -2], GRID, ["p <= -1 (all 4; none of the others)"]),
        ([0.41, 0.42, 0.43, 0.44, 0.42], GRID, ["p from 0.41 to 0.44 (all 5; none of the others)"]),
        (["a"] * 2, ["b"] * 50, []),  # two share something by chance alone
        (["a"] * 5, [], []),
        (["a"] * 5, ["a", "b"], []),  # half of the others, too
        (["a"] * 3 + ["b"] * 3, ["c"] * 50, []),
        ([0.1, 0.5, 0.9], GRID, []),
        (["a"] * 3, ["b", "b"], []),  # too few others to tell
        ([None] * 9, ["b"] * 50, []),
    ],
)
def test_only_what_tells_failing_configs_from_the_others_is_said(
    failing: list[object], others: list[object], said: list[str]
) -> None:
    assert in_common(configs("p", *failing), configs("p", *others)) == said


def test_the_more_telling_comes_first_and_three_at_most() -> None:
    failing = [dict.fromkeys("abcde", 1)] * 9
    others = [{name: int(number < few) for few, name in enumerate("edcba")} for number in range(40)]
    assert [text[0] for text in in_common(failing, others)] == ["e", "d", "c"]


def test_report_tells_what_is_running(hbtrack: Hbtrack) -> None:
    words = ("run", "-q", "--max-epochs", 3, "--workers", 2, TOY, "--epoch_seconds", 1000)
    process = hbtrack.start(*words)
    count = ("sql", "--format", "csv", "SELECT count(*) FROM attempts")
    wait_for(lambda: hbtrack(*count, code=None).stdout.endswith("\n2\n"))
    running = hbtrack.json("report")["searches"][0]["running"]  # type: ignore[index]
    text = hbtrack("report").stdout
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert [row["worker"] for row in running] == [0, 1]
    for row in running:
        assert row["config_id"] == f"x:{row['params']['x']}"
        called = f"#{row['config']} x={row['params']['x']}"
        line = rf"^running for 0:\d\d:\d\d, to 1 epoch: {called}$"
        assert re.search(line, text, re.MULTILINE)
    assert "running for" not in hbtrack("report").stdout


# --- what a number is, and what promotions do ----------------------------------------------------

PROMOTED = """
import os, sys

def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"

def run_identity(argv):
    return "promoted"

if __name__ == "__main__":
    epochs = int(sys.argv[3])
    saved = os.path.join(os.environ["HBTRACK_CHECKPOINT"], "saved")
    if os.path.exists(saved) and "breaks" in sys.argv:
        raise RuntimeError("a snapshot of another length")
    open(saved, "w").close()
    print(int(sys.argv[1][2:]) / 10**9 + ("rises" in sys.argv) * epochs / 100 - epochs / 1000)
"""
DOUBT = "The number rose with training in 20 of 20 promotions: is it a loss?"


@pytest.mark.parametrize("word", ["rises", "falls"])
def test_a_number_that_rises_with_training_is_asked_about(
    hbtrack: Hbtrack, script: Callable[[str], Path], word: str
) -> None:
    said = hbtrack("run", "--max-epochs", 27, "--workers", 2, script(PROMOTED), word).stderr
    shown = hbtrack("report", env={"COLUMNS": "200"}).stdout
    assert [DOUBT in said, DOUBT in shown] == [word == "rises"] * 2
    hbtrack("report", "--html", "page.html")
    assert ("Is it a loss?" in (hbtrack.folder / "page.html").read_text()) == (word == "rises")


def test_errors_say_when_only_promoted_configs_fail(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "-q", "--max-epochs", 9, script(PROMOTED), "breaks")
    said = hbtrack("errors").stdout
    assert "4 of 4 failed after a promotion, 0 of 17 that began anew" in said


BESIDE = (
    SAMPLER
    + """
def run_identity(argv):
    return "beside"

if __name__ == "__main__":
    import traceback
    try:
        {}["lr"]
    except KeyError:
        traceback.print_exc()
    print(0.5)
"""
)


def test_an_exception_beside_a_loss_is_told_in_the_log_and_by_show(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "-q", "--max-epochs", 1, script(BESIDE))
    log = hbtrack.log()
    assert "event=done" in log
    assert "warning=\"KeyError: 'lr' was printed, and a loss" in log
    assert "1 epoch: KeyError: 'lr' was printed, and a loss" in hbtrack("show", "best").stdout
