"""The contract as pure functions: losses, names, errors, parameters, and what an ending means."""

import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hbtrack.core.contract import (
    LossRefused,
    attempt_argv,
    config_id_problem,
    exception_of,
    name_problem,
    param_value,
    params_of,
    read_loss,
)
from hbtrack.core.execution import Output, Record
from hbtrack.core.records import AttemptStatus, Verdict
from hbtrack.core.verdict import Ending, judge

# --- the command of an attempt -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpus", "passed"), [(["0"], ["--gpu", "0"]), (["2", "3"], ["--gpu", "2", "--multi_gpu"])]
)
def test_an_attempt_is_called_as_the_contract_says(gpus: list[str], passed: list[str]) -> None:
    argv = attempt_argv("py", "s.py", "x:1", epochs=27, gpus=gpus, script_args=["--model", "a b"])
    assert argv == ["py", "s.py", "x:1", "--epochs", "27", *passed, "--model", "a b"]


# --- the loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "loss"),
    [
        (b"0.3", 0.3),
        (b"+1", 1.0),
        (b"-2.5", -2.5),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"007", 7.0),
        (b"1e-3", 0.001),
        (b"1.5E+2", 150.0),
        (b"5e-324", 5e-324),
        (b"1e-400", 0.0),
        (b"0.1234567890123456789", 0.12345678901234568),
        (b" \t0.3 \t", 0.3),
        (b"0.3\r", 0.3),
        (b"\r\r 0.3\r", 0.3),
    ],
)
def test_plain_decimal_notation_is_a_loss(line: bytes, loss: float) -> None:
    assert read_loss(line) == loss


@pytest.mark.parametrize(
    ("line", "error_type"),
    [
        (b"nan", "not_finite"),
        (b" NaN\r", "not_finite"),
        (b"inf", "not_finite"),
        (b"-inf", "not_finite"),
        (b"+Infinity", "not_finite"),
        (b"1e400", "not_finite"),
        (b"-1e400", "not_finite"),
        (b"9" * 400, "not_finite"),
        (b"loss: 0.3", "bad_last_line"),
        (b"0,3", "bad_last_line"),
        (b"tensor(0.3)", "bad_last_line"),
        (b"[0.3]", "bad_last_line"),
        (b"0.3 0.4", "bad_last_line"),
        (b"0.3\x0b", "bad_last_line"),
        (b"0.3\0", "bad_last_line"),
        (b"True", "bad_last_line"),
        (b"None", "bad_last_line"),
        (b"1_000", "bad_last_line"),
        (b"1e", "bad_last_line"),
        (b".", "bad_last_line"),
        (b"- 1", "bad_last_line"),
        (b"--1", "bad_last_line"),
        (b"0x1p3", "bad_last_line"),
        ("\u0660.\u0663".encode(), "bad_last_line"),
        ("\u22120.3".encode(), "bad_last_line"),
        ("\u00a00.3".encode(), "bad_last_line"),
        (b"\x1b[32m0.3\x1b[0m", "bad_last_line"),
        (b"epoch 1\r0.3", "bad_last_line"),
        (b"\xff\xfe0.3", "bad_last_line"),
        (b"", "no_output"),
        (b" \t\r", "no_output"),
    ],
)
def test_fault_27_28_30_31_anything_else_is_refused_rather_than_guessed(
    line: bytes, error_type: str
) -> None:
    refused = read_loss(line)
    assert isinstance(refused, LossRefused)
    assert refused.error_type == error_type


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"loss: 0.3", "'loss: 0.3'"),
        (b"\x1b[32m0.3\x1b[0m", "colour"),
        (b"epoch 1\r0.3", "progress bar"),
        ("\u22120.3".encode(), "ASCII"),
        (b"done", "'done'"),
        (b"\xff", "\ufffd"),
        (b"", "nothing"),
    ],
)
def test_fault_29_30_34_35_a_refused_line_is_quoted_with_how_to_print_a_loss(
    line: bytes, says: str
) -> None:
    refused = read_loss(line)
    assert isinstance(refused, LossRefused)
    assert says in refused.message
    assert "print(float(loss))" in refused.message


