"""How long a search still takes: its exact remaining schedule, simulated with the measured pace.

Pure: the random numbers have a fixed seed, so that the same facts give the same answer.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from statistics import fmean, quantiles

from hbtrack.core.decisions import Start
from hbtrack.core.known import facts
from hbtrack.core.pace import Line, line_through, sums_of
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import recompute
from hbtrack.core.records import Place
from hbtrack.core.schedule import Schedule
from hbtrack.core.simulation import distinct_ids, simulate
from hbtrack.text import duration

LATEST = 1000
"""So many measured evaluations say how long the next ones take; older ones are forgotten."""
RUNS, FEWEST_RUNS = 20, 5
STEPS = 15_000
"""Places that all simulations together may copy or live through: about 0.2 s."""
ESTIMATE_SECONDS = 10.0
"""A countdown asks for a new estimate at most once in this time."""
LONGER = 0.02
"""What has run longer than expected is taken to run on for this share of its time."""


@dataclass(frozen=True, slots=True)
class Range:
    """Seconds: in about one case of ten it is less than `low`, in one of ten more than `high`."""

    low: float
    high: float

    def after(self, seconds: float) -> "Range":
        """What is left of it so many seconds later."""
        return Range(max(0.0, self.low - seconds), max(0.0, self.high - seconds))

    def __str__(self) -> str:
        low, high = duration(self.low), duration(self.high)
        return low if low == high else f"{low} to {high}"


class Countdown:
    """The time left, estimated now and then; in between it counts down.

    `now` is in seconds of whatever clock the caller has.
    """

    def __init__(self) -> None:
        self._known: tuple[Range, float] | None = None  # and when it was estimated

    def at(self, now: float) -> Range | None:
        """What is left, as far as it is known."""
        if self._known is None:
            return None
        left, since = self._known
        return left.after(now - since)

    def renewed(
        self, now: float, estimate: Callable[[], Range | None], *, at_once: bool = False
    ) -> Range | None:
        """The same, estimated again if that was long ago, or `at_once`."""
        if at_once or self._known is None or now - self._known[1] >= ESTIMATE_SECONDS:
            left = estimate()
            self._known = (left, now) if left else None
        return self.at(now)


class Pace:
    """How long evaluations took that are done: (epochs trained, seconds) of the latest of them."""

    def __init__(self, measured: Iterable[tuple[int, float]] = ()) -> None:
        self._measured = deque(measured, LATEST)

    def add(self, epochs: int, seconds: float) -> None:
        """An evaluation that trained `epochs` took `seconds`."""
        self._measured.append((epochs, seconds))

    def line(self) -> Line | None:
        """The straight line through what was measured; None without any."""
        return line_through(sums_of(self._measured))

    def factors(self, line: Line) -> list[float]:
        """How far evaluations were off the line, as factors; their mean is 1.

        Without that the many short evaluations, which say little about epochs, could make all
        long ones look longer than the line says.
        """
        ratios = [y / line.seconds(x) for x, y in self._measured if line.seconds(x) > 0]
        mean = fmean(ratios) if ratios else 0.0
        return [ratio / mean for ratio in ratios] if mean > 0 else [1.0]


def time_left(plan: Plan, workers: int, pace: Pace, elapsed: Mapping[Place, float]) -> Range | None:
    """How long the rest of `plan` takes with `workers` workers; None before anything is measured.

    `elapsed` says for how many seconds each place of `plan.running` has been running.
    """
    evaluations = plan.places_expected - plan.places_done - plan.places_failed
    if not evaluations:
        return Range(0.0, 0.0)
    line = pace.line()
    if line is None:
        return None
    runs = min(RUNS, STEPS // (plan.places_expected + evaluations))
    if runs < FEWEST_RUNS:
        gone = sum(elapsed.values())
        return bound(plan.schedule, evaluations, plan.epochs_left, workers, line, gone)
    factors = pace.factors(line)
    makespans = [
        _makespan(_again(plan), workers, line, factors, elapsed, seed) for seed in range(runs)
    ]
    low, *_, high = quantiles(makespans, n=10, method="inclusive")
    return Range(low, high)


def bound(
    schedule: Schedule, evaluations: int, epochs: int, workers: int, line: Line, gone: float
) -> Range:
    """How long so many evaluations take at most and at least; `gone` seconds of them are over.

    For a search that is too large to simulate. There the workers are busy nearly to the end, so
    that what is added for the last config on its way to max_epochs is little.
    """
    work = max(0.0, line.seconds(epochs, evaluations) - gone)
    chain = line.seconds(schedule.max_epochs, len(schedule.brackets))
    return Range(work / workers, min(work, work / workers + chain))


def _again(plan: Plan) -> Plan:
    """The same plan, for a simulation to live on from: it follows from the same facts."""
    again = recompute(plan.schedule, plan.passes, facts(plan))
    for place in sorted(plan.running):
        again.start(place)
    return again


def _makespan(
    plan: Plan,
    workers: int,
    line: Line,
    factors: list[float],
    elapsed: Mapping[Place, float],
    seed: int,
) -> float:
    """Live once through the rest of `plan`, with losses and durations as they may turn out."""
    draws = Random(seed)  # noqa: S311 - no secret
    # Had a few other evaluations come first, the pace would look different, too.
    factors = sorted(draws.choices(factors, k=len(factors)))

    def drawn(start: Start, trained: int) -> float:
        return line.seconds(start.epochs - trained) * draws.choice(factors)

    def remaining(start: Start, trained: int) -> float:
        """Something that has run for some time is none of those that would have ended by then."""
        expected, gone = line.seconds(start.epochs - trained), elapsed.get(start.place, 0.0)
        longer = factors[bisect_right(factors, gone / expected) :] if expected else []
        return max(expected * draws.choice(longer) - gone if longer else 0.0, LONGER * gone)

    return simulate(
        plan,
        workers,
        sample=lambda pass_: list(distinct_ids(pass_, plan.schedule.configs)),
        objective=lambda _config_id, _epochs: draws.random(),
        duration=drawn,
        remaining=remaining,
    ).makespan
