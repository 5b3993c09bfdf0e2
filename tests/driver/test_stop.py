"""Stopping on purpose: signals, the grace period, what counts and what does not."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import (
    CONTRACT,
    POLITE,
    STUBBORN,
    TOY,
    WAITING,
    Hbtrack,
    children,
    go_on,
    is_alive,
    notes,
    process_state,
    ready,
    state,
    wait_for,
)

from hbtrack.cli.stderr import MOST_WAITING, Unread

SEARCH = ("run", "--max-epochs", 3, "--seed", 1)
Script = Callable[[str], Path]


def begin(hbtrack: Hbtrack, *words: object) -> subprocess.Popen[str]:
    """Start a search and wait until its script runs."""
    driver = hbtrack.start(*words)
    wait_for(lambda: ready(hbtrack))
    return driver


def end(driver: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    driver.send_signal(number)
    said = driver.communicate(timeout=120)[1]
    return driver.returncode, said


@pytest.mark.parametrize(
    "name", ["SIGTERM", pytest.param("SIGUSR1", marks=pytest.mark.slow)]
)  # of the others: faults/test_environment.py
def test_a_stop_signal_ends_cleanly_and_resume_reaches_the_undisturbed_end(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], name: str
) -> None:
    golden = another()
    golden(*SEARCH, TOY)
    # Half-way, and not to the end before the signal comes: the driver stops itself to wait for it.
    fault = {"HBTRACK_FAULT": "spawn.after:2:freeze"}
    driver = hbtrack.start(*SEARCH, TOY, "--epoch_seconds", 0.1, env=fault)
    wait_for(lambda: process_state(driver.pid) == "T")
    driver.send_signal(signal.Signals[name])
    code, said = end(driver, signal.SIGCONT)
    assert code == 75
    assert "To go on: hbtrack resume\n" in said
    assert hbtrack.rows("SELECT status FROM attempts ORDER BY started_at") == [
        ("done",),
        ("interrupted",),
    ]
    hbtrack("resume", "--workers", 4)
    assert hbtrack.dump() == golden.dump()


def test_attempts_that_a_dead_driver_was_stopping_are_ended_and_run_again(
    hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, *SEARCH, "--grace", 1000, script(STUBBORN))
    driver.send_signal(signal.SIGTERM)
    wait_for(lambda: hbtrack.rows("SELECT status FROM attempts") == [("stopping",)])
    driver.kill()
    driver.communicate()
    other = hbtrack.start("resume", "--grace", 0.2)
    first = "SELECT status, signal FROM attempts ORDER BY started_at LIMIT 1"
    wait_for(lambda: hbtrack.rows(first) == [("interrupted", "SIGKILL")])
    (hbtrack.folder / "gate").touch()
    assert other.wait(120) == 0
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


def test_fault_110_a_terminal_that_goes_away_does_not_stop_the_search(hbtrack: Hbtrack) -> None:
    driver = hbtrack.start(*SEARCH, TOY)
    assert driver.stderr
    driver.stderr.close()
    assert driver.wait(120) == 0
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


@pytest.fixture
def unread() -> Iterator[tuple[int, int]]:
    """A pipe that is full: its end to read from, and the other."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"." * 512):
            pass
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def start_unread(hbtrack: Hbtrack, pipe: tuple[int, int], *words: object) -> subprocess.Popen[str]:
    """Start a command whose stdout and stderr are that pipe."""
    environment = hbtrack.environment()
    process = subprocess.Popen(
        hbtrack.command(*words),
        cwd=hbtrack.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=pipe[1],
        stderr=pipe[1],
        text=True,
    )
    hbtrack.started.append(process)
    return process


def test_fault_110_a_stderr_that_nobody_reads_holds_up_neither_the_search_nor_its_end(
    hbtrack: Hbtrack, unread: tuple[int, int]
) -> None:
    driver = start_unread(hbtrack, unread, *SEARCH, TOY)
    assert driver.wait(120) == 0
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]
    ((done,),) = hbtrack.rows("SELECT evaluations_done FROM searches")
    log = (hbtrack.folder / "hbtrack.db.d" / "1" / "log").read_text()
    assert log.count("event=done") == done


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stop"])
def test_fault_110_a_stop_is_heard_although_nobody_reads_stderr(
    hbtrack: Hbtrack, script: Script, unread: tuple[int, int], how: str
) -> None:
    driver = start_unread(hbtrack, unread, *SEARCH, script(WAITING))
    wait_for(lambda: ready(hbtrack))
    if how == "stop":
        assert start_unread(hbtrack, unread, "stop").wait(60) == 0
    else:
        driver.send_signal(signal.Signals[how])
    assert driver.wait(60) == 75
    assert notes(hbtrack) == ["ready", "SIGTERM"]
    assert hbtrack.rows("SELECT status FROM attempts") == [("interrupted",)]