def test_a_long_line_is_refused_at_once_and_quoted_in_part() -> None:
    begun = time.process_time()
    refused = read_loss(b"1" * 20_000 + b"x")
    assert isinstance(refused, LossRefused)
    assert len(refused.message) < 1000
    assert "print(float(loss))" in refused.message
    assert time.process_time() - begun < 1


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "lr:0.01.batch_size:256",
        " ",
        "a\nb\tc\x1b",
        "$(rm -rf /)",
        "\u65e5\u672c \U0001f389",
        "x" * 4096,
        "\u00e9" * 2048,
    ],
)
def test_every_other_string_is_a_config_id_and_an_identity(name: str) -> None:
    assert config_id_problem(name) is None
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogate"),
        ("x" * 4097, "4097 bytes"),
        ("\u00e9" * 2049, "4098 bytes"),
    ],
)
def test_fault_58_62_what_no_command_line_can_carry_names_nothing(name: str, says: str) -> None:
    assert says in (config_id_problem(name) or "")
    assert says in (name_problem(name) or "")


@pytest.mark.parametrize("name", ["-", "-1", "--lr=3"])
def test_fault_60_only_a_config_id_must_not_look_like_an_option(name: str) -> None:
    assert "option" in (config_id_problem(name) or "")
    assert name_problem(name) is None


# --- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config_id", "params"),
    [
        ("lr:0.01.batch_size:256", {"lr": 0.01, "batch_size": 256}),
        ("lr:1e-3.units:64", {"lr": 0.001, "units": 64}),
        ("shift:-3.5.steps:-2", {"shift": -3.5, "steps": -2}),
        ("optimizer:adam.lr:0.1", {"optimizer": "adam", "lr": 0.1}),
        ("version:1.2.3.depth:4", {"version": "1.2.3", "depth": 4}),
        ("file:model.pt.depth:4", {"file": "model.pt", "depth": 4}),
        ("run:0012", {"run": "0012"}),
        ("run:12e4", {"run": 120000.0}),
        ("run:1_000", {"run": "1_000"}),
        ("run:\u0663", {"run": "\u0663"}),
        ("run:99999999999999999999", {"run": "99999999999999999999"}),
        ("run:1e400", {"run": "1e400"}),
        ("loss:nan.flag:True", {"loss": "nan", "flag": "True"}),
        ("a:.b:1", {"a": "", "b": 1}),
        ("note:two\nlines.b:1", {"note": "two\nlines", "b": 1}),
    ],
)
def test_a_name_value_id_spells_out_its_parameters(
    config_id: str, params: dict[str, object]
) -> None:
    found = params_of(config_id)
    assert [(name, type(value), value) for name, value in found.items()] == [
        (name, type(value), value) for name, value in params.items()
    ]


@pytest.mark.parametrize(
    "config_id",
    ["", "0012", "12e4", "resnet-50", "0.001_64_0.9", '{"lr": 0.1}', ":1", "1:2", "a", "a.b:1"],
)
def test_any_other_id_is_opaque(config_id: str) -> None:
    assert params_of(config_id) == {}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, "true"),
        (None, "null"),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (float("inf"), "inf"),
        (0.1, 0.1),
        ("0.10", 0.1),
        ([1, "a"], '[1, "a"]'),
        ({"a": None}, '{"a": null}'),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_a_parameter_is_kept_as_sql_can_hold_it(value: object, stored: object) -> None:
    assert param_value(value) == stored
    assert type(param_value(value)) is type(stored)


# --- the error -----------------------------------------------------------------------------------


def stderr_of(function: Callable[[], object]) -> str:
    """What Python prints when `function` ends a script."""
    try:
        function()
    except Exception as error:
        return "".join(traceback.format_exception(error))
    raise AssertionError("nothing was raised")


def fail() -> None:
    raise ValueError("no luck")


def fail_while_failing() -> None:
    try:
        fail()
    except ValueError:
        {}["second"]


def fail_because() -> None:
    try:
        fail_while_failing()
    except KeyError as error:
        raise OSError(5, "third") from error


def test_the_last_exception_is_found_with_its_traceback() -> None:
    stderr = stderr_of(fail)
    assert exception_of("a warning\n" + stderr) == ("ValueError", "no luck", stderr.rstrip())


