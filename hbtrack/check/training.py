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

    Where the budgets of a search are tried, its two smallest ones stand for 1 and 2.
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
    three: ScriptRun | None = None  # from nothing for as many as both have, 1 and 2: 3 epochs
    noise: float = 0.0  # for 2 epochs
    long_noise: float = 0.0
    comparable: bool = True  # the runs from nothing were of the same config
    heeded: bool = True  # --epochs makes a difference, to some config at least
    in_turn: str = ""  # the epochs that `onward` was trained for, one after the other

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
        own, two = first.touched.written, Call(workspace.config_id, self.runs.budgets.second)
        second = self.runs.run(workspace, two, reading=own)
        if not second.done:
            return Stuck(first, second)
        again = self.runs.run(workspace, two)
        if self._goes_on_elsewhere(workspace, first, second, again):
            self.runs.comparable = False
        (fresh,) = self._anew(two.epochs)
        if not (fresh.done or self.runs.comparable):
            fresh = second  # no other config gave a loss, and losses are not compared
        if not (again.done and fresh.done):
            return Stuck(second, fresh if again.done else again)
        if self.runs.quick or (self.runs.comparable and starts_again(second)):
            return self._short(first, second, again, fresh)
        long, long_again, onward = self._long(workspace, first, second, again, fresh)
        fewer, noise, long_noise, three = None, 0.0, 0.0, None
        if not files_tell(long, long_again):
            (fewer,) = self.runs.onward(workspace, first.call.epochs)
        if self.runs.comparable and (second.loss != fresh.loss or onward[-1].loss != long.loss):
            both = first.call.epochs + second.call.epochs
            three = long if long.call.epochs == both else self.runs.fresh(both)[0]
            noise = self.noise(fresh, second)
            long_noise = noise if long.call == fresh.call else self.noise(long, onward[-1])
        return Training(
            *(first, second, again, fresh, long, long_again, onward[-1], fewer, three),
            noise=noise,
            long_noise=long_noise,
            comparable=self.runs.comparable,
            heeded=self._heeded(first, second, *((fresh, long) if self.runs.comparable else ())),
            in_turn=in_words([first, second, *onward]),
        )

    def _short(
        self, first: ScriptRun, second: ScriptRun, again: ScriptRun, fresh: ScriptRun
    ) -> Training:
        """Without many epochs. Whether losses differ by noise is then not known."""
        noise = spread(second, fresh)
        return Training(
            *(first, second, again, fresh, second, again, second),
            noise=noise,
            long_noise=noise,
            comparable=self.runs.comparable and noise == 0,
            heeded=_differ([first, second]),
            in_turn=in_words([first, second]),
        )

    def noise(self, run: ScriptRun, other: ScriptRun) -> float:
        """How far this run and others from nothing are apart; `other` is what is judged by it."""
        epochs, width = run.call.epochs, self.runs.width
        runs = self._from_nothing.setdefault(epochs, [run])
        while doubts := in_doubt(runs, other):
            self.runs.outlook.expect(epochs, doubts)
            for another in self.runs.together(*[lambda lane: lane.fresh(epochs)[0]] * width):
                if in_doubt(runs, other):  # as if they had come one after the other
                    runs.append(another)
        return spread(*runs)

    def _long(
        self,
        workspace: Workspace,
        first: ScriptRun,
        second: ScriptRun,
        again: ScriptRun,
        fresh: ScriptRun,
    ) -> tuple[ScriptRun, ScriptRun, list[ScriptRun]]:
        """Many epochs from nothing, and the same again; and after few, which stay as they are.

        The last of these is that run from nothing itself where nothing can be compared.
        """
        epochs, steps = self._many(first, second, again, fresh)
        self.runs.outlook.long = epochs
        if not self.runs.comparable:
            long, long_again = self._anew(epochs, epochs)
            both = (long, long_again) if long.done and long_again.done else (second, again)
            return *both, [both[0]]
        at = self.runs.nowhere()
        long = self.runs.run(at, Call(at.config_id, epochs))
        if not long.done:
            self.runs.discard(at)
            return fresh, again, [fresh]
        (long_again,), onward = self.runs.together(
            lambda lane: lane.onward(at, epochs), lambda lane: _climbed(lane, workspace, steps)
        )
        self.runs.discard(at)
        return (long, long_again, onward) if long_again.done else (fresh, again, [fresh])

    def _many(self, *runs: ScriptRun) -> tuple[int, tuple[int, ...]]:
        """As many epochs as take a while, or as a search asks for; and what it asks for before.

        Two differences are an epoch's time each. A run that waited for the machine, as the first
        does for files that nobody has read yet, makes one of them too large or far too small.
        """
        first, second, again, fresh = runs
        one, two = first.call.epochs, second.call.epochs
        epoch = (
            (fresh.seconds - first.seconds) / (two - one),
            (second.seconds - again.seconds) / (two - one),
        )
        at_most = min(max(epoch), first.seconds / one, second.seconds / (two - one))
        at_most = min(at_most, fresh.seconds / two)
        if steps := self.runs.budgets.affordable(at_most):
            return steps[-1], steps
        enough = min(LONG / max(min(epoch), 0.001), TOO_LONG / max(at_most, 0.001))
        epochs = min(MOST_EPOCHS, self.runs.budgets.most, max(two + 1, math.ceil(enough)))
        return epochs, (epochs,)

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
        (fewer,) = self.runs.onward(workspace, first.call.epochs)
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
            few, many = runs[0].call.epochs, runs[-1].call.epochs
            runs = tuple(self.runs.in_turn(workspace, few, many))
        return _differ(runs)


def _differ(runs: Sequence[ScriptRun]) -> bool:
    return len({run.loss for run in runs if run.done}) > 1


def _climbed(runs: Runs, workspace: Workspace, steps: tuple[int, ...]) -> list[ScriptRun]:
    """Trained on in steps, as a search does; up to the one that fails, if one does."""
    found: list[ScriptRun] = []
    at = runs.again_in(workspace)
    for epochs in steps:
        found.append(runs.run(at, Call(at.config_id, epochs)))
        if not found[-1].done:
            break
    runs.discard(at)
    return found


def in_words(runs: Sequence[ScriptRun]) -> str:
    """For how many epochs they were called."""
    return ", ".join(str(run.call.epochs) for run in runs)


def starts_again(run: ScriptRun) -> bool:
    """Whether it is certain that a run did not go on from the checkpoint before it."""
    return run.touched.read is not None and not run.touched.read


def in_doubt(runs: list[ScriptRun], other: ScriptRun) -> int:
    """How many more runs from nothing are needed, at most, to tell how far they are apart.

    Few of them may be close by chance, or even agree where the loss is a coarse one.
    """
    count, noise = len(runs), spread(*runs)
    if noise == 0 or count < 3:
        return max(0, ALIKE - count)
    enough = ALIKE if by_noise(runs[0], other, noise) else SURE
    in_time = math.ceil(PATIENCE / max(min(run.seconds for run in runs), 0.001))
    return max(0, min(enough, in_time) - count)
