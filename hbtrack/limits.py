"""The limits of a whole search: pure, judged from the plan and the time that drivers lived."""

from dataclasses import dataclass

from hbtrack.display import duration
from hbtrack.plan import Plan
from hbtrack.records import Limits

FIRST = 10
"""So many evaluations that all fail alike mean that the script is broken, not the configs."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that stops the search: why, and what to type to go on."""

    reason: str
    to_go_on: str
    failure: bool = False  # exit status 1, not 0
    once: bool = False  # it does not stop the search again


def reached(limits: Limits, plan: Plan, lived: float) -> Reached | None:
    """The limit that the search has reached, if there is one; `lived` in seconds."""
    target, most, failed = limits.target_loss, limits.max_time, plan.places_failed
    if target is not None and plan.best and plan.best[0] <= target:
        loss, _, config_id, epochs = plan.best
        return Reached(
            f"--target-loss {target:g} is reached: {loss!r} at {epochs} epochs by {config_id}",
            "--target-loss with a smaller loss, or none",
        )
    if most is not None and lived >= most:
        return Reached(
            f"--max-time {duration(most)} is used up: hbtrack has worked on it for "
            f"{duration(lived)}",
            "--max-time with a longer total, or none",
        )
    allowed = allowed_failures(limits.max_failures, plan)
    if allowed is not None and failed > allowed:
        return Reached(
            f"--max-failures {limits.max_failures} is exceeded: {failed} evaluations failed",
            "--max-failures with a larger number, or none",
            failure=True,
        )
    return None


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
        return Reached(
            f"the first {FIRST} evaluations all took longer than --timeout allows",
            "--timeout with a longer time, or none",
            failure=True,
            once=True,
        )
    last = error.strip().splitlines()[-1:] or ["no error text"]
    return Reached(
        f"the script is plainly broken: the first {FIRST} evaluations all failed in the same way "
        f"({fingerprint}): {last[0].rstrip('.')}",
        "",
        failure=True,
        once=True,
    )
