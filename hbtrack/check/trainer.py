"""One config trained again and again: whether the script goes on from its checkpoint.

A machine that stalls must accuse no script: what is judged by its time is measured again.
"""

import math
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from hbtrack.check import checkpoints
from hbtrack.check.finding import Finding
from hbtrack.check.scratch import changed_since
from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.training import PLAIN, Training, by_noise, files_tell, spread
from hbtrack.check.workspaces import Runs, Workspace

ALIKE = 5  # runs from nothing that give one loss: training is deterministic
SURE = 20  # runs from nothing before a loss is said to be off by more than their noise
PATIENCE = 60.0  # seconds that such runs take together
UNMOVED = 4  # further configs that are trained before it is said that --epochs changes nothing
LONG = 1.0  # seconds of training that a signal surely hits the middle of
TOO_LONG = 10.0  # seconds of a run, above which 3 epochs are enough
TIMES = 3  # as often is measured what is judged by its time: a stall of the machine looks like it
SHORT = 5.0  # seconds of a run that such a stall may change much
SPARE = 50  # configs that are left for the rest where each run from nothing takes one
MOST_EPOCHS = 81


@dataclass(slots=True)
class Trainer:
    """Trains the config of these runs."""

    runs: Runs
    _from_nothing: dict[int, list[ScriptRun]] = field(init=False, default_factory=dict)  # by epochs

    def train(self, workspace: Workspace, first: ScriptRun) -> Training | Finding:
        """The same config for more epochs, the same epochs again, and all from nothing."""
        began = time.time()
        own, two = first.touched.written, Call(workspace.config_id, 2)
        second = self.runs.run(workspace, two, reading=own)
        if not second.done:
            return checkpoints.no_second(first, second)
        again, fresh = self.runs.run(workspace, two), self.runs.fresh(2)
        if not (again.done and fresh.done):
            return checkpoints.no_again(second, fresh if again.done else again)
        long, long_again = self._long(first, second, again, fresh)
        heeded = self._heeded(first, second, fresh, long)
        if not (heeded and files_tell(long, long_again)):
            first, long, long_again = self._timed(first, long, long_again)
        onward = self._onward(workspace, long)
        noise, long_noise, three = 0.0, 0.0, None
        if self.runs.comparable and (second.loss != fresh.loss or onward.loss != long.loss):
            three = long if long.call.epochs == 3 else self.runs.fresh(3)
            noise = self.noise(fresh, second)
            long_noise = noise if long.call == fresh.call else self.noise(long, onward)
        return Training(
            *(first, second, again, fresh, long, long_again, onward, three),
            noise=noise,
            long_noise=long_noise,
            comparable=self.runs.comparable,
            elsewhere="" if own else self._elsewhere(began),
            heeded=heeded,
        )

    def _elsewhere(self, began: float) -> str:
        """A file where scripts save that has changed since, though it may be by another program."""
        script = Path(self.runs.bench.command.script)
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
        folders = (str(script.parent), home, tempfile.gettempdir())
        return changed_since(began, map(Path, folders), apart=self.runs.work.parent)

    def noise(self, run: ScriptRun, other: ScriptRun) -> float:
        """How far this run and others from nothing are apart; `other` is what is judged by it."""
        runs = self._from_nothing.setdefault(run.call.epochs, [run])
        while _in_doubt(runs, other):
            runs.append(self.runs.fresh(run.call.epochs))
        return spread(*runs)

    def _heeded(self, *runs: ScriptRun) -> bool:
        """Whether the loss of some config changes with --epochs; one may have converged at once."""
        for _ in range(UNMOVED):
            if len({run.loss for run in runs}) > 1 or not self.runs.ids:
                break
            workspace = Workspace(self.runs.copy_of(self.runs.pristine), self.runs.ids.pop(0))
            calls = [Call(workspace.config_id, epochs) for epochs in (1, runs[-1].call.epochs)]
            runs = tuple(self.runs.run(workspace, call) for call in calls)
            self.runs.discard(workspace)
        return len({run.loss for run in runs}) > 1

    def _onward(self, workspace: Workspace, long: ScriptRun) -> ScriptRun:
        """As many epochs as `long`, after 1 and 2: as a config is promoted.

        A schedule that follows --epochs is seen from the third epoch on only.
        """
        if not self.runs.comparable or long.call.epochs <= 2:
            return long
        copy = Workspace(self.runs.copy_of(workspace.folder), workspace.config_id)
        run = self.runs.run(copy, long.call)
        self.runs.discard(copy)
        return run

    def _long(
        self, first: ScriptRun, second: ScriptRun, again: ScriptRun, fresh: ScriptRun
    ) -> tuple[ScriptRun, ScriptRun]:
        """From nothing, 3 epochs or as many as take a while, and the same again.

        Two differences are an epoch's time each. A run that waited for the machine, as the first
        does for files that nobody has read yet, makes one of them too large or far too small.
        """
        epoch = fresh.seconds - first.seconds, second.seconds - again.seconds
        at_most = min(max(epoch), first.seconds, second.seconds, fresh.seconds / 2)
        enough = min(LONG / max(min(epoch), 0.001), TOO_LONG / max(at_most, 0.001))
        epochs = min(MOST_EPOCHS, max(3, math.ceil(enough)))
        if not self.runs.comparable and epochs == 3:
            return fresh, again
        found = self._twice(epochs)
        return found if all(run.done for run in found) else (fresh, again)

    def _timed(
        self, one: ScriptRun, many: ScriptRun, again: ScriptRun
    ) -> tuple[ScriptRun, ScriptRun, ScriptRun]:
        """The same runs, each in the least time that it takes.

        An epoch may have seemed long because the machine stalled, and so few been run that their
        time tells nothing: then they are of more epochs.
        """
        timed = self._least(one, many, again)
        trained, epochs = timed[1].seconds - timed[0].seconds, many.call.epochs
        if trained < PLAIN and epochs < MOST_EPOCHS and self._may_repeat():
            enough = math.ceil(epochs * LONG / max(trained, 0.01))
            found = self._twice(min(MOST_EPOCHS, enough))
            if all(run.done for run in found):
                return self._least(timed[0], *found)
        return timed

    def _least(
        self, one: ScriptRun, many: ScriptRun, again: ScriptRun
    ) -> tuple[ScriptRun, ScriptRun, ScriptRun]:
        """The same runs, each in the least time of several rounds if they are short.

        One that waited for the machine seems to have trained.
        """
        measured = one, many, again
        rounds = [measured]
        while len(rounds) < TIMES and min(run.seconds for run in measured) <= SHORT:
            if not self._may_repeat():
                break
            rounds.append((self.runs.fresh(one.call.epochs), *self._twice(many.call.epochs)))
        done = [runs for runs in rounds if all(run.done for run in runs)]
        ones, longs, agains = zip(*done, strict=True)
        return _quickest(ones), _quickest(longs), _quickest(agains)

    def _may_repeat(self) -> bool:
        """Whether more runs from nothing leave enough configs for the rest."""
        return self.runs.comparable or len(self.runs.ids) > SPARE

    def _twice(self, epochs: int) -> tuple[ScriptRun, ScriptRun]:
        """From nothing, and the same again."""
        workspace = self.runs.nowhere()
        call = Call(workspace.config_id, epochs)
        runs = self.runs.run(workspace, call), self.runs.run(workspace, call)
        self.runs.discard(workspace)
        return runs


def _quickest(runs: tuple[ScriptRun, ...]) -> ScriptRun:
    """The first of them, as if it had taken the least time of all."""
    seconds = min(run.seconds for run in runs)
    return replace(runs[0], seconds=seconds, cpu_seconds=min(one.cpu_seconds for one in runs))


def _in_doubt(runs: list[ScriptRun], other: ScriptRun) -> bool:
    """Whether more runs from nothing are needed to tell how far they are apart.

    Few of them may be close by chance, or even agree where the loss is a coarse one.
    """
    count, noise = len(runs), spread(*runs)
    if noise == 0 or count < 3:
        return count < ALIKE
    enough = ALIKE if by_noise(runs[0], other, noise) else SURE
    return count < enough and count * min(run.seconds for run in runs) < PATIENCE
