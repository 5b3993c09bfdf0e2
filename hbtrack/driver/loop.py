"""The loop: facts in, decisions out. One driver owns one search at a time.

    load facts -> rebuild the plan -> settle or adopt open attempts
    loop: what has ended -> judge -> record -> what follows -> next evaluation -> record -> start

A start and what freed its worker are recorded in one commit; nothing starts that is not recorded.
"""

import time
from collections.abc import Sequence

from hbtrack.core.decisions import Done, Start
from hbtrack.core.derived import Evaluation
from hbtrack.core.execution import Seen, Slot
from hbtrack.core.gpu import Gpu
from hbtrack.core.known import counted, first_failures, larger
from hbtrack.core.limits import FIRST, broken, reached
from hbtrack.core.places import named
from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Facts, Search, SearchStatus
from hbtrack.driver.admission import Admission
from hbtrack.driver.driven import Driven
from hbtrack.driver.harvest import Harvest
from hbtrack.driver.interfaces import Edges, End, Running
from hbtrack.driver.lifetime import Lifetime, begun_at
from hbtrack.driver.recorder import Recorder, Step
from hbtrack.driver.rest import Rest, streak_of
from hbtrack.driver.starts import Starts
from hbtrack.driver.termination import Termination
from hbtrack.driver.versions import Versions
from hbtrack.faults import fault_point
from hbtrack.store.ledger import Ledger

LONG_WAL = 256 * 1024**2
"""Bytes of the -wal file at which the user is told, and again each time it has doubled."""


