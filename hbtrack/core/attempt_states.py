"""The states of an attempt: what each says of its evaluation, and which may follow which.

The store checks the table with every write. What the exit of a script means is decided in
`verdict.py`; whether a failure counts, in `driver/harvest.py`, and by `hbtrack retry`.
"""

from collections.abc import Set
from enum import Enum

from hbtrack.core.records import AttemptStatus


class State(Enum):
    """What an attempt's row says: by its status, by `finished_at` and by `retried`."""

    RUNNING = AttemptStatus.RUNNING, "open"
    STOPPING = AttemptStatus.STOPPING, "open"
    TIMING_OUT = AttemptStatus.TIMEOUT, "open"
    DONE = AttemptStatus.DONE, "ended"
    FAILED = AttemptStatus.FAILED, "ended"
    TIMED_OUT = AttemptStatus.TIMEOUT, "ended"
    INTERRUPTED = AttemptStatus.INTERRUPTED, "ended"
    LOST = AttemptStatus.LOST, "ended"
    RETRIED_FAILURE = AttemptStatus.FAILED, "retried"
    RETRIED_TIMEOUT = AttemptStatus.TIMEOUT, "retried"

    @property
    def status(self) -> AttemptStatus:
        """The word that is stored."""
        return self.value[0]

    @property
    def phase(self) -> str:
        """Open: not settled, and without `finished_at`. Retried: ended, and taken back since."""
        return self.value[1]


OPEN = frozenset({State.RUNNING, State.STOPPING, State.TIMING_OUT})
"""A process may be at work: the driver that owns the search settles it."""

FAILURES = frozenset({State.FAILED, State.TIMED_OUT})
"""Results without a loss."""

RESULTS = FAILURES | {State.DONE}
"""What the evaluation came to: it is never run again."""

RETRIED = frozenset({State.RETRIED_FAILURE, State.RETRIED_TIMEOUT})
"""Failures that are no result: not the config's doing (automatic, gpu), or asked to be none."""

RUN_AGAIN = RETRIED | {State.INTERRUPTED, State.LOST}
"""The evaluation runs again, on the script's own checkpoint."""

NEXT: dict[State, Set[State]] = {
    State.RUNNING: {
        State.STOPPING,  # committed before the signal: many scripts answer TERM with a loss
        State.TIMING_OUT,  # likewise, after --timeout
        State.DONE,
        State.FAILED,
        State.RETRIED_FAILURE,  # at once: --retries, or another GPU tells whose fault it was
        State.INTERRUPTED,  # it ended after a stop was asked for, but before that was committed
        State.LOST,  # killed, and not by hbtrack; too often makes it FAILED
    },
    State.STOPPING: {State.INTERRUPTED},  # whatever it printed or returned
    State.TIMING_OUT: {State.TIMED_OUT, State.RETRIED_TIMEOUT},  # likewise
    State.FAILED: {State.RETRIED_FAILURE},  # `hbtrack retry`, or its GPU turned out to be broken
    State.TIMED_OUT: {State.RETRIED_TIMEOUT},
    State.DONE: set(),  # a loss stands for ever
    # The evaluation goes on in another attempt.
    State.INTERRUPTED: set(),
    State.LOST: set(),
    State.RETRIED_FAILURE: set(),
    State.RETRIED_TIMEOUT: set(),
}
"""From each state, the states that it may be followed by."""


def ended(status: AttemptStatus, retried: str | None = None) -> State:
    """The state of an attempt that has ended; ValueError if none ends like that."""
    return State((status, "retried" if retried else "ended"))
