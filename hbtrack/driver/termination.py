"""Ending attempts before their time: TERM, the grace period, KILL.

Before a script is asked to end, that is committed: many catch SIGTERM, print where they are and
exit 0, and nothing that they say from then on may count.
"""

import time
from collections.abc import Collection

from hbtrack.core.records import AttemptStatus
from hbtrack.driver.interfaces import Edges, Running
from hbtrack.errors import HbtrackError
from hbtrack.faults import fault_point
from hbtrack.store.ledger import Ledger

KILL_SECONDS = 10.0
"""How long a killed script may take to vanish before a stopped driver goes without it."""

LOOK_SECONDS = 0.5
"""Between two looks whether a killed script is gone."""


class Termination:
    """Ends those of the `running` attempts that a stop or a timeout wants to end."""

    def __init__(
        self, running: dict[int, Running], ledger: Ledger, edges: Edges, timeout: float | None
    ) -> None:
        self._running = running
        self._ledger = ledger
        self._executor, self._observer, self._stop = edges.executor, edges.observer, edges.stop
        self._grace = edges.tolerances.grace
        self._limit = timeout

    def go_on(self) -> None:
        """Ask again those that an earlier driver wanted to end: what they say does not count."""
        for running in self._ending():
            self._ask(running, self._grace)

    def apply_stop(self, except_for: Collection[int] = ()) -> None:
        """If a stop is asked for, end all attempts but these, which have ended already."""
        if self._stop.at is None:
            return
        new = [
            running
            for running in self._running.values()
            if not running.ending and running.attempt not in except_for
        ]
        if new:
            self._end(new, AttemptStatus.STOPPING)
            self._observer.event("stop", signal=self._stop.name, running=len(new))
        if self._stop.at_once:
            for running in self._ending():
                if running.kill_at > time.monotonic():
                    self._ask(running, grace=0.0)

    def apply_timeout(self, except_for: Collection[int] = ()) -> None:
        """End the attempts that take longer than --timeout allows."""
        late = [
            running
            for running in self._running.values()
            if self._is_late(running) and running.attempt not in except_for
        ]
        if late:
            self._end(late, AttemptStatus.TIMEOUT)
        for running in late:
            self._observer.event("timeout", config=running.config_id, epochs=running.epochs)

    def raise_if_unkillable(self, except_for: Collection[int] = ()) -> None:
        """Some attempts cannot even be killed: a driver that is to stop goes without them."""
        now = time.monotonic()
        overdue = [
            running
            for running in self._ending()
            if running.kill_at <= now and running.attempt not in except_for
        ]
        for running in overdue:
            running.killed_since = running.killed_since or now
        stuck = [run for run in overdue if now - (run.killed_since or now) > KILL_SECONDS]
        if stuck and self._stop.at is not None:
            raise HbtrackError(
                f"{len(stuck)} scripts were killed and still hold their locks: the kernel "
                "cannot end them yet, their parent (warden.py) is stopped, or they run in a "
                "container that is not visible from here. Everything finished is kept; when they "
                "have ended, type `hbtrack resume`.",
                see="unkillable",
            )

    def next_at(self) -> float | None:
        """When there is something to do here (monotonic)."""
        moments = [
            run.kill_at if run.killed_since is None else time.monotonic() + LOOK_SECONDS
            for run in self._ending()
        ]
        if self._limit is not None:
            own = [run for run in self._running.values() if not run.ending]
            moments += [running.since + self._limit for running in own]
        return min(moments, default=None)

    def _ending(self) -> list[Running]:
        return [running for running in self._running.values() if running.ending]

    def _is_late(self, running: Running) -> bool:
        over = self._limit is not None and time.monotonic() - running.since >= self._limit
        return over and not running.ending

    def _end(self, attempts: list[Running], status: AttemptStatus) -> None:
        """Say in the database that nothing of theirs counts any more; then ask them to end."""
        fault_point("stop.before")
        with self._ledger.transaction() as writer:
            writer.ending((running.attempt for running in attempts), status)
        fault_point("stop.after")
        for running in attempts:
            running.ending = status
            self._ask(running, self._grace)
        fault_point("stop.signalled")

    def _ask(self, running: Running, grace: float) -> None:
        self._executor.end(running.name, grace)
        running.kill_at = time.monotonic() + grace
