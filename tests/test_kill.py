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
from conftest import TOY, Hbtrack

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
        driver.stderr.close()


def run_with_kills(
    hbtrack: Hbtrack,
    kinds: list[str],
    kills: int,
    workers: int,
    *toy: object,
    options: tuple[object, ...] = (),
) -> None:
    """Start and kill the search `kills` times at random moments, then let it finish."""
    moments = random.Random(7)
    env = {"HBTRACK_MAX_LOST": "1000000"}
    run = ("run", *SEARCH, *options, "--workers", workers, TOY, *toy)
    resume = ("resume", "--workers", workers)
    driver, done = None, 0
    while done < kills:
        if driver is None:
            stored = hbtrack("status", code=None).returncode == 0
            driver = hbtrack.start(*(resume if stored else run), env=env)
        time.sleep(moments.uniform(0.3, 1.6))
        if driver.poll() is not None:
            break
        kill_one(moments.choice(kinds), driver)
        done += 1
        if driver.poll() is not None:
            driver = None
    if driver is not None:
        driver.communicate()
    hbtrack(*run, env=env)
    assert done > kills // 3


@pytest.mark.parametrize("workers", [1, 3])
def test_killed_drivers_lose_nothing_and_train_no_epoch_twice(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], workers: int
) -> None:
    toy = ("--epoch_seconds", 0.1 * workers, "--space", 25)
    golden = another()
    golden("run", *SEARCH, TOY, *toy, "--epoch_seconds", 0)
    run_with_kills(hbtrack, ["driver"], 15, workers, *toy)
    lines = diary(hbtrack.folder)
    assert hbtrack.dump() == golden.dump()
    assert not [line for line in lines if line[0] in ("RACE", "BELOW")]
    epochs = Counter(tuple(line[1:]) for line in lines if line[0] == "epoch")
    assert max(epochs.values()) == 1
    log = (hbtrack.folder / "hbtrack.db.d" / "1" / "log").read_text()
    assert "event=adopt" in log
    assert harvested(hbtrack) > 0


def harvested(hbtrack: Hbtrack) -> int:
    """Results that nobody was there to see."""
    return hbtrack.rows("SELECT count(*) FROM attempt WHERE status = 'done' AND NOT watched")[0][0]


@pytest.mark.parametrize("workers", [1, 3])
def test_whatever_is_killed_the_search_ends_as_if_nothing_had_happened(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], workers: int
) -> None:
    toy = ("--epoch_seconds", 0.06 * workers)
    golden = another()
    golden("run", *SEARCH, TOY, *toy, "--epoch_seconds", 0)
    run_with_kills(hbtrack, ["driver", "warden", "script", "all"], 12, workers, *toy)
    assert hbtrack.dump() == golden.dump()
    assert not [line for line in diary(hbtrack.folder) if line[0] in ("RACE", "BELOW")]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 8])
def test_a_long_kill_loop_over_two_passes_changes_nothing(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], workers: int, request: pytest.FixtureRequest
) -> None:
    toy = ("--epoch_seconds", 0.15 * workers, "--space", 40)
    passes = ("--passes", 2)
    golden = another()
    golden("run", *SEARCH, *passes, TOY, *toy, "--epoch_seconds", 0)
    kills = request.config.getoption("--kills") // 2
    kinds = ["driver", "driver", "driver", "warden", "script", "all"]
    run_with_kills(hbtrack, kinds, kills, workers, *toy, options=passes)
    assert hbtrack.dump() == golden.dump()
    assert not [line for line in diary(hbtrack.folder) if line[0] in ("RACE", "BELOW")]
