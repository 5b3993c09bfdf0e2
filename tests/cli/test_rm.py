"""`hbtrack rm`: one search is gone whole, or nothing has changed."""

import re
import shutil

import pytest
from conftest import TOY, Hbtrack, wait_for
from terminal import terminals

from hbtrack.searches.verify import check_database

RM = ("rm", "--identity", "toy")

RUN = ("run", "--max-epochs", 3, "-q", "toy.py", "--space", 4, "--fail", 0.3)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Two finished searches, the one with failures and with ids that are used again."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("searched"))
    text = TOY.read_text()
    (hbtrack.folder / "toy.py").write_text(text)
    (hbtrack.folder / "other.py").write_text(text.replace('return "toy"', 'return "other"'))
    hbtrack(*RUN)
    hbtrack("run", "--max-epochs", 1, "-q", "other.py")
    return hbtrack


def stored_rows(hbtrack: Hbtrack) -> list[str]:
    """Every row of a table of hbtrack's own."""
    rows = [line for line in hbtrack.everything() if line.startswith("INSERT INTO ")]
    return [row for row in rows if not re.match('INSERT INTO "(sqlite_|alembic_)', row)]


@pytest.fixture(scope="module")
def removed(
    searched: Hbtrack, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Hbtrack, str, Hbtrack]:
    """A copy without the one search, what was said, and a copy without the other."""
    copies = [Hbtrack(tmp_path_factory.mktemp(name) / "copy") for name in ("toy", "other")]
    for copy in copies:
        shutil.copytree(searched.folder, copy.folder)
    said = copies[0](*RM, "--yes").stderr
    copies[1]("rm", "--identity", "other", "--yes")
    assert all(check_database(str(copy.database), None) == [] for copy in copies)
    return copies[0], said, copies[1]


def test_what_is_left_and_what_was_removed_are_all_that_there_was(
    searched: Hbtrack, removed: tuple[Hbtrack, str, Hbtrack]
) -> None:
    left, gone = stored_rows(removed[0]), stored_rows(removed[2])
    assert sorted(left + gone) == sorted(stored_rows(searched))
    assert removed[0].rows("SELECT run_identity FROM searches") == [("other",)]


def test_its_folder_goes_and_what_the_scripts_saved_stays(
    removed: tuple[Hbtrack, str, Hbtrack],
) -> None:
    folder = removed[0].folder
    found = sorted(path.name for path in (folder / "hbtrack.db.d").iterdir())
    assert found == ["2", "checkpoints"]
    assert len(list((folder / "hbtrack.db.d" / "checkpoints").iterdir())) == 1, "of the other one"
    assert (folder / "hbtrack.db.d" / "2" / "log").exists()
    assert (folder / "toy" / "diary.txt").exists()


def test_it_says_what_goes_and_what_stays(
    searched: Hbtrack, removed: tuple[Hbtrack, str, Hbtrack]
) -> None:
    query = "SELECT count(*) FROM attempts WHERE run_identity = 'toy'"
    [(attempts,)] = searched.rows(query)
    said = removed[1]
    assert f" {attempts} attempts" in said
    assert f"{removed[0].folder / 'hbtrack.db.d' / '1'}\n" in said
    assert f"{searched.folder / 'toy.py'} has saved itself in other places stays" in said


@pytest.mark.parametrize("words", [("--identity", "toy"), ("--identity", "*")], ids=" ".join)
def test_without_a_terminal_or_for_several_searches_it_is_refused(
    copied: Hbtrack, words: tuple[str, ...]
) -> None:
    before = copied.everything()
    yes = ("--yes",) if "*" in words else ()
    copied("rm", *words, *yes, code=2)
    assert copied.everything() == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("toy", 0), ("no", 1)])
def test_on_a_terminal_it_asks(copied: Hbtrack, answer: str, code: int) -> None:
    with terminals() as start:
        asking = start(copied, *RM)
        asking.shows("Type y to remove it")
        asking.press(f"{answer}\n".encode())
        assert asking.exit_status() == code
    assert len(copied.rows("SELECT * FROM searches")) == (2 if code else 1)


def test_a_search_that_runs_is_refused_and_so_are_scripts_without_a_driver(
    hbtrack: Hbtrack,
) -> None:
    (hbtrack.folder / "toy").mkdir()
    (hbtrack.folder / "toy" / "hold").touch()
    driver = hbtrack.start("run", "--max-epochs", 3, TOY)
    diary = hbtrack.folder / "toy" / "diary.txt"
    wait_for(lambda: diary.exists() and "begin" in diary.read_text())
    assert "Another hbtrack is running 'toy'" in hbtrack(*RM, "--yes", code=4).stderr
    driver.kill()
    driver.communicate()
    assert "still run" in hbtrack(*RM, "--yes", code=4).stderr
    hbtrack("stop", "--grace", 0)
    hbtrack(*RM, "--yes")
    assert hbtrack.rows("SELECT * FROM searches") == []


def test_a_search_whose_attempts_nobody_settled_can_be_removed(hbtrack: Hbtrack) -> None:
    killed = {"HBTRACK_FAULT": "spawn.before:1:kill"}
    hbtrack("run", "--max-epochs", 3, TOY, env=killed, code=-9)
    hbtrack(*RM, "--yes")
    assert hbtrack.rows("SELECT count(*) FROM _attempt") == [(0,)]


def test_a_kill_before_the_commit_changes_nothing(copied: Hbtrack) -> None:
    before = copied.everything()
    copied(*RM, "--yes", env={"HBTRACK_FAULT": "remove.inside:1:kill"}, code=-9)
    assert copied.everything() == before
    assert (copied.folder / "hbtrack.db.d" / "1" / "log").exists()


def test_after_a_kill_once_it_is_gone_the_same_search_can_begin_anew(copied: Hbtrack) -> None:
    before = copied.dump()
    copied(*RM, "--yes", env={"HBTRACK_FAULT": "remove.after:1:kill"}, code=-9)
    assert copied.rows("SELECT run_identity FROM searches") == [("other",)]
    shutil.rmtree(copied.folder / "toy")
    copied(*RUN)
    assert copied.dump() == before
