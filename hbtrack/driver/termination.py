"""Ending attempts before their time: TERM, the grace period, KILL.

Before a script is asked to end, that is committed: many catch SIGTERM, print where they are and
exit 0, and nothing that they say from then on may count.
"""

import signal
import time
from collections.abc import Collection

from hbtrack.core.execution import Executor
from hbtrack.core.records import AttemptStatus
from hbtrack.driver.interfaces import Observer, Running, StopRequest
from hbtrack.errors import HbtrackError
from hbtrack.faults import fault_point
from hbtrack.store.ledger import Ledger

KILL_SECONDS = 10.0
"""How long a killed script may take to vanish before a stopped driver goes without it."""

AGAIN_SECONDS = 0.5
"""Between two KILLs: a start on its way may only now become a process."""


class Termination:
    """Ends those of the `running` attempts that a stop or a timeout wants to end."""

    def __init__(
        self,
        running: dict[int, Running],
        *,
        ledger: Ledger,
        executor: Executor,
        observer: Observer,
        stop: StopRequest,
        grace: float,
        timeout: float | None,
    ) -> None:
        self._running = running
        self._ledger = ledger
        self._executor = executor
        self._observer = observer
        self._stop = stop
        self._grace = grace
        self._limit = timeout

    def go_on(self) -> None:
        """Ask again those that an earlier driver wanted to end: what they say does not count."""
        for running in self._ending():
            self._ask(running)

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
                if running.killed_since is None:
                    running.kill_at = time.monotonic()

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

    def kill_overdue(self, except_for: Collection[int] = ()) -> None:
        """KILL to what did not end within the grace period; some cannot even be killed."""
        now = time.monotonic()
        ending = [running for running in self._ending() if running.attempt not in except_for]
        overdue = [run for run in ending if run.kill_at is not None and run.kill_at <= now]
        for running in overdue:
            running.killed_since = running.killed_since or now
        if self._stop.at is not None:
            _give_up([run for run in overdue if now - (run.killed_since or now) > KILL_SECONDS])
        for running in overdue:
            self._executor.signal(running.attempt, signal.SIGKILL)
            running.kill_at = now + AGAIN_SECONDS

    def next_at(self) -> float | None:
        """When there is something to do here (monotonic)."""
        moments = [run.kill_at for run in self._ending() if run.kill_at is not None]
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
            self._ask(running)
        fault_point("stop.signalled")

    def _ask(self, running: Running) -> None:
        self._executor.signal(running.attempt, signal.SIGTERM)
        running.kill_at = time.monotonic() + self._grace


def _give_up(stuck: list[Running]) -> None:
    if stuck:
        raise HbtrackError(
            f"{len(stuck)} scripts were killed and still hold their locks: the kernel "
            "cannot end them yet, their parent (warden.py) is stopped, or they run in a "
            "container that is not visible from here. Everything finished is kept; when they "
            "have ended, type `hbtrack resume`.",
            see="unkillable",
        )
