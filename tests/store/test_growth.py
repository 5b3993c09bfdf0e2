"""A search that grows ends as one that began that large, and measures nothing a second time."""

import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_search import dump, plan_now, query
from test_machine import DISTINCT, SEARCH, Driver, Folder, World, as_minimised
from test_plan import Case, Life, examples, known_state, one_after_another

from hbtrack.core import known
from hbtrack.core.consequences import Consequences, Settled
from hbtrack.core.decisions import Done, Start
from hbtrack.core.plan import Plan
from hbtrack.core.plan_state import NOWHERE
from hbtrack.core.rebuild import rebuild, recompute
from hbtrack.core.records import Command, Grown, Place, Terms
from hbtrack.core.schedule import Schedule, grown, make_schedule, schedule_of
from hbtrack.core.streams import stream_of
from hbtrack.database.connection import Database
from hbtrack.driver.rederive import grow, rederive
from hbtrack.errors import Conflict, UsageError
from hbtrack.script.probe import ScriptProbe, check_given
from hbtrack.searches.verify import check_database
from hbtrack.store.writer import withdraw as take_back

UNTIL_THE_END = 10**6  # steps


# --- searches that grow --------------------------------------------------------------------------


@dataclass(frozen=True)
class SlotCase(Case):
    """A search whose ids are keyed by slot, as a sampler's are."""

    powers: int = 0  # of eta, by which it grows
    more_passes: int = 0

    @property
    def schedule(self) -> Schedule:
        return make_schedule(self.max_epochs, Fraction(str(self.eta)), self.min_epochs)

    def ids(self, pass_: int) -> list[str]:
        return list(self.slots(pass_).values())

    def slots(self, pass_: int) -> dict[Place, str]:
        return {
            place: f"x:{Random(f'{self.seed} {place}').randrange(self.space)}"
            for bracket in self.schedule.brackets
            for slot in range(bracket.configs)
            for place in [Place(pass_, bracket.first_epochs, 0, slot)]
        }

    @property
    def larger(self) -> "SlotCase":
        """What it grows to; an equal case, as if it had begun so."""
        max_epochs = int(self.max_epochs * Fraction(str(self.eta)) ** self.powers)
        passes = self.passes + self.more_passes
        return replace(self, max_epochs=max_epochs, passes=passes, powers=0, more_passes=0)


SIZES = [(1, 3, 2), (2, 3, 1), (3, 3, 1), (3, 3, 2), (9, 3, 1), (10, 3, 1), (4, 2, 2), (5, 2, 1)]
SIZES += [(4, 2.5, 2), (6, 2.5, 1), (3, 3, 0)]  # type: ignore[list-item]


def cases(spaces: list[int], sizes: list[tuple[int, int, int]] = SIZES) -> st.SearchStrategy[Case]:
    return st.builds(
        lambda size, **rest: SlotCase(
            max_epochs=size[0], eta=size[1], powers=size[2], space=rest.pop("space"), **rest
        ),
        st.sampled_from(sizes),
        passes=st.integers(1, 2),
        more_passes=st.sampled_from([0, 0, 1]),
        space=st.sampled_from(spaces),
        fail=st.sampled_from([0.1, 0.0, 0.4, 0.9]),
        digits=st.sampled_from([0, 1, 9]),
        seed=st.integers(0, 10**6),
        min_epochs=st.sampled_from([1, 1, 2, 3]),
        maximize=st.booleans(),
    ).filter(lambda case: case.min_epochs <= case.max_epochs)


STEPS = st.sampled_from([0, 1, 3, 10, 30, 100, UNTIL_THE_END])


class Living(Life):
    """A life in which an evaluation may pass from a later place to an earlier one."""

    def note(self, consequences: Consequences) -> None:
        self.entered |= {(new.place, new.config_id) for new in consequences.entered}
        self.settled |= {taken.place: taken for taken in consequences.settled}


def lived(case: Case, steps: int) -> Life:
    """The search as far as so many steps; what ran then is stopped."""
    life = Living(case, 8, Random(case.seed))
    while steps and life.step():
        steps -= 1
    return life


def grow_life(life: Life, larger: Case) -> Life:
    """The same search with a larger schedule, as it is recomputed."""
    after = Living(larger, 4, Random(larger.seed))
    after.passes = [tuple(larger.ids(pass_)) for pass_ in range(1, len(life.passes) + 1)]
    after.results = list(life.results)
    facts = after.facts()
    after.plan = recompute(larger.schedule, larger.passes, facts)
    after.settled = {one.place: one for one in known.settled(after.plan)}
    after.entered = {
        (Place(*key, slot), config_id)
        for key, rung in after.plan.rungs.items()
        for slot, config_id in rung.members.items()
    }
    return after


