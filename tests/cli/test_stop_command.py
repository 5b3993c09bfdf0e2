"""`hbtrack stop`: whoever runs a search, and whatever its scripts have started, it ends."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CONTRACT, SYSTEMS, TOY, Hbtrack, children, go_on, notes, state, wait_for

SEARCH = ("run", "--max-epochs", 3, "--seed", 1, "--workers", 2)
# Where a driver that lives shall end by itself: how long `stop` waits before it kills that.
PATIENTLY = ("--grace", 100)
STUBBORN = f"""{CONTRACT}
import subprocess
if __name__ == "__main__" and not os.path.exists("gate"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "1000"])
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(3, 100)
            time.sleep(1000)
        os._exit(0)
    note("ready")
    time.sleep(1000)
if __name__ == "__main__":
    print(len(sys.argv[1]))
"""


def processes_of(hbtrack: Hbtrack) -> list[str]:
    """What runs and carries an HBTRACK_ATTEMPT of a search here."""
    tokens = hbtrack.rows("SELECT token FROM _search")
    marks = [f"HBTRACK_ATTEMPT={token}-".encode() for (token,) in tokens]
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            if any(mark in environment for mark in marks):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.fixture
def stubborn(hbtrack: Hbtrack, script: Callable[[str], Path]) -> subprocess.Popen[str]:
    """A driver with two scripts at work that ignore SIGTERM and have started more processes."""
    driver = hbtrack.start(*SEARCH, "--grace", 0.2, script(STUBBORN))
    wait_for(lambda: notes(hbtrack).count("ready") == 2)
    return driver


@pytest.fixture
def other(hbtrack: Hbtrack, stubborn: subprocess.Popen[str]) -> subprocess.Popen[str]:  # noqa: ARG001
    """Another driver beside the stubborn one, with two scripts at work."""
    driver = hbtrack.start(*SEARCH, TOY, "--epoch_seconds", 1000)
    wait_for(lambda: hbtrack.rows("SELECT count(*) FROM _attempt") == [(4,)])
    return driver


@SYSTEMS
@pytest.mark.parametrize(
    "driver_is",
    ["alive", "dead", pytest.param("frozen", marks=pytest.mark.slow), "dead with its warden"],
)
def test_stop_ends_a_search_and_everything_its_scripts_started(
    hbtrack: Hbtrack, stubborn: subprocess.Popen[str], driver_is: str
) -> None:
    wait_for(lambda: len(processes_of(hbtrack)) == 8)
    wardens = children(stubborn.pid) if driver_is.endswith("warden") else []
    if driver_is == "frozen":
        stubborn.send_signal(signal.SIGSTOP)
    if driver_is.startswith("dead"):
        stubborn.kill()
        stubborn.communicate()
    for pid in wardens:
        os.kill(pid, signal.SIGKILL)
    said = hbtrack("stop", *(PATIENTLY if driver_is == "alive" else ("--grace", 0.2))).stderr
    assert "To go on: hbtrack resume" in said
    assert processes_of(hbtrack) == []
    assert state(hbtrack) == "stopped"
    assert hbtrack.rows("SELECT stop_reason FROM _search") == [("hbtrack stop",)]
    assert hbtrack.rows("SELECT DISTINCT status FROM attempts") == [("interrupted",)]
    expected = {"alive": 75, "frozen": -signal.SIGKILL}
    assert stubborn.wait(120) == expected.get(driver_is, -signal.SIGKILL)
    go_on(hbtrack)


def test_stop_harvests_what_ended_while_nobody_watched(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    golden = another()
    golden(*SEARCH, TOY)
    hbtrack(*SEARCH, TOY, env={"HBTRACK_FAULT": "spawn.after:4:kill"}, code=-9)
    locks = (hbtrack.folder / "hbtrack.db.d" / "1").glob
    wait_for(lambda: all("exit 0" in lock.read_text() for lock in locks("[0-9].lock")))
    hbtrack("stop")
    ran = "SELECT DISTINCT status FROM attempts WHERE pid IS NOT NULL"  # one may not have begun
    assert hbtrack.rows(ran) == [("done",)]
    assert state(hbtrack) == "stopped"
    hbtrack("resume")
    assert hbtrack.dump() == golden.dump()


def test_stop_without_anything_under_way_changes_nothing(hbtrack: Hbtrack) -> None:
    hbtrack(*SEARCH, TOY)
    before = hbtrack.rows("SELECT * FROM _driver")
    assert "Nothing to stop" in hbtrack("stop").stderr
    assert "No search is called 'nope'" in hbtrack("stop", "--identity", "nope", code=3).stderr
    assert hbtrack.rows("SELECT * FROM _driver") == before
    assert state(hbtrack) == "finished"


def test_stop_ends_only_the_search_that_it_names(
    hbtrack: Hbtrack, stubborn: subprocess.Popen[str], other: subprocess.Popen[str]
) -> None:
    hbtrack("stop", "--identity", "toy", *PATIENTLY)
    assert other.wait(120) == 75
    assert stubborn.poll() is None
    states = {row["run_identity"]: row["state"] for row in hbtrack.json("status")["searches"]}  # type: ignore[attr-defined]
    assert states == {"waits": "running", "toy": "stopped"}
    hbtrack("stop", "--grace", 0)


def test_stop_during_the_import_of_a_resume_ends_that_too(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    path = script(STUBBORN)
    hbtrack(*SEARCH, "--grace", 0, path, env={"HBTRACK_FAULT": "commit.after:1:stop"}, code=75)
    path.write_text("import os, time\nopen('imports', 'w').close(); time.sleep(1000)\n" + STUBBORN)
    driver = hbtrack.start("resume")
    wait_for((hbtrack.folder / "imports").exists)
    assert state(hbtrack) == "running"
    for _ in range(2):  # an unfinished search, and one that is stopped already
        hbtrack("stop", *PATIENTLY)
        assert driver.wait(120) == 75
        assert state(hbtrack) == "stopped"
        (hbtrack.folder / "imports").unlink()
        driver = hbtrack.start("resume")
        wait_for((hbtrack.folder / "imports").exists)
    driver.send_signal(signal.SIGINT)
    driver.communicate()


@pytest.mark.slow
def test_stop_ends_a_script_that_only_starts_after_it_was_killed(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    env = {"HBTRACK_FAULT": "warden.spawn.before:1:delay=1.5"}
    driver = hbtrack.start(*SEARCH, script(STUBBORN), env=env)
    lock = hbtrack.folder / "hbtrack.db.d" / "1" / "0.lock"
    wait_for(lambda: lock.exists() and "attempt" in lock.read_text())
    driver.kill()
    driver.communicate()
    hbtrack("stop", "--grace", 0)
    assert processes_of(hbtrack) == []
    assert state(hbtrack) == "stopped"


def test_stop_of_a_driver_elsewhere_is_refused_with_where_it_is_and_ends_the_others(
    hbtrack: Hbtrack, stubborn: subprocess.Popen[str], other: subprocess.Popen[str]
) -> None:
    folder = hbtrack.folder / "hbtrack.db.d" / "1"  # that of the stubborn one
    lock = folder / "driver.lock"
    owner = lock.read_text()
    lock.write_text(owner.replace(os.uname().nodename, "elsewhere"))
    assert "on elsewhere" in hbtrack("stop", *PATIENTLY, code=4).stderr
    assert other.wait(120) == 75
    assert stubborn.poll() is None
    lock.write_text(owner)
    hbtrack("stop", "--grace", 0.2)
    assert processes_of(hbtrack) == []
