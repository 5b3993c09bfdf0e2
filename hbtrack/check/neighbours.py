"""Other configs beside the one that was trained, in turn and at the same time: points 7 and 9."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hbtrack.check import calls
from hbtrack.check.candidates import CANDIDATES, alike, used
from hbtrack.check.finding import Finding, Status, skipped
from hbtrack.check.noise import Noise
from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.training import Training
from hbtrack.check.workspaces import Runs, Workspace


def judged(training: Training, runs: Runs, run: ScriptRun, alone: ScriptRun | None) -> Training:
    """What training showed, with the noise of the run `alone`, where a loss would accuse.

    Few losses may be equal by chance, as the error of an unseeded training in 50 points.
    """
    equal = alone is None or not (run.done and alone.done) or run.loss == alone.loss
    if alone is None or equal or not training.exact:
        return training
    return replace(training, noise=Noise(runs).of(alone, run))


@dataclass(slots=True)
class Neighbours:
    """Other configs where this one was trained."""

    runs: Runs
    workspace: Workspace
    training: Training
    use: frozenset[str] = field(init=False, default=frozenset())  # files that they use
    multi_gpu: ScriptRun | None = field(init=False, default=None)  # the first once more, with it
    _second: ScriptRun | None = field(init=False, default=None)  # of another config, alone

    def separate(self) -> Finding:
        """Other configs beside the first, and then the first again."""
        nearest, epochs = self._nearest(), self._epochs_beside()
        told: list[tuple[Training, ScriptRun | None, ScriptRun]] = []
        failing = []  # where it cannot be told whether they would alone
        for config_id in list(dict.fromkeys([*nearest, *self.runs.ids]))[: 2 + CANDIDATES]:
            self.runs.ids.remove(config_id)
            alone = self._alone(config_id, epochs) if self.runs.comparable else None
            if alone and not alone.done:
                continue
            beside = self.beside(config_id, epochs)
            if not (alone or beside.done):
                failing.append(beside)
                continue
            self._second = alone if beside.done else self._second
            told.append((judged(self.training, self.runs, beside, alone), alone, beside))
            found = calls.separate(*told[-1], self.training.again)
            if found.status is not Status.PASS or len(told) == len(nearest):
                break
        if not told:
            return calls.no_second(failing)
        back = self._back()
        # Of those before the last one nothing was seen so far.
        each = [calls.separate(*one, back) for one in reversed(told)]
        return next((one for one in each if one.status is not Status.PASS), each[0])

    def _nearest(self) -> list[str]:
        """Those most like the first, for a checkpoint's name may tell only some of the id.

        One, where all that it saved lies in the folder that hbtrack has named.
        """
        saved, told = self.training.first.touched.saved, self.runs.bench.told
        nearest = alike(self.workspace.config_id, self.runs.ids)
        return nearest[:1] if saved and all(map(told.holds, saved)) else nearest

    def _epochs_beside(self) -> int:
        """For how many epochs: as many as of two at once, where that saves time of one of them."""
        first, long = self.training.first, self.training.long
        if self.runs.comparable and long.seconds < 2 * first.seconds:
            return long.call.epochs
        return first.call.epochs

    def beside(self, config_id: str, epochs: int) -> ScriptRun:
        """Another config where the first was trained."""
        files = self.training.first.touched.written
        beside = self.runs.run(self.workspace, Call(config_id, epochs), reading=files)
        self.use |= used(beside)
        return beside

    def _back(self) -> ScriptRun:
        """The first config again: with --multi_gpu, and without where that is not the same."""
        again = Call(self.workspace.config_id, self.runs.budgets.second)
        if self.runs.comparable:
            at = self.runs.again_in(self.workspace)
            multi = self.multi_gpu = self.runs.run(at, replace(again, multi_gpu=True))
            self.runs.discard(at)
            if multi.done and multi.loss == self.training.again.loss:
                return multi
        return self.runs.run(self.workspace, again)

    def at_once(self) -> Finding:
        """Two configs at the same time, as two workers train them."""
        if not (self.runs.comparable and self._second):
            return skipped("at_once", "it takes a folder of its own, and two configs")
        workspace, long, second = self.runs.nowhere(), self.training.long, self._second
        if second.call.epochs != long.call.epochs:
            second = self._alone(second.call.config_id, long.call.epochs)
        calls_ = [long.call, second.call]

        def job(call: Call) -> Callable[[Runs], ScriptRun]:
            return lambda lane: lane.run(workspace, call)

        beside = [run for _, run in self.runs.beside(2, *map(job, calls_))]
        for run in beside:
            self.runs.note(run)
        self.runs.discard(workspace)
        pairs = list(zip(beside, [long, second], strict=True))
        exact = all(judged(self.training, self.runs, *pair).exact for pair in pairs)
        return calls.at_once(pairs, exact=exact)

    def _alone(self, config_id: str, epochs: int) -> ScriptRun:
        """Where no config was trained yet."""
        return self.runs.in_turn(self.runs.untrained(config_id), epochs)[0]