# --- the schedule --------------------------------------------------------------------------------


@given(
    st.integers(1, 3000),
    st.sampled_from(["2", "3", "4", "2.5", "3.5"]),
    st.integers(0, 3),
    st.integers(1, 100),
)
@examples(300)
def test_a_grown_schedule_keeps_every_bracket_and_rung_and_none_shrinks(
    max_epochs: int, eta: str, powers: int, min_epochs: int
) -> None:
    schedule = make_schedule(max_epochs, Fraction(eta), min(min_epochs, max_epochs))
    larger = max_epochs * Fraction(eta) ** powers
    if larger.denominator > 1:
        with pytest.raises(UsageError):
            grown(schedule, int(larger))
        return
    after = {bracket.first_epochs: bracket for bracket in grown(schedule, int(larger)).brackets}
    assert list(after)[: len(schedule.brackets)] == [b.first_epochs for b in schedule.brackets]
    for bracket in schedule.brackets:
        for rung, new in zip(bracket.rungs, after[bracket.first_epochs].rungs, strict=False):
            assert (rung.epochs, rung.configs) <= (new.epochs, new.configs)
            assert rung.epochs == new.epochs
        assert len(after[bracket.first_epochs].rungs) == len(bracket.rungs) + powers


@pytest.mark.parametrize(
    ("max_epochs", "eta", "wanted", "says"),
    [
        (27, "3", 100, "choose one of 81, 243, 729, ..."),
        (27, "3", 9, "not to 9"),
        (10, "2.5", 63, "choose one of 25"),
        (7, "2.5", 17, "no larger one"),
    ],
)
def test_a_max_epochs_that_does_not_fit_is_refused_with_those_that_do(
    max_epochs: int, eta: str, wanted: int, says: str
) -> None:
    with pytest.raises(UsageError, match=says.replace(".", r"\.")):
        grown(make_schedule(max_epochs, Fraction(eta)), wanted)


# --- the plan ------------------------------------------------------------------------------------


@given(cases([DISTINCT]), STEPS)
@examples(150)
def test_a_search_that_grew_selects_what_a_fresh_one_does_and_measures_nothing_twice(
    case: SlotCase, steps: int
) -> None:
    life = lived(case, steps)
    after = grow_life(life, case.larger).to_the_end()
    found, expected = after.selection(), one_after_another(case.larger)
    for what in ("members", "losses", "promoted", "settled"):
        assert getattr(found, what) == getattr(expected, what)
    measured = {(config_id, epochs) for config_id, epochs, _ in life.results}
    assert not measured & set(after.calls)
    assert set(expected.calls) - measured == set(after.calls)
    losses = [loss for _, _, loss in after.results if loss is not None]
    assert after.plan.best is None if not losses else after.plan.best[0] == min(losses)


@pytest.mark.slow
@given(cases([1, 3, 8, 20, 60]), STEPS)
@examples(150)
def test_with_repeated_ids_growing_again_and_again_asks_no_config_for_less_than_it_has(
    case: SlotCase, steps: int
) -> None:
    life = lived(case, steps)
    sizes = [case.larger]
    if (larger := sizes[0].max_epochs * Fraction(str(case.eta))).denominator == 1:
        sizes.append(replace(sizes[0], max_epochs=int(larger)))
    for size in sizes:
        trained = {config_id: 0 for config_id, _, _ in life.results}
        for config_id, epochs, _ in life.results:
            trained[config_id] = max(trained[config_id], epochs)
        life = grow_life(life, size)
        while life.step():
            for _, start in life.running:
                assert start.epochs > trained.get(start.config_id, 0)
            if life.chance.random() < 0.05:
                assert_rebuilt_is_the_same(life)
        assert max(Counter(life.calls).values(), default=1) == 1
        assert_rebuilt_is_the_same(life)


def assert_rebuilt_is_the_same(life: Life) -> None:
    plan = rebuild(life.case.schedule, life.case.passes, life.facts())
    for _, start in life.running:
        plan.start(plan.place_of(start.config_id, start.epochs))
    assert known_state(plan) == known_state(life.plan)
    assert {one.place: one for one in known.settled(plan)} == life.settled


