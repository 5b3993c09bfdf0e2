"""The loop on a real database, with a simulated machine below it: killed, stopped, superseded."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import pytest
from in_process import InProcess
from made_search import Row, create, dump, everything, own, query
from made_up import Killed, Machine, Process, open_slots

from hbtrack.core.execution import Seen
from hbtrack.core.gpu import Gpu
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import (
    Limits,
    Sampled,
    SearchStatus,
    Terms,
)
from hbtrack.core.schedule import make_schedule, parse_eta
from hbtrack.core.times import iso
from hbtrack.database.backup import copy_database
from hbtrack.database.connection import Database
from hbtrack.database.upgrade import prepare_for_writing
from hbtrack.driver.interfaces import Edges, End, Observer, Running, StopRequest, Tolerances
from hbtrack.driver.loop import Driver
from hbtrack.errors import HbtrackError, ScriptError, Superseded, Unavailable
from hbtrack.searches.verify import check_database
from hbtrack.store.catalogue import load_searches
from hbtrack.store.ledger import Ledger


class LateIds:
    """A sampler whose ids are there a moment after they were asked for."""

    def __init__(self, ids: Callable[[int], Sequence[str]], broken_from: int) -> None:
        self.ids = ids
        self.broken_from = broken_from
        self.asked: set[int] = set()

    def take(
        self, pass_: int, used: Callable[[], list[str]], wake: Callable[[], None]
    ) -> Sampled | None:
        if pass_ not in self.asked:
            self.asked.add(pass_)
            before = {config_id for earlier in range(1, pass_) for config_id in self.ids(earlier)}
            assert sorted(used()) == sorted(before)
            wake()
            return None
        if pass_ >= self.broken_from:
            raise ScriptError("get_random_config_id raised ValueError.", see="script-raises")
        ids = self.ids(pass_)
        return Sampled(pass_, tuple(ids), {new: {} for new in ids if new not in used()})


class Silent(Observer):
    """An observer that only remembers."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def adopted(self, attempts: Collection[Running]) -> None:
        self.events += ["adopted" for _ in attempts]

    def started(self, running: Running) -> None:  # noqa: ARG002
        self.events.append("started")

    def ended(self, end: End) -> None:
        self.events.append(f"{end.verdict.status} {end.running.config_id}")

    def event(self, name: str, **facts: object) -> None:
        self.events.append(f"{name} {facts}")


# --- a search ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """What a search is asked for."""

    max_epochs: int
    passes: int
    space: int

    def ids(self, pass_: int) -> list[str]:
        draws = Random(f"ids {pass_}")
        configs = make_schedule(self.max_epochs, parse_eta("3")).configs
        return [f"x:{draws.randrange(self.space)}" for _ in range(configs)]


SHAPES = {
    "distinct ids": Shape(27, 1, 10**9),
    "repeated ids": Shape(9, 2, 12),
    "few ids": Shape(9, 3, 4),
}


def never(_call: str) -> None:
    """Nothing happens."""


