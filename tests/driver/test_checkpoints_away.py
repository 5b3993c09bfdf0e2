"""The disk of the checkpoints goes away and comes back: nothing fails or is trained twice by it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Hbtrack, wait_for
from fragile import fragile, results, undisturbed

# The sixth call takes the disk away. Fails where its folder is not there.
TRAIN = """
    import subprocess
    calls = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(calls, b".")
    if os.lseek(calls, 0, os.SEEK_CUR) == 6 and os.path.isdir("disk"):
        OUTAGE
    folder = os.environ["HBTRACK_CHECKPOINT"]
    if MAKES:
        os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "epochs")
    done = int(open(path).read()) if os.path.exists(path) else 0
    with open(path, "w") as file:
        file.write(str(max(done, args.epochs)))
"""
GONE = 'os.rename("disk", "away")'
BARE = f'{GONE}; os.mkdir("disk")'
UNMOUNTED = 'subprocess.run(["umount", "-l", "disk"], check=True)'
RUN = ("run", "--max-epochs", 9, "--checkpoints", "disk")
Rows = list[tuple[object, ...]]


def script(outage: str, *, makes: bool = False) -> str:
    return fragile(TRAIN.replace("OUTAGE", outage).replace("MAKES", str(makes)))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return undisturbed(Hbtrack(tmp_path_factory.mktemp("undisturbed")), script(GONE), 9)


@pytest.fixture
def disk(hbtrack: Hbtrack) -> Iterator[Path]:
    """Where it is mounted, or would be."""
    disk = hbtrack.folder / "disk"
    disk.mkdir()
    yield disk
    subprocess.run(["umount", "-l", disk], stderr=subprocess.DEVNULL)


def mount(disk: Path) -> None:
    real = disk.with_name("real")
    real.mkdir(exist_ok=True)
    if subprocess.run(["mount", "--bind", real, disk], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("nothing can be mounted here")


def come_back(disk: Path, outage: str) -> None:
    """The disk is mounted again; what was written into its place meanwhile is beside it."""
    if outage == UNMOUNTED:
        mount(disk)
        return
    with suppress(FileNotFoundError):
        disk.rename(disk.with_name("bare"))
    disk.with_name("away").rename(disk)


def wait_until_nothing_runs(hbtrack: Hbtrack) -> None:
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    (driver,) = hbtrack.started
    wait_for(lambda: driver.poll() is not None or (log.exists() and " is away " in log.read_text()))
    wait_for(lambda: not hbtrack.rows("SELECT 1 FROM attempts WHERE finished_at IS NULL"))
    assert driver.poll() is None, driver.communicate()[1]


@pytest.mark.parametrize(
    ("workers", "outage", "makes"),
    [
        pytest.param(2, GONE, False, id="gone"),
        pytest.param(2, BARE, False, id="an-empty-one-in-its-place", marks=pytest.mark.slow),
        pytest.param(2, BARE, True, id="scripts-make-another"),
        pytest.param(2, UNMOUNTED, True, id="unmounted", marks=pytest.mark.slow),
        pytest.param(1, GONE, False, id="gone-1-worker", marks=pytest.mark.slow),
        pytest.param(8, BARE, True, id="scripts-make-another-8-workers", marks=pytest.mark.slow),
    ],
)
def test_fault_128_a_disk_of_checkpoints_that_goes_away_changes_nothing_but_the_time_it_takes(
    hbtrack: Hbtrack, expected: Rows, disk: Path, workers: int, outage: str, makes: bool
) -> None:
    if outage == UNMOUNTED:
        mount(disk)
    (hbtrack.folder / "script.py").write_text(script(outage, makes=makes))
    driver = hbtrack.start(*RUN, "--workers", workers, "script.py")
    wait_until_nothing_runs(hbtrack)
    assert "the folder for checkpoints is away" in hbtrack("status").stdout
    written = [path for path in disk.rglob("*") if path.is_file()]
    assert len(written) <= (workers if makes else 0), "by those that ran already"
    come_back(disk, outage)
    said = driver.communicate()[1]
    assert driver.returncode == 0
    assert "The folder for checkpoints is back: the search goes on." in said
    assert results(hbtrack) == expected
    assert hbtrack.rows("SELECT count(*) FROM failures") == [(0,)]
    assert hbtrack.rows("SELECT rests_until, rests_because FROM drivers") == [(None, None)]


def test_a_disk_of_checkpoints_that_stays_away_stops_the_search_with_nothing_failed(
    hbtrack: Hbtrack, expected: Rows, disk: Path
) -> None:
    (hbtrack.folder / "script.py").write_text(script(GONE))
    said = hbtrack(*RUN, "--max-rest", 0, "script.py", code=1).stderr
    assert f"is away (No such file or directory: {disk}" in said
    assert "type `hbtrack resume`" in said
    assert "hbtrack resume --checkpoints DIR" in said
    ends = hbtrack.rows("SELECT status, count(*) FROM attempts GROUP BY status ORDER BY status")
    assert ends == [("done", 5), ("lost", 1)]
    come_back(disk, GONE)
    hbtrack("resume")
    assert results(hbtrack) == expected


@pytest.mark.slow
def test_a_search_that_finds_nothing_of_its_own_on_the_disk_says_so_before_it_goes_on(
    hbtrack: Hbtrack, expected: Rows, disk: Path
) -> None:
    (hbtrack.folder / "script.py").write_text(script(BARE))
    assert "has nothing of" not in hbtrack(*RUN, "--max-rest", 0, "script.py", code=1).stderr
    said = hbtrack("resume").stderr
    assert f"{disk} has nothing of fragile any more" in said
    assert results(hbtrack) == expected


def test_a_folder_of_one_config_that_is_removed_fails_nothing(
    hbtrack: Hbtrack, expected: Rows
) -> None:
    removes = 'import shutil; shutil.rmtree(os.environ["HBTRACK_CHECKPOINT"])'
    text = script(removes).replace(' and os.path.isdir("disk")', "")
    (hbtrack.folder / "script.py").write_text(text)
    hbtrack("run", "--max-epochs", 9, "script.py")
    assert results(hbtrack) == expected
    assert os.listdir(hbtrack.folder / "hbtrack.db.d" / "checkpoints")
    ends = hbtrack.rows("SELECT status, count(*) FROM attempts GROUP BY status ORDER BY status")
    assert ends == [("done", 22), ("lost", 1)]
