"""The death of hbtrack itself, of its machine, and what happens to the scripts meanwhile."""

import os
import re
import resource
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack, children, process_state, wait_for

SEARCH = ("run", "--max-epochs", 3, "--seed", 1, TOY)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("golden"))
    hbtrack(*SEARCH)
    return hbtrack.dump()


def epochs_trained(hbtrack: Hbtrack) -> Counter[str]:
    diary = (hbtrack.folder / "toy" / "diary.txt").read_text().splitlines()
    assert not [line for line in diary if line.startswith(("RACE", "BELOW"))]
    return Counter(line for line in diary if line.startswith("epoch"))


def running(hbtrack: Hbtrack) -> int:
    """The pid of the script of the first worker, once it trains."""
    lock = hbtrack.folder / "hbtrack.db.d" / "1" / "0.lock"
    found: list[str] = []

    def has_begun() -> bool:
        found[:] = re.findall("^pid ([0-9]+) ", lock.read_text() if lock.exists() else "", re.M)
        return bool(found)

    wait_for(has_begun)
    return int(found[0])


def tell(hbtrack: Hbtrack, word: str) -> Path:
    """Have scripts hold their epoch, or hurry, for as long as the file is there."""
    (hbtrack.folder / "toy").mkdir(exist_ok=True)
    file = hbtrack.folder / "toy" / word
    file.touch()
    return file


def die(driver: subprocess.Popen[str]) -> None:
    driver.kill()
    driver.communicate()


# A parent that is stopped is given up after a while, so as not to be waited for for ever.
PATIENT = "import hbtrack.executors.local\nhbtrack.executors.local.SILENT_SECONDS = 1000.0\n"


def test_fault_7_an_exit_record_that_comes_late_is_waited_for(
    hbtrack: Hbtrack, golden: list[tuple[object, ...]]
) -> None:
    """The scripts' parent dawdles between reaping and writing while a new driver starts."""
    driver = hbtrack.start(*SEARCH, env={"HBTRACK_FAULT": "warden.record.before:2:freeze"})
    running(hbtrack)
    (warden,) = children(driver.pid)
    wait_for(lambda: process_state(warden) == "T")
    die(driver)
    (hbtrack.folder / "sitecustomize.py").write_text(PATIENT)
    env = {"PYTHONPATH": f"{hbtrack.folder}{os.pathsep}{ROOT}"}
    other = hbtrack.start("resume", env=env)
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    wait_for(lambda: "event=adopt" in log.read_text())
    os.kill(warden, signal.SIGCONT)
    other.communicate()
    assert other.returncode == 0
    assert hbtrack.dump() == golden
    assert max(epochs_trained(hbtrack).values()) == 1
    assert hbtrack.rows("SELECT max(attempts) FROM _evaluation") == [(1,)]


def test_fault_13_a_driver_without_memory_ends_and_its_scripts_are_adopted(
    hbtrack: Hbtrack, golden: list[tuple[object, ...]]
) -> None:
    driver = hbtrack.start(*SEARCH, "--epoch_seconds", 0.5)
    running(hbtrack)
    used = int(Path(f"/proc/{driver.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(driver.pid, resource.RLIMIT_AS, (used, used))
    tell(hbtrack, "hurry")
    code = driver.wait(100)
    said = driver.communicate()[1]
    if code:  # it may get along with what it has
        assert code in (1, -signal.SIGSEGV, -signal.SIGABRT), said
    hbtrack("resume")
    assert hbtrack.dump() == golden
    assert max(epochs_trained(hbtrack).values()) == 1


def test_fault_14_an_error_of_its_own_leaves_scripts_running_and_a_traceback(
    hbtrack: Hbtrack, golden: list[tuple[object, ...]]
) -> None:
    env = {"HBTRACK_FAULT": "spawn.after:3:raise"}
    failed = hbtrack(*SEARCH, "--epoch_seconds", 0.5, env=env, code=1)
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    for text in (failed.stderr, log.read_text()):
        assert "FaultError: asked for at spawn.after" in text
    assert "running scripts go on" in failed.stderr
    tell(hbtrack, "hurry")
    hbtrack("resume")
    assert hbtrack.dump() == golden
    assert max(epochs_trained(hbtrack).values()) == 1


def test_fault_16_a_frozen_driver_keeps_its_search_and_goes_on_when_it_thaws(
    hbtrack: Hbtrack, golden: list[tuple[object, ...]]
) -> None:
    hold = tell(hbtrack, "hold")
    driver = hbtrack.start(*SEARCH)
    running(hbtrack)
    driver.send_signal(signal.SIGSTOP)
    assert f"pid {driver.pid}" in hbtrack("resume", code=4).stderr
    driver.send_signal(signal.SIGCONT)
    hold.unlink()
    driver.communicate()
    assert driver.returncode == 0
    assert hbtrack.dump() == golden
    assert max(epochs_trained(hbtrack).values()) == 1


@pytest.mark.slow
def test_scripts_that_a_restored_copy_does_not_know_are_ended_before_anything_starts(
    hbtrack: Hbtrack, golden: list[tuple[object, ...]]
) -> None:
    """Else a config that the copy takes for free would have two processes on its checkpoint."""
    hbtrack(*SEARCH, env={"HBTRACK_FAULT": "commit.after:2:stop"}, code=75)
    hbtrack("db", "backup", "copy.db")
    hold = tell(hbtrack, "hold")
    driver = hbtrack.start("resume")
    script = running(hbtrack)
    die(driver)
    (hbtrack.folder / "copy.db").replace(hbtrack.database)
    for ending in ("-wal", "-shm"):
        hbtrack.database.with_name(f"hbtrack.db{ending}").unlink(missing_ok=True)
    driver = hbtrack.start("resume")
    wait_for(lambda: not Path(f"/proc/{script}").exists())
    hold.unlink()
    driver.communicate()
    assert driver.returncode == 0
    assert hbtrack.dump() == golden
    assert epochs_trained(hbtrack)


@pytest.mark.slow
def test_no_number_of_an_attempt_is_used_again_after_an_older_copy_is_put_back(
    hbtrack: Hbtrack, golden: list[tuple[object, ...]]
) -> None:
    """Lock files and scripts are known by it: the end of one would be taken for that of another."""
    attempts = "SELECT pk FROM _attempt"
    hbtrack(*SEARCH, env={"HBTRACK_FAULT": "commit.after:2:stop"}, code=75)
    hbtrack("db", "backup", "copy.db")
    common = set(hbtrack.rows(attempts))
    hbtrack("resume", env={"HBTRACK_FAULT": "commit.after:4:stop"}, code=75)
    before = set(hbtrack.rows(attempts)) - common
    (hbtrack.folder / "copy.db").replace(hbtrack.database)
    hbtrack("resume")
    after = set(hbtrack.rows(attempts)) - common
    assert before
    assert not before & after
    assert hbtrack.dump() == golden