# max_epochs 3, eta 3: three configs for 1 epoch, the best for 3; then two configs for 3 epochs.
SMALL = make_schedule(3, Fraction(3))


def small(ids: str, *results: tuple[str, int, float | None], passes: int = 1) -> Plan:
    plan = Plan(SMALL, passes)
    for config_id, epochs, loss in results:
        plan.record(config_id, epochs, loss)
    plan.open_pass(1, list(ids))
    return plan


def test_an_orphan_is_the_best_and_ranks_after_every_place_with_the_same_loss() -> None:
    plan = small("abcde", ("z", 9, 0.5), ("y", 9, 0.5))
    assert plan.best == (0.5, NOWHERE, "y", 9)
    plan.record("c", 1, 0.5)
    assert plan.best == (0.5, Place(1, 1, 0, 2), "c", 1)
    assert plan.record("d", 3, 0.4).improved


def test_an_orphan_belongs_to_the_first_place_that_takes_it_in_whatever_order_they_come() -> None:
    plan = small("abcae", ("a", 3, 0.1), ("a", 1, 0.2))
    assert plan.best == (0.1, Place(1, 3, 0, 0), "a", 3)
    plan.record("b", 1, 0.3)
    taken = plan.record("c", 1, 0.3).settled[-2:]
    above, later = Place(1, 1, 1, 0), Place(1, 3, 0, 0)
    assert taken == [Settled(above, "a", 3, reused=False), Settled(later, "a", 3, reused=True)]
    assert plan.best == (0.1, above, "a", 3)


def test_only_one_place_is_left_when_nothing_runs_beside_it_and_no_pass_waits() -> None:
    plan = small("aaaaa")
    assert plan.only_one_left()
    assert not small("aaaaa", passes=2).only_one_left()
    assert not small("abbbb").only_one_left()
    start = plan.next()
    assert isinstance(start, Start)
    plan.start(start.place)
    assert not plan.only_one_left()


def test_the_first_failures_are_told_as_far_as_they_are_settled() -> None:
    plan = small("abade")
    assert known.first_failures(plan, 3) == []
    plan.record("b", 1, None)
    assert known.first_failures(plan, 3) == []
    plan.record("a", 1, None)
    assert known.first_failures(plan, 3) == [("a", 1), ("b", 1)]
    assert known.first_failures(plan, 2) == [("a", 1), ("b", 1)]
    plan.record("d", 3, None)  # the second rung of the first bracket is never entered
    assert known.first_failures(plan, 3) == [("a", 1), ("b", 1), ("d", 3)]
    plan.record("e", 3, 0.5)
    assert known.first_failures(plan, 4) is None


def test_fewer_evaluations_than_asked_for_will_never_all_have_failed() -> None:
    plan = small("aaaaa", ("a", 3, None))
    assert plan.next() == Done()
    assert known.first_failures(plan, 1) == [("a", 3)]
    assert known.first_failures(plan, 2) is None


def test_a_failure_that_counts_somewhere_may_be_taken_back_whatever_was_decided_with_it() -> None:
    plan = small("abcde", ("a", 1, None), ("b", 1, 0.5), ("d", 3, None))
    assert known.withdrawal_problem(plan, "a", 1) is None
    plan.record("c", 1, 0.6)
    assert known.withdrawal_problem(plan, "a", 1) is None  # though its rung has promoted
    assert known.withdrawal_problem(plan, "d", 3) is None
    assert known.withdrawal_problem(plan, "b", 1) == "it is no failure that counts"
    everything = small("aaaaa", ("a", 1, None), ("a", 3, None))
    assert known.withdrawal_problem(everything, "a", 1) is None


def test_a_place_whose_failure_is_taken_back_takes_a_result_of_a_larger_budget() -> None:
    plan = small("abcae", ("a", 3, 0.1))
    assert known.larger(plan, {"a", "b"}) == [Place(1, 1, 0, 0)]
    assert known.larger(plan, {"b"}) == []


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("growth"))