@dataclass
class Stage:
    """A database with one search, a machine, and drivers that come and go."""

    path: Path
    shape: Shape
    machine: Machine
    limits: Limits

    def __post_init__(self) -> None:
        self.schedule = make_schedule(self.shape.max_epochs, parse_eta("3"))
        self.stop = StopRequest()
        self.observer = Silent()
        self.broken_from = 10**9  # the first pass that cannot be sampled
        terms = Terms(self.shape.max_epochs, "3", 0, self.shape.passes, 100.0)
        database = Database(self.path)
        with database.transaction() as connection:
            create(connection, terms, limits=self.limits, now=self.machine.now)
        database.close()

    def drive(
        self,
        workers: int = 2,
        *,
        before: Callable[[str], None] = never,
        max_lost: int = 5,
        grace: float = 0.0,
    ) -> SearchStatus:
        """One driver, from taking the search over to its end."""
        database = Database(self.path)
        try:
            with database.transaction() as connection:
                search = load_searches(connection)[0]
            ledger = Ledger(database, search.pk)
            facts = own(ledger, now=self.machine.now)
            adopted = open_slots(search.token, facts)
            self.adopted = len(adopted.keys() & self.machine.alive.keys())
            self.executor = InProcess(self.machine, workers, adopted, before)
            edges = Edges(
                self.executor,
                LateIds(self.shape.ids, self.broken_from),
                self.observer,
                self.stop,
                Tolerances(grace, max_lost, max_log=2**31),
                clock=lambda: self.machine.now,
            )
            plan = rebuild(self.schedule, self.shape.passes, facts)
            gpus = [Gpu(str(number), str(number), "", isolated=False) for number in range(workers)]
            status = Driver(search, plan, ledger, edges, gpus).run(facts)
            ledger.release(self.machine.now)
            return status
        finally:
            database.close()
            assert check_database(str(self.path), None) == []

    def take_over(self) -> None:
        """Another driver comes, and does nothing."""
        with closing(Database(self.path)) as database:
            own(Ledger(database, 1), now=self.machine.now)

    def stop_now(self) -> None:
        """Ask for a stop of scripts that no signal reaches."""
        self.machine.stuck = self.executor.woken = True
        self.stop.ask("SIGINT", self.machine.now, hurry=True)

    def rows(self, sql: str, *values: object) -> list[Row]:
        return query(self.path, sql, *values)

    def dump(self) -> dict[str, list[Row]]:
        return dump(self.path)

    def attempts(self, config_id: str, epochs: int) -> list[object]:
        sql = "SELECT status FROM attempts WHERE config_id = ? AND epochs = ? ORDER BY attempt"
        return [row[0] for row in self.rows(sql, config_id, epochs)]


MakeStage = Callable[..., Stage]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> MakeStage:
    """Makes a stage: a new search that nobody has driven yet."""
    empty = tmp_path_factory.mktemp("empty") / "hbtrack.db"
    prepare_for_writing(empty)

    def make(
        shape: Shape = SHAPES["repeated ids"],
        seed: int = 0,
        limits: Limits = Limits(),  # noqa: B008
        **machine: object,
    ) -> Stage:
        path = tmp_path_factory.mktemp("stage") / "hbtrack.db"
        copy_database(empty, path)
        return Stage(path, shape, Machine(seed, **machine), limits)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def golden(stage: MakeStage) -> Callable[[Shape], dict[str, list[Row]]]:
    """The dump of an undisturbed search with one worker."""

    @cache
    def make(shape: Shape) -> dict[str, list[Row]]:
        undisturbed = stage(shape)
        assert undisturbed.drive(1) is SearchStatus.FINISHED
        return undisturbed.dump()

    return make


Golden = Callable[[Shape], dict[str, list[Row]]]


def goes_on_as_if_undisturbed(search: Stage, golden: Golden, workers: int) -> None:
    search.stop = StopRequest()
    assert search.drive(workers) is SearchStatus.FINISHED
    assert search.dump() == golden(search.shape)


def nth(number: int, of: str, do: Callable[[], object]) -> Callable[[str], None]:
    """Do something at the nth call of that name ("" for any)."""
    calls = 0

    def before(call: str) -> None:
        nonlocal calls
        calls += of in ("", call)
        if calls == number and of in ("", call):
            do()

    return before


def die() -> None:
    raise Killed


# --- workers and order ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 8, 32])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_fault_77_workers_and_the_order_of_results_change_nothing(
    stage: MakeStage, golden: Golden, shape: Shape, workers: int
) -> None:
    search = stage(shape, seed=workers)
    assert search.drive(workers) is SearchStatus.FINISHED
    assert search.dump() == golden(shape)
    assert max(Counter(search.machine.begun).values()) == 1


def test_a_finished_search_starts_nothing_more(stage: MakeStage, golden: Golden) -> None:
    search = stage()
    search.drive()
    begun = list(search.machine.begun)
    assert search.drive() is SearchStatus.FINISHED
    assert search.machine.begun == begun
    assert search.dump() == golden(search.shape)


def test_an_attempt_is_recorded_before_it_starts(stage: MakeStage) -> None:
    search = stage()

    def look(call: str) -> None:
        if call == "start":
            running = search.rows("SELECT count(*) FROM attempts WHERE status = 'running'")[0][0]
            assert running > len(search.machine.alive)

    search.drive(4, before=look)


