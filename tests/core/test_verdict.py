"""What the ending of an attempt means."""

import signal
from dataclasses import replace
from typing import Any

import pytest

from hbtrack.core.execution import Output, Record
from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.records import AttemptStatus, Verdict
from hbtrack.core.verdict import Ending, judge

RECORD = Record(pid=7, exit_status=0, seconds=1.5)
OUTPUT = Output(b"0.25", "0.25\n")
STOP_SIGNALS = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"]
LOST = [*(-signal.Signals[name] for name in STOP_SIGNALS), 130, 143, None]


def verdict(max_lost: int = 5, **changes: object) -> Verdict:
    """What a clean end comes to, but for these changes of its record, its output or the rest."""

    def changed(one: Any) -> Any:
        names = changes.keys() & one.__dataclass_fields__.keys()
        return replace(one, **{name: changes.pop(name) for name in names})

    ending = Ending(changed(RECORD), changed(OUTPUT), finished_at=12.5)
    return judge(replace(ending, **changes), max_lost)  # type: ignore[arg-type]


def test_a_clean_exit_with_a_loss_is_done() -> None:
    assert verdict() == Verdict(
        AttemptStatus.DONE,
        finished_at=12.5,
        watched=True,
        loss=0.25,
        pid=7,
        exit_code=0,
        seconds=1.5,
        stdout="0.25\n",
    )


@pytest.mark.parametrize(
    ("changes", "error_type", "says"),
    [
        ({"last_line": b"done"}, "bad_last_line", "'done'"),
        ({"last_line": b""}, "no_output", "nothing"),
        ({"last_line": b"nan"}, "not_finite", "'nan'"),
        ({"last_line": b"-inf"}, "not_finite", "'-inf'"),
        ({"last_line": b"1e400"}, "not_finite", "'1e400'"),
        ({"exit_status": 1}, "exit_code", "exit code 1"),
        ({"exit_status": 137}, "exit_code", "exit code 137"),
        ({"exit_status": -signal.SIGSEGV}, "signal", "SIGSEGV"),
        ({"exit_status": -signal.SIGABRT}, "signal", "SIGABRT"),
        ({"exit_status": -40}, "signal", "signal 40"),
    ],
)
def test_other_endings_of_its_own_are_failures_whatever_was_printed(
    changes: dict[str, object], error_type: str, says: str
) -> None:
    found = verdict(**changes)
    assert (found.status, found.error_type, found.loss) == (AttemptStatus.FAILED, error_type, None)
    assert says in (found.error_message or "")
    assert says in (found.error or "")


def test_a_failure_has_the_exception_and_its_traceback() -> None:
    stderr = 'Traceback (most recent call last):\n  File "s.py", line 3\nValueError: no luck\n'
    found = verdict(exit_status=1, stderr="a warning\n" + stderr)
    assert (found.error_type, found.error_message) == ("ValueError", "no luck")
    assert found.error == stderr.rstrip()
    assert found.stderr == "a warning\n" + stderr


@pytest.mark.parametrize("status", [1, -signal.SIGSEGV])
def test_a_failure_without_a_traceback_keeps_what_the_script_said(status: int) -> None:
    assert "out of CUDA" in (verdict(exit_status=status, stderr="out of CUDA\n").error or "")


@pytest.mark.parametrize(
    ("status", "exit_code", "name"),
    [(0, 0, None), (3, 3, None), (143, 143, None), (-9, None, "SIGKILL"), (None, None, None)],
)
def test_the_exit_code_or_the_signal_is_kept(
    status: int | None, exit_code: int | None, name: str | None
) -> None:
    found = verdict(exit_status=status)
    assert (found.exit_code, found.signal) == (exit_code, name)


@pytest.mark.parametrize("status", LOST)
def test_an_end_by_others_says_nothing_about_the_config(status: int | None) -> None:
    found = verdict(exit_status=status)
    assert (found.status, found.loss, found.error_type) == (AttemptStatus.LOST, None, None)


@pytest.mark.parametrize("status", LOST)
def test_fault_23_what_is_lost_too_often_under_a_drivers_eyes_has_failed(
    status: int | None,
) -> None:
    assert verdict(max_lost=5, exit_status=status, times_lost=4).status is AttemptStatus.LOST
    found = verdict(max_lost=5, exit_status=status, times_lost=5)
    assert (found.status, found.error_type) == (AttemptStatus.FAILED, "killed")
    assert "6 times" in (found.error_message or "")
    unseen = verdict(max_lost=5, exit_status=status, times_lost=99, watched=False)
    assert unseen.status is AttemptStatus.LOST


@pytest.mark.parametrize("status", [0, 1, -signal.SIGSEGV, *LOST])
def test_nothing_counts_that_hbtrack_asked_to_stop(status: int | None) -> None:
    found = verdict(max_lost=0, exit_status=status, asked_to_stop=True, times_lost=9)
    assert (found.status, found.loss, found.error) == (AttemptStatus.INTERRUPTED, None, None)
    assert found.stdout == "0.25\n"


@pytest.mark.parametrize("status", [0, 1, -signal.SIGSEGV])
def test_what_ends_under_a_signal_to_all_processes_is_run_again(status: int) -> None:
    """A loss printed in answer to a scheduler's signal is not that of the whole training."""
    assert verdict(exit_status=status, signalled=True).status is AttemptStatus.LOST


