"""The plan: what it decides follows from the facts alone, whatever the order in which they come."""

import copy
import heapq
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from random import Random
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hbtrack.core import known
from hbtrack.core.consequences import Consequences, Entered, Improved, Settled
from hbtrack.core.decisions import Decision, Done, OpenPass, Start, Wait
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild, recompute
from hbtrack.core.records import BracketStatus, Facts, Loss, Place, RungKey, rung_of
from hbtrack.core.schedule import Schedule, make_schedule
from hbtrack.core.simulation import Simulation, distinct_ids, simulate
from hbtrack.core.summary import summarise
from hbtrack.errors import HbtrackError

WORKERS = (1, 2, 8, 32)

known_schedule = cache(make_schedule)


def examples(number: int) -> settings:
    return settings(
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=number,
        suppress_health_check=[HealthCheck.too_slow],  # which says more about the machine
    )


def by_rung(places: Iterable[tuple[Place, str]]) -> dict[RungKey, dict[int, str]]:
    """Places with their config_ids as facts have them."""
    found: dict[RungKey, dict[int, str]] = {}
    for place, config_id in places:
        found.setdefault(rung_of(place), {})[place.slot] = config_id
    return found


# --- random searches -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A search whose ids and losses are pure functions of the seed."""

    max_epochs: int
    eta: int
    passes: int
    space: int  # how many ids there are
    fail: float  # share of evaluations that fail
    digits: int  # of a loss; few make ties
    seed: int
    min_epochs: int = 1
    maximize: bool = False  # its scripts print the negative

    @property
    def schedule(self) -> Schedule:
        return known_schedule(self.max_epochs, Fraction(self.eta), self.min_epochs)

    def ids(self, pass_: int) -> list[str]:
        draws = Random(f"{self.seed} {pass_}")
        return [f"x:{draws.randrange(self.space)}" for _ in range(self.schedule.configs)]

    def loss(self, config_id: str, epochs: int) -> Loss:
        draws = Random(f"{self.seed} {config_id} {epochs}")
        return None if draws.random() < self.fail else round(draws.random(), self.digits)


CASES = st.builds(
    Case,
    max_epochs=st.sampled_from([1, 2, 3, 4, 8, 9, 16, 20, 26, 27]),
    eta=st.sampled_from([2, 3]),
    passes=st.integers(1, 3),
    space=st.sampled_from([8, 15, 30, 100, 5, 3, 2, 1, 10**6]),
    fail=st.sampled_from([0.05, 0.0, 0.3, 0.9]),
    digits=st.sampled_from([0, 1, 9]),
    seed=st.integers(0, 10**6),
    min_epochs=st.sampled_from([1, 1, 1, 2]),
).filter(lambda case: case.min_epochs <= case.max_epochs)


@dataclass
class Selection:
    """All that must not depend on workers, order or kills."""

    members: dict[RungKey, dict[int, str]] = field(default_factory=dict)
    losses: dict[RungKey, dict[int, Loss]] = field(default_factory=dict)
    promoted: dict[RungKey, tuple[int, ...]] = field(default_factory=dict)
    settled: dict[Place, Settled] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)  # sorted
    epochs_done: int = 0
    best: tuple[float, Place, str, int] | None = None


def one_after_another(case: Case) -> Selection:
    """Hyperband without any concurrency, and the rules for repeated ids, as plainly as can be."""
    known: dict[str, dict[int, Loss]] = {}
    result = Selection()
    for pass_ in range(1, case.passes + 1):
        ids = iter(case.ids(pass_))
        for bracket in case.schedule.brackets:
            entering = {slot: next(ids) for slot in range(bracket.configs)}
            for number, rung in enumerate(bracket.rungs):
                if not entering:
                    break
                key = RungKey(pass_, bracket.first_epochs, number)
                losses: dict[int, Loss] = {}
                for slot, config_id in entering.items():
                    budgets = known.setdefault(config_id, {})
                    reused = any(budget >= rung.epochs for budget in budgets)
                    if not reused:
                        budgets[rung.epochs] = case.loss(config_id, rung.epochs)
                        result.calls.append((config_id, rung.epochs))
                    source = min(budget for budget in budgets if budget >= rung.epochs)
                    losses[slot] = loss = budgets[source]
                    place = Place(*key, slot)
                    result.settled[place] = Settled(place, config_id, source, reused)
                    if not (reused or loss is None):
                        measured = (loss, place, config_id, source)
                        result.best = min(result.best or measured, measured)
                ranking = sorted((loss, slot) for slot, loss in losses.items() if loss is not None)
                room = [*bracket.rungs[number + 1 :], replace(rung, configs=0)][0].configs
                promoted = sorted(slot for _, slot in ranking[:room])
                result.members[key], result.losses[key] = entering, losses
                result.promoted[key] = tuple(promoted)
                entering = {slot: entering[slot] for slot in promoted}
    result.calls.sort()
    result.epochs_done = sum(max(budgets) for budgets in known.values())
    return result