def run_for(path: Path, world: World, commits: int) -> None:
    """So many commits of a driver; then it is stopped, with all that it started."""
    driver = Driver(path, world)
    driver.take_over()
    while commits and driver.plan.next() != Done():
        for process in list(world.alive.values())[:2]:
            world.end(process)
        driver.commit(driver.ended(), 3)
        assert query(path, "SELECT * FROM results WHERE status = 'running' AND reused") == []
        commits -= 1
    assert problems(path) == []
    with closing(sqlite3.connect(path)) as connection:
        assert known_state(driver.plan) == known_state(plan_now(connection.execute, SEARCH))
    driver.stop(list(driver.running))
    for attempt in list(world.alive):
        world.kill(attempt, saved=False)
    driver.commit(driver.ended(), 0)
    driver.ledger.release(world.tick())
    driver.forget()


def change(path: Path, act: Callable[..., object]) -> None:
    """A command that changes facts; the search is unfinished after."""
    with closing(Database(path)) as database, database.transaction() as connection:
        act(connection)
        plan = plan_now(connection.execute, SEARCH)
        status = "finished" if plan.next() == Done() else "unfinished"
        connection.execute("UPDATE _search SET status = ?, finished_at = NULL", (status,))
    assert problems(path) == []


def problems(path: Path) -> list[str]:
    """But for what an incumbent says was spent: it counts failures that were taken back since."""
    found = check_database(str(path), None)
    return [text for text in found if "the incumbent with loss" not in text]


def grow_file(path: Path, before: SlotCase, after: SlotCase) -> None:
    opened = query(path, "SELECT count(DISTINCT pass) FROM results")[0][0]
    known = {row[0] for row in query(path, "SELECT config_id FROM _config")}
    old = {place for pass_ in range(1, opened + 1) for place in before.slots(pass_)}
    slots = {
        place: config_id
        for pass_ in range(1, opened + 1)
        for place, config_id in after.slots(pass_).items()
        if place not in old
    }
    new = {config_id: {"at": 1} for config_id in slots.values() if config_id not in known}
    added = Grown(slots, new, ())  # type: ignore[arg-type]
    change(path, lambda to: grow(to, SEARCH, after.schedule, after.passes, added))
    assert check_database(str(path), None) == []


SMALL_SIZES = [(1, 3, 2), (3, 3, 1), (9, 3, 1), (4, 2, 1), (4, 2.5, 1)]


@pytest.mark.slow
@given(case=cases([DISTINCT], SMALL_SIZES), commits=st.sampled_from([0, 1, 5, UNTIL_THE_END]))
@examples(25)
def test_the_file_of_a_search_that_grew_says_what_that_of_a_fresh_one_does(
    folder: Folder, case: SlotCase, commits: int
) -> None:
    path, world = folder.new_search(case), World(case=case)
    run_for(path, world, commits)
    incumbents = query(path, "SELECT * FROM _incumbent")
    grow_file(path, case, case.larger)
    assert query(path, "SELECT * FROM _incumbent") == incumbents
    world.case = case.larger
    run_for(path, world, UNTIL_THE_END)
    assert check_database(str(path), None) == []
    found, expected = as_minimised(case, path), folder.undisturbed(case.larger)
    for view in ("results", "rungs", "brackets"):
        assert found[view] == expected[view]
    measured = set(query(path, "SELECT config_id, min(objective) FROM attempts GROUP BY 1"))
    ranked = query(path, "SELECT config_id, objective FROM leaderboard")
    assert set(ranked) == {row for row in measured if row[1] is not None}
    shutil.rmtree(path.parent)


@pytest.mark.slow
@given(case=cases([1, 4, 12, 30], SMALL_SIZES), commits=st.sampled_from([1, 5, 20, UNTIL_THE_END]))
@examples(25)
def test_the_file_stays_whole_when_ids_repeat_and_the_search_grows_twice(
    folder: Folder, case: SlotCase, commits: int
) -> None:
    path, world = folder.new_search(case), World(case=case)
    run_for(path, world, commits)
    sizes = [case.larger]
    if (larger := sizes[0].max_epochs * Fraction(str(case.eta))).denominator == 1:
        sizes.append(replace(sizes[0], max_epochs=min(int(larger), 27)))
    before = case
    for after in dict.fromkeys(sizes):
        if after.max_epochs < before.max_epochs:
            continue
        grow_file(path, before, after)
        world.case = before = after
        run_for(path, world, commits)
    run_for(path, world, UNTIL_THE_END)
    assert check_database(str(path), None) == []
    shutil.rmtree(path.parent)


