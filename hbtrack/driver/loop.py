"""The loop: facts in, decisions out. One driver owns one search at a time.

    load facts -> rebuild the plan -> settle or adopt open attempts
    loop: what has ended -> judge -> record -> what follows -> next evaluation -> record -> start

A start and what freed its worker are recorded in one commit; nothing is started that is not
recorded. The first start and the hundredth run this same loop.
"""

import time
from collections.abc import Callable, Sequence

from hbtrack.core.contract import attempt_argv
from hbtrack.core.execution import Ended, Executor
from hbtrack.core.gpu import Gpu, call_of, shown
from hbtrack.core.limits import FIRST, broken, reached
from hbtrack.core.plan import Done, OpenPass, Plan, Start, Wait
from hbtrack.core.records import (
    AttemptStatus,
    Facts,
    Search,
    SearchStatus,
    rung_of,
    unix,
)
from hbtrack.core.schedule import schedule_of
from hbtrack.core.summary import summarise
from hbtrack.driver.admission import ROOM_SECONDS, Admission
from hbtrack.driver.harvest import Harvest, Pending, Step
from hbtrack.driver.interfaces import Observer, Running, Sampler, StopRequest, Tolerances
from hbtrack.driver.rederive import rederive
from hbtrack.driver.termination import Termination
from hbtrack.errors import HbtrackError, Unavailable
from hbtrack.faults import fault_point
from hbtrack.store.ledger import Ledger

HEARTBEAT_SECONDS = 60.0
"""Between two notes that the driver lives: --max-time counts a killed one's time from them."""

HEARTBEAT_ON_THE_WAY = 1.0
"""The same, where something is committed anyway."""

LONG_WAL = 256 * 1024**2
"""Bytes of the -wal file at which the user is told, and again each time it has doubled."""