@dataclass
class Life:
    """A plan that is lived through, with all that a store would have recorded of it."""

    case: Case
    workers: int
    chance: Random
    losing: float = 0.0  # share of attempts that end without a result
    passes: list[tuple[str, ...]] = field(default_factory=list)
    results: list[tuple[str, int, Loss]] = field(default_factory=list)
    entered: set[tuple[Place, str]] = field(default_factory=set)
    settled: dict[Place, Settled] = field(default_factory=dict)
    improved: list[Improved] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    running: list[tuple[float, Start]] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.plan = Plan(self.case.schedule, self.case.passes)

    def step(self) -> bool:
        """Do what comes next; False if nothing does."""
        decision, idle = self.plan.next(), len(self.running) < self.workers
        if idle and isinstance(decision, OpenPass):
            self.passes.append(tuple(self.case.ids(decision.pass_)))
            self.note(self.plan.open_pass(decision.pass_, self.passes[-1]))
        elif idle and isinstance(decision, Start):
            self.plan.start(decision.place)
            end = self.now + self.chance.expovariate(1)
            heapq.heappush(self.running, (end, decision))
        elif self.running:
            self.end(*heapq.heappop(self.running))
        else:
            assert decision == Done()
            return False
        return True

    def end(self, now: float, start: Start) -> None:
        self.now = now
        if self.chance.random() < self.losing:
            self.plan.requeue(start.place)
            return
        loss = self.case.loss(start.config_id, start.epochs)
        self.calls.append((start.config_id, start.epochs))
        self.results.append((start.config_id, start.epochs, loss))
        self.note(self.plan.record(start.config_id, start.epochs, loss))

    def note(self, consequences: Consequences) -> None:
        self.entered |= {(new.place, new.config_id) for new in consequences.entered}
        for settled in consequences.settled:
            assert settled.place not in self.settled
            self.settled[settled.place] = settled
        self.improved += consequences.improved

    def to_the_end(self) -> "Life":
        while self.step():
            pass
        return self

    def facts(self) -> Facts:
        results = self.chance.sample(self.results, len(self.results))
        return Facts(tuple(self.passes), tuple(results), by_rung(self.entered), ())

    def selection(self) -> Selection:
        entered = {key: rung for key, rung in self.plan.rungs.items() if rung.members}
        return Selection(
            members={key: rung.members for key, rung in entered.items()},
            losses={key: rung.objectives for key, rung in entered.items()},
            promoted={key: rung.closed.promoted for key, rung in entered.items() if rung.closed},
            settled=self.settled,
            calls=sorted(self.calls),
            epochs_done=self.plan.epochs_done,
            best=self.plan.best,
        )


def live(case: Case, workers: int = 8, losing: float = 0.0) -> Life:
    return Life(case, workers, Random(case.seed + workers), losing)


def upcoming(plan: Plan) -> list[Decision]:
    """All that could start at once, and what comes after."""
    plan = copy.copy(plan)
    plan.running, plan._ready = set(plan.running), list(plan._ready)  # what `start` changes
    decisions: list[Decision] = []
    while isinstance(decision := plan.next(), Start):
        decisions.append(decision)
        plan.start(decision.place)
    return [*decisions, decision]