def test_a_search_that_trains_what_would_not_be_next_does_not_grow(folder: Folder) -> None:
    case = SlotCase(3, 3, 1, space=DISTINCT, fail=0.0, digits=9, seed=1, powers=1)
    path, world = folder.new_search(case), World(case=case)
    run_for(path, world, UNTIL_THE_END)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE _attempt SET status = 'running', loss = NULL, finished_at = NULL WHERE pk = "
            "(SELECT a.pk FROM _attempt a JOIN _evaluation e ON e.pk = a.evaluation_pk "
            "JOIN _place p ON p.pk = e.place_pk JOIN _rung r ON r.pk = p.rung_pk WHERE r.rung = 1)"
        )
    before = dump(path)
    with pytest.raises(Conflict, match="hbtrack stop"):
        grow_file(path, case, case.larger)
    assert dump(path) == before


def test_a_search_gets_further_passes_while_its_scripts_go_on(folder: Folder) -> None:
    case = SlotCase(9, 3, 1, space=12, fail=0.1, digits=1, seed=5, more_passes=2)
    path, world = folder.new_search(case), World(case=case)
    driver = Driver(path, world)
    driver.take_over()
    for _ in range(4):
        driver.commit(driver.ended(), 3)
        world.end(next(iter(world.alive.values())))
    driver.forget()
    assert world.alive
    grow_file(path, case, case.larger)
    world.case = case.larger
    driver = Driver(path, world)
    driver.take_over()
    driver.go_on(workers=8)
    driver.forget()
    assert dump(path) == folder.undisturbed(case.larger)


# --- failures that are taken back ----------------------------------------------------------------

WITHDRAW = """UPDATE _attempt SET status = 'interrupted'
WHERE status = 'failed' AND evaluation_pk IN (
    SELECT e.pk FROM _evaluation e JOIN _config c ON c.pk = e.config_pk
    WHERE c.config_id = ? AND e.epochs = ?)"""


def withdraw(path: Path, case: Case) -> list[tuple[str, int]]:
    """Take back every failure that nothing was decided with."""
    taken: list[tuple[str, int]] = []

    def act(connection: object) -> None:
        execute = connection.execute  # type: ignore[attr-defined]
        plan = plan_now(execute, SEARCH)
        failed = [(one, epochs) for one, epochs, loss in known.recorded(plan) if loss is None]
        taken.extend(one for one in failed if known.withdrawal_problem(plan, *one) is None)
        for one in taken:
            execute(WITHDRAW, one)
        rederive(connection, SEARCH, case.schedule, case.passes)  # type: ignore[arg-type]

    change(path, act)
    return taken


@pytest.mark.parametrize("space", [DISTINCT, 5])
def test_where_all_failed_what_is_taken_back_opens_the_rungs_again(
    folder: Folder, space: int
) -> None:
    case = SlotCase(9, 3, 2, space=space, fail=1.0, digits=9, seed=3)
    path, world = folder.new_search(case), World(case=case)
    run_for(path, world, UNTIL_THE_END)
    assert query(path, "SELECT status FROM searches") == [("finished",)]
    while query(path, "SELECT 1 FROM results WHERE status = 'failed'"):
        assert withdraw(path, case)  # what a config did higher up is used first
    assert query(path, "SELECT DISTINCT status FROM brackets") == [("waiting",)]
    world.case = replace(case, fail=0.0)
    run_for(path, world, UNTIL_THE_END)
    found, undisturbed = dump(path)["results"], folder.undisturbed(world.case)["results"]
    assert {row[6] for row in found} == {"done"}
    if space is DISTINCT:
        assert found == undisturbed


def test_what_a_config_was_started_for_by_another_schedule_counts_at_no_place_of_its_own(
    folder: Folder,
) -> None:
    case = SlotCase(9, 3, 1, space=DISTINCT, fail=0.0, digits=9, seed=3)
    path, world = folder.new_search(case), World(case=case)
    run_for(path, world, 2)  # what runs then is ended without a result

    def act(connection: sqlite3.Connection) -> None:
        sql = "SELECT min(e.pk) FROM _evaluation e JOIN _attempt a ON a.pk = e.attempt_pk"
        ((begun,),) = connection.execute(f"{sql} WHERE a.status <> 'done' AND e.epochs = 1")
        connection.execute("UPDATE _evaluation SET epochs = 2 WHERE pk = ?", (begun,))
        rederive(connection, SEARCH, case.schedule, case.passes)

    change(path, act)
    run_for(path, world, UNTIL_THE_END)  # and nothing is found to be wrong
    owner = "SELECT place_pk, status FROM _evaluation e JOIN _attempt a ON a.pk = e.attempt_pk"
    assert query(path, f"{owner} WHERE e.epochs = 2") == [(None, "done")]


