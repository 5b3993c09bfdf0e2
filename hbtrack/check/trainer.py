"""One config trained again and again: whether the script goes on from its checkpoint.

A machine that stalls must accuse no script: what is judged by its time is measured again.
"""

import math
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from hbtrack.check import continuing
from hbtrack.check.finding import Finding
from hbtrack.check.runs import Runs, Workspace
from hbtrack.check.scratch import changed_since
from hbtrack.check.training import PLAIN, Training, by_noise, files_tell, spread
from hbtrack.check.trial import Call, Trial

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
    _from_nothing: dict[int, list[Trial]] = field(init=False, default_factory=dict)  # by epochs

    def train(self, workspace: Workspace, first: Trial) -> Training | Finding:
        """The same config for more epochs, the same epochs again, and all from nothing."""
        began = time.time()
        own, two = first.touched.written, Call(workspace.config_id, 2)
        second = self.runs.run(workspace, two, reading=own)
        if not second.done:
            return continuing.no_second(first, second)
        again, fresh = self.runs.run(workspace, two), self.runs.fresh(2)
        if not (again.done and fresh.done):
            return continuing.no_again(second, fresh if again.done else again)
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
        script = Path(self.runs.bench.launch.script)
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
        folders = (str(script.parent), home, tempfile.gettempdir())
        return changed_since(began, map(Path, folders), apart=self.runs.work.parent)

    def noise(self, trial: Trial, other: Trial) -> float:
        """How far this run and others from nothing are apart; `other` is what is judged by it."""
        trials = self._from_nothing.setdefault(trial.call.epochs, [trial])
        while _in_doubt(trials, other):
            trials.append(self.runs.fresh(trial.call.epochs))
        return spread(*trials)

    def _heeded(self, *trials: Trial) -> bool:
        """Whether the loss of some config changes with --epochs; one may have converged at once."""
        for _ in range(UNMOVED):
            if len({trial.loss for trial in trials}) > 1 or not self.runs.ids:
                break
            workspace = Workspace(self.runs.copy_of(self.runs.pristine), self.runs.ids.pop(0))
            calls = [Call(workspace.config_id, epochs) for epochs in (1, trials[-1].call.epochs)]
            trials = tuple(self.runs.run(workspace, call) for call in calls)
            self.runs.discard(workspace)
        return len({trial.loss for trial in trials}) > 1

    def _onward(self, workspace: Workspace, long: Trial) -> Trial:
        """As many epochs as `long`, after 1 and 2: as a config is promoted.

        A schedule that follows --epochs is seen from the third epoch on only.
        """
        if not self.runs.comparable or long.call.epochs <= 2:
            return long
        copy = Workspace(self.runs.copy_of(workspace.folder), workspace.config_id)
        trial = self.runs.run(copy, long.call)
        self.runs.discard(copy)
        return trial

    def _long(self, first: Trial, second: Trial, again: Trial, fresh: Trial) -> tuple[Trial, Trial]:
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
        return found if all(trial.done for trial in found) else (fresh, again)

    def _timed(self, one: Trial, many: Trial, again: Trial) -> tuple[Trial, Trial, Trial]:
        """The same trials, each in the least time that it takes.

        An epoch may have seemed long because the machine stalled, and so few been run that their
        time tells nothing: then they are of more epochs.
        """
        timed = self._least(one, many, again)
        trained, epochs = timed[1].seconds - timed[0].seconds, many.call.epochs
        if trained < PLAIN and epochs < MOST_EPOCHS and self._may_repeat():
            enough = math.ceil(epochs * LONG / max(trained, 0.01))
            found = self._twice(min(MOST_EPOCHS, enough))
            if all(trial.done for trial in found):
                return self._least(timed[0], *found)
        return timed

    def _least(self, one: Trial, many: Trial, again: Trial) -> tuple[Trial, Trial, Trial]:
        """The same trials, each in the least time of several rounds if they are short.

        One that waited for the machine seems to have trained.
        """
        measured = one, many, again
        rounds = [measured]
        while len(rounds) < TIMES and min(trial.seconds for trial in measured) <= SHORT:
            if not self._may_repeat():
                break
            rounds.append((self.runs.fresh(one.call.epochs), *self._twice(many.call.epochs)))
        done = [trials for trials in rounds if all(trial.done for trial in trials)]
        ones, longs, agains = zip(*done, strict=True)
        return _quickest(ones), _quickest(longs), _quickest(agains)

    def _may_repeat(self) -> bool:
        """Whether more runs from nothing leave enough configs for the rest."""
        return self.runs.comparable or len(self.runs.ids) > SPARE

    def _twice(self, epochs: int) -> tuple[Trial, Trial]:
        """From nothing, and the same again."""
        workspace = self.runs.nowhere()
        call = Call(workspace.config_id, epochs)
        trials = self.runs.run(workspace, call), self.runs.run(workspace, call)
        self.runs.discard(workspace)
        return trials


def _quickest(trials: tuple[Trial, ...]) -> Trial:
    """The first of them, as if it had taken the least time of all."""
    seconds = min(trial.seconds for trial in trials)
    return replace(trials[0], seconds=seconds, cpu_seconds=min(one.cpu_seconds for one in trials))


def _in_doubt(trials: list[Trial], other: Trial) -> bool:
    """Whether more runs from nothing are needed to tell how far they are apart.

    Few of them may be close by chance, or even agree where the loss is a coarse one.
    """
    count, noise = len(trials), spread(*trials)
    if noise == 0 or count < 3:
        return count < ALIKE
    enough = ALIKE if by_noise(trials[0], other, noise) else SURE
    return count < enough and count * min(trial.seconds for trial in trials) < PATIENCE
