"""Whole searches on GPUs that are not there: an nvidia-smi that lies, a script that writes down."""

import subprocess
from ast import literal_eval
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import SCRIPTS, TOY, Hbtrack, wait_for

RECORDER = SCRIPTS / "gpu_recorder.py"
MIG = [f"MIG-{digit * 8}-0000-1111-2222-333333333333" for digit in "12"]
KEPT = [word for number in range(3) for word in ("--config", f"good:{number}")]

Row = tuple[Any, ...]
Another = Callable[[], Hbtrack]


def uuid(number: int) -> str:
    return f"GPU-{number:08}-0000-1111-2222-333333333333"


def listing(count: int) -> str:
    return "".join(
        f"GPU {number}: NVIDIA A100-SXM4-40GB (UUID: {uuid(number)})\n" for number in range(count)
    )


@dataclass
class Machine:
    """A machine with GPUs: what processes on it get to see, and what its scripts wrote down."""

    folder: Path

    def env(
        self, gpus: int = 0, *, says: str | None = None, visible: str | None = None
    ) -> dict[str, str]:
        """The environment in which nvidia-smi lists so many GPUs, or says something else."""
        said = listing(gpus) if says is None else says
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        if said:
            (programs / "said").write_text(said)
            line = 'while IFS= read -r line; do echo "$line"; done'
            smi = programs / "nvidia-smi"
            smi.write_text(f"#!/bin/sh\n[ \"$*\" = -L ] || exit 9\n{line} < '{programs}/said'\n")
            smi.chmod(0o755)
        chosen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        return {
            "PATH": str(programs),  # nothing else, above all no nvidia-smi that is really there
            "HBTRACK_LOCKS": str(self.folder / "locks"),
            "GPU_RECORDER": str(self.folder),
            "GPU_COUNT": str(gpus),
            **chosen,
        }

    def notes(self, event: str) -> list[dict[str, Any]]:
        file = self.folder / "calls.txt"
        lines = file.read_text().split("\n") if file.exists() else [""]
        whole = lines[:-1]  # a reader may see some of a line that is just being written
        return [note for note in map(literal_eval, whole) if note["event"] == event]

    def calls(self) -> list[dict[str, Any]]:
        """Every call so far; never two on one GPU."""
        assert self.notes("RACE") == []
        return self.notes("begin")

    def seen(self, *names: str) -> set[Row]:
        return {tuple(call[name] for name in names) for call in self.calls()}

    def used(self) -> Counter[str]:
        return Counter(gpu for call in self.calls() for gpu in call["devices"])

    def hold(self) -> None:
        (self.folder / "hold").touch()

    def let_go(self) -> None:
        (self.folder / "hold").unlink()


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def dumps() -> dict[tuple[object, ...], list[Row]]:
    """Dumps that tests have in common."""
    return {}


@pytest.fixture
def undisturbed(
    machine: Machine, another: Another, dumps: dict[tuple[object, ...], list[Row]]
) -> Callable[..., list[Row]]:
    """The dump of a search with one worker and no GPU."""

    def run(*words: object) -> list[Row]:
        if words in dumps:
            return dumps[words]
        calm = Machine(machine.folder / "calm")
        calm.folder.mkdir()
        golden = another()
        ends(golden.start("run", "--gpus", "none", "--workers", 1, *words, env=calm.env()))
        return dumps.setdefault(words, golden.dump())

    return run


def log_of(hbtrack: Hbtrack) -> str:
    log = Path(f"{hbtrack.database}.d") / "1" / "log"
    return log.read_text() if log.exists() else ""


def says(hbtrack: Hbtrack, text: str) -> None:
    """Wait until its log says that."""
    wait_for(lambda: text in log_of(hbtrack))


def gpus_of(hbtrack: Hbtrack) -> set[str]:
    return {str(gpu) for (gpu,) in hbtrack.rows("SELECT DISTINCT gpu FROM attempts")}


