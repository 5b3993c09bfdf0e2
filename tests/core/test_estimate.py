"""The time left: what the rest of the schedule takes, as a range, from what was measured."""

import random
from copy import deepcopy
from fractions import Fraction
from pathlib import Path

import pytest
from test_plan import calls_of

from hbtrack.core.decisions import Done, OpenPass, Start
from hbtrack.core.estimate import Pace, Range, bound, time_left
from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Place, Verdict
from hbtrack.core.schedule import make_schedule
from hbtrack.core.simulation import distinct_ids, simulate
from hbtrack.driver.interfaces import End, Running
from hbtrack.report.live import progress

START, EPOCH = 2.0, 0.5


def seconds(epochs: int) -> float:
    return START + EPOCH * epochs


EVEN = [(epochs, seconds(epochs)) for epochs in (1, 2, 6, 18)]
UNEVEN = [(epochs, seconds(epochs) * factor) for epochs in (1, 2, 6) for factor in (0.4, 0.7, 2)]


def half_way(workers: int, *, passes: int = 1, max_epochs: int = 27, until: float = 0.4) -> Plan:
    """A plan with a share of its evaluations done and as many running as there are workers."""
    plan = Plan(make_schedule(max_epochs, Fraction(3)), passes)
    draws = random.Random(1)
    while True:
        decision = plan.next()
        if isinstance(decision, OpenPass):
            ids = distinct_ids(decision.pass_, plan.schedule.configs)
            plan.open_pass(decision.pass_, [f"x{name}" for name in ids])
        elif isinstance(decision, Start) and len(plan.running) < workers:
            plan.start(decision.place)
        elif plan.places_done >= until * plan.places_expected:
            return plan
        else:
            place = min(plan.running)
            rung = plan.rungs[place[:3]]  # type: ignore[index]
            plan.record(rung.members[place.slot], rung.epochs, draws.random())


def makespan(plan: Plan, workers: int, elapsed: float = 0.0) -> float:
    """How long the plan takes when every evaluation takes what the line says."""
    draws = random.Random(2)
    copied: Plan = deepcopy(plan)
    return simulate(
        copied,
        workers,
        sample=lambda pass_: list(distinct_ids(pass_, plan.schedule.configs)),
        objective=lambda _config_id, _epochs: draws.random(),
        duration=lambda start, trained: seconds(start.epochs - trained),
        remaining=lambda start, trained: seconds(start.epochs - trained) - elapsed,
    ).makespan


def everything(plan: Plan) -> object:
    """All that a plan is, as text: places in the order in which they would be decided on."""
    return (plan.opened, sorted(plan.running), plan.rungs, plan.epochs_left, plan.next())


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
@pytest.mark.parametrize("passes", [1, 2])
def test_with_equal_durations_the_range_contains_the_true_makespan(
    workers: int, passes: int
) -> None:
    plan = half_way(workers, passes=passes)
    left = time_left(plan, workers, Pace(EVEN), {})
    assert left
    true = makespan(plan, workers)
    assert left.low == pytest.approx(true)
    assert left.high == pytest.approx(true)


def test_the_range_of_one_worker_without_variance_is_one_value() -> None:
    plan = half_way(1)
    left = time_left(plan, 1, Pace(EVEN), {})
    assert left
    running = sum(seconds(plan.rungs[place[:3]].increment) for place in plan.running)  # type: ignore[index]
    assert running
    evaluations = plan.places_expected - plan.places_done
    assert left.low == pytest.approx(START * evaluations + EPOCH * plan.epochs_left)
    assert str(left) == progress.shown(Range(left.low, left.low))


@pytest.mark.parametrize("workers", [1, 4])
def test_variance_makes_the_range_wide_and_what_happens_falls_into_it(workers: int) -> None:
    plan = half_way(workers, until=0)
    left = time_left(plan, workers, Pace(UNEVEN), {})
    assert left
    assert left.low < 0.95 * left.high
    assert 0.5 * left.low < makespan(plan, workers) < 1.5 * left.high


def test_the_same_facts_give_the_same_range_and_leave_the_plan_as_it_was() -> None:
    plan = half_way(4, passes=3)
    before = deepcopy(everything(plan))
    first = time_left(plan, 4, Pace(UNEVEN), {})
    assert time_left(plan, 4, Pace(UNEVEN), {}) == first
    assert deepcopy(everything(plan)) == before


def test_nothing_is_known_before_anything_is_measured() -> None:
    assert time_left(half_way(2), 2, Pace(), {}) is None


def test_nothing_is_left_of_a_finished_search_although_nothing_was_measured() -> None:
    plan = half_way(1, until=1)
    assert isinstance(plan.next(), Done)
    assert time_left(plan, 3, Pace(), {}) == Range(0, 0)


def test_what_runs_already_takes_only_the_rest_of_its_time() -> None:
    plan = half_way(1)
    (place,) = plan.running
    fresh = time_left(plan, 1, Pace(EVEN), {})
    later = time_left(plan, 1, Pace(EVEN), {place: 1.5})
    assert fresh
    assert later
    assert later.high == pytest.approx(fresh.high - 1.5)
    assert later.high == pytest.approx(makespan(plan, 1, elapsed=1.5))


