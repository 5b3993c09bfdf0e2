"""What attempts that have ended came to: the verdict, and whether a failure is the result yet."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from hbtrack.core.execution import Output, Record
from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.gpu_health import Cleared, Outcome, Probe, Quarantined
from hbtrack.core.records import AttemptStatus, Limits, Verdict
from hbtrack.core.verdict import Ending, judge
from hbtrack.driver.admission import Admission
from hbtrack.driver.interfaces import Edges, Running
from hbtrack.driver.versions import Looks
from hbtrack.store.writer import Writer


class Noted(NamedTuple):
    """What a failure means for its evaluation, and for those of a GPU found to be at fault."""

    again: str | None = None  # why it is not the result yet: gpu or automatic
    withdrawn: Sequence[tuple[str, int]] = ()  # evaluations whose failures are none


class Harvest:
    """Judges attempts, and tells failures that are the config's from those of the machine."""

    def __init__(self, admission: Admission, edges: Edges, limits: Limits) -> None:
        self._admission = admission
        self._edges = edges
        self._limits = limits

    def judge(
        self, writer: Writer, running: Running, record: Record, looks: Looks, *, watched: bool
    ) -> Verdict:
        """What an attempt came to; `looks` are those at its script."""
        ran = record.pid is not None or record.exit_status is not None
        # One that did not run left none: what lies there is another's.
        output = self._edges.executor.output(running.name) if ran else Output()
        parent_died = watched and record.exit_status is None and not running.ending
        self._admission.note_parent(record, died=parent_died)
        finished_at = record.finished_at or self._edges.clock()
        # What is not recorded when a stop signal is heard may be an answer to it.
        stop = self._edges.stop
        too_late = stop.at is not None and (watched or stop.is_before(record, finished_at))
        wiped = not (record.asked or running.adopted)  # it emptied or removed its lock file
        properly = record.exit_status == 0 and not (record.signalled or record.full)
        ending = Ending(
            record,
            output,
            finished_at,
            asked_to_stop=running.ending is AttemptStatus.STOPPING or too_late,
            timed_out=running.ending is AttemptStatus.TIMEOUT,
            watched=watched and (record.exit_status is not None or running.alone or wiped),
            # Not asked on the hot path: what ended properly was not lost.
            times_lost=0 if properly and not looks.written else writer.times_lost(running.attempt),
            script_written=looks.written,
            one_script=looks.one_script,
        )
        verdict = judge(ending, self._edges.tolerances.max_lost)
        if verdict.status is AttemptStatus.FAILED and self._checkpoint_gone(running):
            lost = writer.times_lost(running.attempt)
            ending = replace(ending, checkpoint_gone=True, times_lost=lost)
            verdict = judge(ending, self._edges.tolerances.max_lost)
        return verdict

    def _checkpoint_gone(self, running: Running) -> bool:
        """Looked at where it may have been the reason, and not for each attempt."""
        return self._edges.checkpoints.is_gone(running.config_id)

    def note(self, writer: Writer, running: Running, verdict: Verdict) -> Noted:
        """Note what an attempt came to, for its GPU too; what that means for failures."""
        if not verdict.is_result:
            return Noted()
        evaluation, outcome = (running.config_id, running.epochs), _outcome_of(verdict)
        answer = self._admission.note_end(running.gpu, evaluation, outcome=outcome)
        if answer:
            self._edges.observer.event(_GPU_EVENTS[type(answer)], gpu=answer.gpu)
        if isinstance(answer, Probe):
            return Noted("gpu")
        withdrawn = answer.evaluations if isinstance(answer, Quarantined) else ()
        if verdict.status is not AttemptStatus.DONE and self._is_retried(cause_of(verdict)):
            used = writer.times_retried(running.attempt)
            return Noted("automatic" if used < self._limits.retries else None, withdrawn)
        return Noted(None, withdrawn)

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


_GPU_EVENTS = {Probe: "gpu_suspect", Quarantined: "gpu_set_aside", Cleared: "gpu_cleared"}


def _outcome_of(verdict: Verdict) -> Outcome:
    if verdict.status is AttemptStatus.DONE:
        return Outcome.DONE
    return Outcome.DEVICE_ERROR if cause_of(verdict).is_device_error else Outcome.FAILED