def ends(driver: subprocess.Popen[str], code: int = 0) -> None:
    _, said = driver.communicate(timeout=300)
    assert driver.returncode == code, said


# --- which GPU a script gets ---------------------------------------------------------------------


def test_each_evaluation_gets_a_gpu_by_number_and_never_two_are_on_one(
    hbtrack: Hbtrack, machine: Machine
) -> None:
    words = ("--max-epochs", 27, "--multi-gpu", "never", RECORDER, "--most_seconds", 0.02)
    hbtrack("run", *words, env=machine.env(4))
    assert machine.seen("gpu", "visible", "multi") == {(gpu, None, False) for gpu in "0123"}
    assert machine.used().total() == len(machine.notes("end")) == 69
    recorded = hbtrack.rows("SELECT config_id, epochs, gpu FROM attempts")
    assert {*recorded} == machine.seen("config", "epochs", "gpu")


@pytest.mark.slow
def test_over_500_evaluations_and_killed_drivers_never_two_are_on_one_gpu(
    hbtrack: Hbtrack, machine: Machine, undisturbed: Callable[..., list[Row]]
) -> None:
    dice, env = Random(1), machine.env(4)
    words = ("--max-epochs", 27, "--passes", 9, RECORDER, "--fail", 0.05)
    words = (*words, "--most_seconds", 0.1)
    driver = hbtrack.start("run", *words, env=env)
    kills = 0
    for _ in range(25):
        goal = len(machine.calls()) + dice.randint(1, 30)
        wait_for(lambda: len(machine.calls()) >= goal or driver.poll() is not None, 120)  # noqa: B023
        if driver.poll() is not None:
            break
        driver.kill()
        driver.communicate()
        kills += 1
        driver = hbtrack.start("resume", env=env)
    ends(driver)
    assert kills >= 10
    assert len(machine.calls()) > 500
    assert {*machine.used()} == {*"0123"}
    assert hbtrack.dump() == undisturbed(*words)


@pytest.mark.parametrize(
    ("isolate", "told", "recorded"),
    [
        ("--no-isolate-gpus", {("0", "2,0"), ("1", "2,0")}, {"0", "1"}),
        ("--isolate-gpus", {("0", "2"), ("0", "0")}, {"2", "0"}),
    ],
)
def test_numbers_are_positions_in_cuda_visible_devices_which_stays_unless_isolated(
    hbtrack: Hbtrack, machine: Machine, isolate: str, told: set[Row], recorded: set[str]
) -> None:
    words = ("--max-epochs", 3, "--multi-gpu", "never", isolate, RECORDER)
    hbtrack("run", *words, env=machine.env(3, visible="2,0"))
    assert machine.seen("gpu", "visible") == told
    assert gpus_of(hbtrack) == recorded
    assert {*machine.used()} == {"2", "0"}


def test_an_isolated_script_sees_its_gpu_only_and_its_command_can_be_typed_again(
    hbtrack: Hbtrack, machine: Machine
) -> None:
    env = machine.env(2)
    words = ("--max-epochs", 3, "--multi-gpu", "never", "--isolate-gpus", RECORDER)
    hbtrack("run", *words, env=env)
    assert machine.seen("gpu", "visible") == {("0", "0"), ("0", "1")}
    ((command, loss),) = hbtrack.rows(
        "SELECT command, loss FROM attempts WHERE gpu = '1' ORDER BY attempt, started_at LIMIT 1"
    )
    assert str(command).startswith("CUDA_VISIBLE_DEVICES=1 /")
    assert str(command).endswith(" --gpu 0")
    again = subprocess.run(
        ["/bin/sh", "-c", str(command)],
        cwd=hbtrack.folder,
        env=hbtrack.environment(env),
        capture_output=True,
        text=True,
    )
    assert float(again.stdout) == loss
    assert machine.calls()[-1]["devices"] == ["1"]


