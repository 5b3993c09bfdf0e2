"""Outages, edits and kills in any order: a search comes to the same end all the same."""

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Hbtrack, wait_for
from fragile import fragile, results, undisturbed

# While `gone` or `full` is there every call fails, as if its data were away or a disk full.
SCRIPT = fragile("""
    path = os.path.join(os.environ["HBTRACK_CHECKPOINT"], "epochs")
    done = int(open(path).read()) if os.path.exists(path) else 0
    assert done == int(os.environ["HBTRACK_EPOCHS_DONE"]) or done >= args.epochs, "not what is told"
    if os.path.exists("gone"):
        raise FileNotFoundError("data")
    time.sleep(0.02)
    if os.path.exists("full"):
        raise OSError(28, "No space left on device")
    with open(path + ".part", "w") as file:
        file.write(str(args.epochs))
    os.replace(path + ".part", path)
""")
TROUBLES = ("gone", "full", "edit", "kill", "kill", "calm")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    return undisturbed(Hbtrack(tmp_path_factory.mktemp("undisturbed")), SCRIPT, 27)


def progress(hbtrack: Hbtrack) -> int:
    """How much has been written to the log of the search."""
    log = Path(f"{hbtrack.database}.d", "1", "log")
    return log.stat().st_size if log.exists() else 0


def trouble(hbtrack: Hbtrack, dice: random.Random, words: tuple[object, ...]) -> None:
    """One trouble while a driver is at work; whatever it was is over at the end but for a kill."""
    kind, script = dice.choice(TROUBLES), hbtrack.folder / "script.py"
    driver = hbtrack.start(*words)
    begun, lines = progress(hbtrack), dice.randint(1, 12)
    wait_for(lambda: driver.poll() is not None or progress(hbtrack) > begun)
    if kind in ("gone", "full"):
        (hbtrack.folder / kind).touch()
    elif kind == "edit":
        script.write_text(SCRIPT + "\nx = (")
    moved = progress(hbtrack) + 100 * lines
    wait_for(lambda: driver.poll() is not None or progress(hbtrack) > moved or kind == "edit")
    if dice.random() < 0.5 or kind == "kill":
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    for name in ("gone", "full"):
        (hbtrack.folder / name).unlink(missing_ok=True)
    script.write_text(SCRIPT)
    if driver.poll() is None:
        driver.send_signal(signal.SIGTERM)
    assert driver.wait() in (0, 1, 75, -9)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("seed", [1, 2])
def test_outages_edits_and_kills_do_not_change_what_a_search_comes_to(
    hbtrack: Hbtrack,
    expected: list[tuple[object, ...]],
    once_finished: Callable[[], bool],
    workers: int,
    seed: int,
) -> None:
    dice = random.Random(seed)
    (hbtrack.folder / "script.py").write_text(SCRIPT)
    words = ("run", "-q", "--max-epochs", 27, "--workers", workers, "--max-rest", 2, "script.py")
    for _ in range(25):
        trouble(hbtrack, dice, words)
        if once_finished():
            break
    hbtrack(*words, code=None)
    while hbtrack.rows("SELECT 1 FROM failures"):  # outages too short to be told from configs
        hbtrack("retry", "-q")
        hbtrack("resume", "-q", "--max-rest", 2)
    assert once_finished()
    assert results(hbtrack) == expected


@pytest.fixture
def once_finished(hbtrack: Hbtrack) -> Callable[[], bool]:
    """Whether the search is finished."""

    def finished() -> bool:
        return hbtrack.database.exists() and hbtrack.rows("SELECT status FROM searches") == [
            ("finished",)
        ]

    return finished