def test_each_worker_has_its_gpu_to_itself(stage: MakeStage) -> None:
    search = stage()
    most = 0

    def look(_call: str) -> None:
        nonlocal most
        used = [process.gpu for process in search.machine.alive.values()]
        assert len(set(used)) == len(used)
        most = max(most, len(used))

    search.drive(3, before=look)
    assert most == 3


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cut",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["driver killed", "machine lost"],
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_search_killed_again_and_again_ends_as_if_undisturbed(
    stage: MakeStage, golden: Golden, shape: Shape, cut: bool
) -> None:
    adopted = unseen = 0
    for seed in range(3):
        search, chance = stage(shape, seed), Random(seed)
        alive = True
        while alive:
            with suppress(Killed):
                search.drive(chance.choice([1, 2, 8]), before=nth(chance.randint(1, 12), "", die))
                alive = False
            adopted += search.adopted
            for _ in range(chance.randint(0, len(search.machine.alive))):
                search.machine.finish_next()  # while no driver is there
            if cut and chance.random() < 0.3:
                search.machine.power_cut()
        assert search.dump() == golden(shape)
        assert cut or max(Counter(search.machine.begun).values()) == 1
        harvested = "SELECT count(*) FROM _attempt WHERE status = 'done' AND NOT watched"
        unseen += search.rows(harvested)[0][0]
    assert adopted > 0
    assert unseen > 0


@pytest.mark.parametrize("call", ["reserve", "start", "wait", "clear"])
def test_fault_78_a_search_killed_at_every_nth_call_of_a_kind_ends_as_if_undisturbed(
    stage: MakeStage, golden: Golden, call: str
) -> None:
    search = stage()
    for number in range(1, 1000):
        with suppress(Killed):
            search.drive(3, before=nth(1 + number % 4, call, die))
            break
    assert number > 5
    assert search.dump() == golden(search.shape)
    assert max(Counter(search.machine.begun).values()) == 1


def test_an_attempt_that_never_came_to_start_is_lost_and_run_again(stage: MakeStage) -> None:
    search = stage()
    with pytest.raises(Killed):
        search.drive(1, before=nth(1, "start", die))
    assert search.machine.begun == []
    search.drive(1)
    first = search.shape.ids(1)[0]
    assert search.attempts(first, 1)[0] == "lost"
    assert len(search.attempts(first, 1)) == 2


def test_a_driver_with_fewer_workers_starts_nothing_until_enough_adopted_ones_have_ended(
    stage: MakeStage, golden: Golden
) -> None:
    search = stage()
    with pytest.raises(Killed):
        search.drive(8, before=nth(3, "wait", die))
    assert len(search.machine.alive) > 2

    def look(call: str) -> None:
        assert call != "start" or len(search.machine.alive) < 2

    assert search.drive(2, before=look) is SearchStatus.FINISHED
    assert search.dump() == golden(search.shape)


# --- another driver ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 5, 9])
@pytest.mark.parametrize("call", ["wait", "clear"])
def test_fault_67_a_superseded_driver_writes_nothing(
    stage: MakeStage, number: int, call: str
) -> None:
    search = stage()
    left: list[list[str]] = []

    def take_over() -> None:
        search.take_over()
        left.append(everything(search.path))

    with pytest.raises(Superseded, match="taken this search over"):
        search.drive(before=nth(number, call, take_over))
    assert everything(search.path) == left[0]


def test_what_a_superseded_driver_had_started_is_adopted(stage: MakeStage, golden: Golden) -> None:
    search = stage()
    with pytest.raises(Superseded):
        search.drive(4, before=nth(6, "wait", search.take_over))
    assert search.drive(4) is SearchStatus.FINISHED
    assert search.adopted > 0
    assert search.dump() == golden(search.shape)
    assert max(Counter(search.machine.begun).values()) == 1


# --- lost attempts -------------------------------------------------------------------------------


def first_call(search: Stage) -> tuple[str, int]:
    return search.shape.ids(1)[0], search.schedule.brackets[0].first_epochs


@pytest.mark.parametrize("times", [1, 3])
def test_an_attempt_that_somebody_kills_is_run_again(
    stage: MakeStage, golden: Golden, times: int
) -> None:
    search = stage()
    search.machine.killed = {first_call(search): times}
    assert search.drive(max_lost=3) is SearchStatus.FINISHED
    assert search.attempts(*first_call(search)) == ["lost"] * times + ["done"]
    assert search.dump() == golden(search.shape)


