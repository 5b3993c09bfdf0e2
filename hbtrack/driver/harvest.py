"""What attempts that have ended came to: the verdict, and whether a failure is the result yet."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hbtrack.core.execution import Ended, Executor, Output
from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.gpu_health import Cleared, Outcome, Probe, Quarantined
from hbtrack.core.records import AttemptStatus, Closed, Limits, RungKey, Verdict
from hbtrack.core.verdict import Ending, judge
from hbtrack.driver.admission import Admission
from hbtrack.driver.interfaces import Observer, Running, StopRequest, Tolerances
from hbtrack.store.ledger import Writer


@dataclass(slots=True)
class Pending:
    """A recorded attempt, to be started after the commit."""

    worker: int
    running: Running
    gpus: list[str]  # as the script is told
    env: dict[str, str]
    begun: bool = False


@dataclass(slots=True)
class Step:
    """One commit under way."""

    writer: Writer
    touched: set[RungKey] = field(default_factory=set)
    closed: list[Closed] = field(default_factory=list)
    starts: list[Pending] = field(default_factory=list)
    verdicts: list[tuple[Running, Verdict]] = field(default_factory=list)
    withdrawn: list[tuple[str, int]] = field(default_factory=list)  # failures of a bad GPU


class Harvest:
    """Judges attempts, and tells failures that are the config's from those of the machine."""

    def __init__(
        self,
        admission: Admission,
        *,
        executor: Executor,
        observer: Observer,
        stop: StopRequest,
        limits: Limits,
        tolerances: Tolerances,
        clock: Callable[[], float],
    ) -> None:
        self._admission = admission
        self._executor = executor
        self._observer = observer
        self._stop = stop
        self._limits = limits
        self._tolerances = tolerances
        self._clock = clock

    def judge(self, step: Step, running: Running, end: Ended, *, watched: bool) -> Verdict:
        """What an attempt came to."""
        record = end.record
        ran = record.pid is not None or record.exit_status is not None
        output = self._executor.output(end) if ran else Output()  # what lies there is another's
        parent_died = watched and record.exit_status is None and not running.ending
        self._admission.note_parent(record, died=parent_died)
        finished_at = record.finished_at or self._clock()
        # What is not recorded when a stop signal is heard may be an answer to it.
        too_late = self._stop.at is not None and (watched or finished_at > self._stop.at)
        wiped = not (record.asked or running.adopted)  # it emptied or removed its lock file
        properly = record.exit_status == 0 and not (record.signalled or record.full)
        ending = Ending(
            finished_at=finished_at,
            pid=record.pid,
            exit_status=record.exit_status,
            seconds=record.seconds,
            last_line=output.last_line,
            stdout=output.stdout,
            stderr=output.stderr,
            log=output.log,
            asked_to_stop=running.ending is AttemptStatus.STOPPING or too_late,
            timed_out=running.ending is AttemptStatus.TIMEOUT,
            watched=watched and (record.exit_status is not None or running.alone or wiped),
            # Not asked on the hot path: what ended properly was not lost.
            times_lost=0 if properly else step.writer.times_lost(end.attempt),
            signalled=record.signalled,
            full=record.full,
            oom=record.oom,
            overflow=record.overflow,
        )
        return judge(ending, self._tolerances.max_lost)

    def why_again(self, step: Step, running: Running, verdict: Verdict) -> str | None:
        """Why a failure is not the result yet and the evaluation runs again; None if it is."""
        if verdict.status in (AttemptStatus.LOST, AttemptStatus.INTERRUPTED):
            return None
        if self._suspects_gpu(step, running, verdict):
            return "gpu"
        if verdict.status is not AttemptStatus.DONE and self._is_retried(cause_of(verdict)):
            used = step.writer.times_retried(running.attempt)
            return "automatic" if used < self._limits.retries else None
        return None

    def remember(self, ends: Iterable[tuple[int, str, str, int, Verdict]]) -> None:
        """Know what earlier drivers knew of the GPUs: from driver, GPU, config, epochs, verdict."""
        before = None
        for driver, gpu, config_id, epochs, verdict in ends:
            if driver != before:
                self._admission.forgive()
            before = driver
            self._admission.note_end(gpu, (config_id, epochs), outcome=_outcome_of(verdict))
        self._admission.forgive()

    def _is_retried(self, cause: Cause) -> bool:
        if self._limits.retries == 0 or cause is Cause.CONFIG:
            return False
        return cause is not Cause.TIMEOUT or self._limits.retry_timeouts

    def _suspects_gpu(self, step: Step, running: Running, verdict: Verdict) -> bool:
        """Tell the GPUs' keeper what ended; whether it wants to see the same on another GPU."""
        evaluation, outcome = (running.config_id, running.epochs), _outcome_of(verdict)
        answer = self._admission.note_end(running.gpu, evaluation, outcome=outcome)
        if isinstance(answer, Probe):
            self._observer.event("gpu_suspect", gpu=answer.gpu)
        elif isinstance(answer, Quarantined):
            step.withdrawn += answer.evaluations
            self._observer.event("gpu_set_aside", gpu=answer.gpu)
        elif isinstance(answer, Cleared):
            self._observer.event("gpu_cleared", gpu=answer.gpu)
        return isinstance(answer, Probe)


def _outcome_of(verdict: Verdict) -> Outcome:
    if verdict.status is AttemptStatus.DONE:
        return Outcome.DONE
    return Outcome.DEVICE_ERROR if cause_of(verdict).is_device_error else Outcome.FAILED