class Driver:
    """Runs one search to its end, or until it is asked to stop.

    `devices` are the GPUs of the workers, one entry per worker.
    """

    def __init__(
        self, search: Search, plan: Plan, ledger: Ledger, edges: Edges, devices: Sequence[Gpu]
    ) -> None:
        self._driven = driven = Driven(search, plan, edges)
        self._ledger = ledger
        self._executor = edges.executor
        self._observer, self._stop, self._clock = edges.observer, edges.stop, edges.clock
        self._checkpoints = edges.checkpoints
        self._workers = len(devices)
        self._long_wal = LONG_WAL
        self._broken_script_checked = search.broken_script_checked
        self._lifetime = Lifetime(earlier_seconds=0.0)
        self._admission = Admission(devices, edges)
        self._termination = Termination(driven.running, ledger, edges, search.limits.timeout)
        self._harvest = Harvest(self._admission, edges, search.limits)
        self._rest = Rest(search.limits, edges)
        self._versions = Versions(edges, search)
        self._starts = Starts(driven, self._admission, self._rest, self._versions)

    def run(self, facts: Facts) -> SearchStatus:
        """Go on with the search; its status when nothing is running any more.

        Raises HbtrackError (a script that broke, a start that failed for good) after everything
        that ran has ended, and whatever stops the loop itself: then attempts stay to be adopted.
        """
        self._observer.opened(self._driven.plan, self._workers)
        self._take_over(facts)
        self._apply_limits()
        self._step([])
        while self._driven.running or self._more_to_come():
            self._executor.wait(self._timeout())
            ended = self._ended()
            over = {running.attempt for running in ended}
            self._termination.apply_stop(except_for=over)
            self._termination.apply_timeout(except_for=over)
            self._step(ended)
            self._apply_limits()
        if self._driven.failure:
            raise self._driven.failure
        return SearchStatus.FINISHED if self._finished() else SearchStatus.UNFINISHED

    def _take_over(self, facts: Facts) -> None:
        """Watch over what an earlier driver started, and record what has ended meanwhile."""
        self._lifetime = Lifetime(facts.earlier_seconds)
        self._harvest.remember(self._ledger.recent_ends() if self._workers > 1 else [])
        search = self._driven.search
        self._rest.streak = self._ledger.read(
            lambda query: streak_of(query, search.pk, search.limits, facts)
        )
        self._versions.remember(*self._ledger.script_versions())
        for open_attempt in facts.open_attempts:
            evaluation = (open_attempt.config_id, open_attempt.epochs)
            start = Start(self._driven.plan.place_of(*evaluation), *evaluation)
            self._driven.plan.start(start.place)
            since = begun_at(open_attempt, self._ledger.boot_id)
            running = self._driven.watch(open_attempt.pk, start, open_attempt.gpu, since)
            running.adopted, running.look = True, self._versions.taken_over(open_attempt)
            if open_attempt.status is not AttemptStatus.RUNNING:
                running.ending = open_attempt.status
        if self._driven.running:
            self._termination.go_on()
            self._executor.wait(0)
            self._step(self._ended(), watched=False)
        if self._driven.running:
            self._observer.adopted(self._driven.running.values())

    def seconds_lived(self) -> float:
        """How long this driver has lived."""
        return self._lifetime.own_seconds()

    # --- the loop ---

    def _more_to_come(self) -> bool:
        """Whether something will start although nothing runs."""
        return not (self._driven.stops or self._finished())

    def _finished(self) -> bool:
        return isinstance(self._driven.plan.next(), Done) and not self._rest.doubts

    def _timeout(self) -> float | None:
        """Seconds until the loop has something to do by itself."""
        moments = [self._termination.next_at(), self._admission.not_before, self._rest.next_at()]
        moments += [self._starts.next_at(), self._lifetime.heartbeat_at()]
        if (limit := self._driven.search.limits.max_time) is not None and self._stop.at is None:
            moments.append(self._lifetime.reaches(limit))
        return max(0.0, min(at for at in moments if at is not None) - time.monotonic())

    def _apply_limits(self) -> None:
        """Stop cleanly when a limit of the whole search is reached."""
        search = self._driven.search
        limit = reached(
            *(search.limits, self._driven.plan, self._lifetime.seconds()),
            maximize=search.terms.maximize,
            doubted=self._rest.doubts,
        )
        if limit and self._stop.at is None and not self._finished():
            self._stop.reach(limit, self._clock())
        if self._stop.reached:
            self._termination.apply_stop()

    def _ended(self) -> list[Running]:
        """Those of the running attempts that the executor does not see any more."""
        if (seen := self._executor.look()) is None:
            return []
        for running in self._driven.running.values():
            if (how := seen.get(running.name)) is Seen.QUEUED:
                running.since = time.monotonic()
            elif how is Seen.STUCK:
                self._executor.end(running.name, 0.0)
        return [running for running in self._driven.running.values() if running.name not in seen]

    def _step(self, ended: Sequence[Running], *, watched: bool = True) -> None:
        """Record what has ended, what follows, and what starts next: one transaction at most."""
        self._termination.raise_if_unkillable(except_for={running.attempt for running in ended})
        self._admission.look_at_the_clock()
        self._starts.look_again()
        starts: list[tuple[Running, Slot]] = []
        ends: list[End] = []
        maximize = self._driven.search.terms.maximize
        with Step(self._ledger, self._driven.plan, maximize=maximize) as step:
            for running in ended:
                ends.append(self._settle(step.recorder, running, watched=watched))
                fault_point("settle.after")
            if watched:
                self._stop_if_broken(step)
                if self._rest.turns:
                    self._rest.turn(step.recorder.writer)
                self._checkpoints.look(self._driven.plan, step)
                starts += self._starts.decide(step)
            self._note_heartbeat(step)
            if step.begun or self._finished():
                step.recorder.finish(self._clock(), finished=self._finished())
        if not step.begun:
            return
        for running in ended:
            self._executor.clear(running.name)
        begun = []
        try:
            for running, slot in starts:
                self._starts.start(running, slot)
                begun.append(running)
        finally:
            self._report(ends, step.recorder, begun)
        self._checkpoints.make_ahead(self._driven.plan.next())

    def _report(self, ends: Sequence[End], recorder: Recorder, begun: Sequence[Running]) -> None:
        """Show what happened, now that the next scripts are on their way."""
        for end in ends:
            self._observer.ended(end)
        self._rest.report()
        for closed in recorder.closed:
            self._observer.promoted(self._driven.plan, closed)
        for running in begun:
            self._observer.started(running)
        self._observer.progressed(self._driven.plan, len(self._driven.running), self._workers)
        if (length := self._ledger.wal_bytes()) > self._long_wal:
            self._long_wal = 2 * length
            self._observer.event("long_wal", mebibytes=length >> 20)

    def _note_heartbeat(self, step: Step) -> None:
        if time.monotonic() >= self._lifetime.heartbeat_at(on_the_way=step.begun):
            self._lifetime.noted()
            step.recorder.writer.heartbeat(self._clock(), self.seconds_lived())

    # --- ends ---

    def _settle(self, recorder: Recorder, running: Running, *, watched: bool) -> End:
        """Record what an attempt came to, and what follows from it."""
        fault_point("settle.before")
        del self._driven.running[running.attempt]
        record = self._executor.record(running.name)
        looks = self._versions.looks(running.look)
        verdict = self._harvest.judge(recorder.writer, running, record, looks, watched=watched)
        noted = self._harvest.note(recorder.writer, running, verdict)
        self._take_back(recorder, noted.withdrawn, "gpu")  # before this closes the rung of those
        evaluation = (running.place, running.config_id, running.epochs)
        recorder.end(running.attempt, *evaluation, verdict, noted.again)
        counts = verdict.is_result and not noted.again
        not_theirs = self._rest.note_end(recorder.writer, running, verdict, counts=counts)
        self._take_back(recorder, not_theirs, "rest")
        if not verdict.one_script:
            facts = {"config": running.config_id, "epochs": running.epochs}
            self._observer.event("script_unknown", **facts)
        if verdict.is_result:
            self._admission.note_result()
        elif failure := self._admission.note_failed_start(record):
            self._driven.fail(failure)
        return End(running, verdict, noted.again, *counted(self._driven.plan))

    def _take_back(self, recorder: Recorder, evaluations: Sequence[Evaluation], why: str) -> None:
        """The failures of a GPU, or of the machine, that was at fault are none."""
        busy = {running.config_id for running in self._driven.running.values()}
        idle = [evaluation for evaluation in evaluations if evaluation[0] not in busy]
        if idle and (taken := recorder.take_back(idle, why, self._driven.search)):
            self._driven.plan = recorder.plan
            self._rest.streak.forget(idle)
            more = larger(self._driven.plan, {config_id for config_id, _ in idle})
            differing = {"larger_budget_at": named(more)} if more else {}
            self._observer.event("retry", evaluations=taken, reason=why, **differing)

    def _stop_if_broken(self, step: Step) -> None:
        """Once: if the first evaluations all failed alike, not the configs are at fault."""
        if self._broken_script_checked or self._stop.at is not None or self._rest.doubts:
            return
        first = first_failures(self._driven.plan, FIRST)
        if first is not None and len(first) < FIRST:
            return
        self._broken_script_checked = True
        found = [step.recorder.writer.fingerprint(*evaluation) for evaluation in first or ()]
        fingerprint, error = found[0] if found else (None, None)
        if fingerprint and {one for one, _ in found} == {fingerprint}:
            self._stop.reach(broken(fingerprint, error or ""), self._clock())
