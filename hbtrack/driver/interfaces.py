"""What the loop needs besides an executor: who samples, who watches, who stops it."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hbtrack.core.consequences import Closed
from hbtrack.core.decisions import Decision
from hbtrack.core.execution import Executor, Record
from hbtrack.core.limits import Reached
from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Place, Sampled, Verdict
from hbtrack.core.script_text import Look

if TYPE_CHECKING:
    from hbtrack.driver.recorder import Step


class Checkpoints:
    """Where scripts save, and what they are told of it: here nothing, for made-up scripts."""

    def problem(self, config_id: str | None = None) -> str | None:  # noqa: ARG002
        """Why that of a config, or of any, cannot be used or made just now; None if it is there."""
        return None

    def is_gone(self, config_id: str) -> bool:  # noqa: ARG002
        """Whether the folder of a config, which was made, is not there, or not on its disk."""
        return False

    def make_ahead(self, coming: Decision) -> None:
        """Make the folder of the config that is likely to be next."""

    def found(self, config_id: str) -> bool:  # noqa: ARG002 - those who have folders look
        """Whether anything lies in the folder of a config."""
        return False

    def look(self, plan: Plan, step: "Step") -> None:
        """Something was recorded: does it show that checkpoints were there before?"""

    def environment(self, running: "Running") -> dict[str, str]:
        """What a script's environment gets for an attempt."""
        return {"HBTRACK_ATTEMPT": running.name}


class Sampler(Protocol):
    """Where the ids of a pass come from."""

    def take(
        self, pass_: int, used: Callable[[], list[str]], wake: Callable[[], None]
    ) -> Sampled | None:
        """The ids of a pass, or None while they are being sampled.

        Raises HbtrackError where that failed; asked again, it tries again.
        """


class Script(Protocol):
    """The script's files: the script itself and the user's own modules."""

    def look(self) -> Look:
        """What they are now; the same object as last time where nothing was written."""

    def problem(self, look: Look) -> str | None:
        """Why they cannot be run as they were found last; None if they compile."""

    def text(self, sha256: str) -> str | None:
        """The text with this hash that was found last; None if it is not to be kept."""


class Unseen:
    """A script that has no files here."""

    def look(self) -> Look:
        """Nothing, and always the same."""
        return _NO_FILES

    def problem(self, _look: Look) -> str | None:
        """None is known."""
        return None

    def text(self, _sha256: str) -> str | None:
        """There is none."""
        return None


_NO_FILES = Look({})


class Observer(Protocol):
    """Who shows the search to the user."""

    def opened(self, plan: Plan, workers: int) -> None:
        """A driver with so many workers begins, or goes on, with what the plan knows."""

    def adopted(self, attempts: Collection["Running"]) -> None:
        """What an earlier driver has started, and still runs."""

    def started(self, running: "Running") -> None:
        """An attempt has started."""

    def ended(self, end: "End") -> None:
        """An attempt has ended."""

    def promoted(self, plan: Plan, closed: Closed) -> None:
        """A rung is settled, and so is who goes on to the next one."""

    def progressed(self, plan: Plan, busy: int, workers: int) -> None:
        """Something was recorded; so many of the workers are busy now."""

    def event(self, name: str, **facts: object) -> None:
        """Anything else that the user should know."""

    def close(self) -> None:
        """The driver has come to its end."""


@dataclass(slots=True)
class Running:
    """An attempt under way."""

    attempt: int
    name: str
    place: Place
    config_id: str
    epochs: int
    increment: int  # epochs beyond the rung below
    gpu: str  # as the database names it; several are separated by commas
    since: float  # monotonic; when its start was recorded
    epochs_before: int = 0  # that are known to lie in its checkpoint
    adopted: bool = False
    alone: bool = False  # nothing else ran under the same warden
    ending: AttemptStatus | None = None  # stopping or timeout: hbtrack wants it to end
    kill_at: float = 0.0  # monotonic; when the grace period of one that is ending is over
    killed_since: float | None = None  # monotonic
    look: Look | None = None  # at the script as it was started; None if nobody looked


@dataclass(frozen=True, slots=True)
class End:
    """An attempt that has ended, and how far the search is by that."""

    running: Running
    verdict: Verdict
    again: str | None = None  # why a failure is not the result yet: gpu or automatic
    ended: int = 0  # places that have a result now
    planned: int = 0  # places that there will be, as far as is known now


@dataclass(slots=True)
class StopRequest:
    """What signals ask for; written by their handlers, read by the loop."""

    at: float | None = None  # Unix time from which on what ends does not count
    name: str = ""
    since_boot: float | None = None  # the same as the machine counts; None where nobody can tell
    at_once: bool = False
    for_good: bool = False  # the search is recorded as stopped, by `name`
    reached: Reached | None = None  # the limit that asks for it

    def ask(self, name: str, at: float, *, hurry: bool, since_boot: float | None = None) -> None:
        """A signal came; a second one that hurries means: at once."""
        self.at_once = self.at_once or (self.at is not None and hurry)
        if self.at is None:
            self.at, self.name, self.since_boot = at, name, since_boot

    def is_before(self, record: Record, finished_at: float) -> bool:
        """Whether it was asked for before an attempt with that record ended."""
        if self.at is None:
            return False
        if self.since_boot is None or record.since_boot is None:
            return finished_at > self.at
        return record.since_boot > self.since_boot

    def reach(self, reached: Reached, at: float) -> None:
        """The search has come to a limit."""
        if self.at is None:
            self.at, self.name, self.for_good, self.reached = at, reached.reason, True, reached


@dataclass(slots=True)
class Tolerances:
    """What hbtrack bears of a script."""

    grace: float  # seconds between TERM and KILL
    max_lost: int  # how often an evaluation may be lost before it counts as failed
    max_log: int  # bytes that its stdout or stderr may have


@dataclass(frozen=True, slots=True)
class Edges:
    """By what the loop touches the world."""

    executor: Executor
    sampler: Sampler
    observer: Observer
    stop: StopRequest
    tolerances: Tolerances
    clock: Callable[[], float] = time.time  # Unix time; what is recorded
    checkpoints: Checkpoints = Checkpoints()  # noqa: RUF009 - it has no state
    script: Script = field(default_factory=Unseen)
