"""Each config has a folder for its checkpoints, and its script is told what is known of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Hbtrack
from made_search import COMMAND, RESOURCES

from hbtrack.core.contract import checkpoint_name
from hbtrack.core.decisions import Start
from hbtrack.core.records import Place, Search, SearchStatus, Terms
from hbtrack.driver import interfaces
from hbtrack.driver.checkpoints import Folders

Script = Callable[[str], Path]

SAVES = """
import json, os, sys
def run_identity(argv): return "Größe: " + " ".join(argv)
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    folder, epochs = os.environ["HBTRACK_CHECKPOINT"], int(sys.argv[3])
    told = {name: value for name, value in os.environ.items() if name.startswith("HBTRACK_")}
    told |= {"config_id": sys.argv[1], "epochs": epochs, "found": os.listdir(folder)}
    told |= {"mode": oct(os.stat(folder).st_mode & 0o7777)}
    with open("told", "a") as file:
        file.write(json.dumps(told) + "\\n")
    if os.path.exists(f"fails at {epochs}"):
        open(os.path.join(folder, "half"), "w").close()
        raise RuntimeError
    if "--no" not in sys.argv:
        open(os.path.join(folder, "model"), "w").close()
    print(int(sys.argv[1][2:]) / epochs)
"""


A_SEARCH = Search(
    *(1, "made", "token", Terms(9, "3", 0, 1, 100.0), COMMAND, RESOURCES),
    *(SearchStatus.UNFINISHED, None, 0),
)


class Observer(interfaces.Observer):
    """Looks away."""


def told(hbtrack: Hbtrack) -> list[dict[str, object]]:
    """What each call of the script found, in their order; forgotten afterwards."""
    file = hbtrack.folder / "told"
    lines = file.read_text().splitlines()
    file.unlink()
    return [json.loads(line) for line in lines]


def saved(hbtrack: Hbtrack) -> Path:
    """The folder of the first search's checkpoints."""
    (found,) = (hbtrack.folder / "hbtrack.db.d" / "checkpoints").iterdir()
    return found


def test_each_attempt_has_a_private_folder_of_its_search_and_config(
    hbtrack: Hbtrack, script: Script
) -> None:
    path = script(SAVES)
    hbtrack("run", "--max-epochs", 3, path, "a")
    hbtrack("run", "--max-epochs", 3, path, "b")
    calls = told(hbtrack)
    folders = {
        (one["HBTRACK_IDENTITY"], one["config_id"]): one["HBTRACK_CHECKPOINT"] for one in calls
    }
    assert len(set(folders.values())) == len(folders) == 10
    for one in calls:
        assert one["HBTRACK_CHECKPOINT"] == folders[one["HBTRACK_IDENTITY"], one["config_id"]]
        assert one["mode"] == "0o700"
        assert one["HBTRACK_MAX_EPOCHS"] == "3"
        assert one["HBTRACK_ATTEMPT"]
    assert {one["HBTRACK_IDENTITY"] for one in calls} == {"Größe: a", "Größe: b"}


def test_scripts_are_told_the_epochs_that_were_saved_and_it_is_recorded(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 9, script(SAVES))
    calls = told(hbtrack)
    before: dict[object, object] = {}
    for one in calls:
        assert one["HBTRACK_EPOCHS_DONE"] == str(before.get(one["config_id"], 0))
        assert one["found"] == (["model"] if one["config_id"] in before else [])
        before[one["config_id"]] = one["epochs"]
    assert any(one["HBTRACK_EPOCHS_DONE"] == "3" for one in calls)
    stored = hbtrack.rows("SELECT max_epochs, epochs_before FROM _attempt ORDER BY pk")
    assert stored == [(9, int(str(one["HBTRACK_EPOCHS_DONE"]))) for one in calls]


def test_a_script_that_saves_nothing_there_is_told_that_nothing_is_there(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 9, script(SAVES), "--no")
    assert {one["HBTRACK_EPOCHS_DONE"] for one in told(hbtrack)} == {"0"}


def test_a_copy_of_the_file_without_the_folders_begins_with_none(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 3, script(SAVES))
    hbtrack("db", "backup", "copy.db")
    told(hbtrack)
    hbtrack("extend", "--db", "copy.db", "--identity", "Größe: ", "--max-epochs", 9)
    calls = told(hbtrack)
    first = {one["config_id"]: one for one in reversed(calls)}
    assert {one["HBTRACK_EPOCHS_DONE"] for one in first.values()} == {"0"}
    assert {one["HBTRACK_MAX_EPOCHS"] for one in calls} == {"9"}