@pytest.mark.slow
@pytest.mark.parametrize("known", [2, 0])
def test_numbers_of_gpus_are_taken_at_their_word(
    hbtrack: Hbtrack, machine: Machine, known: int
) -> None:
    words = ("--max-epochs", 3, "--gpus", "0,1,3", "--multi-gpu", "never", RECORDER)
    hbtrack("run", *words, env=machine.env(known))
    assert machine.seen("gpu", "visible") == {(gpu, None) for gpu in "013"}
    assert gpus_of(hbtrack) == {*"013"}


def test_each_evaluation_gets_a_mig_instance_of_its_own(hbtrack: Hbtrack, machine: Machine) -> None:
    instances = "".join(
        f"  MIG 3g.20gb     Device  {number}: (UUID: {mig})\n" for number, mig in enumerate(MIG)
    )
    env = machine.env(says=listing(1) + instances)
    hbtrack("run", "--max-epochs", 3, RECORDER, env=env)
    assert machine.seen("gpu", "visible", "multi") == {("0", mig, False) for mig in MIG}
    assert gpus_of(hbtrack) == {*MIG}


@pytest.mark.slow
def test_two_evaluations_share_each_gpu_where_that_is_allowed(
    hbtrack: Hbtrack, machine: Machine
) -> None:
    machine.hold()
    words = ("--max-epochs", 9, "--per-gpu", 2, "--multi-gpu", "never", RECORDER, "--room", 2)
    driver = hbtrack.start("run", *words, env=machine.env(2))
    wait_for(lambda: len(machine.calls()) == 4)
    assert machine.used() == {"0": 2, "1": 2}
    machine.let_go()
    ends(driver)
    assert len(machine.calls()) == 22


# --- all GPUs for one ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "isolate", "visible"),
    [
        ("auto", "--no-isolate-gpus", None),
        ("auto", "--isolate-gpus", "0,1,2,3"),
        pytest.param("never", "--no-isolate-gpus", None, marks=pytest.mark.slow),
    ],
)
def test_the_last_evaluation_that_is_left_gets_all_gpus_unless_never(
    hbtrack: Hbtrack,
    machine: Machine,
    undisturbed: Callable[..., list[Row]],
    option: str,
    isolate: str,
    visible: str | None,
) -> None:
    search = ("--max-epochs", 3, RECORDER, "--held_epochs", 1)
    machine.hold()  # so that what follows from the first rung comes last
    words = ("--multi-gpu", option, isolate, *search)
    driver = hbtrack.start("run", *words, env=machine.env(4))
    wait_for(lambda: len(machine.calls()) == 5)
    wait_for(lambda: log_of(hbtrack).count(" event=done ") == 2)
    assert not any(call["multi"] for call in machine.calls())
    machine.let_go()
    ends(driver)
    *others, last = machine.calls()  # on each of its GPUs it was alone
    assert len(others) == 5
    assert not any(call["multi"] for call in others)
    if option == "auto":
        assert (last["gpu"], last["multi"], last["visible"]) == ("0", True, visible)
        assert last["devices"] == [*"0123"]
    else:
        assert (len(last["devices"]), last["multi"]) == (1, False)
    found = hbtrack.rows("SELECT config_id, epochs FROM attempts WHERE gpu = '0,1,2,3'")
    expected = [(last["config"], last["epochs"])] if option == "auto" else []
    assert found == expected
    assert hbtrack.dump() == undisturbed(*search)


# --- several searches ----------------------------------------------------------------------------


def test_two_searches_never_share_a_gpu_and_one_says_that_it_waits(
    hbtrack: Hbtrack, machine: Machine, another: Another
) -> None:
    env, other = machine.env(2), another()
    words = ("--max-epochs", 9, RECORDER, "--most_seconds", 0.02)
    machine.hold()
    first = hbtrack.start("run", *words, "--name", "first", env=env)
    wait_for(lambda: len(machine.calls()) == 2)
    second = other.start("run", *words, "--name", "second", env=env)
    for gpu in "01":
        says(other, f'event=wait message="GPU {gpu} is used by ')
    assert machine.seen("search") == {("first",)}
    machine.let_go()
    ends(first)
    ends(second)
    assert Counter(call["search"] for call in machine.calls()) == {"first": 22, "second": 22}
    assert {*machine.used()} == {*"01"}
    assert other("db", "check").returncode == 0


