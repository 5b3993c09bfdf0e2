"""What starts next: decided by the plan, allowed by all who are asked, recorded, then started.

A start is recorded in the commit of the step; the script is started after it.
"""

import time

from hbtrack.core.contract import attempt_argv
from hbtrack.core.decisions import OpenPass, Start
from hbtrack.core.execution import Job, Slot
from hbtrack.core.known import has_loss
from hbtrack.core.outages import AWAY
from hbtrack.core.script_text import Look
from hbtrack.driver.admission import Admission
from hbtrack.driver.driven import Driven
from hbtrack.driver.interfaces import Running
from hbtrack.driver.outage import Outage
from hbtrack.driver.recorder import Recorder, Step
from hbtrack.driver.rest import Rest
from hbtrack.driver.versions import Versions
from hbtrack.errors import CannotStart, HbtrackError
from hbtrack.faults import fault_point


class Starts:
    """Fills free slots with what the plan says is next."""

    def __init__(
        self, driven: Driven, admission: Admission, rest: Rest, versions: Versions
    ) -> None:
        edges = driven.edges
        self._driven, self._admission = driven, admission
        self._rest, self._versions = rest, versions
        self._executor, self._sampler = edges.executor, edges.sampler
        self._checkpoints, self._clock = edges.checkpoints, edges.clock
        self._away = Outage(driven.search.limits.max_rest, edges.observer, "checkpoints_back")
        self._look_at: float | None = None  # monotonic; while that folder is away
        self._sampled_from: Look | None = None  # the script that is asked for a pass

    def decide(self, step: Step) -> list[tuple[Running, Slot]]:
        """Fill the free slots with what the plan says is next; what was recorded as started."""
        starts: list[tuple[Running, Slot]] = []
        while not self._driven.stops and self._admission.is_open(self._driven.running):
            if self._rest.doubts:
                return starts + self._ask_again(step)
            decision = self._driven.plan.next()
            if not (isinstance(decision, Start | OpenPass) and self._script_may_start(step)):
                break
            if isinstance(decision, OpenPass):
                if not self._open_pass(step, decision.pass_):
                    break
            elif self._can_save(step, decision.config_id) and (slot := self._reserve(step)):
                starts.append((self._record_start(step.recorder, decision, slot), slot))
            else:
                break
        return starts

    def _ask_again(self, step: Step) -> list[tuple[Running, Slot]]:
        """When a rest is over and nothing runs: one evaluation, to see if the machine is well."""
        may_ask = self._rest.may_ask() and not self._driven.running
        if not (may_ask and self._script_may_start(step) and self._can_save(step)):
            return []
        if not self._others_known(step):
            return []
        if (start := self._question(step)) is None:
            self._rest.give_up(step.recorder.writer)
        elif self._can_save(step, start.config_id) and (slot := self._reserve(step)):
            self._rest.asking((start.config_id, start.epochs))
            return [(self._record_start(step.recorder, start, slot), slot)]
        return []

    def _others_known(self, step: Step) -> bool:
        """Where others are to be asked and none is ready, those of the next pass will be."""
        decision = self._driven.plan.next()
        if not (isinstance(decision, OpenPass) and self._rest.streak.asks_others):
            return True
        return self._open_pass(step, decision.pass_)

    def _question(self, step: Step) -> Start | None:
        """The evaluation that is run to ask: another one, or a failed one, taken back."""
        plan = self._driven.plan
        starts = [plan.start_of(place) for place in sorted(plan.callable())]
        ready = {(start.config_id, start.epochs): start for start in starts}
        asked = self._rest.streak.question(ready)
        if asked in ready:
            return ready[asked]
        step.recorder.take_back([asked], "rest", self._driven.search)
        self._driven.plan = step.recorder.plan
        if start := self._driven.plan.start_for(*asked):
            return start
        decision = self._driven.plan.next()
        return decision if isinstance(decision, Start) else None

    def _script_may_start(self, step: Step) -> bool:
        """Whether the script can be run just now; if never again, the search ends."""
        try:
            may_start = self._versions.may_start()
        except HbtrackError as error:
            self._driven.fail(error)
            return False
        self._tell(step)
        return may_start

    def _can_save(self, step: Step, config_id: str | None = None) -> bool:
        """Whether there is a folder for what a config, or any, saves; if never, the search ends."""
        if problem := self._checkpoints.problem(config_id):
            what = f"{AWAY} ({problem})"
            try:
                self._look_at = self._away.goes_on(what, _gone(problem))
            except HbtrackError as error:
                self._driven.fail(error)
                return False
        else:
            self._away.is_over()
        self._tell(step)
        return not problem

    def look_again(self) -> None:
        """A new step: what was found before may have changed."""
        self._versions.look_again()
        self._look_at = None

    def next_at(self) -> float | None:
        """When what is not there now is to be looked for again (monotonic)."""
        return self._versions.look_at if self._look_at is None else self._look_at

    def _tell(self, step: Step) -> None:
        """Say in the database whether and why nothing starts, if that has changed."""
        outages = (self._versions.outage, self._away)
        if any(outage.turns for outage in outages):
            told = [outage.turn(self._clock()) for outage in outages]
            step.recorder.writer.outage(*next(filter(None, told), (None, None)))

    def _reserve(self, step: Step) -> Slot | None:
        """Where the next attempt may run; all GPUs for the one evaluation that is left."""
        together = (
            self._driven.search.resources.multi_gpu == "auto" and self._driven.plan.only_one_left()
        )
        return self._admission.reserve(
            every_gpu=together, idle=not (self._driven.running or step.begun)
        )

    def _record_start(self, recorder: Recorder, start: Start, slot: Slot) -> Running:
        before = self._epochs_before(recorder, start.config_id)
        now, since = self._clock(), time.monotonic()
        attempt = recorder.start(
            start,
            worker=slot.worker,
            gpu=slot.gpu,
            now=now,
            since_boot=since,
            epochs_before=before,
            script_version=self._versions.number(start, recorder.writer, now),
        )
        running = self._driven.watch(attempt, start, slot.gpu, since)
        running.epochs_before, running.look = before, self._versions.now()
        running.alone = self._admission.one_at_a_time
        return running

    def _epochs_before(self, recorder: Recorder, config_id: str) -> int:
        """The epochs that are known to lie in the folder of the config, which is there now."""
        if has_loss(self._driven.plan, config_id) and self._checkpoints.found(config_id):
            return recorder.writer.epochs_saved(config_id)
        return 0

    def start(self, running: Running, slot: Slot) -> None:
        """Have a recorded attempt begin."""
        command = self._driven.search.command
        argv = attempt_argv(
            command.python,
            command.script,
            running.config_id,
            epochs=running.epochs,
            gpus=slot.gpus,
            script_args=command.script_args,
        )
        fault_point("spawn.before")
        job = Job(running.name, argv, {**slot.env, **self._checkpoints.environment(running)})
        self._executor.start(job, slot)
        fault_point("spawn.after")

    def _open_pass(self, step: Step, pass_: int) -> bool:
        """Open a pass if its ids are there; else nothing starts until they are, or fail."""
        self._sampled_from = self._sampled_from or self._versions.now()
        try:
            sampled = self._sampler.take(pass_, self._driven.plan.config_ids, self._executor.wake)
        except HbtrackError as error:
            half, self._sampled_from = self._versions.looks(self._sampled_from).written, None
            if half:  # of a script may have been asked
                return self._open_pass(step, pass_)
            self._driven.fail(error)
            return False
        if sampled is not None:
            self._sampled_from = None
            step.recorder.open_pass(sampled, self._clock())
        return sampled is not None


def _gone(problem: str) -> CannotStart:
    return CannotStart(
        f"The folder for checkpoints is away ({problem}), for longer than --max-rest allows. No "
        "evaluation failed by that, and everything recorded is kept. When its disk is back, type "
        "`hbtrack resume`. To train again what goes on and save it elsewhere: `hbtrack resume "
        "--checkpoints DIR`.",
        f"{AWAY} ({problem}), for longer than --max-rest allows",
        see="checkpoints-away",
    )