@pytest.mark.slow
def test_half_of_what_is_trained_again_does_not_count_as_what_was_there_before(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 3, script(SAVES))
    for folder in saved(hbtrack).iterdir():
        shutil.rmtree(folder)
    (hbtrack.folder / "fails at 9").touch()
    hbtrack("extend", "--identity", "Größe: ", "--max-epochs", 9)
    (hbtrack.folder / "fails at 9").unlink()
    told(hbtrack)
    hbtrack("retry")
    hbtrack("resume")
    again = [one for one in told(hbtrack) if "half" in one["found"]]  # type: ignore[operator]
    assert [one["HBTRACK_EPOCHS_DONE"] for one in again if one["found"] == ["half"]]
    for one in again:
        if one["found"] == ["half"]:
            assert one["HBTRACK_EPOCHS_DONE"] == "0"


def test_names_of_folders_are_safe_where_case_does_not_count_and_for_every_id() -> None:
    ids = ["a", "A", "../../x", "con", "n" * 4096, "lr:0.1 ", "Ä"]
    names = [checkpoint_name(config_id) for config_id in ids]
    assert len({name.casefold() for name in names}) == len(ids)
    assert all(name.isascii() and name.isalnum() and len(name) == 20 for name in names)
    assert names[0] == "ca978112ca1bbdcafac2"  # what was saved yesterday is found tomorrow


def test_a_folder_is_made_ahead_and_only_told_of_when_it_is_next(tmp_path: Path) -> None:
    coming = Start(Place(1, 1, 0, 0), "x:1", 1)
    folders = Folders(tmp_path, tmp_path, A_SEARCH, Observer())
    folders.make_ahead(coming)
    assert [one.name for one in tmp_path.iterdir()] == [checkpoint_name("x:1")]
    folders.make("x:1")
    nowhere = Folders(tmp_path / "gone", tmp_path / "gone", A_SEARCH, Observer())
    nowhere.make_ahead(coming)
    with pytest.raises(FileNotFoundError):
        nowhere.make("x:1")


@pytest.mark.slow
def test_that_max_epochs_has_changed_is_said_before_and_in_every_report(
    hbtrack: Hbtrack, script: Script
) -> None:
    path = script(SAVES)
    hbtrack("run", "--max-epochs", 3, path)
    assert "max_epochs" not in hbtrack("extend", "--identity", "Größe: ", "--passes", 2).stderr
    assert "max_epochs" not in hbtrack("report").stdout
    done = len(hbtrack.rows("SELECT * FROM attempts WHERE status = 'done'"))
    said = hbtrack("extend", "--identity", "Größe: ", "--max-epochs", 9).stderr
    assert said.startswith("Results so far were trained for max_epochs 3; from now on")
    new = len(hbtrack.rows("SELECT * FROM attempts WHERE status = 'done'")) - done
    text = " ".join(hbtrack("report").stdout.split())
    assert f"trained for different max_epochs: {done} with 3, {new} with 9" in text
    (search,) = hbtrack.json("report")["searches"]  # type: ignore[misc]
    told = [{"max_epochs": 3, "results": done}, {"max_epochs": 9, "results": new}]
    assert search["max_epochs_told"] == told  # type: ignore[index]
    hbtrack("report", "--html", "page.html")
    assert "different max_epochs" in (hbtrack.folder / "page.html").read_text()


def test_the_command_that_show_has_tells_the_script_what_it_was_told(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 9, script(SAVES), "it's $HOME")
    [(best,)] = hbtrack.rows("SELECT config_id FROM leaderboard ORDER BY epochs DESC LIMIT 1")
    *_, then = [one for one in told(hbtrack) if one["config_id"] == best]
    command = hbtrack("show", best).stdout.splitlines()[-1]
    assert hbtrack.process(["sh", "-c", command]).returncode == 0
    (now,) = told(hbtrack)
    names = ("CHECKPOINT", "EPOCHS_DONE", "IDENTITY", "MAX_EPOCHS")
    assert [now[f"HBTRACK_{name}"] for name in names] == [then[f"HBTRACK_{name}"] for name in names]
    assert then["HBTRACK_EPOCHS_DONE"] == "3"
    assert hbtrack.json("show", best)["command"] == command