class Driver:
    """Runs one search to its end, or until it is asked to stop.

    `devices` are the GPUs of the workers, one entry per worker.
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
        devices: Sequence[Gpu],
        tolerances: Tolerances,
        stop: StopRequest,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.search = search
        self.plan = plan
        self._admission, self._workers = Admission(devices), len(devices)
        self.running: dict[int, Running] = {}
        self.stop = stop
        self._ledger = ledger
        self._executor = executor
        self._sampler = sampler
        self._observer = observer
        self._clock = clock
        self._failure: HbtrackError | None = None  # nothing new starts; raised when all has ended
        self._long_wal = LONG_WAL
        self._occupied: set[str] = set()  # keys of GPUs that another search uses
        self._broken_script_checked = search.judged
        self._earlier_seconds = 0.0  # seconds in which earlier drivers lived
        self._begun = self._heartbeat = time.monotonic()
        self._termination = Termination(
            self.running,
            ledger=ledger,
            executor=executor,
            observer=observer,
            stop=stop,
            grace=tolerances.grace,
            timeout=search.limits.timeout,
        )
        self._harvest = Harvest(
            self._admission,
            executor=executor,
            observer=observer,
            stop=stop,
            limits=search.limits,
            tolerances=tolerances,
            clock=clock,
        )

    def run(self, facts: Facts) -> SearchStatus:
        """Go on with the search; its status when nothing is running any more.

        Raises HbtrackError (a script that broke, a start that failed for good) after everything
        that ran has ended, and whatever stops the loop itself: then attempts stay to be adopted.
        """
        self._earlier_seconds = facts.earlier_seconds
        self._take_over(facts)
        self._apply_limits()
        self._commit([])
        while self.running or self._more_to_come():
            ended = self._executor.wait(self._timeout())
            over = {end.attempt for end in ended}
            self._termination.apply_stop(except_for=over)
            self._termination.apply_timeout(except_for=over)
            self._commit(ended)
            self._apply_limits()
        if self._failure:
            raise self._failure
        return SearchStatus.FINISHED if self._finished() else SearchStatus.UNFINISHED

    # --- the beginning ---

    def _take_over(self, facts: Facts) -> None:
        """Watch over what an earlier driver started; what has ended is found by the first wait."""
        self._harvest.remember(self._ledger.recent_ends() if self._workers > 1 else [])
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
                since=time.monotonic() - max(0.0, self._clock() - unix(open_attempt.started_at)),
                adopted=True,
            )
            if open_attempt.status is not AttemptStatus.RUNNING:
                running.ending = open_attempt.status
            self.running[running.attempt] = running
            self._executor.adopt(running.attempt, open_attempt.worker)
            fault_point("adopt.after")
        self._termination.go_on()
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
        moments = [
            self._termination.next_at(),
            self._admission.wake_at(),
            self._heartbeat + HEARTBEAT_SECONDS,
        ]
        if (limit := self.search.limits.max_time) is not None and self.stop.at is None:
            moments.append(self._begun + limit - self._earlier_seconds)
        return max(0.0, min(at for at in moments if at is not None) - time.monotonic())

    def _apply_limits(self) -> None:
        """Stop cleanly when a limit of the whole search is reached."""
        lived = self._earlier_seconds + time.monotonic() - self._begun
        limit = reached(self.search.limits, self.plan, lived)
        if limit and self.stop.at is None and not self._finished():
            self.stop.reach(limit, self._clock())
        if self.stop.reached:
            self._termination.apply_stop()

    def _commit(self, ended: Sequence[Ended], *, watched: bool = True) -> None:
        """Record what has ended, what follows, and what starts next: one transaction."""
        self._termination.kill_overdue(except_for={end.attempt for end in ended})
        self._admission.look_at_the_clock()
        if not ended and not self._has_to_do():
            return
        with self._ledger.transaction() as writer:
            step = Step(writer)
            for end in ended:
                self._settle(step, end, watched=watched)
                fault_point("settle.after")
            self._stop_if_broken(step)
            if watched:
                self._decide(step)
            if self._heartbeat_due(after=HEARTBEAT_ON_THE_WAY):
                self._heartbeat = time.monotonic()
                writer.heartbeat(self._clock())
            if step.touched:
                writer.summarise(summarise(self.plan, step.touched))
            if self._finished():
                writer.status(SearchStatus.FINISHED, self._clock())
        for end in ended:
            self._executor.clear(end)
        try:
            for pending in step.starts:
                self._start(pending)
        finally:
            self._report(step)
        self._observer.progressed(self.plan, len(self.running), self._workers)
        if (length := self._ledger.wal_bytes()) > self._long_wal:
            self._long_wal = 2 * length
            self._observer.event("long_wal", mebibytes=length >> 20)

    def _report(self, step: Step) -> None:
        """Show what happened, now that the next scripts are on their way."""
        for running, verdict in step.verdicts:
            self._observer.ended(running, verdict)
        for closed in step.closed:
            self._observer.promoted(self.plan, closed)
        for pending in step.starts:
            if pending.begun:
                self._observer.started(pending.running)

    def _has_to_do(self) -> bool:
        """Whether there is something to commit although nothing has ended."""
        idle = self._idle()
        if idle and not self.running and self._lacks_room():
            raise Unavailable(
                "The disk is full, so nothing was started; make room.",
                "the disk is full",
                see="disk-full",
            )
        return bool(idle and not isinstance(self.plan.next(), Wait)) or self._heartbeat_due()

    def _lacks_room(self) -> bool:
        """On a full disk scripts would fail whatever their config: for a while none is started."""
        if self._executor.has_room():
            return False
        self._admission.rest(ROOM_SECONDS)
        self._observer.event("wait", message="the disk is full", seconds=ROOM_SECONDS)
        return True

    def _decide(self, step: Step) -> None:
        """Fill the idle workers with what the plan says is next."""
        while (idle := self._idle()) and not self._lacks_room():
            decision = self.plan.next()
            if isinstance(decision, Start):
                if taken := self._take_worker(idle[0]):
                    self._record_start(step, decision, *taken)
            elif not (isinstance(decision, OpenPass) and self._open_pass(step, decision.pass_)):
                return

    def _idle(self) -> list[Gpu]:
        """The GPUs of idle workers on which something may start now."""
        if self.stop.at is not None or self._failure:
            return []
        return self._admission.idle(self._busy())

    def _busy(self) -> list[str]:
        return [running.gpu for running in self.running.values()]

    def _take_worker(self, gpu: Gpu) -> tuple[int, list[Gpu]] | None:
        """A worker with this GPU, or with all of them for the one evaluation that is left.

        None if another search uses the GPU: it is not idle then.
        """
        resources = self.search.resources
        if resources.multi_gpu == "auto" and self.plan.only_one_left():
            every = self._admission.all_idle(self._busy())
            keys = [gpu.key for gpu in every or ()]
            if every and (worker := self._executor.take_worker(keys, 1)) is not None:
                return worker, every
        keys = [gpu.key] if gpu.key else []
        if (worker := self._executor.take_worker(keys, resources.per_gpu)) is not None:
            self._occupied.discard(gpu.key)
            return worker, [gpu]
        self._admission.occupied(gpu)
        if gpu.key not in self._occupied:  # said once until it is ours again
            self._occupied.add(gpu.key)
            by = self._executor.user_of(gpu.key) or "another search"
            self._observer.event("wait", message=f"GPU {gpu.name} is used by {by}")
        return None

    def _record_start(self, step: Step, start: Start, worker: int, gpus: list[Gpu]) -> None:
        gpu = shown(gpus)
        attempt = step.writer.start(
            start.place, start.config_id, start.epochs, worker=worker, gpu=gpu, now=self._clock()
        )
        self.plan.start(start.place)
        step.touched.add(rung_of(start.place))
        running = Running(
            attempt,
            start.place,
            start.config_id,
            start.epochs,
            self.plan.rungs[rung_of(start.place)].increment,
            gpu,
            since=time.monotonic(),
            alone=self._admission.one_at_a_time,
        )
        self.running[attempt] = running
        step.starts.append(Pending(worker, running, *call_of(gpus)))

    def _start(self, pending: Pending) -> None:
        running, command = pending.running, self.search.command
        argv = attempt_argv(
            command.python,
            command.script,
            running.config_id,
            epochs=running.epochs,
            gpus=pending.gpus,
            script_args=command.script_args,
        )
        fault_point("spawn.before")
        self._executor.start(running.attempt, pending.worker, argv, pending.env)
        fault_point("spawn.after")
        pending.begun = True

    def _open_pass(self, step: Step, pass_: int) -> bool:
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
        step.closed += consequences.closed
        return True

    def _fail(self, error: HbtrackError) -> None:
        self._failure = self._failure or error
        self._observer.event("error", message=str(error), running=len(self.running))

    # --- ends ---

    def _settle(self, step: Step, end: Ended, *, watched: bool) -> None:
        """Record what an attempt came to, and what follows from it."""
        fault_point("settle.before")
        running = self.running.pop(end.attempt)
        verdict = self._harvest.judge(step, running, end, watched=watched)
        again = self._harvest.why_again(step, running, verdict)
        self._take_back(step)  # before what this one came to closes the rung of those
        step.verdicts.append((running, verdict))
        step.writer.end(end.attempt, verdict, again)
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
        if again:
            self.plan.requeue(running.place)
            step.touched.add(rung_of(running.place))
            return
        consequences = self.plan.record(running.config_id, running.epochs, verdict.loss)
        step.writer.apply(consequences, verdict.finished_at, running.place)
        step.touched |= consequences.rungs()
        step.closed += consequences.closed

    def _take_back(self, step: Step) -> None:
        """The failures of a GPU that was found to be at fault are none, where that is still open.

        A fact goes, so the plan is made anew from those that are left.
        """
        if not step.withdrawn:
            return
        busy = {running.config_id for running in self.running.values()}
        taken = [
            (config_id, epochs)
            for config_id, epochs in step.withdrawn
            if config_id not in busy
            and self.plan.withdrawal_problem(config_id, epochs) is None
            and step.writer.withdraw(config_id, epochs, "gpu")
        ]
        step.withdrawn.clear()
        if taken:
            terms = self.search.terms
            self.plan = rederive(
                step.writer.connection, self.search.pk, schedule_of(terms), terms.passes
            )
            self._observer.event("retry", evaluations=len(taken), reason="gpu")

    def _stop_if_broken(self, step: Step) -> None:
        """Once: if the first evaluations all failed alike, not the configs are at fault."""
        if self._broken_script_checked or self.stop.at is not None:
            return
        first = self.plan.first_failures(FIRST)
        if first is not None and len(first) < FIRST:
            return
        self._broken_script_checked = True
        found = [step.writer.fingerprint(*evaluation) for evaluation in first or ()]
        fingerprint, error = found[0] if found else (None, None)
        if fingerprint and {one for one, _ in found} == {fingerprint}:
            self.stop.reach(broken(fingerprint, error or ""), self._clock())

    def _heartbeat_due(self, after: float = HEARTBEAT_SECONDS) -> bool:
        return time.monotonic() - self._heartbeat >= after