def test_an_attempt_killed_once_too_often_is_a_failure(stage: MakeStage) -> None:
    search = stage(fail=0.0)
    search.machine.killed = {first_call(search): 100}
    assert search.drive(max_lost=3) is SearchStatus.FINISHED
    assert search.attempts(*first_call(search)) == ["lost", "lost", "lost", "failed"]
    failure = search.rows("SELECT config_id, epochs, error_type, attempts FROM failures")
    assert failure == [(*first_call(search), "killed", 4)]
    losses = search.rows("SELECT DISTINCT loss FROM results WHERE status = 'failed'")
    assert losses == [(100.0,)]


def test_kills_while_no_driver_watches_do_not_count(stage: MakeStage, golden: Golden) -> None:
    search = stage()
    for _ in range(3):
        with pytest.raises(Killed):
            search.drive(1, before=nth(2, "wait", die))
        search.machine.power_cut()
    search.machine.killed = {first_call(search): 1}
    search.drive(1, max_lost=1)
    assert search.attempts(*first_call(search)) == ["lost"] * 4 + ["done"]
    assert search.dump() == golden(search.shape)


# --- engines that queue --------------------------------------------------------------------------


def test_what_waits_in_a_queue_does_not_use_up_its_time(
    stage: MakeStage, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = stage(limits=Limits(timeout=100))
    machine = search.machine
    monkeypatch.setattr(time, "monotonic", lambda: machine.now)
    opens = machine.now + 500
    machine.how = lambda _process: Seen.QUEUED if machine.now < opens else Seen.RUNNING
    assert search.drive(2) is SearchStatus.FINISHED
    assert not search.rows("SELECT * FROM attempts WHERE status = 'timeout'")
    assert search.dump() == golden(search.shape)


def test_what_will_never_begin_is_ended_and_run_again(stage: MakeStage, golden: Golden) -> None:
    search = stage()
    stuck: list[str] = []

    def held(process: Process) -> Seen:
        stuck.append(process.name)
        return Seen.STUCK if process.name == stuck[0] else Seen.RUNNING

    search.machine.how = held
    assert search.drive(1) is SearchStatus.FINISHED
    assert search.attempts(*first_call(search)) == ["lost", "done"]
    assert search.dump() == golden(search.shape)


# --- stopping ------------------------------------------------------------------------------------


def stop_at(search: Stage, number: int) -> Callable[[str], None]:
    """Ask for a stop at the nth wait, after one attempt has ended and before another one does."""

    def ask() -> None:
        if search.machine.alive:
            search.machine.finish_next()
        search.stop.ask("SIGINT", search.machine.now, hurry=True)
        search.machine.now += 0.001
        if search.machine.alive:
            search.machine.finish_next()

    return nth(number, "wait", ask)


@pytest.mark.parametrize("number", [4, 7, 12])
def test_what_is_not_recorded_when_a_stop_is_heard_is_interrupted_and_what_was_is_kept(
    stage: MakeStage, golden: Golden, number: int
) -> None:
    search = stage()
    assert search.drive(4, before=stop_at(search, number)) is SearchStatus.UNFINISHED
    statuses = "SELECT DISTINCT status FROM attempts WHERE finished_at"
    assert search.stop.at is not None
    assert search.rows(f"{statuses} >= ?", iso(search.stop.at)) == [("interrupted",)]
    assert search.rows(f"{statuses} < ? AND status = 'done'", iso(search.stop.at)) == [("done",)]
    assert not search.rows("SELECT * FROM attempts WHERE finished_at IS NULL")
    assert search.rows("SELECT status FROM searches") == [("unfinished",)]
    goes_on_as_if_undisturbed(search, golden, 4)


@pytest.mark.parametrize("manner", [{}, {"talks_when_stopped": True}, {"deaf": True}], ids=str)
@pytest.mark.parametrize("number", [2, 5, 11])
def test_a_stopped_search_goes_on_as_if_undisturbed(
    stage: MakeStage, golden: Golden, number: int, manner: dict[str, bool]
) -> None:
    search = stage(**manner)
    assert search.drive(4, before=stop_at(search, number)) is SearchStatus.UNFINISHED
    assert not search.machine.alive
    interrupted = "SELECT count(*) FROM attempts WHERE status = 'interrupted'"
    assert search.rows(interrupted)[0][0] > 0
    goes_on_as_if_undisturbed(search, golden, 4)


@pytest.mark.parametrize(("hurry", "signals"), [(True, {"SIGKILL", None}), (False, {None})])
def test_only_a_second_hurried_request_cuts_the_grace_period_short(
    stage: MakeStage, hurry: bool, signals: set[str | None]
) -> None:
    search = stage(deaf=True)
    first = stop_at(search, 4)
    second = nth(5, "wait", lambda: search.stop.ask("SIGINT", search.machine.now, hurry=hurry))

    def before(call: str) -> None:
        first(call)
        second(call)

    assert search.drive(8, before=before, grace=1000) is SearchStatus.UNFINISHED
    ends = search.rows("SELECT DISTINCT signal FROM attempts WHERE status = 'interrupted'")
    assert {row[0] for row in ends} == signals


def test_a_script_that_cannot_even_be_killed_does_not_keep_the_driver_for_ever(
    stage: MakeStage, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hbtrack.driver.termination.KILL_SECONDS", 0.02)
    search = stage()

    with pytest.raises(HbtrackError, match="2 scripts were killed and still hold their locks"):
        search.drive(2, before=nth(4, "wait", search.stop_now))
    assert search.rows("SELECT DISTINCT status FROM attempts WHERE finished_at IS NULL") == [
        ("stopping",)
    ]
    search.machine.stuck = False
    goes_on_as_if_undisturbed(search, golden, 2)


def test_what_ended_while_the_driver_slept_is_not_said_to_be_unkillable(
    stage: MakeStage, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hbtrack.driver.termination.KILL_SECONDS", 0.02)
    monkeypatch.setattr("hbtrack.driver.termination.LOOK_SECONDS", 0.01)
    search = stage()

    def sleep() -> None:
        time.sleep(0.05)  # longer than a kill may take
        search.machine.stuck = False
        search.machine.power_cut()

    first, second = nth(4, "wait", search.stop_now), nth(5, "wait", sleep)
    status = search.drive(2, before=lambda call: (first(call), second(call)))
    assert status is SearchStatus.UNFINISHED
    goes_on_as_if_undisturbed(search, golden, 2)


def test_nothing_starts_on_a_full_disk_until_there_is_room(
    stage: MakeStage, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hbtrack.driver.admission.ROOM_SECONDS", 0.01)
    search = stage()

    def fill() -> None:
        search.machine.room = False

    begun = []

    def note(call: str) -> None:
        if call == "wait" and not search.machine.room:
            begun.append(len(search.machine.begun))

    full = nth(5, "wait", fill)
    with pytest.raises(Unavailable, match="disk is full"):
        search.drive(3, before=lambda call: (full(call), note(call)))
    assert len(set(begun)) == 1, "what ran was waited for, nothing was started"
    assert "wait {'message': 'the disk is full', 'seconds': 0.01}" in search.observer.events
    search.machine.room = True
    goes_on_as_if_undisturbed(search, golden, 3)


def test_fault_88_a_log_of_commits_that_grows_long_is_told(
    stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hbtrack.driver.loop.LONG_WAL", 100 * 1024)
    search = stage()
    search.drive()
    told = [event for event in search.observer.events if event.startswith("long_wal")]
    assert told
    assert len(told) < 8, "only when it has doubled"


def test_a_stop_before_the_first_start_starts_nothing(stage: MakeStage) -> None:
    search = stage()
    search.stop.ask("SIGTERM", search.machine.now, hurry=False)
    assert search.drive() is SearchStatus.UNFINISHED
    assert search.machine.begun == []


def test_an_adopted_attempt_that_was_asked_to_stop_is_never_harvested(
    stage: MakeStage, golden: Golden
) -> None:
    search = stage(talks_when_stopped=True)
    before = stop_at(search, 3)

    def dies_once_it_asked(call: str) -> None:
        if call == "wait" and search.stop.at is not None:
            die()
        before(call)

    with pytest.raises(Killed):
        search.drive(4, before=dies_once_it_asked)
    stopping = [row[0] for row in search.rows("SELECT pk FROM _attempt WHERE status = 'stopping'")]
    assert stopping
    search.stop = StopRequest()
    assert search.drive(4) is SearchStatus.FINISHED
    for attempt in stopping:
        status = search.rows("SELECT status FROM _attempt WHERE pk = ?", attempt)
        assert status == [("interrupted",)]
    assert search.dump() == golden(search.shape)


# --- starts that fail ----------------------------------------------------------------------------


def noting_starts(moments: list[float]) -> Callable[[str], None]:
    def before(call: str) -> None:
        if call == "start":
            moments.append(time.monotonic())

    return before


def test_a_start_that_fails_is_tried_again_after_a_rest(stage: MakeStage, golden: Golden) -> None:
    search = stage(refusals=2)
    moments: list[float] = []
    assert search.drive(1, before=noting_starts(moments)) is SearchStatus.FINISHED
    assert moments[1] - moments[0] >= 0.2
    assert moments[2] - moments[1] >= 0.4
    assert search.attempts(*first_call(search))[:2] == ["lost", "lost"]
    assert search.dump() == golden(search.shape)


def test_starts_that_fail_five_times_in_a_row_end_the_search_for_now(
    stage: MakeStage, golden: Golden
) -> None:
    search = stage(refusals=5)
    moments: list[float] = []
    with pytest.raises(HbtrackError, match=r"5 times in a row: Resource temporarily unavailable"):
        search.drive(1, before=noting_starts(moments))
    assert len(moments) == 5
    assert search.rows("SELECT * FROM failures") == []
    goes_on_as_if_undisturbed(search, golden, 1)


@pytest.mark.slow
def test_starts_that_fail_five_times_but_not_in_a_row_do_not_end_the_search(
    stage: MakeStage, golden: Golden
) -> None:
    search = stage()

    refused: set[int] = set()

    def refuse_now_and_then(call: str) -> None:
        begun = len(search.machine.begun)
        if call == "reserve" and begun in (0, 4, 8) and begun not in refused:
            refused.add(begun)
            search.machine.refusals = 2

    assert search.drive(1, before=refuse_now_and_then) is SearchStatus.FINISHED
    assert refused == {0, 4, 8}
    assert search.dump() == golden(search.shape)


def test_many_workers_that_fail_to_start_in_one_moment_rest_before_they_give_up(
    stage: MakeStage, golden: Golden
) -> None:
    search = stage(refusals=8)
    goes_on_as_if_undisturbed(search, golden, 8)


def test_a_failed_start_does_not_count_as_a_kill(stage: MakeStage) -> None:
    search = stage(refusals=2)
    search.drive(1, max_lost=0)
    assert not search.rows("SELECT * FROM failures WHERE error_type = 'killed'")


def test_a_rest_that_is_over_before_the_driver_waits_is_no_reason_to_wait_for_ever(
    stage: MakeStage,
) -> None:
    search = stage(refusals=1)

    class Slow(Silent):
        def progressed(self, plan: Plan, busy: int, workers: int) -> None:  # noqa: ARG002
            if search.machine.refusals == 0 and not search.machine.begun:
                time.sleep(0.25)  # longer than the first rest: a slow disk, or a slow terminal

    search.observer = Slow()
    assert search.drive(1) is SearchStatus.FINISHED


# --- a script that breaks in mid-search ----------------------------------------------------------


def test_when_a_pass_cannot_be_sampled_what_runs_is_finished_first(
    stage: MakeStage, golden: Golden
) -> None:
    search = stage()
    search.broken_from = 2
    with pytest.raises(ScriptError, match="get_random_config_id"):
        search.drive(8)
    assert not search.machine.alive
    assert not search.rows("SELECT * FROM attempts WHERE finished_at IS NULL")
    assert not search.rows("SELECT * FROM attempts WHERE status = 'interrupted'")
    assert not search.rows("SELECT * FROM results WHERE pass = 2")
    told = next(n for n, event in enumerate(search.observer.events) if event.startswith("error"))
    after = search.observer.events[told:]
    assert len(after) > 1
    assert "started" not in after
    search.broken_from = 10**9
    goes_on_as_if_undisturbed(search, golden, 8)