def known_state(plan: Plan) -> dict[str, object]:
    """Everything that can be seen of a plan."""
    return {
        "rungs": plan.rungs,
        "summary": summarise(plan, plan.rungs),
        "opened": plan.opened,
        "running": plan.running,
        "epochs": (plan.epochs_done, plan.epochs_left),
        "places": (plan.places_expected, plan.places_done, plan.places_failed),
        "best": plan.best,
        "ids": sorted(plan.config_ids()),
        "upcoming": upcoming(plan),
    }


# --- what holds for every search -----------------------------------------------------------------


@given(CASES)
@examples(200)
def test_workers_and_the_order_of_results_change_nothing(case: Case) -> None:
    expected = one_after_another(case)
    for workers in WORKERS:
        assert live(case, workers).to_the_end().selection() == expected


@given(CASES)
@examples(120)
def test_attempts_that_end_without_a_result_change_nothing(case: Case) -> None:
    assert live(case, losing=0.4).to_the_end().selection() == one_after_another(case)


@given(CASES, st.sampled_from(WORKERS))
@examples(120)
def test_a_plan_rebuilt_at_any_moment_is_the_plan_that_lived(case: Case, workers: int) -> None:
    life = live(case, workers)
    while life.step():
        if life.chance.random() > 0.1:
            continue
        rebuilt = rebuild(case.schedule, case.passes, life.facts())
        for _, start in life.running:
            assert rebuilt.place_of(start.config_id, start.epochs) == start.place
            rebuilt.start(start.place)
        assert known_state(rebuilt) == known_state(life.plan)
        assert {one.place: one for one in known.settled(rebuilt)} == life.settled


@given(CASES, st.booleans())
@examples(120)
def test_a_search_that_is_killed_again_and_again_ends_as_if_undisturbed(
    case: Case, adopted: bool
) -> None:
    life = live(case)
    while life.step():
        if life.chance.random() < 0.1:
            life.plan = rebuild(case.schedule, case.passes, life.facts())
            life.running = life.running if adopted else []
            for _, start in life.running:
                life.plan.start(start.place)
    assert life.selection() == one_after_another(case)


@given(CASES, st.sampled_from(WORKERS))
@examples(120)
def test_fault_69_77_no_config_runs_twice_at_once_nor_at_or_below_a_recorded_budget(
    case: Case, workers: int
) -> None:
    life = live(case, workers, losing=0.1)
    while life.step():
        assert len({start.config_id for _, start in life.running}) == len(life.running)
        assert life.plan.running == {start.place for _, start in life.running}
        recorded = {(config_id, epochs) for config_id, epochs, _ in life.results}
        for _, start in life.running:
            assert start.epochs > max((e for i, e in recorded if i == start.config_id), default=0)
    assert max(Counter(life.calls).values()) == 1


@given(CASES)
@examples(120)
def test_the_next_rung_takes_the_best_by_loss_and_slot_and_nothing_that_failed(case: Case) -> None:
    life = live(case).to_the_end()
    planned = {
        RungKey(pass_, bracket.first_epochs, number): rung.configs
        for pass_ in range(1, case.passes + 1)
        for bracket in case.schedule.brackets
        for number, rung in enumerate(bracket.rungs)
    }
    for key, rung in life.plan.rungs.items():
        if rung.closed is None:
            assert not rung.members
            continue
        survivors = [slot for slot, loss in rung.objectives.items() if loss is not None]
        room = planned.get(key._replace(rung=key.rung + 1), 0)
        ranking = sorted(survivors, key=lambda slot: (rung.objectives[slot], slot))
        assert list(rung.closed.promoted) == sorted(ranking[: min(room, len(survivors))])
        last = ranking[: len(rung.closed.promoted)][-1:]
        worst = [rung.objectives[slot] for slot in last] or [None]
        assert [rung.closed.cutoff_objective] == worst


@given(CASES)
@examples(120)
def test_a_finished_search_has_nothing_left(case: Case) -> None:
    plan = live(case).to_the_end().plan
    assert plan.next() == Done()
    assert plan.epochs_left == 0
    assert plan.places_expected == plan.places_done + plan.places_failed
    assert sum(rung.expected for rung in plan.rungs.values()) == plan.places_expected
    brackets = summarise(plan, plan.rungs).brackets
    assert len(brackets) == case.passes * len(case.schedule.brackets)
    assert {bracket.status for bracket in brackets} == {BracketStatus.DONE}


