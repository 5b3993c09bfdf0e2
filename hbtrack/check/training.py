"""One config, trained again and again, and what the runs say together.

That follows from the files that they touched, the lines that they printed and their losses, never
from how long they took: machines are shared, and first epochs are slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hbtrack.check.abbreviations import Taken
from hbtrack.check.script_run import ScriptRun
from hbtrack.core.loss import significant_digits

FEW_DIGITS = 4
NOISES = 3  # so many times the noise of the training is no chance any more


@dataclass(frozen=True, slots=True)
class Training:
    """One config: for 1 epoch, then 2, then 2 again; and from nothing for 2, and for many.

    Where the budgets of a search are tried, its two smallest ones stand for 1 and 2.
    `long` is from nothing and `long_again` the same epochs after it; `long` itself where `again`
    has told that equal epochs train nothing. `noise` is how far some runs
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
    three: ScriptRun | None = None  # from nothing for as many as both have, 1 and 2: 3 epochs
    noise: float = 0.0  # for 2 epochs
    long_noise: float = 0.0
    comparable: bool = True  # the runs from nothing were of the same config
    heeded: bool = True  # --epochs makes a difference, to some config at least
    moved: bool | None = None  # some config's loss is another after 1 and 2; None if not tried
    rising: tuple[tuple[ScriptRun, ScriptRun], ...] | None = None  # of each, if no loss falls
    held: ScriptRun | None = None  # as `fresh`, but what is printed is held back
    boosting: str = ""  # the library that adds trees, if the script names one
    instead: Taken | None = None  # what --epochs was taken for
    in_turn: str = ""  # the epochs that `onward` was trained for, one after the other
    elsewhere: bool = False  # it goes on from what no copy holds

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
        shown = files_tell(self.first, self.long, self.long_again)
        shown = shown or trains_nothing(self.first, self.second, self.again)
        if self.elsewhere or shown:
            return False
        one, two = self.first.loss, self.second.loss
        fewer = self.fewer.loss if self.fewer else None
        if fewer == two != one:
            return False
        if self.lines_tell:
            few = self.again.lines == self.second.lines > self.first.lines
            return few or self.long_again.lines - self.again.lines >= self._further
        return None

    @property
    def starts_over(self) -> bool:
        """Whether 2 epochs after 1 had as many lines as 2 from nothing, and more than 1 has."""
        return self.fresh.lines == self.second.lines > self.first.lines

    @property
    def counts_anew(self) -> bool:
        """Whether it goes on from its weights, and trains as many epochs as from nothing."""
        again = self.again.loss != self.second.loss != self.fresh.loss
        return self.starts_over and again and bool(self.second.touched.read)

    @property
    def saves_late(self) -> bool:
        """Whether nothing was saved after the first epoch, which was trained again, but later."""
        later = self.second.touched.saved or self.long.touched.saved
        return self.starts_over and bool(later) and not self.first.touched.saved

    @property
    def last_again(self) -> bool:
        """Whether the last epoch is trained whenever it is asked for, though not the others."""
        if self.fewer is None or not self.lines_tell:
            return False
        return self.fewer.lines < self.again.lines <= self.second.lines

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
        if self.elsewhere or (read is not None and not read and self.repeats is False):
            return []  # it goes on from something else
        return sorted((read or frozenset()) & own.written or own.saved)

    def moment(self, fraction: float) -> float:
        """Seconds after its start when a run from nothing has done this part of the training."""
        start = min(self.first.seconds, self.again.seconds, self.long.seconds)
        if self.long.seconds - start < 0.1:  # hardly a middle: it comes late, after the imports
            return (fraction + 0.35) * self.long.seconds
        return start + fraction * (self.long.seconds - start)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A run that gave no loss, and the one before it, which gave one."""

    before: ScriptRun
    run: ScriptRun


def files_tell(first: ScriptRun, once: ScriptRun, again: ScriptRun) -> bool:
    """Whether the files tell that the second of two equal runs trained nothing.

    Who trains also saves, if each epoch is saved, as the `first` one is.
    """
    saves = bool(first.touched.written and once.touched.written)
    return saves and not again.touched.written


def trains_nothing(first: ScriptRun, once: ScriptRun, again: ScriptRun) -> bool:
    """Whether the files and the lines tell it, both of them: no further runs need to."""
    return files_tell(first, once, again) and again.lines < once.lines


def spread(*runs: ScriptRun) -> float:
    """How far the losses of runs are apart, as far as they have any."""
    losses = [run.loss for run in runs if run.loss is not None]
    return max(losses) - min(losses) if losses else 0.0


def by_noise(one: ScriptRun, other: ScriptRun, noise: float) -> bool:
    """Whether two losses may differ by the noise of the training alone."""
    return spread(one, other) <= NOISES * noise


def falls(runs: Sequence[ScriptRun]) -> bool:
    """Whether the loss is smaller in some run than in the one before."""
    losses = [run.loss for run in runs if run.loss is not None]
    return any(after < before for before, after in pairwise(losses))


def most_digits(runs: Sequence[ScriptRun]) -> int:
    """How many digits the losses have, at most."""
    return max(significant_digits(run.last_line.strip()) for run in runs if run.done)


def differ(runs: Sequence[ScriptRun]) -> bool:
    """Whether they have different losses."""
    return len({run.loss for run in runs if run.done}) > 1


def in_words(runs: Sequence[ScriptRun]) -> str:
    """For how many epochs they were called."""
    return ", ".join(str(run.call.epochs) for run in runs)


def starts_again(run: ScriptRun) -> bool:
    """Whether it is certain that a run did not go on from the checkpoint before it."""
    return run.touched.read is not None and not run.touched.read
