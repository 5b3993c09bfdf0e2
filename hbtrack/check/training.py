"""One config, trained again and again, and what the runs say together."""

from collections.abc import Sequence
from dataclasses import dataclass

from hbtrack.check.script_run import ScriptRun
from hbtrack.core.contract import significant_digits

FEW_DIGITS = 4
NOISES = 3  # so many times the noise of the training is no chance any more
PLAIN = 0.3  # seconds of training that are plainly more than chance
SAME_TIME = 0.7  # of the training's time: a run that takes longer has trained again


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
    three: ScriptRun | None = None  # from nothing for 3 epochs, where 2 gave another loss
    noise: float = 0.0  # for 2 epochs
    long_noise: float = 0.0
    comparable: bool = True  # the runs from nothing were of the same config
    elsewhere: str = ""  # where nothing was written: a file that changed in another folder
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
        """Whether the same epochs again took the time of training; None where time cannot tell.

        On the clock and of processors: it may have waited for others. Who trains also saves.
        """
        if files_tell(self.long, self.long_again):
            return False
        runs = self.first, self.long, self.long_again
        by_clock = _repeats(*(one.seconds for one in runs))
        by_processor = _repeats(*(one.cpu_seconds for one in runs))
        return by_clock if by_processor is None else by_clock and by_processor

    @property
    def checkpoint(self) -> list[str]:
        """The files that hold the state: what a run wrote and the next one read, if seen."""
        own = self.first.touched.written
        return sorted((self.second.touched.read or frozenset()) & own or own)

    def moment(self, fraction: float) -> float:
        """Seconds after its start when a run from nothing has done this part of the training."""
        start = min(self.first.seconds, self.again.seconds, self.long.seconds)
        if self.long.seconds - start < 0.1:  # hardly a middle: it comes late, after the imports
            return (fraction + 0.35) * self.long.seconds
        return start + fraction * (self.long.seconds - start)


def files_tell(long: ScriptRun, again: ScriptRun) -> bool:
    """Whether the files tell that the second of two equal runs trained nothing."""
    return bool(long.touched.written) and not again.touched.written


def _repeats(first: float, long: float, again: float) -> bool | None:
    trained = long - first
    if trained < max(PLAIN, 0.25 * long):
        return None
    return again > first + SAME_TIME * trained


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
