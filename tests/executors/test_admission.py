"""Which GPU may be started on: devices, rests, and GPUs that seem broken."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import InProcess
from made_up import Machine
from test_driver import LateIds, Silent

from hbtrack.core.execution import Record
from hbtrack.core.gpu import NO_GPU, Gpu, shown
from hbtrack.core.gpu_health import ROW, Cleared, GpuHealth, Outcome, Probe, Quarantined
from hbtrack.driver.admission import Admission
from hbtrack.driver.interfaces import Edges, StopRequest, Tolerances
from hbtrack.executors.devices import Devices, devices_of_workers

DONE, BROKEN, FAILED = Outcome.DONE, Outcome.DEVICE_ERROR, Outcome.FAILED


def gpus(count: int, *, isolated: bool = False) -> list[Gpu]:
    return [Gpu(str(number), str(number), f"key{number}", isolated) for number in range(count)]


def names(found: list[Gpu] | None) -> str | None:
    return None if found is None else shown(found)


class Pool:
    """The devices of an executor, and what the driver knows of their health."""

    def __init__(self, found: list[Gpu]) -> None:
        self.devices = Devices(found, 1, "me", print)
        self.health = GpuHealth(dict.fromkeys(shown([gpu]) for gpu in found))

    def idle(self, busy: Sequence[str] = ()) -> list[Gpu]:
        return self.devices.idle(busy, self.health.barred())

    def all_idle(self, busy: Sequence[str] = ()) -> list[Gpu] | None:
        return self.devices.all_idle(busy, self.health.barred())


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be changed in place."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


# --- devices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "per_gpu", "workers", "devices"),
    [
        (4, 1, None, "0,1,2,3"),
        (4, 2, None, "0,1,2,3,0,1,2,3"),
        (4, 2, 6, "0,1,2,3,0,1"),
        (4, 1, 2, "0,1"),
        (2, 1, 5, "0,1"),
        (0, 1, None, "0"),
        (0, 3, 2, "0,0"),
    ],
)
def test_workers_stand_on_the_gpus_in_turn(
    count: int, per_gpu: int, workers: int | None, devices: str
) -> None:
    assert shown(devices_of_workers(gpus(count), per_gpu, workers)) == devices


@pytest.mark.parametrize(
    ("per_gpu", "workers", "busy", "idle"),
    [
        (1, None, [], "0,1,2"),
        (1, None, ["1"], "0,2"),
        (1, None, ["0", "1", "2"], ""),
        (1, None, ["0,1,2"], ""),
        (1, 2, ["0"], "1"),
        (2, None, ["0"], "1,2,0"),
        (2, None, ["0", "0", "1"], "2,1"),
        (2, None, ["0,1,2", "2"], "0,1"),
        (2, 4, ["1", "2"], "0"),
        (1, None, ["7"], "0,1,2"),
        (1, 2, ["7", "8"], ""),
    ],
)
def test_a_gpu_is_idle_while_it_has_a_free_place_and_the_least_busy_one_is_first(
    per_gpu: int, workers: int | None, busy: list[str], idle: str
) -> None:
    pool = Pool(devices_of_workers(gpus(3), per_gpu, workers))
    assert names(pool.idle(busy)) == idle


def test_without_gpus_there_are_as_many_places_as_workers() -> None:
    pool = Pool(devices_of_workers([], 1, 2))
    assert pool.idle(["0"]) == [NO_GPU]
    assert pool.idle(["0", "0"]) == []


def test_isolated_gpus_are_known_by_their_device() -> None:
    found = [Gpu("0", "2", "a", isolated=True), Gpu("1", "0", "b", isolated=True)]
    assert names(Pool(found).idle(["2"])) == "0"
    assert Pool(found).idle(["2"])[0].name == "1"


@pytest.mark.parametrize(("workers", "order"), [(6, "0,1,2,0,1,2"), (5, "0,1,2,0,1")])
def test_one_start_after_another_fills_the_gpus_in_equal_shares(workers: int, order: str) -> None:
    pool = Pool(devices_of_workers(gpus(3), 2, workers))
    busy: list[str] = []
    while idle := pool.idle(busy):
        busy.append(shown(idle[:1]))
    assert ",".join(busy) == order
    busy.remove("1")
    assert names(pool.idle(busy)[:1]) == "1", "the share that became free is given again"


# --- one at a time -------------------------------------------------------------------------------


def test_after_a_parent_died_one_bars_further_starts_until_something_ends_properly() -> None:
    machine = Machine()
    edges = Edges(
        InProcess(machine, 3, {}, print),
        LateIds(lambda _pass: [], 1),
        Silent(),
        StopRequest(),
        Tolerances(grace=0.0, max_lost=5, max_log=2**31),
        clock=lambda: machine.now,
    )
    admission = Admission(gpus(3), edges)
    assert [admission.is_open(range(running)) for running in range(4)] == [True, True, True, False]
    admission.note_parent(Record(pid=7), died=True)
    assert [admission.is_open(range(running)) for running in range(3)] == [True, False, False]
    admission.note_parent(Record(), died=False)
    assert not admission.is_open(range(1)), "what never ran says nothing"
    admission.note_parent(Record(pid=8), died=False)
    assert admission.is_open(range(1))


# --- GPUs that another search uses ---------------------------------------------------------------


def test_a_gpu_that_another_search_uses_is_left_alone_for_a_second(
    now: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HBTRACK_LOCKS", str(tmp_path))
    heard: list[str] = []
    ours, first = gpus(2), Devices(gpus(1), 1, "another", print)
    devices = Devices(ours, 1, "me", heard.append)
    theirs = first.take([], (), every_gpu=False)
    assert theirs
    assert devices.wake_at() is None
    assert devices.take(["1"], (), every_gpu=False) is None
    assert heard == ["GPU 0 is used by another"]
    assert (names(devices.idle([])), devices.wake_at()) == ("1", 1001.0)
    assert devices.all_idle([]) is None
    os.close(*theirs[1])
    now[0] += 0.5
    assert devices.take(["1"], (), every_gpu=False) is None
    now[0] += 0.5
    taken = devices.take(["1"], (), every_gpu=False)
    assert taken
    assert taken[0] == ours[:1]
    os.close(*taken[1])


# --- all at once ---------------------------------------------------------------------------------


def test_all_gpus_are_given_when_nothing_runs_on_any() -> None:
    pool = Pool(devices_of_workers(gpus(3), 2, None))
    assert names(pool.all_idle([])) == "0,1,2"
    assert pool.all_idle(["1"]) is None
    assert pool.all_idle(["7"]) is None, "started when the GPUs had other names"


@pytest.mark.parametrize(
    "devices",
    [
        devices_of_workers([], 1, 4),
        gpus(1),
        gpus(1) * 4,
        devices_of_workers(gpus(4), 1, 1),
        [Gpu("MIG-1", "MIG-1", "MIG-1", isolated=True), *gpus(3, isolated=True)],
    ],
)
def test_one_gpu_or_a_mig_instance_is_never_all_of_them(devices: list[Gpu]) -> None:
    assert Pool(devices).all_idle([]) is None


def test_without_isolation_a_suspect_among_them_bars_all_gpus_and_with_it_only_itself() -> None:
    for isolated, found in ((False, None), (True, "1,2")):
        pool = Pool(gpus(3, isolated=isolated))
        break_down(pool, "0")
        assert names(pool.all_idle([])) == found
        assert names(pool.all_idle(["0"])) == found, "what still runs there is not in the way"
    break_down(pool, "1")
    assert pool.all_idle([]) is None, "one is left"


# --- GPUs that seem broken -----------------------------------------------------------------------


def end(
    pool: Pool, gpu: str, config: str, outcome: Outcome
) -> Probe | Quarantined | Cleared | None:
    return pool.health.note_end(gpu.split(","), (config, 1), outcome)


def break_down(pool: Pool, gpu: str) -> None:
    """Make a GPU suspect, with the probe `gpu`2."""
    answers = [end(pool, gpu, f"{gpu}{number}", BROKEN) for number in range(ROW)]
    assert answers == [None, None, Probe(gpu)]


def test_three_different_evaluations_that_fail_with_a_device_error_make_a_gpu_suspect() -> None:
    pool = Pool(gpus(2))
    break_down(pool, "0")
    assert names(pool.idle([])) == "1"
    assert pool.health.note_end(["1"], ("02", 3), DONE) is None, "another budget of the probe"
    assert names(pool.idle([])) == "1"


def test_a_probe_that_is_done_elsewhere_sets_the_gpu_aside_for_good() -> None:
    pool = Pool(gpus(2))
    break_down(pool, "0")
    assert end(pool, "1", "02", DONE) == Quarantined("0", (("00", 1), ("01", 1)))
    assert names(pool.idle([])) == "1"
    assert end(pool, "0", "x", DONE) is None, "what was still under way changes nothing"
    assert names(pool.idle([])) == "1"


@pytest.mark.parametrize("outcome", [BROKEN, FAILED])
def test_a_probe_that_fails_clears_the_gpu_and_its_row_begins_anew(outcome: Outcome) -> None:
    pool = Pool(gpus(2))
    break_down(pool, "0")
    assert end(pool, "1", "02", outcome) == Cleared("0")
    assert names(pool.idle([])) == "0,1"
    assert [end(pool, "0", name, BROKEN) for name in "abc"] == [None, None, Probe("0")]


def test_the_device_error_of_a_probe_does_not_speak_against_the_gpu_that_it_ran_on() -> None:
    pool = Pool(gpus(3))
    end(pool, "1", "a", BROKEN)
    end(pool, "1", "b", BROKEN)
    break_down(pool, "0")
    assert end(pool, "1", "02", BROKEN) == Cleared("0")
    assert end(pool, "1", "c", BROKEN) == Probe("1")


@pytest.mark.parametrize("outcome", [DONE, FAILED])
def test_anything_but_a_device_error_ends_the_row(outcome: Outcome) -> None:
    pool = Pool(gpus(2))
    for config in "abcdefgh":
        assert end(pool, "0", config, BROKEN) is None
        if config in "bdf":
            assert end(pool, "0", "x", outcome) is None
    assert end(pool, "0", "i", BROKEN) == Probe("0")


def test_one_evaluation_that_fails_again_and_again_is_one() -> None:
    pool = Pool(gpus(2))
    assert [end(pool, "0", config, BROKEN) for config in "aabbab"] == [None] * 6
    assert end(pool, "0", "c", BROKEN) == Probe("0")


def test_failures_on_different_gpus_do_not_add_up_nor_do_those_on_several_at_once() -> None:
    pool = Pool(gpus(3))
    for config in "abc":
        assert end(pool, "0,1,2", config, BROKEN) is None
        assert end(pool, "7", config, BROKEN) is None, "not one of ours"
    for gpu in "012":
        assert [end(pool, gpu, config, BROKEN) for config in "ab"] == [None, None]
    assert end(pool, "0,1,2", "d", DONE) is None
    assert [end(pool, gpu, "c", BROKEN) for gpu in "012"] == [None] * 3


def test_the_last_good_gpu_is_never_suspect() -> None:
    pool = Pool(gpus(2))
    break_down(pool, "0")
    assert [end(pool, "1", config, BROKEN) for config in "abcde"] == [None] * 5
    assert names(pool.idle([])) == "1"
    assert end(pool, "1", "02", FAILED) == Cleared("0")
    single = Pool(gpus(1) * 2)
    assert [end(single, "0", config, BROKEN) for config in "abcde"] == [None] * 5


def test_the_last_good_gpu_is_asked_again_once_another_is_cleared() -> None:
    pool = Pool(gpus(2))
    break_down(pool, "0")
    assert [end(pool, "1", config, BROKEN) for config in "abcd"] == [None] * 4
    assert end(pool, "1", "02", BROKEN) == Cleared("0")
    assert end(pool, "1", "e", BROKEN) == Probe("1")
    assert end(pool, "0", "e", DONE) == Quarantined("1", (("c", 1), ("d", 1)))


def test_what_was_under_way_on_a_suspect_speaks_for_it_or_against_it() -> None:
    pool = Pool(devices_of_workers(gpus(2), 2, None))
    break_down(pool, "0")
    assert end(pool, "0", "beside", FAILED) is None
    assert end(pool, "0", "late", BROKEN) is None
    assert end(pool, "1", "02", DONE) == Quarantined("0", (("00", 1), ("01", 1), ("late", 1)))
    pool = Pool(devices_of_workers(gpus(2), 2, None))
    break_down(pool, "0")
    assert end(pool, "0", "late", DONE) == Cleared("0")
    assert end(pool, "1", "02", DONE) is None
    assert names(pool.idle([])) == "0,1"


ENDS = st.lists(
    st.tuples(st.sampled_from("012"), st.sampled_from("abcdefgh"), st.sampled_from(Outcome)),
    max_size=60,
)


@given(ENDS)
def test_whatever_ends_how_some_gpu_is_left_and_every_suspicion_had_three_witnesses(
    ends: list[tuple[str, str, Outcome]],
) -> None:
    pool = Pool(gpus(3))
    witnesses: dict[str, set[str]] = {gpu: set() for gpu in "012"}
    told: Counter[type] = Counter()
    aside: set[str] = set()
    for gpu, config, outcome in ends:
        answer = end(pool, gpu, config, outcome)
        told[type(answer)] += 1
        if outcome is BROKEN:
            witnesses[gpu].add(config)
        if isinstance(answer, Probe):
            assert (answer.gpu, outcome) == (gpu, BROKEN)
            assert len(witnesses[gpu]) >= ROW
        if isinstance(answer, Quarantined):
            assert outcome is DONE
            assert answer.gpu != gpu
            assert len(answer.evaluations) >= ROW - 1
            assert {name for name, _ in answer.evaluations} <= witnesses[answer.gpu]
            aside.add(answer.gpu)
        idle = {shown([one]) for one in pool.idle([])}
        assert idle
        assert not idle & aside
        if outcome is not BROKEN and gpu in idle:
            witnesses[gpu].clear()
    assert told[Quarantined] + told[Cleared] <= told[Probe]


@given(st.lists(st.tuples(st.sampled_from("012"), st.sampled_from([DONE, FAILED]))))
def test_without_device_errors_no_gpu_is_ever_left_alone(ends: list[tuple[str, Outcome]]) -> None:
    pool = Pool(gpus(3))
    for number, (gpu, outcome) in enumerate(ends):
        assert end(pool, gpu, str(number), outcome) is None
    assert names(pool.idle([])) == "0,1,2"