def test_what_runs_for_longer_than_expected_still_takes_a_moment() -> None:
    plan = half_way(3)
    fresh = time_left(plan, 3, Pace(EVEN), {})
    left = time_left(plan, 3, Pace(EVEN), dict.fromkeys(plan.running, 1000.0))
    assert fresh
    assert left
    assert 1 < left.low <= left.high < fresh.high + 50


def test_more_workers_need_no_longer() -> None:
    plan = half_way(2)
    ranges = [time_left(plan, workers, Pace(EVEN), {}) for workers in (2, 4, 8)]
    highs = [left.high for left in ranges if left]
    assert highs == sorted(highs, reverse=True)
    assert len(highs) == 3


def test_a_start_after_a_longer_search_counts_from_what_is_trained_already() -> None:
    plan = half_way(1)
    draws = random.Random(0)
    rest = simulate(
        deepcopy(plan),
        1,
        sample=lambda _pass: [],
        objective=lambda _config_id, _epochs: draws.random(),
        duration=lambda start, trained: start.epochs - trained,
    )
    assert rest.makespan == plan.epochs_left


@pytest.mark.parametrize(("max_epochs", "passes"), [(81, 4), (729, 2), (81, 100)])
def test_an_estimate_never_takes_long(max_epochs: int, passes: int) -> None:
    plan = Plan(make_schedule(max_epochs, Fraction(3)), passes)
    # Calls and not seconds, which a busy machine stretches: those 650,000 take about 0.1.
    assert calls_of(lambda: time_left(plan, 8, Pace(UNEVEN), {})) < 2_000_000
    left = time_left(plan, 8, Pace(UNEVEN), {})
    assert left
    assert 0 < left.low <= left.high


def test_the_bound_of_a_large_search_contains_its_makespan() -> None:
    schedule = make_schedule(81, Fraction(3))
    plan = Plan(schedule, 20)
    line = Pace(EVEN).line()
    assert line
    left = bound(schedule, plan.places_expected, plan.epochs_left, 8, line, 0.0)
    assert left.low <= makespan(plan, 8) <= left.high
    assert left.high < 1.05 * left.low


# --- the pace ------------------------------------------------------------------------------------


def test_the_line_finds_the_start_and_the_epoch() -> None:
    line = Pace(EVEN).line()
    assert line
    assert (line.start, line.epoch) == pytest.approx((START, EPOCH))
    assert Pace(EVEN).factors(line) == pytest.approx([1] * len(EVEN))


@pytest.mark.parametrize("measured", [[(4, 2.0)], [(4, 1.0), (4, 3.0)], [(1, 4.0), (7, 0.0)]])
def test_where_no_line_can_be_seen_all_is_training(measured: list[tuple[int, float]]) -> None:
    line = Pace(measured).line()
    assert line
    assert (line.start, line.epoch) == (0, pytest.approx(0.5))


def test_evaluations_that_take_no_time_are_no_trouble() -> None:
    assert time_left(half_way(2), 2, Pace([(1, 0.0), (3, 0.0)]), {}) == Range(0, 0)


def test_the_latest_evaluations_count() -> None:
    pace = Pace()
    for second in (100.0, 1.0):
        for _ in range(1000):
            pace.add(1, second)
    line = pace.line()
    assert line
    assert line.seconds(1) == pytest.approx(1)


# --- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (None, "-"),
        (Range(4800, 6900), "1:20:00 to 1:55:00"),
        (Range(59.9, 60.3), "0:01:00"),
        (Range(10, 20).after(12), "0:00:00 to 0:00:08"),
    ],
)
def test_a_range_in_words(left: Range | None, text: str) -> None:
    assert progress.shown(left) == text


def test_the_progress_line_estimates_now_and_then_and_counts_down_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, calls = 1000.0, []

    def estimate(
        _plan: Plan, workers: int, pace: Pace, elapsed: dict[Place, float]
    ) -> Range | None:
        calls.append((workers, elapsed))
        return Range(100, 200) if pace.line() else None

    monkeypatch.setattr(progress, "time_left", estimate)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    shows = progress.Progress(tmp_path, "toy")
    plan = half_way(1)
    (place,) = plan.running

    def line() -> str:
        shows.progressed(plan, 1, 3)
        return (tmp_path / "log").read_text().splitlines()[-1]

    running = Running(1, "toy-1", place, "x", 3, 2, "", since=990.0)
    shows.started(running)
    assert "left=- " in line()
    assert calls == [(3, {place: 10})]
    shows.ended(End(running, Verdict(AttemptStatus.DONE, loss=0.5, seconds=3.0)))
    shows.started(running)
    assert 'left="0:01:40 to 0:03:20"' in line()
    now += 9
    assert 'left="0:01:31 to 0:03:11"' in line()
    assert len(calls) == 2
    now += 1
    assert 'left="0:01:40 to 0:03:20"' in line()
    assert calls[2] == (3, {place: 20})
    shows.close()