@pytest.mark.slow
@given(case=cases([DISTINCT, 20, 5], SMALL_SIZES), commits=st.sampled_from([3, 8, UNTIL_THE_END]))
@examples(30)
def test_a_file_stays_whole_when_failures_are_taken_back(
    folder: Folder, case: SlotCase, commits: int
) -> None:
    path, world = folder.new_search(case), World(case=case)
    run_for(path, world, commits)
    withdraw(path, case)
    world.case = replace(case, fail=0.0)
    run_for(path, world, UNTIL_THE_END)
    shutil.rmtree(path.parent)


def retry(path: Path) -> int:
    """What `hbtrack retry` does; how many evaluations are queued again."""
    queued: list[tuple[str, int]] = []

    def act(connection: sqlite3.Connection) -> None:
        plan = plan_now(connection.execute, SEARCH)
        failed = [(one, epochs) for one, epochs, loss in known.recorded(plan) if loss is None]
        for one in sorted(failed, key=lambda evaluation: -evaluation[1]):
            if known.withdrawal_problem(plan, *one) is None:
                queued.extend([one] if take_back(connection, SEARCH, *one, "asked") else [])
        rederive(connection, SEARCH, plan.schedule, plan.passes)

    change(path, act)
    return len(queued)


def finish_without_failures(path: Path, world: World) -> None:
    """Nothing fails any more, and what has failed is retried until nothing of it is left."""
    world.case = replace(world.case, fail=0.0)
    run_for(path, world, UNTIL_THE_END)
    while retry(path):
        run_for(path, world, UNTIL_THE_END)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_retried_below_promotions_comes_to_what_never_failed(
    folder: Folder, seed: int
) -> None:
    sizes = [(9, 3, 2), (27, 3, 1), (8, 2, 2)]
    case = SlotCase(*sizes[seed % 3], space=DISTINCT, fail=0.3, digits=9, seed=seed)
    path, world = folder.new_search(case), World(case=case)
    for commits in (5, 20, UNTIL_THE_END):
        run_for(path, world, commits)
        retry(path)
    finish_without_failures(path, world)
    assert dump(path)["results"] == folder.undisturbed(world.case)["results"]


@pytest.mark.slow
@given(case=cases([DISTINCT, 20, 5], SMALL_SIZES), commits=st.sampled_from([3, 8, 30]))
@examples(60)
def test_a_file_stays_whole_when_failures_below_promotions_are_retried(
    folder: Folder, case: SlotCase, commits: int
) -> None:
    path, world = folder.new_search(case), World(case=case)
    for _ in range(3):
        run_for(path, world, commits)
        retry(path)
    finish_without_failures(path, world)
    if case.space == DISTINCT:
        found = as_minimised(case, path)["results"]
        assert found == folder.undisturbed(world.case)["results"]
    shutil.rmtree(path.parent)


# --- the sampler ---------------------------------------------------------------------------------

SAMPLER = """
def run_identity(argv): return "x"
def get_random_config_id(rng): return f"x:{rng.randint(%d)}"
def get_config(config_id): return {"asked": config_id}
"""


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[Callable[[int], ScriptProbe]]:
    """A script whose sampler has so many ids, imported."""
    probes: list[ScriptProbe] = []

    def start(space: int) -> ScriptProbe:
        path = tmp_path / f"{space}.py"
        path.write_text(SAMPLER % space)
        command = Command(str(path), "0" * 64, (), sys.executable, str(tmp_path))
        probes.append(ScriptProbe(command, 60))
        probes[-1].identity()
        return probes[-1]

    yield start
    for one in probes:
        one.close()


def two_passes(script: ScriptProbe, terms: Terms) -> list[tuple[str, ...]]:
    first = script.sample(terms, 1, ()).config_ids
    return [first, script.sample(terms, 2, first).config_ids]


def by_place(terms: Terms, pass_: int, ids: tuple[str, ...]) -> dict[Place, str]:
    brackets = schedule_of(terms).brackets
    slots = [(b.first_epochs, slot) for b in brackets for slot in range(b.configs)]
    return {
        Place(pass_, first, 0, slot): one for (first, slot), one in zip(slots, ids, strict=True)
    }


NINE, EIGHTY_ONE = (Terms(max_epochs, "3", 7, 2, 100.0) for max_epochs in (9, 81))


