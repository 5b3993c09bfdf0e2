"""What every start needs is not there for now: nothing starts, and it is looked for every second.

Nobody's config is at fault then. What runs goes on to its end.
"""

import time

from hbtrack.core.outages import LOOKED_AT
from hbtrack.driver.interfaces import Observer
from hbtrack.errors import CannotStart

LOOK_SECONDS = 1.0
"""Between two looks."""


class Outage:
    """Waits for one thing, such as the script, for no longer than --max-rest in one piece.

    `over` is the name of the event that tells that it is back.
    """

    def __init__(self, max_rest: float, observer: Observer, over: str) -> None:
        self._max_rest, self._observer, self._over = max_rest, observer, over
        self._problem: str | None = None
        self._told: str | None = None  # the problem that the database names
        self._since = 0.0

    def goes_on(self, problem: str, too_long: CannotStart) -> float:
        """It is not there, or not as it must be; when to look again (monotonic).

        Raises `too_long` when it has been so for too long.
        """
        now = time.monotonic()
        if self._problem is None:
            self._since = now
        if now - self._since >= self._max_rest:
            raise too_long
        if problem != self._problem:
            message = f"{problem}, so nothing is started"
            self._observer.event("wait", message=message, seconds=LOOK_SECONDS)
        self._problem = problem
        return now + LOOK_SECONDS

    def is_over(self) -> None:
        """It is there."""
        if self._problem:
            self._problem = None
            self._observer.event(self._over)

    @property
    def turns(self) -> bool:
        """Whether it has begun or is over, which the database does not say yet."""
        return self._problem != self._told

    def turn(self, now: float) -> tuple[float, str] | None:
        """Until when (Unix time) nothing starts at most, and why; None if it is over."""
        self._told = self._problem
        if self._problem is None:
            return None
        left = self._since + self._max_rest - time.monotonic()
        return now + left, f"{self._problem}; {LOOKED_AT}"