@pytest.mark.slow
def test_a_script_whose_driver_was_killed_keeps_its_gpu_until_it_ends(
    hbtrack: Hbtrack, machine: Machine, another: Another
) -> None:
    env, other = machine.env(1), another()
    words = ("--max-epochs", 1, RECORDER, "--name")
    machine.hold()
    killed = hbtrack.start("run", *words, "killed", env=env)
    wait_for(machine.calls)
    killed.kill()
    killed.communicate()
    waiting = other.start("run", *words, "waiting", env=env)
    says(other, "event=wait")
    assert machine.seen("search") == {("killed",)}
    machine.let_go()
    ends(waiting)
    hbtrack("resume", env=env)
    assert Counter(call["search"] for call in machine.calls()) == {"killed": 1, "waiting": 1}


# --- GPUs that break -----------------------------------------------------------------------------


def failed_by_itself(hbtrack: Hbtrack) -> bool:
    """Whether all have failed, and once, but the configs that are good."""
    found = hbtrack.rows("SELECT status, config_id LIKE 'good%', attempts FROM results")
    return {*found} == {("done", 1, 1), ("failed", 0, 1)}


def test_fault_24_a_gpu_that_breaks_is_set_aside_and_what_failed_on_it_runs_again(
    hbtrack: Hbtrack, machine: Machine, undisturbed: Callable[..., list[Row]]
) -> None:
    search = ("--max-epochs", 9, RECORDER, "--fail", 0.1)
    machine.hold()  # until it is suspect
    driver = hbtrack.start("run", *search, "--bad", 1, env=machine.env(3))
    says(hbtrack, "event=gpu_suspect gpu=1")
    machine.let_go()
    ends(driver)
    assert log_of(hbtrack).count("event=gpu_set_aside gpu=1") == 1
    assert machine.used()["1"] == 3
    again = hbtrack.rows("SELECT retried, status FROM attempts WHERE gpu = '1'")
    assert again == [("gpu", "failed")] * 3
    assert hbtrack.rows("SELECT count(*) FROM attempts WHERE gpu <> '1' AND retried <> ''") == [
        (0,)
    ]
    assert hbtrack.dump() == undisturbed(*search)


@pytest.mark.slow
def test_fault_24_what_failed_on_a_bad_gpu_counts_for_no_rung_that_its_probe_closes(
    hbtrack: Hbtrack, machine: Machine, undisturbed: Callable[..., list[Row]]
) -> None:
    search = ("--max-epochs", 9, RECORDER, "--fail", 0)
    machine.hold()  # six of the nine; the other three fail, and the last of them is the probe
    driver = hbtrack.start("run", *search, "--bad", 1, env=machine.env(7))
    says(hbtrack, "event=gpu_suspect gpu=1")
    machine.let_go()
    ends(driver)
    assert hbtrack.dump() == undisturbed(*search)


@pytest.mark.slow
def test_fault_24_what_failed_on_a_bad_gpu_runs_again_although_the_driver_was_killed(
    hbtrack: Hbtrack, machine: Machine, undisturbed: Callable[..., list[Row]]
) -> None:
    search, env = ("--max-epochs", 9, RECORDER, "--fail", 0.1), machine.env(3)
    machine.hold()
    driver = hbtrack.start("run", *search, "--bad", 1, env=env)
    says(hbtrack, "event=gpu_suspect gpu=1")
    driver.kill()
    driver.communicate()
    machine.let_go()
    hbtrack("resume", env=env)
    assert hbtrack.dump() == undisturbed(*search)