@given(CASES.map(lambda case: replace(case, fail=0.0, space=10**15)))
@examples(50)
def test_without_failures_and_repeats_the_plan_is_the_schedule(case: Case) -> None:
    plan = live(case).to_the_end().plan
    assert plan.places_done == case.passes * case.schedule.evaluations
    assert plan.epochs_done == case.passes * case.schedule.epochs


@given(CASES)
@examples(50)
def test_the_planned_epochs_only_shrink_and_are_never_less_than_done(case: Case) -> None:
    life = live(case)
    planned = life.plan.epochs_done + life.plan.epochs_left
    while life.step():
        before, planned = planned, life.plan.epochs_done + life.plan.epochs_left
        assert before >= planned
        assert life.plan.epochs_left >= 0


@given(CASES)
@examples(50)
def test_asking_what_is_next_changes_nothing(case: Case) -> None:
    life = live(case)
    while life.step():
        if life.chance.random() > 0.1:
            continue
        before = known_state(life.plan)
        assert life.plan.next() == life.plan.next()
        assert known_state(life.plan) == before


@given(CASES)
@examples(120)
def test_every_improvement_is_smaller_and_the_last_one_is_the_best(case: Case) -> None:
    life = live(case)
    while life.step():
        if life.chance.random() < 0.05:  # improvements are not announced again after a start
            life.plan = rebuild(case.schedule, case.passes, life.facts())
            life.running = []
    losses = [improved.objective for improved in life.improved]
    spent = [improved.epochs_spent for improved in life.improved]
    assert losses == sorted(set(losses), reverse=True)
    assert spent == sorted(spent)
    assert (losses[-1] if losses else None) == (life.plan.best[0] if life.plan.best else None)


# --- the rules for repeated ids, by hand ---------------------------------------------------------

# max_epochs 3, eta 3: three configs for 1 epoch, the best for 3; then two configs for 3 epochs.
FIRST, SECOND = 1, 3  # the brackets, by their first budgets


def small(*passes: str) -> tuple[Plan, Consequences]:
    """A plan whose passes have been opened with these ids, one letter each."""
    plan = Plan(make_schedule(3, Fraction(3)), len(passes))
    for pass_, ids in enumerate(passes, 1):
        opened = plan.open_pass(pass_, list(ids.replace(" ", "")))
    return plan, opened


def starts(plan: Plan) -> list[tuple[str, int]]:
    return [(one.config_id, one.epochs) for one in upcoming(plan) if isinstance(one, Start)]


def settled_by(consequences: Consequences) -> list[tuple[Place, int, bool]]:
    return [(one.place, one.source_epochs, one.reused) for one in consequences.settled]


def feed(plan: Plan, *results: tuple[str, int, Loss]) -> list[tuple[Place, int, bool]]:
    """Start and record these evaluations one after another; what they settled."""
    settled: list[tuple[Place, int, bool]] = []
    for config_id, epochs, loss in results:
        plan.start(plan.place_of(config_id, epochs))
        settled += settled_by(plan.record(config_id, epochs, loss))
    return settled


def test_brackets_start_at_once_in_canonical_order() -> None:
    plan, opened = small("abc de")
    assert starts(plan) == [("a", 1), ("b", 1), ("c", 1), ("d", 3), ("e", 3)]
    assert opened.entered[3] == Entered(Place(1, SECOND, 0, 0), "d")


def test_a_repeated_id_in_one_rung_is_called_once_and_its_loss_shared() -> None:
    plan, _ = small("aab de")
    assert starts(plan) == [("a", 1), ("b", 1), ("d", 3), ("e", 3)]
    assert feed(plan, ("a", 1, 0.5)) == [
        (Place(1, FIRST, 0, 0), 1, False),
        (Place(1, FIRST, 0, 1), 1, True),
    ]


def test_a_later_slot_waits_for_an_earlier_one_that_may_still_come_to_its_budget() -> None:
    plan, _ = small("abc ae")
    assert starts(plan) == [("a", 1), ("b", 1), ("c", 1), ("e", 3)]
    feed(plan, ("a", 1, 0.1), ("b", 1, 0.2))
    assert starts(plan) == [("c", 1), ("e", 3)]


