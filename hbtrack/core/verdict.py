"""What an attempt that has ended came to: pure, from its exit record and its output.

Nobody but the script's own clean exit gives a loss. Signals by which schedulers and users end
processes say nothing about the config: such an attempt is lost, and run again.
"""

import signal
from dataclasses import dataclass, replace

from hbtrack.core.execution import Output, Record
from hbtrack.core.exit_error import exit_error, signal_name, swallowed, warning_of
from hbtrack.core.failure_causes import fingerprint_of
from hbtrack.core.loss import LossRefused, read_loss
from hbtrack.core.metrics import read_metrics
from hbtrack.core.records import AttemptStatus, Verdict

STOP_SIGNALS = frozenset(
    {
        signal.SIGKILL,
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)
STOP_EXIT_CODES = frozenset({130, 143})  # a shell's, or a polite program's, SIGINT and SIGTERM

_OVERFLOW = (
    "The script printed more to stdout or stderr than --max-log allows, and was ended. Let it "
    "print less, or allow more."
)

_TIMEOUT = "The script took longer than --timeout allows, and was ended."


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of an attempt that nobody works on any more.

    `asked_to_stop` if hbtrack wanted it to end, `timed_out` if because it took longer than
    --timeout allows; `times_lost` is how often its evaluation was lost before, under a driver's
    eyes, and `watched` if a driver had its eyes on this end. `script_written` if a file of the
    script was written while it ran, `one_script` unless that gave it another text.
    `checkpoint_gone` if its folder for checkpoints, or the disk of that, was away at its end.
    """

    record: Record
    output: Output
    finished_at: float
    asked_to_stop: bool = False
    timed_out: bool = False
    watched: bool = True
    times_lost: int = 0
    script_written: bool = False
    one_script: bool = True
    checkpoint_gone: bool = False


def judge(ending: Ending, max_lost: int) -> Verdict:
    """The attempt's status, loss or error, and all that is kept of it."""
    status = ending.record.exit_status
    by_signal = status is not None and status < 0
    verdict = _status(ending, max_lost)
    # It may not have been able to print or to save, or not have read a whole script.
    no_fault_of_its_own = (
        (ending.record.full or ending.script_written or ending.checkpoint_gone)
        and not ending.record.overflow
        and not _too_often(ending, max_lost)
    )
    if no_fault_of_its_own and verdict.status is AttemptStatus.FAILED:
        verdict = Verdict(AttemptStatus.LOST)
    verdict = replace(
        verdict,
        finished_at=ending.finished_at,
        watched=ending.watched,
        pid=ending.record.pid,
        exit_code=None if by_signal else status,
        signal=signal_name(-status) if status is not None and by_signal else None,
        seconds=ending.record.seconds,
        peak_memory=ending.record.peak_memory,
        cpu_seconds=ending.record.cpu_seconds,
        stdout=ending.output.stdout,
        stderr=ending.output.stderr,
        log=ending.output.log,
        # Of one that is not believed nobody knows which text it read.
        one_script=ending.one_script
        and not (ending.script_written and verdict.status is AttemptStatus.LOST),
    )
    return replace(verdict, fingerprint=fingerprint_of(verdict)) if verdict.error_type else verdict


def _status(ending: Ending, max_lost: int) -> Verdict:
    """The status, loss and error alone."""
    status = ending.record.exit_status
    if ending.timed_out:
        return replace(
            _failed("timeout", _TIMEOUT, ending.output.stderr), status=AttemptStatus.TIMEOUT
        )
    if ending.asked_to_stop:
        return Verdict(AttemptStatus.INTERRUPTED)
    if ending.record.overflow:
        return _failed("log_overflow", _OVERFLOW)
    by_others = status is None or -status in STOP_SIGNALS or status in STOP_EXIT_CODES
    if by_others or ending.record.signalled:
        if _too_often(ending, max_lost):
            return _failed("killed", _killed(ending), ending.output.stderr)
        return Verdict(AttemptStatus.LOST)
    assert status is not None  # noqa: S101 - without a record it was lost
    if status:
        told = exit_error(
            status, ending.output.stderr, ending.output.last_line, ending.output.stdout
        )
        return Verdict(
            AttemptStatus.FAILED,
            error_type=told.error_type,
            error_message=told.message,
            error=told.text,
            place=told.place,
        )
    loss = read_loss(ending.output.last_line, ending.output.stdout)
    if isinstance(loss, LossRefused):
        return _without_a_loss(loss, ending.output)
    return Verdict(
        AttemptStatus.DONE,
        loss=loss,
        metrics=read_metrics(ending.output.stdout),
        warning=warning_of(ending.output.stderr, ending.output.stdout),
    )


def _without_a_loss(refused: LossRefused, output: Output) -> Verdict:
    """It ended with status 0, but the last line is none; an exception it printed tells why."""
    told = swallowed(output.stderr, output.stdout)
    if told is None:
        return _failed(refused.error_type, refused.message)
    message = (
        f"{refused.message} It printed {told.brief}, and ended with status 0: let the "
        "exception pass, and it is the error."
    )
    return replace(_failed(refused.error_type, message, told.text), place=told.place)


def _too_often(ending: Ending, max_lost: int) -> bool:
    return ending.watched and ending.times_lost >= max_lost


def _failed(error_type: str, message: str, stderr: str = "") -> Verdict:
    said = f"\n{stderr.rstrip()}" if stderr.strip() else ""
    return Verdict(
        AttemptStatus.FAILED, error_type=error_type, error_message=message, error=message + said
    )


def _killed(ending: Ending) -> str:
    status = ending.record.exit_status
    how = "without a word" if status is None else f"with exit code {status}"
    if status is not None and status < 0:
        how = f"by {signal_name(-status)}"
    why = "Often that is the kernel, for lack of memory."
    if ending.record.oom:
        why = "The kernel ran out of memory at that moment: let the script need less of it."
    return (
        f"The script was ended {how}, {ending.times_lost + 1} times in all, and not by hbtrack. "
        f"{why}"
    )