def test_a_failure_on_a_full_disk_is_run_again_but_not_for_ever() -> None:
    assert verdict(exit_status=1, full=True).status is AttemptStatus.LOST
    assert verdict(exit_status=0, last_line=b"0.", full=True).status is AttemptStatus.DONE
    assert verdict(exit_status=0, last_line=b"", full=True).status is AttemptStatus.LOST
    found = verdict(max_lost=5, exit_status=120, full=True, times_lost=5)
    assert (found.status, found.error_type) == (AttemptStatus.FAILED, "exit_code")


def test_a_failure_whose_checkpoint_was_away_is_run_again_but_not_for_ever() -> None:
    assert verdict(exit_status=1, checkpoint_gone=True).status is AttemptStatus.LOST
    assert verdict(checkpoint_gone=True).status is AttemptStatus.DONE
    assert verdict(exit_status=1, checkpoint_gone=True, overflow=True).error_type == "log_overflow"
    found = verdict(exit_status=1, checkpoint_gone=True, times_lost=5)
    assert (found.status, found.error_type) == (AttemptStatus.FAILED, "exit_code")


@pytest.mark.parametrize("status", [0, 1, -signal.SIGKILL])
def test_an_overflowing_log_is_a_failure_of_its_own(status: int) -> None:
    found = verdict(exit_status=status, overflow=True)
    assert (found.status, found.error_type) == (AttemptStatus.FAILED, "log_overflow")
    assert "--max-log" in (found.error_message or "")


def test_a_script_killed_as_memory_ran_out_is_told_so() -> None:
    found = verdict(max_lost=0, exit_status=-signal.SIGKILL, oom=True)
    assert "ran out of memory" in (found.error_message or "")
    assert "ran out of memory" not in (verdict(max_lost=0, exit_status=-9).error_message or "")


RAISED = 'Traceback (most recent call last):\n  File "s.py", line 3, in f\nKeyError: {}\n'


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_an_exception_that_a_script_logged_before_it_failed_is_its_error(stream: str) -> None:
    full = RAISED.format("1").replace("KeyError: 1", "OSError: [Errno 28] No space left on device")
    found = verdict(exit_status=1, **{"stdout": "Epoch 1\n", stream: f"training failed\n{full}"})
    assert (found.error_type, found.place) == ("OSError", "s.py:3")
    assert cause_of(found) is Cause.MACHINE


def test_what_a_launchers_child_told_on_stdout_is_the_cause() -> None:
    launcher = RAISED.replace("KeyError: {}", "subprocess.CalledProcessError: Command 'rank' ...")
    found = verdict(exit_status=1, stdout=RAISED.format("'lr'"), stderr=launcher)
    assert (found.error_type, found.error_message) == ("KeyError", "'lr'")


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
@pytest.mark.parametrize(
    ("line", "error_type"), [(b"", "no_output"), (b"epoch 3", "bad_last_line")]
)
def test_an_exception_that_was_swallowed_explains_a_missing_loss(
    line: bytes, error_type: str, stream: str
) -> None:
    found = verdict(last_line=line, **{stream: RAISED.format("'lr'")})
    assert (found.status, found.error_type, found.place) == ("failed", error_type, "s.py:3")
    assert "KeyError: 'lr'" in (found.error_message or "")
    assert "Traceback" in (found.error or "")


def test_a_cause_that_was_swallowed_counts_as_that_cause() -> None:
    full = RAISED.format("1").replace("KeyError: 1", "OSError: [Errno 28] No space left on device")
    assert cause_of(verdict(last_line=b"", stderr=full)) is Cause.MACHINE
    assert cause_of(verdict(last_line=b"", stderr="[Errno 28] is fine\n")) is Cause.CONFIG


def test_a_loss_with_an_exception_beside_it_counts_and_is_told() -> None:
    for stream in ("stderr", "stdout"):
        found = verdict(**{stream: RAISED.format("'lr'")})
        assert (found.status, found.loss) == ("done", 0.25)
        assert "KeyError: 'lr'" in (found.warning or "")
    assert verdict(stderr="Epoch 3\n").warning is None


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("RuntimeError: CUDA out of memory. Tried to allocate 2 GiB", Cause.GPU_MEMORY),
        ("OSError: [Errno 28] No space left on device", Cause.MACHINE),
        ("KeyError: 'lr'", Cause.CONFIG),
    ],
)
def test_a_launcher_hides_no_cause(said: str, cause: Cause) -> None:
    stderr = RAISED.replace("KeyError: {}", said)
    stderr += RAISED.replace("KeyError: {}", "subprocess.CalledProcessError: Command 'rank' ...")
    found = verdict(exit_status=1, stderr=stderr)
    assert f"{found.error_type}: {found.error_message}" == said
    assert cause_of(found) is cause


def test_what_other_ranks_make_of_it_is_no_fault_of_the_network() -> None:
    first, second = RAISED.format("'lr'"), RAISED.replace("KeyError: {}", "E: Connection reset")
    stderr = "".join(
        f"[rank{rank}]: {line}\n"
        for rank, text in enumerate((first, second))
        for line in text.splitlines()
    )
    found = verdict(exit_status=1, stderr=stderr)
    assert (found.error_type, cause_of(found)) == ("KeyError", Cause.CONFIG)


def test_different_errors_are_different_causes_in_a_box_too() -> None:
    box = "╭── Traceback (most recent call last) ──╮\n│ /a.py:{} in f                        │\n"
    box += "╰───────────────────────────────────────╯\n{}: x\n"
    found = [
        verdict(exit_status=1, stderr=box.format(*one)).fingerprint
        for one in ((3, "KeyError"), (4, "KeyError"), (3, "ValueError"))
    ]
    assert found == [
        "KeyError; exit 1; /a.py:3",
        "KeyError; exit 1; /a.py:4",
        "ValueError; exit 1; /a.py:3",
    ]