def test_chained_tracebacks_are_kept_from_the_first_to_the_last() -> None:
    stderr = stderr_of(fail_because)
    assert stderr.count("Traceback") == 3
    assert exception_of("a warning\n" + stderr) == ("OSError", "[Errno 5] third", stderr.rstrip())


def test_an_earlier_traceback_that_was_survived_is_not_part_of_it() -> None:
    first, last = stderr_of(fail), stderr_of(fail_because)
    assert exception_of(f"{first}going on\n{last}") == (
        "OSError",
        "[Errno 5] third",
        last.rstrip(),
    )


@pytest.mark.parametrize("message", [[], ["first\n  second\n\nlast: line"]])
def test_a_message_may_be_empty_or_have_many_lines(message: list[str]) -> None:
    def fail_with_it() -> None:
        raise RuntimeError(*message)

    stderr = stderr_of(fail_with_it)
    assert exception_of(stderr) == ("RuntimeError", "".join(message), stderr.rstrip())


@pytest.mark.parametrize(
    "bar", ["epoch 1/3", "\repoch 1/3", "epoch 1/3\r", " 33%|###   | 1/3 [00:01]"]
)
def test_a_progress_bar_without_a_newline_hides_no_traceback(bar: str) -> None:
    stderr = stderr_of(fail)
    assert exception_of(bar + stderr) == ("ValueError", "no luck", stderr.rstrip())


def test_text_after_the_traceback_hides_nothing() -> None:
    stderr = stderr_of(fail) + "wandb: finished\n"
    found = exception_of(stderr)
    assert found
    assert found[0] == "ValueError"
    assert found[1].startswith("no luck")
    assert found[2] == stderr.rstrip()


def test_an_exception_class_of_a_function_has_its_whole_name() -> None:
    def fail_with_a_class_of_its_own() -> None:
        class Diverged(Exception):
            pass

        raise Diverged("loss is nan")

    found = exception_of(stderr_of(fail_with_a_class_of_its_own))
    assert found
    assert found[0].endswith("<locals>.Diverged")
    assert found[1] == "loss is nan"


def test_what_is_ignored_while_python_ends_is_not_the_error() -> None:
    def fail_at_the_end() -> None:
        raise AttributeError("already gone")

    ignored = f"Exception ignored in: <function Loader.__del__>\n{stderr_of(fail_at_the_end)}"
    found = exception_of(stderr_of(fail) + ignored)
    assert found
    assert found[0] == "ValueError"
    assert "raise ValueError" in found[2]


def test_a_traceback_inside_of_a_message_belongs_to_the_message() -> None:
    def fail_for_a_worker() -> None:
        inner = stderr_of(fail)
        raise RuntimeError(f"Caught ValueError in worker 0.\nOriginal {inner}")

    stderr = stderr_of(fail_for_a_worker)
    found = exception_of(stderr)
    assert found
    assert found[0] == "RuntimeError"
    assert found[1].startswith("Caught ValueError in worker 0.\nOriginal Traceback")
    assert found[2] == stderr.rstrip()


@pytest.mark.parametrize(
    "stderr",
    ["", "ValueError: but no traceback", "Traceback (most recent call last):\n  File 'cut off'"],
)
def test_without_a_whole_traceback_there_is_no_exception(stderr: str) -> None:
    assert exception_of(stderr) is None


# --- the verdict ---------------------------------------------------------------------------------

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
    stderr = stderr_of(fail)
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


@pytest.mark.parametrize("status", [0, 1, -signal.SIGKILL])
def test_an_overflowing_log_is_a_failure_of_its_own(status: int) -> None:
    found = verdict(exit_status=status, overflow=True)
    assert (found.status, found.error_type) == (AttemptStatus.FAILED, "log_overflow")
    assert "--max-log" in (found.error_message or "")


def test_a_script_killed_as_memory_ran_out_is_told_so() -> None:
    found = verdict(max_lost=0, exit_status=-signal.SIGKILL, oom=True)
    assert "ran out of memory" in (found.error_message or "")
    assert "ran out of memory" not in (verdict(max_lost=0, exit_status=-9).error_message or "")