def test_show_has_the_folder_and_a_command_that_finds_what_is_saved(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 3, script(SAVES))
    [(best,)] = hbtrack.rows("SELECT config_id FROM leaderboard WHERE rank = 1")
    folder = saved(hbtrack) / checkpoint_name(str(best))
    text = hbtrack("show", "best").stdout
    assert f"what it has saved: {folder}\n" in text
    assert f" && HBTRACK_CHECKPOINT={folder} " in text.splitlines()[-1]
    assert hbtrack.json("show", "best")["checkpoint"] == str(folder)
    shutil.rmtree(folder)
    assert "HBTRACK_CHECKPOINT" not in hbtrack("show", "best").stdout


# --- on another disk -----------------------------------------------------------------------------


@pytest.mark.slow
def test_another_folder_for_checkpoints_is_stored_and_used_on(
    hbtrack: Hbtrack, script: Script
) -> None:
    elsewhere = hbtrack.folder / "big"
    elsewhere.mkdir()
    path = script(SAVES)
    stop = {"HBTRACK_FAULT": "commit.after:4:stop"}
    hbtrack("run", "--max-epochs", 9, "--checkpoints", "big", path, env=stop, code=75)
    hbtrack("resume", env={})
    assert {Path(str(one["HBTRACK_CHECKPOINT"])).parent.parent for one in told(hbtrack)} == {
        elsewhere
    }
    assert not (hbtrack.folder / "hbtrack.db.d" / "checkpoints").exists()
    assert hbtrack.rows("SELECT checkpoints FROM searches") == [(str(elsewhere),)]
    hbtrack("run", "--max-epochs", 3, "--checkpoints", "big", path, "b")
    assert len(list(elsewhere.iterdir())) == 2, "one for each search"
    told(hbtrack)
    hbtrack("extend", "--identity", "Größe: b", "--passes", 2, "--checkpoints", "none")
    assert saved(hbtrack).is_dir()


@pytest.mark.parametrize("verb", ["run", "resume", pytest.param("extend", marks=pytest.mark.slow)])
def test_what_was_saved_in_another_folder_for_checkpoints_is_told_of_before_anything_is_written(
    hbtrack: Hbtrack, script: Script, verb: str
) -> None:
    path = script(SAVES)
    hbtrack("run", "--max-epochs", 9, path, env={"HBTRACK_FAULT": "commit.after:12:stop"}, code=75)
    words = {"run": [path], "resume": [], "extend": ["--identity", "Größe: ", "--passes", 2]}[verb]
    old, elsewhere = saved(hbtrack), hbtrack.folder / "big"
    elsewhere.mkdir()
    configs = sum(any(one.iterdir()) for one in old.iterdir())
    before = hbtrack.rows("SELECT * FROM searches")
    point = "grow.inside" if verb == "extend" else "own.before"
    said = hbtrack(
        verb, "--checkpoints", "big", *words, env={"HBTRACK_FAULT": f"{point}:1:raise"}, code=1
    ).stderr
    assert f"What {configs} of the configs of Größe:  saved stays in {old}. " in said
    assert f"From now on {elsewhere / old.name} has their folders" in said
    assert hbtrack.rows("SELECT * FROM searches") == before
    shutil.copytree(old, elsewhere / old.name, dirs_exist_ok=True)
    assert "saved stays in" not in hbtrack(verb, "--checkpoints", "big", *words).stderr


def test_a_folder_for_checkpoints_that_is_not_there_is_refused_and_nothing_written(
    hbtrack: Hbtrack, script: Script
) -> None:
    path = script(SAVES)
    said = hbtrack("run", "--checkpoints", "gone", path, code=2).stderr
    assert "must be a folder that is there, not 'gone'" in said
    assert "and is empty" in hbtrack("run", "--checkpoints", "", path, code=2).stderr
    assert [one.name for one in hbtrack.folder.iterdir()] == [path.name]


def test_a_disk_for_checkpoints_that_is_not_mounted_any_more_is_refused(
    hbtrack: Hbtrack, script: Script
) -> None:
    elsewhere = hbtrack.folder / "big"
    elsewhere.mkdir()
    hbtrack("run", "--max-epochs", 3, "--checkpoints", "big", script(SAVES))
    shutil.rmtree(elsewhere)
    before = hbtrack.everything()
    said = hbtrack("extend", "--identity", "Größe: ", "--passes", 2, code=2).stderr
    assert f"The folder for checkpoints, {elsewhere}, is not there" in said
    assert hbtrack.everything() == before
    assert not elsewhere.exists()


def test_a_folder_of_the_search_that_is_a_link_to_elsewhere_is_refused(
    hbtrack: Hbtrack, script: Script
) -> None:
    path = script(SAVES)
    hbtrack("run", "--max-epochs", 3, path)
    folder, other = saved(hbtrack), hbtrack.folder / "other"
    shutil.move(folder, other)
    folder.symlink_to(other)
    said = hbtrack("extend", "--identity", "Größe: ", "--passes", 2, code=1).stderr
    assert f"{folder} is a link, and hbtrack follows none there" in said
    assert "--checkpoints DIR" in said