FIRST_THREE = {
    # Searches that began before identities were mixed in go on with what they drew.
    ("seed", "model:resnet"): ("x:200293729", "x:489737170", "x:753057058"),
    ("seed", "model:Ä"): ("x:200293729", "x:489737170", "x:753057058"),
    ("seed+identity", "model:resnet"): ("x:964595401", "x:481777777", "x:614452155"),
    ("seed+identity", "model:Ä"): ("x:316270818", "x:959134312", "x:111933967"),
}


@pytest.mark.parametrize(("rule", "identity"), FIRST_THREE)
def test_what_a_search_draws_is_the_same_for_ever(
    probe: Callable[[int], ScriptProbe], rule: str, identity: str
) -> None:
    sampled = probe(10**9).sample(NINE, 2, (), stream_of(rule, identity))
    assert sampled.config_ids[:3] == FIRST_THREE[rule, identity]


def test_a_larger_schedule_draws_from_the_stream_of_the_search(
    probe: Callable[[int], ScriptProbe],
) -> None:
    script, stream = probe(10**9), stream_of("seed+identity", "model:resnet")
    stored = script.sample(NINE, 1, (), stream).config_ids
    added = script.grow(EIGHTY_ONE, [stored], NINE, stream)
    fresh = script.sample(EIGHTY_ONE, 1, (), stream).config_ids
    assert by_place(NINE, 1, stored) | added.slots == by_place(EIGHTY_ONE, 1, fresh)
    assert added.differing == ()


@pytest.mark.parametrize("min_epochs", [1, 3])
@pytest.mark.parametrize("given", [(), ("mine:1", "mine:2")])
def test_new_slots_are_those_that_a_fresh_search_draws(
    probe: Callable[[int], ScriptProbe], given: tuple[str, ...], min_epochs: int
) -> None:
    script = probe(10**9)
    old, larger = (
        replace(terms, configs=given, min_epochs=min_epochs) for terms in (NINE, EIGHTY_ONE)
    )
    stored = two_passes(script, old)
    added = script.grow(larger, stored, old)
    had = by_place(old, 1, stored[0]) | by_place(old, 2, stored[1])
    drawn = two_passes(script, larger)
    fresh = by_place(larger, 1, drawn[0]) | by_place(larger, 2, drawn[1])
    assert had | added.slots == fresh
    assert not had.keys() & added.slots.keys()
    assert added.differing == ()
    assert added.params == {one: {"asked": one} for one in added.slots.values()}


def test_slots_that_differ_from_a_fresh_search_are_named_when_the_space_is_small(
    probe: Callable[[int], ScriptProbe],
) -> None:
    script = probe(60)
    first, second = two_passes(script, NINE)
    added = script.grow(EIGHTY_ONE, [first, second], NINE)
    drawn = two_passes(script, EIGHTY_ONE)
    fresh = by_place(EIGHTY_ONE, 1, drawn[0]) | by_place(EIGHTY_ONE, 2, drawn[1])
    found = by_place(NINE, 1, first) | by_place(NINE, 2, second) | added.slots
    assert added.differing == tuple(sorted(at for at in fresh if fresh[at] != found[at]))
    assert added.differing
    assert not set(added.params) & {*first, *second}


def test_the_same_schedule_adds_nothing(probe: Callable[[int], ScriptProbe]) -> None:
    assert probe(5).grow(NINE, [("x:1",) * 17], NINE) == Grown({}, {}, ())


def test_given_configs_take_the_first_slots_and_leave_the_others_as_they_are(
    probe: Callable[[int], ScriptProbe],
) -> None:
    script = probe(10**9)
    drawn = script.sample(NINE, 1, ())
    sampled = script.sample(replace(NINE, configs=("mine:1", "mine:2")), 1, ())
    assert sampled.config_ids == ("mine:1", "mine:2", *drawn.config_ids[2:])
    assert sampled.params["mine:1"] == {"asked": "mine:1"}
    again = script.sample(replace(NINE, configs=(drawn.config_ids[3],)), 1, ())
    assert Counter(again.config_ids).most_common(1)[0][1] == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["a", "b", "a"], "'a' is given twice"),
        ([f"x:{number}" for number in range(10)], "room for 9"),
        (["--lr"], "begins with '-'"),
        ([""], "is empty"),
    ],
)
def test_given_configs_that_cannot_be_used_are_refused(given: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_given(replace(NINE, configs=tuple(given)))
