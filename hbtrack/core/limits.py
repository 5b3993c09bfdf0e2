"""The limits of a whole search: pure, judged from the plan and the time that drivers lived."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hbtrack.core.outages import AWAY, EDITED, NO_PYTHON
from hbtrack.core.plan import Plan
from hbtrack.core.printed_error import error_of
from hbtrack.core.records import Limits, turned
from hbtrack.core.streak import Failure
from hbtrack.core.times import iso
from hbtrack.text import budget, duration

BROKEN = "the script is plainly broken"
FIRST = 10
"""So many evaluations that all fail alike mean that the script is broken, not the configs."""
TOO_SLOW = f"the first {FIRST} evaluations all took longer than --timeout allows"

TOO_MANY = "--max-failures"
DOUBTED = "failures in a row that chance hardly explains"
MOST_TEXT = 200
"""So many characters of an error are part of a reason."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that stops the search: why, and what to type to go on."""

    reason: str
    to_go_on: str
    failure: bool = False  # exit status 1, not 0
    once: bool = False  # it does not stop the search again
    doubted: bool = False  # the machine may be at fault, or the configs


def reached(
    limits: Limits, plan: Plan, lived: float, *, maximize: bool, doubted: bool
) -> Reached | None:
    """The limit that the search has reached, if there is one; `lived` in seconds.

    While failures in a row are `doubted` nobody knows yet how many there are.
    """
    most, failed = limits.max_time, plan.places_failed
    target = turned(limits.target_loss, maximize=maximize)
    if target is not None and plan.best and plan.best[0] <= target:
        objective, *_, epochs = plan.best
        loss = turned(objective, maximize=maximize)
        return Reached(
            f"--target-loss {limits.target_loss:g} is reached: {loss!r} at {budget(epochs)}",
            f"--target-loss with a {'larger' if maximize else 'smaller'} loss, or none",
        )
    if most is not None and lived >= most:
        return Reached(
            f"--max-time {duration(most)} is used up: hbtrack has worked on it for "
            f"{duration(lived)}",
            "--max-time with a longer total, or none",
        )
    allowed = allowed_failures(limits.max_failures, plan)
    if allowed is not None and failed > allowed and not doubted:
        return Reached(
            f"{TOO_MANY} {limits.max_failures} is exceeded: {failed} evaluations failed",
            "--max-failures with a larger number, or none",
            failure=True,
        )
    return None


def failed_by(stop_reason: str) -> bool:
    """Whether a search with this reason was stopped by what went wrong: exit status 1, not 0."""
    return stop_reason.startswith((TOO_MANY, BROKEN, TOO_SLOW, DOUBTED, NO_PYTHON, EDITED, AWAY))


def at_limit(stop_reason: str) -> bool:
    """Whether it was stopped by one of its limits, and not by somebody."""
    return stop_reason.startswith("--") or failed_by(stop_reason)


def allowed_failures(text: str | None, plan: Plan) -> float | None:
    """How many evaluations may fail; a percentage is of all that the schedule has."""
    if text is None:
        return None
    if text.endswith("%"):
        return float(text[:-1]) / 100 * plan.schedule.evaluations * plan.passes
    return float(text)


def broken(fingerprint: str, error: str) -> Reached:
    """The stop of a search whose first evaluations all failed alike."""
    if fingerprint.startswith("timeout;"):
        return Reached(TOO_SLOW, "--timeout with a longer time, or none", failure=True, once=True)
    return Reached(
        f"{BROKEN}: the first {FIRST} evaluations all failed in the same way "
        f"({fingerprint}): {_brief(error)}",
        "",
        failure=True,
        once=True,
    )


def used_up(failures: Sequence[Failure], last_success: float | None, rested: float) -> Reached:
    """The stop of a search whose failures in a row are still doubted after all its rest."""
    kinds = Counter(failure.kind for failure in failures).most_common(3)
    what = ", ".join(f"{count} {kind}" for kind, count in kinds)
    since = f"since a success at {iso(last_success)[:19]}Z" if last_success else "from the start"
    asked = f"what ran to ask after {duration(rested)} of rest failed, too"
    return Reached(
        f"{DOUBTED}: {len(failures)} {since} ({what}), and "
        + (asked if rested else "--max-rest 0 allows no rest"),
        "",
        failure=True,
        doubted=True,
    )


def _brief(error: str) -> str:
    """The exception with the first line of its message, or the last line of another error."""
    if told := error_of(error):
        return told.brief[:MOST_TEXT].rstrip(".")
    last = error.strip().splitlines()[-1:] or ["no error text"]
    return last[0][:MOST_TEXT].rstrip(".")