@pytest.mark.slow
def test_fault_24_failures_that_follow_a_config_to_every_gpu_stand(
    hbtrack: Hbtrack, machine: Machine, undisturbed: Callable[..., list[Row]]
) -> None:
    search = ("--max-epochs", 9, *KEPT, RECORDER, "--sick", "memory")
    hbtrack("run", *search, env=machine.env(2))
    log = log_of(hbtrack)
    assert "event=gpu_suspect" in log
    assert log.count("event=gpu_suspect") == log.count("event=gpu_cleared")
    assert "event=gpu_set_aside" not in log
    assert {*machine.used()} == {*"01"}
    assert hbtrack.dump() == undisturbed(*search)


@pytest.mark.slow
def test_fault_24_other_failures_make_no_gpu_suspect(hbtrack: Hbtrack, machine: Machine) -> None:
    search = ("--max-epochs", 9, *KEPT, RECORDER, "--sick", "value")
    hbtrack("run", *search, env=machine.env(2))
    assert "event=gpu" not in log_of(hbtrack)
    assert hbtrack.rows("SELECT count(*) FROM attempts WHERE retried <> ''") == [(0,)]
    assert failed_by_itself(hbtrack)


@pytest.mark.slow
def test_fault_24_the_only_gpu_is_never_set_aside(hbtrack: Hbtrack, machine: Machine) -> None:
    search = ("--max-epochs", 9, *KEPT, RECORDER, "--sick", "lost")
    hbtrack("run", *search, env=machine.env(1))
    assert "event=gpu" not in log_of(hbtrack)
    assert len(hbtrack.rows("SELECT 1 FROM attempts WHERE status = 'failed'")) > 3
    assert failed_by_itself(hbtrack)


@pytest.mark.slow
def test_fault_24_where_the_only_gpu_is_broken_the_search_stops_as_plainly_broken(
    hbtrack: Hbtrack, machine: Machine
) -> None:
    hbtrack("run", "--max-epochs", 27, RECORDER, "--bad", 0, code=1, env=machine.env(1))
    assert "event=gpu" not in log_of(hbtrack)
    assert machine.used() == {"0": 10}


# --- workers -------------------------------------------------------------------------------------

REAL = ("--max-epochs", 9, "--passes", 2, TOY, "--fail", 0.2, "--space", 25)


@pytest.mark.parametrize(
    "workers",
    [pytest.param((1, 32)), pytest.param((1, 2, 8, 32), marks=pytest.mark.slow)],
    ids=str,
)
def test_real_processes_come_to_the_same_whatever_the_number_of_workers(
    hbtrack: Hbtrack, machine: Machine, another: Another, workers: Sequence[int]
) -> None:
    first, *others = workers
    hbtrack("run", "--gpus", "none", "--workers", first, *REAL, env=machine.env())
    expected = hbtrack.dump()
    assert {row[7] for row in expected} == {"done", "failed"}
    assert any(row[10] for row in expected), "no id was repeated"
    for number in others:
        other = another()
        other("run", "--gpus", "none", "--workers", number, *REAL, env=machine.env())
        assert other.dump() == expected


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 8, 32])
def test_real_processes_come_to_the_same_although_the_driver_is_killed(
    hbtrack: Hbtrack, machine: Machine, another: Another, workers: int
) -> None:
    golden, env, dice = another(), machine.env(), Random(workers)
    golden("run", "--gpus", "none", "--workers", 1, *REAL, env=env)
    diary = hbtrack.folder / "toy" / "diary.txt"

    def calls() -> int:
        return diary.read_text().count("call") if diary.exists() else 0

    words = ("--gpus", "none", "--workers", workers)
    driver = hbtrack.start("run", *words, *REAL, env=env)
    kills = 0
    while driver.poll() is None:
        goal = calls() + dice.randint(1, 6)
        wait_for(lambda: calls() >= goal or driver.poll() is not None)  # noqa: B023
        if driver.poll() is None:
            driver.kill()
            kills += 1
            driver.communicate()
            driver = hbtrack.start("resume", env=env)
    ends(driver)
    assert kills > 1
    assert hbtrack.dump() == golden.dump()
    assert "RACE" not in diary.read_text()
