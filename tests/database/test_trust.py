"""Whose database is driven: what the rule says, and what users meet."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from conftest import TOY, WAITING, Hbtrack, ready, wait_for

from hbtrack.database.trust import Entry, objections, remedy_of

ME, ROOT, OTHER = 77001, 0, 77002
MINE, LAB = 77001, 50  # a group of mine alone, and one with others in it


def file(mode: int, uid: int = ME, gid: int = MINE, name: str = "x.db") -> Entry:
    return Entry(Path("/d", name), uid, gid, stat.S_IFREG | mode)


def folder(mode: int, uid: int = ME, gid: int = MINE) -> Entry:
    return Entry(Path("/d"), uid, gid, stat.S_IFDIR | mode)


def rule(where: Entry, *files: Entry, user: int = ME) -> str | None:
    """What is to be typed, if anything."""
    found = objections(where, files, user, lambda gid, _user: gid == LAB)
    return remedy_of(found) or None


@pytest.mark.parametrize(
    ("where", "files"),
    [
        (folder(0o700), [file(0o600)]),
        (folder(0o755), [file(0o644)]),
        (folder(0o755, ROOT, ROOT), [file(0o600)]),
        (folder(0o755), [file(0o644, ROOT, LAB)]),
        (folder(0o775), [file(0o664)]),
        (folder(0o1777, ROOT, ROOT), [file(0o600)]),
        (folder(0o1777, ROOT, ROOT), []),
        (folder(0o700), [file(0o600), file(0o600, name="x.db-wal")]),
    ],
)
def test_what_only_the_user_and_root_can_write_is_driven(where: Entry, files: list[Entry]) -> None:
    assert rule(where, *files) is None


@pytest.mark.parametrize(
    ("where", "files", "remedy"),
    [
        (folder(0o755), [file(0o644, OTHER)], "sudo chown 77001 /d/x.db"),
        (folder(0o755), [file(0o666)], "chmod go-w /d/x.db"),
        (folder(0o755), [file(0o660, gid=LAB)], "chmod go-w /d/x.db"),
        (folder(0o755, OTHER), [file(0o600)], "sudo chown 77001 /d"),
        (folder(0o777), [file(0o600)], "chmod go-w /d"),
        (folder(0o777), [], "chmod go-w /d"),
        (folder(0o2775, ROOT, LAB), [file(0o600)], "chmod go-w /d"),
        (folder(0o1777, ROOT), [file(0o644, ROOT)], "chmod go-w /d"),
        (folder(0o1777, OTHER), [file(0o600)], "sudo chown 77001 /d"),
        (
            folder(0o1777, ROOT),
            [file(0o600), file(0o600, OTHER, name="x.db-journal")],
            "sudo chown 77001 /d/x.db-journal",
        ),
        (
            folder(0o700),
            [file(0o600), file(0o606, name="x.db-shm")],
            "chmod go-w /d/x.db-shm",
        ),
        (
            folder(0o777),
            [file(0o606), file(0o606, name="x.db-wal"), file(0o600, OTHER, name="x.db-shm")],
            "chmod go-w /d/x.db /d/x.db-wal /d && sudo chown 77001 /d/x.db-shm",
        ),
    ],
)
def test_what_somebody_else_can_write_or_replace_is_not(
    where: Entry, files: list[Entry], remedy: str
) -> None:
    assert rule(where, *files) == remedy


def test_for_root_only_roots_own_is_without_objection() -> None:
    assert rule(folder(0o755, ROOT), file(0o600, ROOT), user=ROOT) is None
    assert rule(folder(0o755, ROOT), file(0o600), user=ROOT) == "sudo chown root /d/x.db"


# --- as users meet it ----------------------------------------------------------------------------

NOBODY, NEIGHBOUR = 65534, 65533


@pytest.fixture
def theirs(hbtrack: Hbtrack) -> Iterator[Hbtrack]:
    """A folder of nobody's, with the database of a finished search that nobody owns."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can be somebody else")
    hbtrack("run", "--max-epochs", 1, TOY)
    place = Hbtrack(Path(tempfile.mkdtemp(prefix="hbtrack-trust-", dir="/tmp")))
    shutil.copyfile(hbtrack.database, place.database)
    for path in (place.folder, place.database):
        os.chown(path, NOBODY, NOBODY)
    if by_nobody(place, "--version").returncode:
        pytest.skip("others cannot run hbtrack here")
    yield place
    shutil.rmtree(place.folder)


