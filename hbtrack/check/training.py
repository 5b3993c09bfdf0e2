"""One config, trained again and again, and what the runs say together.

That follows from the files that they touched, the lines that they printed and their losses, never
from how long they took: machines are shared, and first epochs are slow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.workspaces import Runs, Workspace
from hbtrack.core.loss import significant_digits

FEW_DIGITS = 4
NOISES = 3  # so many times the noise of the training is no chance any more
ALIKE = 5  # runs from nothing that give one loss: training is deterministic
SURE = 20  # runs from nothing before a loss is said to be off by more than their noise
PATIENCE = 60.0  # seconds that such runs take together
OTHERS = 4  # further configs that are tried where one fails, and cannot be tried again
UNMOVED = 4  # further configs that are trained before it is said that --epochs changes nothing
LONG = 1.0  # seconds of training that a signal surely hits the middle of
TOO_LONG = 10.0  # seconds of a run, above which 3 epochs are enough
MOST_EPOCHS = 81


@dataclass(frozen=True, slots=True)
class Training:
    """One config: for 1 epoch, then 2, then 2 again; and from nothing for 2, and for many.

    `long` is from nothing and `long_again` the same epochs after it. `noise` is how far some runs
    from nothing were apart, 0 where that was not tried since the losses agreed anyway.
    """

    first: ScriptRun
    second: ScriptRun
    again: ScriptRun
    fresh: ScriptRun
    long: ScriptRun
    long_again: ScriptRun
    onward: ScriptRun  # as many epochs as `long`, after 1 and 2; `long` itself where not tried
    fewer: ScriptRun | None = None  # 1 epoch after 2, where the files do not tell
    three: ScriptRun | None = None  # from nothing for 3 epochs, where 2 gave another loss
    noise: float = 0.0  # for 2 epochs
    long_noise: float = 0.0
    comparable: bool = True  # the runs from nothing were of the same config
    heeded: bool = True  # --epochs makes a difference, to some config at least

    @property
    def exact(self) -> bool:
        """Whether training is deterministic: the same from nothing, or after a checkpoint."""
        return self.comparable and self.noise == self.long_noise == 0

    @property
    def additional(self) -> bool:
        """Whether --epochs 2 after 1 made 3 epochs in all."""
        if self.three is None or self.by_chance:
            return False
        return self.second.loss == self.three.loss != self.fresh.loss

    @property
    def by_chance(self) -> bool:
        """Whether losses may be equal by chance: coarse ones, of training with noise."""
        digits = most_digits([self.first, self.second, self.fresh])
        return self.noise > 0 and digits <= FEW_DIGITS

    @property
    def repeats(self) -> bool | None:
        """Whether the same epochs again were trained again; None where only time could tell.

        Asked for fewer epochs than it was trained for, a config may have the loss of all of them:
        the checkpoint's. And if each epoch has its line, there are no more where none is trained.
        One that shows neither may save elsewhere as well as nothing.
        """
        if files_tell(self.long, self.long_again):
            return False
        one, two = self.first.loss, self.second.loss
        fewer = self.fewer.loss if self.fewer else None
        if fewer == two != one:
            return False
        if self.lines_tell:
            return self.long_again.lines - self.again.lines >= self._further
        return None

    @property
    def lines_tell(self) -> bool:
        """Whether the script prints a line for each epoch that it trains."""
        return self.long.lines - self.fresh.lines >= self._further > 0

    @property
    def _further(self) -> int:
        """How many epochs `long` has more than `again`, and than `fresh`."""
        return self.long.call.epochs - self.again.call.epochs

    @property
    def checkpoint(self) -> list[str]:
        """The files that hold the state: what a run wrote and the next one read, if seen."""
        own, read = self.first.touched, self.second.touched.read
        if read is not None and not read and self.repeats is False:
            return []  # it goes on from something else
        return sorted((read or frozenset()) & own.written or own.saved)

    def moment(self, fraction: float) -> float:
        """Seconds after its start when a run from nothing has done this part of the training."""
        start = min(self.first.seconds, self.again.seconds, self.long.seconds)
        if self.long.seconds - start < 0.1:  # hardly a middle: it comes late, after the imports
            return (fraction + 0.35) * self.long.seconds
        return start + fraction * (self.long.seconds - start)


def files_tell(once: ScriptRun, again: ScriptRun) -> bool:
    """Whether the files tell that the second of two equal runs trained nothing.

    Who trains also saves.
    """
    return bool(once.touched.written) and not again.touched.written


def spread(*runs: ScriptRun) -> float:
    """How far the losses of runs are apart, as far as they have any."""
    losses = [run.loss for run in runs if run.loss is not None]
    return max(losses) - min(losses) if losses else 0.0


def by_noise(one: ScriptRun, other: ScriptRun, noise: float) -> bool:
    """Whether two losses may differ by the noise of the training alone."""
    return spread(one, other) <= NOISES * noise


def most_digits(runs: Sequence[ScriptRun]) -> int:
    """How many digits the losses have, at most."""
    return max(significant_digits(run.last_line.strip()) for run in runs if run.done)


# --- its runs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run that gave no loss, and the one before it, which gave one."""

    before: ScriptRun
    run: ScriptRun


