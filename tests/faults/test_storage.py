"""Disks that are full, files that are locked, moved, damaged: nothing is lost, and it goes on."""

import contextlib
import os
import re
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import CONTRACT, REFUSAL, TOY, Hbtrack, notes, wait_for

from hbtrack.database import connection
from hbtrack.database.filesystem import is_shared, kind_of, writer_of
from hbtrack.database.upgrade import prepare_for_writing
from hbtrack.searches import session

# Prints a loss, notes its call, waits for the file `go`.
PRINTS = (
    CONTRACT
    + """
if __name__ == "__main__":
    print(len(sys.argv[1]) / 100, flush=True)
    note(" ".join(sys.argv[1:4]))
    wait_for("go")
"""
)
SEARCH = ("run", "--max-epochs", 3, "--workers", 1)
Script = Callable[[str], Path]


def begin(hbtrack: Hbtrack, script: Script, **env: str) -> subprocess.Popen[str]:
    """Start a search whose scripts print a loss and wait for a file; return when one waits."""
    driver = hbtrack.start(*SEARCH, script(PRINTS), env=env)
    wait_for(lambda: notes(hbtrack))
    return driver


def let_go(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "go").touch()


def end(driver: subprocess.Popen[str]) -> tuple[int, str]:
    said = driver.communicate(timeout=100)[1]
    return driver.returncode, said


def read_until(driver: subprocess.Popen[str], text: str) -> str:
    """The first line with that text that the driver says."""
    assert driver.stderr
    line = next((line for line in driver.stderr if text in line), None)
    assert line, f"it never said {text}"
    return line


def finish(hbtrack: Hbtrack) -> None:
    """Go on to the end: every config was called once, and has its loss."""
    let_go(hbtrack)
    hbtrack("resume")
    all_once(hbtrack)


def all_once(hbtrack: Hbtrack) -> None:
    done = hbtrack.rows("SELECT count(*) FROM results WHERE status = 'done'")
    assert done == hbtrack.rows("SELECT evaluations_planned FROM searches")
    assert len(notes(hbtrack)) == len(set(notes(hbtrack))) == done[0][0]


# --- no room -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """hbtrack's folder is a disk of 1 MiB; a call fills it."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")

    def fill() -> None:
        with contextlib.suppress(OSError), (tmp_path / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 512):
                pass

    yield fill
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def make_room(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "filler").unlink()


def test_fault_81_a_disk_that_fills_up_is_waited_for(
    small_disk: Callable[[], None], hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, script)
    small_disk()
    let_go(hbtrack)
    assert "full" in read_until(driver, " Waiting: ")
    make_room(hbtrack)
    assert end(driver)[0] == 0
    all_once(hbtrack)


@pytest.mark.slow
def test_fault_81_83_a_disk_that_stays_full_ends_the_search_with_a_sentence_and_all_results(
    small_disk: Callable[[], None], hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, script, HBTRACK_PATIENCE="1")
    small_disk()
    let_go(hbtrack)
    code, said = end(driver)
    assert code == 1
    assert "full" in said
    assert "`hbtrack resume` takes them over" in said
    assert "Traceback" not in said
    make_room(hbtrack)
    finish(hbtrack)


def test_fault_82_a_disk_that_is_full_at_the_start_is_told_in_a_sentence(
    small_disk: Callable[[], None], hbtrack: Hbtrack, script: Script
) -> None:
    path = script(PRINTS)
    small_disk()
    said = hbtrack(*SEARCH, path, code=1, env={"HBTRACK_PATIENCE": "1"}).stderr
    assert "full" in said or "No space left" in said
    assert "Traceback" not in said
    make_room(hbtrack)
    let_go(hbtrack)
    hbtrack(*SEARCH, path)
    all_once(hbtrack)