def test_a_waiting_slot_takes_the_loss_of_the_earlier_one() -> None:
    plan, _ = small("abc ae")
    feed(plan, ("a", 1, 0.1), ("b", 1, 0.2), ("c", 1, 0.3))
    assert feed(plan, ("a", 3, 0.1)) == [
        (Place(1, FIRST, 1, 0), 3, False),
        (Place(1, SECOND, 0, 0), 3, True),
    ]


def test_a_waiting_slot_calls_the_script_once_the_earlier_one_is_not_promoted() -> None:
    plan, _ = small("abc ae")
    feed(plan, ("a", 1, 0.3), ("b", 1, 0.2), ("c", 1, 0.1))
    assert starts(plan) == [("c", 3), ("a", 3), ("e", 3)]
    assert feed(plan, ("a", 3, 0.5)) == [(Place(1, SECOND, 0, 0), 3, False)]


def test_a_waiting_slot_calls_the_script_once_the_earlier_one_has_failed() -> None:
    plan, _ = small("abc ae")
    feed(plan, ("a", 1, None))
    assert starts(plan) == [("b", 1), ("c", 1), ("a", 3), ("e", 3)]


def test_a_failure_is_shared_like_a_loss() -> None:
    plan, _ = small("aab de")
    assert len(feed(plan, ("a", 1, None))) == 2
    assert plan.places_failed == 2
    feed(plan, ("b", 1, 0.5))
    assert plan.rungs[RungKey(1, FIRST, 1)].members == {2: "b"}


def test_a_recorded_loss_is_taken_when_the_place_is_entered() -> None:
    plan = Plan(make_schedule(3, Fraction(3)), 2)
    plan.open_pass(1, list("abcde"))
    feed(plan, ("a", 1, 0.1), ("b", 1, 0.2), ("c", 1, 0.3))
    opened = plan.open_pass(2, list("bcbfg"))
    assert settled_by(opened) == [(Place(2, FIRST, 0, slot), 1, True) for slot in range(3)]
    assert plan.rungs[RungKey(2, FIRST, 1)].members == {0: "b"}
    assert starts(plan) == [("a", 3), ("d", 3), ("e", 3), ("b", 3), ("f", 3), ("g", 3)]


def test_fault_70_a_budget_never_measured_takes_the_smallest_recorded_above_without_a_call() -> (
    None
):
    # max_epochs 9: 9 for 1, 3 for 3, 1 for 9; 5 for 3, 1 for 9; 3 for 9.
    plan = Plan(make_schedule(9, Fraction(3)), 2)
    plan.open_pass(1, list("abcdefghijklmnopq"))
    feed(plan, *[(letter, 3, 0.1 * number) for number, letter in enumerate("jklmn")])
    feed(plan, ("j", 9, 0.7), ("o", 9, 0.8))
    while isinstance(start := plan.next(), Start):
        feed(plan, (start.config_id, start.epochs, 1.0))
    opened = plan.open_pass(2, list("jorstuvwx jklmn opq".replace(" ", "")))
    taken = {one.place: one for one in opened.settled}
    first = Place(2, 1, 0, 0)
    assert taken[first] == Settled(first, "j", 3, reused=True)
    second = Place(2, 1, 0, 1)
    assert taken[second] == Settled(second, "o", 9, reused=True)
    assert plan.rungs[RungKey(2, 1, 0)].objectives == {0: 0.0, 1: 0.8}
    assert starts(plan) == [(letter, 1) for letter in "rstuvwx"]


def test_a_failure_above_is_taken_too() -> None:
    plan, _ = small("abc de", "dfg hi")
    taken = feed(plan, ("d", 3, None))
    assert taken == [(Place(1, SECOND, 0, 0), 3, False), (Place(2, FIRST, 0, 0), 3, True)]
    assert plan.places_failed == 2


def test_a_later_pass_waits_for_a_larger_budget_that_is_under_way() -> None:
    plan, _ = small("abc de", "dfg hi")
    assert ("d", 1) not in starts(plan)
    assert feed(plan, ("d", 3, 0.4))[1] == (Place(2, FIRST, 0, 0), 3, True)
    assert plan.epochs_done == 3


