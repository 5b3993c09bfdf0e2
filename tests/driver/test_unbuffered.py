"""Scripts print as they would on a terminal: at once, and before what they started ends."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SAMPLER, Hbtrack, wait_for

IDENTITY = """
def run_identity(argv):
    return "unbuffered"
"""
WORKERS = (
    SAMPLER
    + IDENTITY
    + """
def fold(score):
    print(score)

if __name__ == "__main__":
    import multiprocessing, sys
    pool = multiprocessing.Pool(1)
    pool.map(fold, [13.0])
    print(0.5)
    pool.close()  # the worker ends after the loss, and writes what it has held back
    pool.join()
"""
)
WAITS = (
    SAMPLER
    + IDENTITY
    + """
if __name__ == "__main__":
    import os, time
    print("epoch 1")
    ends = time.monotonic() + 300
    while not os.path.exists("gate") and time.monotonic() < ends:
        time.sleep(0.01)
    print(0.5)
"""
)
TELLS = (
    SAMPLER
    + IDENTITY
    + """
if __name__ == "__main__":
    import os
    print({None: 1, "1": 2, "": 3, "x": 4}[os.environ.get("PYTHONUNBUFFERED")])
"""
)


def test_fault_126_a_score_that_a_worker_process_prints_is_not_taken_for_the_loss(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "-q", "--max-epochs", 3, script(WORKERS))
    assert hbtrack.rows("SELECT DISTINCT status, loss FROM results") == [("done", 0.5)]


def test_fault_127_what_a_running_script_has_printed_is_there_to_be_read(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    driver = hbtrack.start("run", "--max-epochs", 1, script(WAITS))
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    wait_for(lambda: log.exists() and "event=start" in log.read_text())
    name = hbtrack.rows("SELECT config_id FROM attempts")[0][0]
    wait_for(lambda: "epoch 1" in hbtrack("logs", str(name), "--stdout", code=None).stdout)
    (hbtrack.folder / "gate").touch()
    assert driver.wait() == 0


@pytest.mark.parametrize(("own", "loss"), [(None, 2.0), ("", 3.0), ("x", 4.0)])
def test_a_pythonunbuffered_of_the_users_own_stays_as_it_is(
    hbtrack: Hbtrack, script: Callable[[str], Path], own: str | None, loss: float
) -> None:
    env = {} if own is None else {"PYTHONUNBUFFERED": own}
    hbtrack("run", "-q", "--max-epochs", 1, script(TELLS), env=env)
    assert hbtrack.rows("SELECT loss FROM results") == [(loss,)]