def test_fault_82_a_reader_for_whom_a_full_disk_has_no_room_blames_the_disk_not_the_file(
    small_disk: Callable[[], None], hbtrack: Hbtrack
) -> None:
    hbtrack(*SEARCH, TOY)
    for beside in ("-wal", "-shm"):
        hbtrack.database.with_name(f"hbtrack.db{beside}").unlink(missing_ok=True)
    small_disk()
    said = hbtrack("status", code=1).stderr
    assert "The disk may be full" in said
    assert "damaged" not in said
    make_room(hbtrack)
    hbtrack("status")


def test_fault_85_a_limit_on_file_sizes_is_told_in_a_sentence_and_can_be_lifted(
    hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, script, HBTRACK_PATIENCE="1")
    size = hbtrack.database.with_name("hbtrack.db-wal").stat().st_size
    resource.prlimit(driver.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    let_go(hbtrack)
    code, said = end(driver)
    assert code == 1
    assert "full, over its quota or broken" in said
    finish(hbtrack)


def test_a_lock_file_that_cannot_be_opened_is_told_in_a_sentence(hbtrack: Hbtrack) -> None:
    lock = hbtrack.folder / "hbtrack.db.d" / "1" / "driver.lock"
    lock.mkdir(parents=True, mode=0o700)
    assert re.fullmatch(REFUSAL, hbtrack(*SEARCH, TOY, code=1).stderr)
    lock.rmdir()
    hbtrack("resume")


def test_fault_83_a_result_counts_although_there_was_no_room_for_the_line_before(
    hbtrack: Hbtrack, script: Script
) -> None:
    without_pid = """
    while b"pid " not in (said := os.pread(9, 999, 0)):
        time.sleep(0.001)
    os.ftruncate(9, said.index(b"pid "))
"""
    let_go(hbtrack)
    hbtrack(*SEARCH, script(PRINTS + without_pid))
    all_once(hbtrack)


# --- locked --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fault_87_a_long_writer_is_named_and_waited_for(hbtrack: Hbtrack, script: Script) -> None:
    driver = begin(hbtrack, script)
    with closing(sqlite3.connect(hbtrack.database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        let_go(hbtrack)
        said = read_until(driver, " Waiting: ")
        writer.execute("ROLLBACK")
    assert "database is locked" in said
    assert f"Process {os.getpid()} " in said
    assert end(driver)[0] == 0
    all_once(hbtrack)


def test_fault_87_whoever_holds_no_lock_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "hbtrack.db"
    prepare_for_writing(path)
    assert writer_of(path) == "Another process"


# --- moved, replaced, deleted --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("rename", ""),
        ("delete", "-wal"),
        pytest.param("delete", "", marks=pytest.mark.slow),
        pytest.param("replace", "", marks=pytest.mark.slow),
        pytest.param("rename", "-wal", marks=pytest.mark.slow),
        pytest.param("replace", "-wal", marks=pytest.mark.slow),
    ],
)
def test_fault_89_90_a_file_that_goes_away_under_the_search_ends_it_with_its_results_kept(
    hbtrack: Hbtrack, script: Script, ending: str, how: str
) -> None:
    driver = begin(hbtrack, script)
    file = hbtrack.database.with_name(f"hbtrack.db{ending}")
    copy = file.with_name("copy")
    if how == "replace":
        shutil.copyfile(file, copy)
        copy.replace(file)
    else:
        file.rename(copy)
    let_go(hbtrack)
    code, said = end(driver)
    assert code == 1
    assert f"{file} was deleted, renamed or replaced" in said
    if how == "rename":
        copy.rename(file)
        finish(hbtrack)
    elif how == "replace" or ending:
        for name in ("-wal", "-shm") if how == "replace" and not ending else ():
            file.with_name(file.name + name).unlink(missing_ok=True)
    if how == "delete" and not ending:
        assert not file.exists(), "no other file is made in its place"


@pytest.mark.slow
def test_fault_97_a_folder_that_was_moved_goes_on_from_where_it_is_now(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    words = ("--max-epochs", 3, "--workers", 2)
    golden = another()
    golden("run", *words, TOY)
    shutil.copy(TOY, hbtrack.folder / "toy.py")
    env = {"HBTRACK_FAULT": "commit.after:4:stop"}
    hbtrack("run", *words, hbtrack.folder / "toy.py", env=env, code=75)
    moved = Hbtrack(hbtrack.folder.with_name("moved"))
    hbtrack.folder.rename(moved.folder)
    said = moved("resume", code=2).stderr
    assert "toy.py" in said
    moved("run", *words, moved.folder / "toy.py")
    assert moved.dump() == golden.dump()
    moved("db", "check")


def test_fault_66_a_link_to_the_file_leads_to_the_same_driver(
    hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, script)
    link = hbtrack.folder / "other" / "name.db"
    link.parent.mkdir()
    link.symlink_to("../hbtrack.db")
    assert f"pid {driver.pid} " in hbtrack("resume", "--db", link, code=4).stderr
    assert hbtrack.json("status", "--db", link) == hbtrack.json("status")
    let_go(hbtrack)
    assert end(driver)[0] == 0
    all_once(hbtrack)


# --- damaged -------------------------------------------------------------------------------------


def test_fault_91_a_damaged_file_is_refused_before_anything_is_written(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    hbtrack("run", "--max-epochs", 9, TOY, env={"HBTRACK_FAULT": "commit.after:9:stop"}, code=75)
    broken = another()
    content = bytearray(hbtrack.database.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    broken.database.write_bytes(content)
    said = broken("resume", code=1).stderr
    assert "damaged" in said or "malformed" in said
    assert "backup" in said
    assert "Traceback" not in said
    assert broken.database.read_bytes() == content


# --- file systems of several machines ------------------------------------------------------------

MOUNTS = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:5 / /proc rw - proc proc rw
30 21 0:50 / /home rw,relatime shared:9 - nfs4 server:/export/home rw,vers=4.2
31 30 0:51 / /home/me/my\\040scratch rw - xfs /dev/vdb rw
32 21 0:52 / /cloud rw - fuse.sshfs me@there:/ rw
33 21 0:53 / /image rw - overlay overlay rw,lowerdir=/a
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/tmp/hbtrack.db", "ext4", False),
        ("/home/me/hbtrack.db", "nfs4", True),
        ("/homeless/hbtrack.db", "ext4", False),
        ("/home/me/my scratch/hbtrack.db", "xfs", False),
        ("/cloud/x/hbtrack.db", "fuse.sshfs", True),
        ("/image/hbtrack.db", "overlay", False),
    ],
)
def test_fault_95_the_kind_of_file_system_is_found(
    tmp_path: Path, path: str, kind: str, *, shared: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert kind_of(Path(path), mounts) == kind
    assert is_shared(kind) is shared


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.glusterfs", "lustre"])
def test_fault_95_network_file_systems_are_known(kind: str) -> None:
    assert is_shared(kind)
    assert not is_shared("")


def test_fault_95_on_a_network_disk_a_rollback_journal_is_used_and_that_is_said(
    hbtrack: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (connection, session):
        monkeypatch.setattr(module, "is_shared", lambda _kind: True)
    said = hbtrack("run", "--max-epochs", 3, "--workers", 2, TOY).stderr
    assert "one machine at a time" in said
    assert hbtrack.rows("PRAGMA journal_mode") == [("delete",)]
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


def test_fault_98_scripts_without_their_files_are_ended_and_run_again(
    hbtrack: Hbtrack, script: Script
) -> None:
    """The files beside the database are deleted while nobody runs the search but its script."""
    driver = begin(hbtrack, script)
    driver.kill()
    driver.wait()
    shutil.rmtree(hbtrack.folder / "hbtrack.db.d")
    let_go(hbtrack)
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]
    assert "lost" in {row[0] for row in hbtrack.rows("SELECT status FROM attempts")}