def test_the_next_pass_opens_when_everything_ready_has_started() -> None:
    plan = Plan(make_schedule(3, Fraction(3)), 2)
    assert plan.next() == OpenPass(1)
    plan.open_pass(1, list("abcde"))
    while isinstance(start := plan.next(), Start):
        plan.start(start.place)
    assert len(plan.running) == 5
    assert start == OpenPass(2)
    plan.open_pass(2, list("abcde"))
    assert plan.next() == Wait()


def test_what_of_the_first_pass_becomes_ready_goes_before_the_second_pass() -> None:
    plan, _ = small("abc de", "fgh ij")
    feed(plan, ("f", 1, 0.1), ("a", 1, 0.1), ("b", 1, 0.2), ("c", 1, 0.3))
    assert starts(plan)[:3] == [("a", 3), ("d", 3), ("e", 3)]


def test_the_best_of_equal_losses_is_the_canonically_first() -> None:
    plan, _ = small("abc de")
    feed(plan, ("e", 3, 0.5), ("d", 3, 0.5), ("c", 1, 0.5), ("b", 1, 0.5))
    assert plan.best == (0.5, Place(1, FIRST, 0, 1), "b", 1)


def test_a_failed_config_is_not_promoted_even_when_nothing_else_is_left() -> None:
    plan, _ = small("abc de")
    feed(plan, ("a", 1, None), ("b", 1, None), ("c", 1, None), ("d", 3, 1.0), ("e", 3, 1.0))
    assert plan.next() == Done()
    assert (plan.places_expected, plan.places_done, plan.places_failed) == (5, 2, 3)


# --- facts that contradict each other ------------------------------------------------------------


def rebuild_from(life: Life, facts: Facts) -> Plan:
    return rebuild(life.case.schedule, life.case.passes, facts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            lambda entered: entered | {(Place(1, 1, 2, 8), "x:1")},
            "stored but not recomputed",
            id="one too many",
        ),
        pytest.param(lambda entered: entered - {max(entered)}, "missing", id="one too few"),
        pytest.param(
            lambda entered: entered - {max(entered)} | {(max(entered)[0], "other")},
            "are not those that follow",
            id="of another config",
        ),
    ],
)
def test_stored_places_that_do_not_follow_stop_the_search(
    change: Callable[[set[tuple[Place, str]]], set[tuple[Place, str]]], says: str
) -> None:
    life = live(Case(9, 3, passes=1, space=8, fail=0.1, digits=9, seed=5)).to_the_end()
    assert change(life.entered) != life.entered
    with pytest.raises(HbtrackError, match=says):
        rebuild_from(life, replace(life.facts(), entered=by_rung(change(life.entered))))


def test_a_loss_that_was_changed_stops_the_search() -> None:
    life = live(Case(9, 3, 1, space=10**6, fail=0.0, digits=9, seed=5)).to_the_end()
    facts = life.facts()
    promoted = {config_id for place, config_id in life.entered if place.rung}
    changed = tuple(
        (config_id, epochs, None if config_id in promoted else loss)
        for config_id, epochs, loss in facts.results
    )
    with pytest.raises(HbtrackError, match="hbtrack db check"):
        rebuild_from(life, replace(facts, results=changed))


def without(plan: Plan, *failures: tuple[str, int]) -> Plan:
    """The plan after these failures were taken back."""
    facts = known.facts(plan)
    left = tuple(one for one in facts.results if one[:2] not in failures)
    return recompute(plan.schedule, plan.passes, replace(facts, results=left))


def test_a_config_is_not_asked_for_less_than_it_was_started_for() -> None:
    plan, _ = small("abc ad")
    feed(plan, ("a", 1, None), ("a", 3, None))  # the second slot's turn came, and failed too
    again = without(plan, ("a", 1), ("a", 3))
    first = Place(1, FIRST, 0, 0)
    assert again.next() == Start(first, "a", 3)
    again.start(first)
    assert again.place_of("b", 1) == Place(1, FIRST, 0, 1)
    assert settled_by(again.record("a", 3, 0.5))[:2] == [
        (first, 3, True),
        (Place(1, SECOND, 0, 0), 3, False),
    ]


