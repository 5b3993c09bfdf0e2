"""Named points at which a test may have a process killed, stopped, delayed or broken.

    HBTRACK_FAULT=POINT:N:ACTION    at the N-th passage of POINT (from 1, counted in each process)
    HBTRACK_FAULT_ONCE=FILE         but only if FILE is not there yet; it is made
    HBTRACK_FAULT_TRACE=FILE        append the name of every point that is passed

ACTION is kill (SIGKILL), raise (an exception), stop (SIGTERM), freeze (SIGSTOP), or delay=SECONDS.
Without these variables a point does nothing. The warden loads this file by its path, so: standard
library only.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable

POINTS = (
    "migration.step",  # before each SQL statement of a migration
    "create.before",  # a new search is written, not yet committed
    "create.after",
    "own.before",  # the search has a new driver, not yet committed
    "own.after",
    "pass.inside",  # a pass has its configs, but not yet its places
    "commit.before",  # what ended and what starts is written, not yet committed
    "commit.after",
    "spawn.before",  # an attempt is recorded; nothing of it has begun
    "spawn.begun",  # its lock file names it
    "warden.spawn.before",
    "warden.spawn.after",  # the script runs; its pid is not recorded
    "spawn.after",  # the warden was asked
    "adopt.after",  # an earlier driver's attempt is watched
    "warden.reap.before",  # the script has ended; what it left behind has not
    "warden.record.before",  # reaped; the exit record is not written
    "warden.record.after",  # written; the lock is still held
    "settle.before",  # an attempt has ended; nothing of that is written
    "settle.after",
    "promote.inside",  # a rung is closed, but nobody promoted yet
    "grow.inside",  # a search was extended or failures taken back, not yet committed
    "clean.inside",  # checkpoints are put aside, not yet committed
    "remove.inside",  # a search is deleted, not yet committed
    "remove.after",  # its folder is still there
    "backup.copied",  # the copy is whole, but not yet under its name
    "export.view",  # a view is about to be read and written
    "stop.before",  # a stop is asked for; the attempts do not count less yet
    "stop.after",  # they do; not yet signalled
    "stop.signalled",
    "release.before",  # all is done but to say so
)


class FaultError(Exception):
    """What the action `raise` raises."""


def _act(point: str, wanted: str, count: int) -> None:
    name, number, action = wanted.split(":")
    if (name, int(number)) != (point, count) or not _first_time():
        return
    action, _, seconds = action.partition("=")
    if action == "raise":
        raise FaultError(f"asked for at {point}")
    if action == "delay":
        time.sleep(float(seconds))
    else:
        os.kill(os.getpid(), {"kill": 9, "stop": 15, "freeze": signal.SIGSTOP}[action])


def _first_time() -> bool:
    """One process may be killed at a point; those that take its place pass it unharmed."""
    try:
        if once := os.environ.get("HBTRACK_FAULT_ONCE"):
            os.close(os.open(once, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _points() -> Callable[[str], None]:
    wanted, trace = os.environ.get("HBTRACK_FAULT"), os.environ.get("HBTRACK_FAULT_TRACE")
    passed: Counter[str] = Counter()

    def nothing(point: str) -> None:
        """The usual case."""

    def look(point: str) -> None:
        passed[point] += 1
        if trace:
            with open(trace, "a") as file:  # noqa: PTH123 - no pathlib in the warden
                file.write(point + "\n")
        if wanted:
            _act(point, wanted, passed[point])

    return look if wanted or trace else nothing


fault_point = _points()
"""Call it with the name of a point, a literal from POINTS, where that point lies."""
