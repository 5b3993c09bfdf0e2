"""The loop: facts in, decisions out. One driver owns one search at a time.

    load facts -> rebuild the plan -> settle or adopt open attempts
    loop: what has ended -> judge -> record -> what follows -> next evaluation -> record -> start

A start and what freed its worker are recorded in one commit; nothing is started that is not
recorded. The first start and the hundredth run this same loop.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hbtrack.admission import ROOM_SECONDS, Admission
from hbtrack.contract import attempt_argv
from hbtrack.errors import HbtrackError, Unavailable
from hbtrack.executors.gpus import Gpu, call_of, shown
from hbtrack.executors.local import Ended
from hbtrack.faults import passing
from hbtrack.plan import Done, OpenPass, Plan, Start, Wait
from hbtrack.records import (
    AttemptStatus,
    Facts,
    RungKey,
    Search,
    SearchStatus,
    Verdict,
    rung_of,
)
from hbtrack.seams import Executor, Limits, Observer, Running, Sampler, StopRequest
from hbtrack.store.ledger import Ledger, Writer
from hbtrack.summary import summarise
from hbtrack.verdict import Ending, judge

KILL_SECONDS = 10.0
"""How long a killed script may take to vanish before the driver goes without it."""

LONG_WAL = 256 * 1024**2
"""Bytes of the -wal file at which the user is told, and again each time it has doubled."""


@dataclass(slots=True)
class _Pending:
    """A recorded attempt, to be started after the commit."""

    worker: int
    running: Running
    gpu: Gpu


@dataclass(slots=True)
class _Step:
    """One commit under way."""

    writer: Writer
    touched: set[RungKey] = field(default_factory=set)
    starts: list[_Pending] = field(default_factory=list)
    verdicts: list[tuple[Running, Verdict]] = field(default_factory=list)


class Driver:
    """Runs one search to its end, or until it is asked to stop.

    `places` are the GPUs of the workers, one entry per worker.
    """

    def __init__(
        self,
        search: Search,
        plan: Plan,
        *,
        ledger: Ledger,
        executor: Executor,
        sampler: Sampler,
        observer: Observer,
        places: Sequence[Gpu],
        limits: Limits,
        stop: StopRequest,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.search = search
        self.plan = plan
        self._admission, self._workers = Admission(places), len(places)
        self.running: dict[int, Running] = {}
        self.stop = stop
        self._ledger = ledger
        self._executor = executor
        self._sampler = sampler
        self._observer = observer
        self._limits = limits
        self._clock = clock
        self._failure: HbtrackError | None = None  # nothing new starts; raised when all has ended
        self._kill_at: float | None = None  # monotonic
        self._killed_since: float | None = None  # monotonic
        self._long_wal = LONG_WAL

    def run(self, facts: Facts) -> SearchStatus:
        """Go on with the search; its status when nothing is running any more.

        Raises HbtrackError (a script that broke, a start that failed for good) after everything
        that ran has ended, and whatever stops the loop itself: then attempts stay to be adopted.
        """
        self._take_over(facts)
        self._commit([])
        while self.running or self._more_to_come():
            ended = self._executor.wait(self._timeout())
            if self.stop.at is not None:
                self._stop_attempts(except_for={end.attempt for end in ended})
            self._commit(ended)
        if self._failure:
            raise self._failure
        return SearchStatus.FINISHED if self._finished() else SearchStatus.UNFINISHED

    # --- the beginning ---

    def _take_over(self, facts: Facts) -> None:
        """Watch over what an earlier driver started; what has ended is found by the first wait."""
        for open_attempt in facts.open_attempts:
            place = self.plan.place_of(open_attempt.config_id, open_attempt.epochs)
            self.plan.start(place)
            running = Running(
                open_attempt.pk,
                place,
                open_attempt.config_id,
                open_attempt.epochs,
                self.plan.rungs[rung_of(place)].increment,
                open_attempt.gpu,
                since=time.monotonic(),
                adopted=True,
                stopping=open_attempt.status is AttemptStatus.STOPPING,
            )
            self.running[running.attempt] = running
            self._executor.adopt(running.attempt, open_attempt.worker)
            passing("adopt.after")
        # Those that were asked to stop are ended first: what they say does not count.
        for running in self._stopping():
            self._executor.signal(running.attempt, signal.SIGTERM)
            self._kill_at = time.monotonic() + self._limits.grace
        found = {running.attempt for running in self.running.values()}
        ended = self._executor.wait(0) if found else []
        self._commit(ended, watched=False)
        for attempt in found - {end.attempt for end in ended}:
            self._observer.started(self.running[attempt])

    # --- the loop ---

    def _more_to_come(self) -> bool:
        """Whether something will start although nothing runs."""
        return not (self.stop.at or self._failure or self._finished())

    def _finished(self) -> bool:
        return isinstance(self.plan.next(), Done)

    def _timeout(self) -> float | None:
        """Seconds until the loop has something to do by itself."""
        moments = [at for at in (self._kill_at, self._admission.wake_at()) if at is not None]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _commit(self, ended: Sequence[Ended], *, watched: bool = True) -> None:
        """Record what has ended, what follows, and what starts next: one transaction."""
        self._kill_overdue()
        self._admission.look_at_the_clock()
        if not ended and not self.running and self._lacks_room():
            raise Unavailable(
                "The disk is full, so nothing was started; make room.", "the disk is full"
            )
        if not ended and (self._idle_gpu() is None or isinstance(self.plan.next(), Wait)):
            return
        with self._ledger.transaction() as writer:
            step = _Step(writer)
            for end in ended:
                self._settle(step, end, watched=watched)
                passing("settle.after")
            if watched:
                self._decide(step)
            if step.touched:
                writer.summarise(summarise(self.plan, step.touched))
            if self._finished():
                writer.status(SearchStatus.FINISHED, self._clock())
        for end in ended:
            self._executor.clear(end)
        for running, verdict in step.verdicts:
            self._observer.ended(running, verdict)
        for pending in step.starts:
            self._start(pending)
        self._observer.progressed(self.plan, len(self.running), self._workers)
        if (length := self._ledger.wal_bytes()) > self._long_wal:
            self._long_wal = 2 * length
            self._observer.said("long_wal", mebibytes=length >> 20)

    def _lacks_room(self) -> bool:
        """On a full disk scripts would fail whatever their config: for a while none is started."""
        if self._idle_gpu() is None or self._executor.has_room():
            return False
        self._admission.rest(ROOM_SECONDS)
        self._observer.said("wait", message="the disk is full", seconds=ROOM_SECONDS)
        return True

    def _decide(self, step: _Step) -> None:
        """Fill the idle workers with what the plan says is next."""
        while (gpu := self._idle_gpu()) and not self._lacks_room():
            decision = self.plan.next()
            if isinstance(decision, Start):
                self._record_start(step, decision, gpu)
            elif not (isinstance(decision, OpenPass) and self._open_pass(step, decision.pass_)):
                return

    def _idle_gpu(self) -> Gpu | None:
        """The GPU of an idle worker, if something may start at all."""
        if self.stop.at or self._failure:
            return None
        idle = self._admission.idle(running.gpu for running in self.running.values())
        return idle[0] if idle else None

    def _record_start(self, step: _Step, start: Start, gpu: Gpu) -> None:
        worker = self._executor.take_worker([gpu.key])
        if worker is None:
            self._admission.occupied(gpu)
            return
        attempt = step.writer.start(
            start.place,
            start.config_id,
            start.epochs,
            worker=worker,
            gpu=shown([gpu]),
            now=self._clock(),
        )
        self.plan.start(start.place)
        step.touched.add(rung_of(start.place))
        running = Running(
            attempt,
            start.place,
            start.config_id,
            start.epochs,
            self.plan.rungs[rung_of(start.place)].increment,
            shown([gpu]),
            since=time.monotonic(),
            alone=self._admission.one_at_a_time,
        )
        self.running[attempt] = running
        step.starts.append(_Pending(worker, running, gpu))

    def _start(self, pending: _Pending) -> None:
        running, launch = pending.running, self.search.launch
        gpus, environment = call_of([pending.gpu])
        argv = attempt_argv(
            launch.python,
            launch.script,
            running.config_id,
            epochs=running.epochs,
            gpus=gpus,
            script_args=launch.script_args,
        )
        passing("spawn.before")
        self._executor.start(running.attempt, pending.worker, argv, environment)
        passing("spawn.after")
        self._observer.started(running)

    def _open_pass(self, step: _Step, pass_: int) -> bool:
        """Open a pass if its ids are there; else nothing starts until they are, or fail."""
        try:
            sampled = self._sampler.take(pass_, self.plan.config_ids, self._executor.wake)
        except HbtrackError as error:
            self._fail(error)
            return False
        if sampled is None:
            return False
        consequences = self.plan.open_pass(pass_, sampled.config_ids)
        step.writer.open_pass(sampled)
        step.writer.apply(consequences, self._clock())
        step.touched |= consequences.rungs()
        return True

    def _fail(self, error: HbtrackError) -> None:
        self._failure = self._failure or error
        self._observer.said("error", message=str(error), running=len(self.running))

    # --- ends ---

    def _settle(self, step: _Step, end: Ended, *, watched: bool) -> None:
        """Record what an attempt came to, and what follows from it."""
        passing("settle.before")
        running = self.running.pop(end.attempt)
        verdict = self._judge(step, running, end, watched=watched)
        step.verdicts.append((running, verdict))
        step.writer.end(end.attempt, verdict)
        step.writer.result(
            running.place,
            running.config_id,
            running.epochs,
            loss=verdict.loss,
            seconds=verdict.seconds,
        )
        if verdict.status in (AttemptStatus.LOST, AttemptStatus.INTERRUPTED):
            self.plan.requeue(running.place)
            step.touched.add(rung_of(running.place))
            if failure := self._admission.note_start(end.record):
                self._fail(failure)
            return
        self._admission.note_result()
        consequences = self.plan.record(running.config_id, running.epochs, verdict.loss)
        step.writer.apply(consequences, verdict.finished_at)
        step.touched |= consequences.rungs()

    def _judge(self, step: _Step, running: Running, end: Ended, *, watched: bool) -> Verdict:
        record, output = end.record, self._executor.output(end)
        parent_died = watched and record.exit_status is None and not running.stopping
        self._admission.note_parent(record, died=parent_died)
        finished_at = record.finished_at or self._clock()
        # What is not recorded when a stop signal is heard may be an answer to it.
        too_late = self.stop.at is not None and (watched or finished_at > self.stop.at)
        wiped = not (record.asked or running.adopted)  # it emptied or removed its lock file
        properly = record.exit_status == 0 and not (record.signalled or record.full)
        ending = Ending(
            finished_at=finished_at,
            pid=record.pid,
            exit_status=record.exit_status,
            seconds=record.seconds,
            last_line=output.last_line if record.pid else b"",
            stdout=output.stdout if record.pid else "",
            stderr=output.stderr if record.pid else "",
            log=output.log if record.pid else None,
            asked_to_stop=running.stopping or too_late,
            watched=watched and (record.exit_status is not None or running.alone or wiped),
            # Not asked on the hot path: what ended properly was not lost.
            times_lost=0 if properly else step.writer.times_lost(end.attempt),
            signalled=record.signalled,
            full=record.full,
            oom=record.oom,
            overflow=record.overflow,
        )
        return judge(ending, self._limits.max_lost)

    # --- stopping ---

    def _stopping(self) -> list[Running]:
        return [running for running in self.running.values() if running.stopping]

    def _stop_attempts(self, except_for: set[int]) -> None:
        """Say in the database that nothing counts any more, then ask the scripts to end."""
        new = [
            running
            for running in self.running.values()
            if not running.stopping and running.attempt not in except_for
        ]
        if new:
            passing("stop.before")
            self._killed_since = None
            with self._ledger.transaction() as writer:
                writer.stopping(running.attempt for running in new)
            passing("stop.after")
            for running in new:
                running.stopping = True
                self._executor.signal(running.attempt, signal.SIGTERM)
            passing("stop.signalled")
            self._kill_at = time.monotonic() + self._limits.grace
            self._observer.said("stop", signal=self.stop.name, running=len(new))
        if self.stop.at_once and self._killed_since is None:
            self._kill_at = time.monotonic()

    def _kill_overdue(self) -> None:
        """KILL to what did not end within the grace period; some cannot even be killed."""
        if self._kill_at is None or time.monotonic() < self._kill_at:
            return
        stopping = self._stopping()
        if not stopping:
            self._kill_at = self._killed_since = None
            return
        now = time.monotonic()
        self._killed_since = self._killed_since or now
        if self.stop.at is not None and now - self._killed_since > KILL_SECONDS:
            raise HbtrackError(
                f"{len(stopping)} scripts were killed and still hold their locks: the kernel "
                "cannot end them yet, their parent (warden.py) is stopped, or they run in a "
                "container that is not visible from here. Everything finished is kept; when they "
                "have ended, type `hbtrack resume`."
            )
        for running in stopping:
            self._executor.signal(running.attempt, signal.SIGKILL)
        self._kill_at = now + 0.5  # again: a start on its way may only now become a process