def test_what_was_started_for_as_much_as_is_asked_is_asked_for_that() -> None:
    plan, _ = small("abc de")
    feed(plan, ("a", 1, None), ("d", 3, None))
    again = without(plan, ("a", 1), ("d", 3))
    assert starts(again) == [("a", 1), ("b", 1), ("c", 1), ("d", 3), ("e", 3)]


def test_a_result_recorded_twice_is_an_error() -> None:
    plan, _ = small("abc de")
    feed(plan, ("a", 1, 0.1))
    with pytest.raises(ValueError, match="recorded already"):
        plan.record("a", 1, 0.1)


@pytest.mark.parametrize(("pass_", "ids"), [(2, "abcde"), (1, "abcd"), (1, "abcdef")])
def test_a_pass_that_does_not_come_next_is_an_error(pass_: int, ids: str) -> None:
    plan = Plan(make_schedule(3, Fraction(3)), 3)
    with pytest.raises(ValueError, match="does not come next"):
        plan.open_pass(pass_, list(ids))


def test_a_place_that_is_not_ready_cannot_be_started() -> None:
    plan, _ = small("abc ae")
    with pytest.raises(ValueError, match="not in list"):
        plan.start(Place(1, SECOND, 0, 0))


def test_a_place_that_does_not_run_cannot_be_requeued() -> None:
    plan, _ = small("abc de")
    with pytest.raises(KeyError):
        plan.requeue(Place(1, FIRST, 0, 0))


@pytest.mark.parametrize(("config_id", "epochs"), [("a", 3), ("z", 1), ("d", 1)])
def test_an_evaluation_that_nothing_asks_for_has_no_place(config_id: str, epochs: int) -> None:
    plan, _ = small("abc ae")
    with pytest.raises(KeyError):
        plan.place_of(config_id, epochs)


# --- how long it takes ---------------------------------------------------------------------------


def run_through(max_epochs: int, passes: int, workers: int, space: int | None) -> Simulation:
    """A simulated search of ids from `space`, or of distinct ones."""
    schedule, draws = make_schedule(max_epochs, Fraction(3)), Random(1)

    def sample(pass_: int) -> Sequence[str]:
        if space is None:
            return list(distinct_ids(pass_, schedule.configs))
        return [str(draws.randrange(space)) for _ in range(schedule.configs)]

    return simulate(
        Plan(schedule, passes),
        workers,
        sample=sample,
        objective=lambda _config_id, _epochs: draws.random(),
        duration=lambda start, trained: start.epochs - trained,
    )


@pytest.mark.slow
@pytest.mark.parametrize("space", [None, 1000, 10])
def test_a_search_of_a_hundred_thousand_places_is_planned_to_its_end(space: int | None) -> None:
    schedule = make_schedule(3**9, Fraction(3))
    passes = 100_000 // schedule.evaluations + 1
    simulation = run_through(3**9, passes, 32, space)
    if space is None:
        assert len(simulation.calls) == passes * schedule.evaluations
    else:
        assert len(simulation.calls) <= space * len(schedule.brackets)


def calls_of(run: Callable[[], object]) -> int:
    """How many functions, Python's and C's, are called by `run`."""
    count = 0

    def on_event(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("space", [None, 50])
def test_ten_times_the_passes_cost_about_ten_times_the_steps(space: int | None) -> None:
    few = calls_of(lambda: run_through(81, 2, 8, space))
    many = calls_of(lambda: run_through(81, 20, 8, space))
    assert many < 13 * few


def test_one_worker_needs_as_long_as_all_epochs_together() -> None:
    simulation = run_through(81, 1, 1, None)
    assert (simulation.makespan, simulation.utilisation) == (1581, 1.0)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_simulation_counts_no_worker_busier_than_time_allows(workers: int) -> None:
    simulation = run_through(81, 1, workers, None)
    busy = simulation.utilisation * simulation.makespan * workers
    assert busy == pytest.approx(1581)
    assert simulation.utilisation <= 1
    assert simulation.makespan >= 1581 / workers