@dataclass(slots=True)
class Trainer:
    """Trains the config of these runs."""

    runs: Runs
    _from_nothing: dict[int, list[ScriptRun]] = field(init=False, default_factory=dict)  # by epochs

    def train(self, workspace: Workspace, first: ScriptRun) -> Training | Stuck:
        """The same config for more epochs, the same epochs again, and all from nothing."""
        own, two = first.touched.written, Call(workspace.config_id, 2)
        second = self.runs.run(workspace, two, reading=own)
        if not second.done:
            return Stuck(first, second)
        again = self.runs.run(workspace, two)
        if self._goes_on_elsewhere(workspace, first, second, again):
            self.runs.comparable = False
        (fresh,) = self._anew(2)
        if not (fresh.done or self.runs.comparable):
            fresh = second  # no other config gave a loss, and losses are not compared
        if not (again.done and fresh.done):
            return Stuck(second, fresh if again.done else again)
        long, long_again = self._long(first, second, again, fresh)
        onward, fewer = long, None
        if self.runs.comparable and long.call.epochs > 2:  # a schedule of --epochs shows only here
            (onward,) = self.runs.onward(workspace, long.call.epochs)
        if not files_tell(long, long_again):
            (fewer,) = self.runs.onward(workspace, 1)
        noise, long_noise, three = 0.0, 0.0, None
        if self.runs.comparable and (second.loss != fresh.loss or onward.loss != long.loss):
            three = long if long.call.epochs == 3 else self.runs.fresh(3)[0]
            noise = self.noise(fresh, second)
            long_noise = noise if long.call == fresh.call else self.noise(long, onward)
        return Training(
            *(first, second, again, fresh, long, long_again, onward, fewer, three),
            noise=noise,
            long_noise=long_noise,
            comparable=self.runs.comparable,
            heeded=self._heeded(first, second, *((fresh, long) if self.runs.comparable else ())),
        )

    def noise(self, run: ScriptRun, other: ScriptRun) -> float:
        """How far this run and others from nothing are apart; `other` is what is judged by it."""
        runs = self._from_nothing.setdefault(run.call.epochs, [run])
        while _in_doubt(runs, other):
            runs += self.runs.fresh(run.call.epochs)
        return spread(*runs)

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
        long, long_again = self._anew(epochs, epochs)
        if long.done and long_again.done:
            return long, long_again
        return fresh if self.runs.comparable else second, again

    def _goes_on_elsewhere(
        self, workspace: Workspace, first: ScriptRun, second: ScriptRun, again: ScriptRun
    ) -> bool:
        """Whether it read none of the files that it wrote, and went on from something else.

        It prints a line for each epoch that it trained, or the loss of 2 epochs where 1 is asked.
        """
        if not self.runs.comparable or second.touched.read != frozenset():
            return False
        if first.lines == second.lines > again.lines:
            return True
        (fewer,) = self.runs.onward(workspace, 1)
        return fewer.done and fewer.loss == second.loss != first.loss

    def _anew(self, *epochs: int) -> list[ScriptRun]:
        """From nothing; where each time is another config, one of some that gives a loss.

        A config may fail by itself.
        """
        runs = self.runs.fresh(*epochs)
        for _ in range(0 if self.runs.comparable else OTHERS):
            if all(run.done for run in runs) or not self.runs.ids:
                break
            runs = self.runs.fresh(*epochs)
        return runs

    def _heeded(self, *runs: ScriptRun) -> bool:
        """Whether the loss of some config changes with --epochs; one may have converged at once."""
        for _ in range(UNMOVED):
            if _differ(runs) or not self.runs.ids:
                break
            workspace = self.runs.untrained(self.runs.ids.pop(0))
            runs = tuple(self.runs.in_turn(workspace, 1, runs[-1].call.epochs))
        return _differ(runs)


def _differ(runs: Sequence[ScriptRun]) -> bool:
    return len({run.loss for run in runs if run.done}) > 1


def _in_doubt(runs: list[ScriptRun], other: ScriptRun) -> bool:
    """Whether more runs from nothing are needed to tell how far they are apart.

    Few of them may be close by chance, or even agree where the loss is a coarse one.
    """
    count, noise = len(runs), spread(*runs)
    if noise == 0 or count < 3:
        return count < ALIKE
    enough = ALIKE if by_noise(runs[0], other, noise) else SURE
    return count < enough and count * min(run.seconds for run in runs) < PATIENCE