# --- what was there before -----------------------------------------------------------------------

BY_ID = """
import json, os, sys, time
def run_identity(argv): return " ".join(["by id", *argv])
def get_random_config_id(rng): return f"lr:{10 ** rng.uniform(-3, 0):.4f}"
if __name__ == "__main__":
    epochs, file = int(sys.argv[3]), sys.argv[1] + ".json"
    lr, target = float(sys.argv[1][3:]), float(os.environ.get("TARGET", 0.3))
    epoch, weight = json.load(open(file)) if os.path.exists(file) else (0, 1.0)
    while epoch < epochs:
        epoch, weight = epoch + 1, weight - lr * (weight - target)
        time.sleep(EPOCH_SECONDS)
    json.dump([epoch, weight], open(file, "w"))
    print(LOSS)
"""
LOSS = "(weight - target) ** 2 + 0.01 * lr"


def by_id(script: Script, loss: str = LOSS, epoch_seconds: float = 0.0) -> Path:
    """Saves by the config_id alone, where every search of the script finds it."""
    return script(BY_ID.replace("LOSS", loss).replace("EPOCH_SECONDS", str(epoch_seconds)))


@pytest.mark.slow
def test_a_search_that_begins_on_what_another_has_trained_says_so_once(
    hbtrack: Hbtrack, script: Script
) -> None:
    path = by_id(script)
    assert "HBTRACK_CHECKPOINT" not in hbtrack("run", "--max-epochs", 27, path).stderr
    hbtrack("rm", "--identity", "by id", "--yes")
    said = hbtrack("run", "--max-epochs", 27, path, env={"TARGET": "0.4"}).stderr
    assert said.count("gave exactly the loss that these had for fewer epochs") == 1
    text = " ".join(hbtrack("report").stdout.split())
    assert "gave exactly the loss that these had for fewer epochs" in text
    hbtrack("report", "--html", "page.html")
    assert "checkpoints of another search" in (hbtrack.folder / "page.html").read_text()
    assert "exactly the loss" not in hbtrack("extend", "--identity", "by id", "--passes", 2).stderr


IN_THREE = "SELECT config_id FROM attempts GROUP BY config_id HAVING min(epochs) < max(epochs)"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("", ""), 1),
        pytest.param(  # equal by chance
            (f"print({LOSS})", f"print(round({LOSS}, 2))"), 0, marks=pytest.mark.slow
        ),
        (('sys.argv[1] + ".json"', 'os.environ["HBTRACK_CHECKPOINT"] + "/x"'), 0),
    ],
)
def test_losses_that_another_search_of_the_script_has_for_more_epochs_are_said_once(
    hbtrack: Hbtrack, script: Script, edit: tuple[str, str], said: int
) -> None:
    path = by_id(script)
    path.write_text(path.read_text().replace(*edit))
    assert "HBTRACK_CHECKPOINT" not in hbtrack("run", "--max-epochs", 9, path).stderr
    given = [word for (one,) in hbtrack.rows(IN_THREE)[:2] for word in ("--config", one)]
    words = "losses are exactly those that the search by id has for more epochs"
    stderr = hbtrack("run", "--max-epochs", 9, *given, path, "b").stderr
    assert stderr.count(words) == said
    report = hbtrack("report", "--identity", "by id b").stdout
    assert " ".join(report.split()).count(words) == said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "loss", "epoch_seconds"),
    [
        ("few digits", "round(lr, 1)", 0.0),
        ("the same for all", "0.123456789", 0.0),
        ("the best so far, of training that takes its time", "0.123456789 + lr", 0.15),
    ],
)
def test_losses_that_may_be_equal_for_other_reasons_raise_no_alarm(
    hbtrack: Hbtrack, script: Script, what: str, loss: str, epoch_seconds: float
) -> None:
    said = hbtrack("run", "--max-epochs", 9, "--workers", 2, by_id(script, loss, epoch_seconds))
    assert "exactly the loss" not in said.stderr, what
    assert hbtrack.rows("SELECT found_checkpoints FROM _search") == [(None,)]


def test_what_goes_on_from_the_folder_of_its_config_raises_no_alarm(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 9, script(SAVES.replace(" / epochs", " / 7")))
    assert hbtrack.rows("SELECT found_checkpoints FROM _search") == [(None,)]
