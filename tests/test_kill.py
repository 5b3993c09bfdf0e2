"""The heart of hbtrack: killed anywhere, it ends as if nothing had happened."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TOY, Hbtrack, wait_for

SEARCH = ("--max-epochs", 9, "--seed", 3)


def diary(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "toy" / "diary.txt").read_text().splitlines()]


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return []
    return [int(word) for word in text.split()]


def kill_one(kind: str, driver: subprocess.Popen[str]) -> None:
    """SIGKILL the driver, its warden, a script, or all of them at once."""
    family = children(driver.pid)
    scripts = [script for warden in family for script in children(warden)]
    victims = {"driver": [driver.pid], "warden": family[:1], "script": scripts[:1]}
    victims["all"] = [driver.pid, *family, *scripts]
    for pid in victims[kind]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if kind in ("driver", "all"):
        driver.wait()


def seconds_to_start(finished: Hbtrack, *words: object) -> float:
    """How long a start takes just now: kills and epochs are timed by it, on a busy machine too."""
    begun = time.monotonic()
    finished("run", *words, "--epoch_seconds", 0)
    return time.monotonic() - begun + 0.2


def run_with_kills(
    hbtrack: Hbtrack,
    kinds: list[str],
    kills: int,
    words: tuple[object, ...],
    *,
    workers: int,
    start: float,
) -> None:
    """Start and kill the search `kills` times at random moments, then let it finish."""
    moments = random.Random(7)
    env = {"HBTRACK_MAX_LOST": "1000000"}
    run = ("run", "--workers", workers, *words)
    resume = ("resume", "--workers", workers)
    driver, done = None, 0
    while done < kills:
        if driver is None:
            stored = hbtrack("status", code=None).returncode == 0
            driver = hbtrack.start(*(resume if stored else run), env=env)
        time.sleep(moments.uniform(0.5, 3) * start)
        if done % 2:  # right after a start, so that its script outlives the driver for long
            await_start(hbtrack, driver)
        if driver.poll() == 0:
            break
        if driver.poll() is None:
            kill_one(moments.choice(kinds), driver)
            done += 1
            if done % 3 == 0 or done == 2:  # long enough for a script to end with nobody there
                time.sleep(3 * start)
        if driver.poll() is not None:  # killed, or its import of the script was
            driver.stderr.close()
            driver = None
    if driver is not None:
        driver.communicate()
    hbtrack(*run, env=env)
    assert done > kills // 5  # it may well be finished before


def await_start(hbtrack: Hbtrack, driver: subprocess.Popen[str]) -> None:
    """Return when a script of several epochs has just started, or nothing more will."""

    def just_started() -> bool:
        log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return bool(lines) and "event=start" in lines[-1] and "epochs=1 " not in lines[-1]

    wait_for(lambda: driver.poll() is not None or just_started(), seconds=100)


def adopted(hbtrack: Hbtrack) -> int:
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    return log.read_text().count("event=adopt")


def harvested(hbtrack: Hbtrack) -> int:
    """Results that nobody was there to see."""
    return hbtrack.rows("SELECT count(*) FROM attempt WHERE status = 'done' AND NOT watched")[0][0]


@pytest.fixture
def golden(another: Callable[[], Hbtrack]) -> Callable[..., Hbtrack]:
    """The same search, undisturbed and at once."""

    def search(*words: object) -> Hbtrack:
        made = another()
        made("run", *words, "--epoch_seconds", 0)
        return made

    return search


@pytest.mark.parametrize("workers", [1, 3])
def test_killed_drivers_lose_nothing_and_train_no_epoch_twice(
    hbtrack: Hbtrack, golden: Callable[..., Hbtrack], workers: int
) -> None:
    words = (*SEARCH, TOY, "--space", 25)
    undisturbed = golden(*words)
    start = seconds_to_start(undisturbed, *words)
    words = (*words, "--epoch_seconds", start / 2 * workers)
    run_with_kills(hbtrack, ["driver"], 10, words, workers=workers, start=start)
    lines = diary(hbtrack.folder)
    assert hbtrack.dump() == undisturbed.dump()
    assert not [line for line in lines if line[0] in ("RACE", "BELOW")]
    epochs = Counter(tuple(line[1:]) for line in lines if line[0] == "epoch")
    assert max(epochs.values()) == 1
    assert adopted(hbtrack) > 0
    assert harvested(hbtrack) > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_whatever_is_killed_the_search_ends_as_if_nothing_had_happened(
    hbtrack: Hbtrack, golden: Callable[..., Hbtrack], workers: int
) -> None:
    words = (*SEARCH, TOY)
    undisturbed = golden(*words)
    start = seconds_to_start(undisturbed, *words)
    words = (*words, "--epoch_seconds", start / 4 * workers)
    kinds = ["driver", "warden", "script", "all"]
    run_with_kills(hbtrack, kinds, 12, words, workers=workers, start=start)
    assert hbtrack.dump() == undisturbed.dump()
    assert not [line for line in diary(hbtrack.folder) if line[0] in ("RACE", "BELOW")]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 8])
def test_a_long_kill_loop_over_several_passes_changes_nothing(
    hbtrack: Hbtrack, golden: Callable[..., Hbtrack], workers: int, request: pytest.FixtureRequest
) -> None:
    words = (*SEARCH, "--passes", 5, TOY, "--space", 40)
    undisturbed = golden(*words)
    start = seconds_to_start(undisturbed, *words)
    words = (*words, "--epoch_seconds", start / 2 * workers)
    kinds = ["driver", "driver", "driver", "warden", "script", "all"]
    kills = request.config.getoption("--kills") // 2
    run_with_kills(hbtrack, kinds, kills, words, workers=workers, start=start)
    assert hbtrack.dump() == undisturbed.dump()
    assert not [line for line in diary(hbtrack.folder) if line[0] in ("RACE", "BELOW")]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_script_that_kills_its_parent_fails_alone(hbtrack: Hbtrack, workers: int) -> None:
    script = TOY.with_name("kills_its_parent.py")
    env = {"HBTRACK_MAX_LOST": "2"}
    hbtrack("run", "--max-epochs", 3, "--workers", workers, script, env=env)
    failed = hbtrack.rows("SELECT DISTINCT config_id FROM failures WHERE error_type = 'killed'")
    sampled = hbtrack.rows("SELECT config_id FROM results WHERE rung = 0")
    guilty = [row for row in sampled if int(str(row[0])[2:]) % 5 == 0]
    assert sorted(failed) == sorted(guilty)
    assert guilty