def by_nobody(hbtrack: Hbtrack, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return hbtrack.process([*who, *hbtrack.command(*words)], env, stdin=subprocess.DEVNULL)


# Others may have no way to the interpreter of the tests.
RUN: Sequence[object] = ("run", "--max-epochs", 1, "--python", "/bin/sh", TOY)


def test_fault_124_a_neighbours_database_is_read_but_not_driven(theirs: Hbtrack) -> None:
    theirs.database.chmod(0o644)
    os.chown(theirs.database, NEIGHBOUR, NOBODY)
    before = theirs.database.read_bytes()
    search = ("--identity", "toy")
    verbs = (
        ("resume",),
        ("extend", *search, "--passes", 2),
        ("retry",),
        ("stop",),
        ("rm", "--yes", *search),
    )
    for words in (*verbs, RUN, ("db", "upgrade")):
        result = by_nobody(theirs, *words)
        assert result.returncode == 4, result.stderr
        said = f"{theirs.database} belongs to another user (owner {NEIGHBOUR}, mode 0644)"
        assert said in result.stderr
        assert f"sudo chown nobody {theirs.database}" in result.stderr
        assert "hbtrack help not-your-database" in result.stderr
    assert theirs.database.read_bytes() == before
    assert by_nobody(theirs, "report").returncode == 0
    assert by_nobody(theirs, "stop", HBTRACK_TRUST_DB="other.db").returncode == 4


def test_ones_own_database_is_driven_and_one_that_is_trusted_by_name(theirs: Hbtrack) -> None:
    assert by_nobody(theirs, "stop").returncode == 0
    theirs.folder.chmod(0o777)
    refused = by_nobody(theirs, "stop")
    assert refused.returncode == 4
    assert f"chmod go-w {theirs.folder}" in refused.stderr
    trusted = by_nobody(theirs, "stop", HBTRACK_TRUST_DB=str(theirs.database))
    assert trusted.returncode == 0, trusted.stderr
    theirs.folder.chmod(0o1777)
    assert by_nobody(theirs, "stop").returncode == 0


def test_fault_124_a_folder_in_which_others_may_write_gets_no_database(theirs: Hbtrack) -> None:
    theirs.database.unlink()
    theirs.folder.chmod(0o777)
    assert by_nobody(theirs, *RUN).returncode == 4
    assert not theirs.database.exists()


def test_root_is_told_once_and_not_refused(theirs: Hbtrack) -> None:
    said = theirs("extend", "--identity", "toy", "--passes", 2).stderr
    assert said.count("Take care: ") == 1
    assert "as root. To mend it: sudo chown root" in said


def test_fault_125_a_file_with_two_names_is_read_but_not_driven(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--max-epochs", 1, TOY)
    os.link(hbtrack.database, hbtrack.folder / "other.db")
    for name in ("hbtrack.db", "other.db"):
        said = hbtrack("resume", "--db", name, code=4).stderr
        assert f"{name} has 2 names (hard links)" in said
        hbtrack("report", "--db", name)
    (hbtrack.folder / "other.db").unlink()
    hbtrack("resume")


def test_a_backup_follows_no_name_that_somebody_put_there(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--max-epochs", 1, TOY)
    (hbtrack.folder / "victim").write_text("mine")
    (hbtrack.folder / "copy.db").symlink_to("nowhere")
    hbtrack("db", "backup", "copy.db")
    copy = hbtrack.folder / "copy.db"
    assert copy.is_file()
    assert not copy.is_symlink()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (hbtrack.folder / "victim").read_text() == "mine"
    assert not [*hbtrack.folder.glob(".hbtrack-backup-*")]


BOUND = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"')


def test_fault_66_a_file_that_is_driven_is_refused_under_a_second_name(hbtrack: Hbtrack) -> None:
    other = hbtrack.folder / "other.db"
    other.touch()

    def under_the_other_name(*words: object) -> subprocess.CompletedProcess[str]:
        command = [*BOUND, hbtrack.database, other, *hbtrack.command(*words, "--db", other)]
        return hbtrack.process(command, stdin=subprocess.DEVNULL)

    gate = hbtrack.folder / "gate"
    waits = hbtrack.folder / "waits.py"
    waits.write_text(WAITING)
    driver = hbtrack.start("run", "--max-epochs", 1, waits)
    wait_for(lambda: ready(hbtrack))
    if hbtrack.process([*BOUND, hbtrack.database, other, "true"]).returncode:
        pytest.skip("nothing can be mounted here")
    for words in (("resume",), ("stop",), ("db", "upgrade")):
        result = under_the_other_name(*words)
        assert result.returncode == 4, result.stderr
        assert f"{other} is also called {hbtrack.database}" in result.stderr
    driver.kill()
    driver.communicate()
    assert under_the_other_name("resume").returncode == 4, "its script still runs"
    gate.touch()
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, attempt FROM attempts") == [("done", 1)]


def test_a_name_that_is_gone_makes_room_for_another(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--max-epochs", 1, TOY)
    moved = hbtrack.folder / "moved.db"
    hbtrack.database.rename(moved)
    hbtrack("stop", "--db", moved)
    moved.rename(hbtrack.database)
    hbtrack("stop")


def test_a_folder_that_is_made_anew_under_its_name_gives_the_file_no_second_one(
    hbtrack: Hbtrack,
) -> None:
    folder, aside = hbtrack.folder / "folder", hbtrack.folder / "aside"
    folder.mkdir()
    hbtrack("run", "--db", folder / "a.db", "--max-epochs", 1, TOY)
    folder.rename(aside)
    folder.mkdir()
    for entry in aside.iterdir():  # as where a file gets the number of one that was removed
        entry.rename(folder / entry.name)
    hbtrack("stop", "--db", folder / "a.db")