def test_fault_110_a_refusal_keeps_its_exit_status_although_nobody_reads_it(
    hbtrack: Hbtrack, unread: tuple[int, int]
) -> None:
    assert start_unread(hbtrack, unread, "resume").wait(60) == 3


def test_fault_110_what_is_read_late_is_there_and_says_what_was_left_out(
    unread: tuple[int, int],
) -> None:
    reading, writing = unread
    stderr = Unread(writing)
    for number in range(2 * MOST_WAITING):
        stderr.write(b"%d\n" % number)
    with os.fdopen(os.dup(reading), "rb") as reader:
        assert reader.readline().lstrip(b".") == b"0\n"
        for number in range(1, MOST_WAITING):
            assert reader.readline() == b"%d\n" % number
        stderr.write(b"again\n")
        later = iter(reader.readline, b"again\n")
        assert re.match(rb"\(\d+ lines are left out here", [*later][-1])


def test_status_tells_the_truth_by_looking(hbtrack: Hbtrack, script: Script) -> None:
    driver = begin(hbtrack, *SEARCH, script(STUBBORN))
    assert state(hbtrack) == "running"
    driver.kill()
    driver.communicate()
    assert state(hbtrack) == "orphaned"
    (pid,) = hbtrack.rows("SELECT worker FROM _attempt")[0]
    lock = hbtrack.folder / "hbtrack.db.d" / "1" / f"{pid}.lock"
    wait_for(lambda: "pid " in lock.read_text())  # the script may be sooner at work
    os.kill(int(lock.read_text().split("pid ")[1].split()[0]), signal.SIGKILL)
    wait_for(lambda: state(hbtrack) == "interrupted")
    go_on(hbtrack)
    assert state(hbtrack) == "finished"


def test_resume_takes_all_unfinished_searches_and_skips_what_another_driver_runs(
    hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, *SEARCH, script(POLITE))
    hold = hbtrack.folder / "toy" / "hold"
    hold.parent.mkdir()
    hold.touch()  # lest it is finished before it is stopped
    stopped = hbtrack.start(*SEARCH, TOY)
    wait_for((hbtrack.folder / "toy" / "diary.txt").exists)
    assert end(stopped, signal.SIGINT)[0] == 75
    hold.unlink()
    result = hbtrack("resume")
    assert "Another hbtrack is running 'waits'" in result.stderr
    assert hbtrack.rows("SELECT status FROM searches WHERE run_identity = 'toy'") == [("finished",)]
    assert end(driver, signal.SIGTERM)[0] == 75


SLOW_IMPORT = """
import os, time
with open("importing", "w") as file:
    file.write(str(os.getpid()) + "\\n")
time.sleep(1000)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGKILL"])
def test_fault_108_a_signal_during_the_import_ends_the_import_too(
    hbtrack: Hbtrack, script: Script, name: str
) -> None:
    driver = hbtrack.start(*SEARCH, script(SLOW_IMPORT + CONTRACT))
    note = hbtrack.folder / "importing"
    wait_for(lambda: note.exists() and note.read_text().endswith("\n"))
    code, said = end(driver, signal.Signals[name])
    if name != "SIGKILL":
        assert code == 75
        assert f"Stopped by {name} before anything was started" in said
    wait_for(lambda: not is_alive(int(note.read_text())))
    assert not hbtrack.database.exists()


@pytest.mark.slow
def test_a_stopped_warden_does_not_keep_the_driver_from_ending(
    hbtrack: Hbtrack, script: Script
) -> None:
    driver = begin(hbtrack, *SEARCH, "--grace", 0.1, script(STUBBORN))
    (warden,) = children(driver.pid)
    os.kill(warden, signal.SIGSTOP)
    assert end(driver, signal.SIGTERM)[0] == 75
    assert not is_alive(warden)
    assert hbtrack.rows("SELECT status FROM attempts") == [("interrupted",)]


def test_fault_98_a_folder_that_goes_away_under_the_search_ends_it_with_a_sentence(
    hbtrack: Hbtrack, script: Script
) -> None:
    text = CONTRACT + (
        'if __name__ == "__main__":\n'
        "    import shutil\n"
        '    if not os.path.exists("again"):\n'
        '        open("again", "w").close()\n'
        '        shutil.rmtree("hbtrack.db.d")\n'
        "    print(len(sys.argv[1]))\n"
    )
    result = hbtrack(*SEARCH, script(text), code=1)
    assert "went away while the search ran" in result.stderr
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]
