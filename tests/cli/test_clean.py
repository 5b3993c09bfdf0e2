"""`hbtrack clean` and `rm --checkpoints`: what no place can need goes, and nothing else does."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Hbtrack, wait_for
from terminal import terminals

from hbtrack.core.contract import checkpoint_name

Script = Callable[[str], Path]

SAVES = """
import os, sys, time
def run_identity(argv): return "saves"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    model = os.path.join(os.environ["HBTRACK_CHECKPOINT"], "model")
    with open("told", "a") as file:
        file.write(f"{sys.argv[1]} {sys.argv[3]} {os.environ['HBTRACK_EPOCHS_DONE']}\\n")
    while os.path.exists("hold"): time.sleep(0.01)
    if os.path.exists("fail"):
        raise RuntimeError
    with open(model, "w") as file:
        file.write("x" * 1000)
    print(int(sys.argv[1][2:]))
"""
CLEAN = ("clean", "--identity", "saves")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("searched"))
    (hbtrack.folder / "saves.py").write_text(SAVES)
    hbtrack("run", "--max-epochs", 9, "-q", "saves.py")
    return hbtrack


def saved(hbtrack: Hbtrack) -> Path:
    (found,) = (hbtrack.folder / "hbtrack.db.d" / "checkpoints").iterdir()
    return found


def kept(hbtrack: Hbtrack) -> set[str]:
    return {folder.name for folder in saved(hbtrack).iterdir()}


def configs(hbtrack: Hbtrack, where: str) -> set[str]:
    found = hbtrack.rows(f"SELECT config_id FROM results WHERE {where}")
    return {checkpoint_name(str(config_id)) for [config_id] in found}


def test_of_a_finished_search_all_are_freed_and_it_says_what_that_costs(copied: Hbtrack) -> None:
    results = copied.dump()
    said = copied(*CLEAN, "--yes").stderr
    assert f"This frees 16.6 KiB in {saved(copied)}" in said
    assert "those of 17 configs that no place can need any more" in said
    reached = copied.rows("SELECT sum(epochs_reached), max(config_id) FROM leaderboard")[0][0]
    assert f"{reached} epochs if all did" in said
    [(best,)] = copied.rows("SELECT config_id FROM leaderboard WHERE rank = 1")
    assert f"The best, {best}, is one of them: copy {saved(copied)}/{checkpoint_name(best)}" in said
    assert kept(copied) == set()
    assert copied.dump() == results
    assert copied.rows("SELECT count(*) FROM _config WHERE cleaned_at IS NULL") == [(0,)]


def test_a_config_that_is_needed_again_is_told_that_nothing_is_there(copied: Hbtrack) -> None:
    copied(*CLEAN, "--yes")
    script = Path(str(copied.rows("SELECT script FROM searches")[0][0]))  # in the folder copied
    copied("extend", "--identity", "saves", "--max-epochs", 27)
    calls = [line.split() for line in (script.parent / "told").read_text().splitlines()]
    first = {config_id: done for config_id, _, done in reversed(calls[22:])}
    assert set(first.values()) == {"0"}


@pytest.mark.slow
def test_what_may_still_be_promoted_is_kept(hbtrack: Hbtrack, script: Script) -> None:
    stop = {"HBTRACK_FAULT": "commit.after:7:stop"}
    hbtrack("run", "--max-epochs", 9, script(SAVES), env=stop, code=75)
    entered = kept(hbtrack)
    said = hbtrack(*CLEAN, "--yes").stderr
    assert "No checkpoint of saves can be freed" in said
    assert kept(hbtrack) == entered
    hbtrack("resume", env={"HBTRACK_FAULT": "commit.after:7:stop"}, code=75)
    dropped = configs(hbtrack, "promoted = 0")
    assert dropped
    hbtrack(*CLEAN, "--yes")
    assert not kept(hbtrack) & dropped
    assert kept(hbtrack) >= configs(hbtrack, "status = 'done' AND promoted IS NULL")
    hbtrack("resume")
    assert "saves" in hbtrack("status").stdout


def test_failed_configs_are_counted_for_retry(hbtrack: Hbtrack, script: Script) -> None:
    path = script(SAVES)
    hbtrack("run", "--max-epochs", 3, "--passes", 1, path)
    (hbtrack.folder / "fail").touch()
    hbtrack("extend", "--identity", "saves", "--max-epochs", 9, "--max-streak", "none")
    said = hbtrack(*CLEAN, "--yes").stderr
    assert re.search(r"`hbtrack retry` would train those of them that failed again, \d+: \d", said)


def test_it_asks_and_without_a_terminal_it_is_refused(copied: Hbtrack) -> None:
    before = kept(copied)
    assert "--yes" in copied(*CLEAN, code=2).stderr
    with terminals() as start:
        asking = start(copied, *CLEAN)
        asking.shows("Type y to remove it")
        asking.press(b"no\n")
        assert asking.exit_status() == 1
    assert kept(copied) == before


def test_a_search_that_runs_is_refused(hbtrack: Hbtrack, script: Script) -> None:
    (hbtrack.folder / "hold").touch()
    hbtrack.start("run", "--max-epochs", 3, script(SAVES))
    wait_for((hbtrack.folder / "told").exists)
    assert "Another hbtrack is running 'saves'" in hbtrack(*CLEAN, "--yes", code=4).stderr
    (hbtrack.folder / "hold").unlink()
    hbtrack.started[0].communicate()


def test_a_kill_leaves_folders_whole_or_gone_and_the_next_one_sweeps(copied: Hbtrack) -> None:
    copied(*CLEAN, "--yes", env={"HBTRACK_FAULT": "clean.inside:1:kill"}, code=-9)
    assert copied.rows("SELECT count(*) FROM _config WHERE cleaned_at IS NOT NULL") == [(0,)]
    assert all(".removed-" in name for name in kept(copied)), "no half folder under its own name"
    copied(*CLEAN, "--yes")
    assert kept(copied) == set()


def test_no_link_is_followed(copied: Hbtrack) -> None:
    outside = copied.folder / "outside"
    outside.mkdir()
    (outside / "mine").write_text("x" * 10**6)
    first, second, *_ = sorted(saved(copied).iterdir())
    (first / "data").symlink_to(outside)
    shutil.rmtree(second)
    second.symlink_to(outside)
    said = copied(*CLEAN, "--yes").stderr
    assert re.search(r"This frees 1[45]\.\d KiB", said)
    assert kept(copied) == set()
    assert (outside / "mine").stat().st_size == 10**6


def test_a_link_in_the_place_of_the_whole_folder_is_refused(copied: Hbtrack) -> None:
    folder, outside = saved(copied), copied.folder / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    said = copied(*CLEAN, "--yes", code=1).stderr
    assert f"{folder} is a link" in said
    assert "move the folder to which it leads into its place" in said
    assert "chmod" not in said
    assert len(list(outside.iterdir())) == 17


@pytest.mark.parametrize("words", [(), ("--checkpoints",)])
@pytest.mark.parametrize("what", ["the folder", "what it lies in"])
def test_rm_removes_a_search_whose_folder_is_a_link_and_says_that_it_leaves_that(
    copied: Hbtrack, words: tuple[str, ...], what: str
) -> None:
    folder, outside = saved(copied), copied.folder / "outside"
    folder = folder if what == "the folder" else folder.parent
    folder.rename(outside)
    folder.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    said = copied("rm", "--identity", "saves", *words, "--yes").stderr
    assert f"Its checkpoints stay where they are: {folder} is a link, and" in said
    assert "are removed, too" not in said
    assert copied.rows("SELECT * FROM searches") == []
    assert folder.is_symlink()
    assert sorted(outside.rglob("*")) == before


def test_rm_keeps_checkpoints_unless_they_are_named(copied: Hbtrack) -> None:
    folder = saved(copied)
    said = copied("rm", "--identity", "saves", "--yes").stderr
    assert f"16.6 KiB in {folder}, stay; with --checkpoints they are removed" in said
    assert len(list(folder.iterdir())) == 17


def test_rm_removes_checkpoints_that_are_named(copied: Hbtrack) -> None:
    folder = saved(copied)
    said = copied("rm", "--identity", "saves", "--checkpoints", "--yes").stderr
    assert f"16.6 KiB in {folder}, are removed, too" in said
    assert not folder.exists()


def test_a_search_begun_again_after_rm_begins_with_no_checkpoint(copied: Hbtrack) -> None:
    copied("rm", "--identity", "saves", "--yes")
    (copied.folder / "told").unlink()
    copied("run", "--max-epochs", 3, "saves.py")
    calls = (copied.folder / "told").read_text().splitlines()
    assert {line.split()[2] for line in calls if line.split()[1] == "1"} == {"0"}
