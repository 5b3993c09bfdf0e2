"""One config is trained again and again: for how many epochs, how often, and in which copies."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hbtrack.check.abbreviations import taken
from hbtrack.check.noise import Noise
from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.training import (
    NOISES,
    Stuck,
    Training,
    differ,
    falls,
    files_tell,
    in_words,
    spread,
    starts_again,
    trains_nothing,
)
from hbtrack.check.workspaces import Runs, Workspace

OTHERS = 4  # further configs that are tried where one fails, and cannot be tried again
UNMOVED = 4  # further configs that are trained before it is said that --epochs changes nothing
LONG = 1.0  # seconds of training that a signal surely hits the middle of
TOO_LONG = 10.0  # seconds of a run, above which 3 epochs are enough
MOST_EPOCHS = 81
RISEN = 5  # configs whose number rises with training before it is asked whether it is a loss
LEAST_IDS = 4  # that are left for other checks
BOOSTING = ("goss", "catboost", "xgboost", "lightgbm")


@dataclass(slots=True)
class Trainer:
    """Trains the config of these runs."""

    runs: Runs
    noise: Noise

    def train(self, workspace: Workspace, first: ScriptRun) -> Training | Stuck:
        """The same config for more epochs, the same epochs again, and all from nothing."""
        own, two = first.touched.written, Call(workspace.config_id, self.runs.budgets.second)
        second = self.runs.run(workspace, two, reading=own)
        if not second.done:
            return Stuck(first, second)
        again = self.runs.run(workspace, two)
        if elsewhere := self._goes_on_elsewhere(first, second, again):
            self.runs.comparable = False
        held = None if self.runs.quick else self._held_back(two.epochs)
        if held and held.done and (held.loss == second.loss or not self.runs.comparable):
            fresh = held
        else:
            (fresh,) = self._anew(two.epochs)
        if not (fresh.done or self.runs.comparable):
            fresh = second  # no other config gave a loss, and losses are not compared
        if not (again.done and fresh.done):
            return Stuck(second, fresh if again.done else again)
        if self.runs.quick or (self.runs.comparable and starts_again(second)):
            return self._short(first, second, again, fresh, elsewhere=elsewhere)
        long, long_again, onward = self._long(workspace, first, second, again, fresh)
        fewer, noise, long_noise, three = None, 0.0, 0.0, None
        told = files_tell(first, long, long_again) or trains_nothing(first, second, again)
        if not told:
            (fewer,) = self.runs.onward(workspace, first.call.epochs)
        if self.runs.comparable and (second.loss != fresh.loss or onward[-1].loss != long.loss):
            both = first.call.epochs + second.call.epochs
            three = long if long.call.epochs == both else self.runs.fresh(both)[0]
            steps = [run.call.epochs for run in (first, second, *onward)]
            noise = self.noise.judging(fresh, second, lambda: self.runs.fresh(*steps[:2])[-1])
            if long.call == fresh.call:
                long_noise = noise
            else:
                long_noise = self.noise.judging(
                    long, onward[-1], lambda: self.runs.fresh(*steps)[-1]
                )
        return Training(
            *(first, second, again, fresh, long, long_again, onward[-1], fewer, three),
            noise=noise,
            long_noise=long_noise,
            comparable=self.runs.comparable,
            heeded=self._heeded(first, second, *((fresh, long) if self.runs.comparable else ())),
            moved=self._moved(first, second, fresh),
            in_turn=in_words([first, second, *onward]),
            rising=self._rising([first, second, *([long] if self.runs.comparable else ())], noise),
            held=held,
            boosting=self._boosting(),
            instead=taken("--epochs", self.runs, workspace),
            elsewhere=elsewhere,
        )

    def _short(
        self,
        first: ScriptRun,
        second: ScriptRun,
        again: ScriptRun,
        fresh: ScriptRun,
        *,
        elsewhere: bool,
    ) -> Training:
        """Without many epochs. Whether losses differ by noise is then not known."""
        noise = spread(second, fresh)
        return Training(
            *(first, second, again, fresh, second, again, second),
            noise=noise,
            long_noise=noise,
            comparable=self.runs.comparable and (noise == 0 or second.loss == first.loss),
            heeded=differ([first, second]),
            in_turn=in_words([first, second]),
            elsewhere=elsewhere,
        )

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
        told = trains_nothing(first, second, again)
        if not self.runs.comparable:
            runs = self._anew(*[epochs] * (1 if told else 2))
            both = (runs[0], runs[-1]) if all(run.done for run in runs) else (second, again)
            return *both, [both[0]]
        at = self.runs.nowhere()
        long = self.runs.run(at, Call(at.config_id, epochs))
        if not long.done:
            self.runs.discard(at)
            return fresh, again, [fresh]
        (long_again,), onward = self.runs.together(
            lambda lane: [long] if told else lane.onward(at, epochs),
            lambda lane: _climbed(lane, workspace, steps),
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
        at_most = max(min(at_most, fresh.seconds / two), 0.001)
        if steps := self.runs.budgets.affordable(at_most):
            return steps[-1], steps
        enough = min(LONG / max(min(epoch), 0.001), TOO_LONG / at_most)
        epochs = min(MOST_EPOCHS, self.runs.budgets.most, max(two + 1, math.ceil(enough)))
        return epochs, (epochs,)

    def _goes_on_elsewhere(self, first: ScriptRun, second: ScriptRun, again: ScriptRun) -> bool:
        """Whether it went on from something that no copy of the working directory holds.

        Not if it read a file of its own and wrote it as it trained. Otherwise it may have read data
        that it keeps. In a new copy it then has the loss of 2 epochs where 1 is asked, or no line
        for the epoch. A config that was the best at first has one loss for both: others are tried.
        """
        read = second.touched.read
        if (read or frozenset()) & second.touched.changed - again.touched.changed:
            return False
        if not self.runs.comparable:
            return bool(first.touched.saved) and not second.touched.saved
        if self.runs.quick and read and second.touched.saved:
            return False
        if read == frozenset() and first.lines == second.lines > again.lines:
            return True
        one, two = first.call, second.call
        for number in range(1 + UNMOVED):
            (fewer,) = self.runs.in_turn(self.runs.untrained(one.config_id), one.epochs)
            if not fewer.done or (number == 0 and fewer.lines == again.lines < second.lines):
                return True
            if first.loss != second.loss or self.runs.quick or not self.runs.ids:
                break
            one = Call(self.runs.ids.pop(0), one.epochs)
            first, second = self.runs.in_turn(
                self.runs.untrained(one.config_id), one.epochs, two.epochs
            )
        return fewer.loss == second.loss != first.loss

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

    def _held_back(self, epochs: int) -> ScriptRun:
        """From nothing, where Python holds back what is printed, as into any file."""
        told = replace(self.runs.bench.told, unbuffered=False)
        bench = replace(self.runs.bench, told=told)
        for _ in range(1 if self.runs.comparable else OTHERS):  # another may fail by itself
            at = self.runs.nowhere()
            run = self.runs.run(at, Call(at.config_id, epochs), bench=bench)
            self.runs.discard(at)
            if run.exit_status == 0:
                break
        return run

    def _rising(
        self, runs: Sequence[ScriptRun], noise: float
    ) -> tuple[tuple[ScriptRun, ScriptRun], ...]:
        """Of some configs the runs for few and many epochs, if the loss rises in all of them.

        An accuracy may fall for an epoch. What falls at first in most of them is a loss.
        """
        found: list[tuple[ScriptRun, ScriptRun]] = []
        epochs, fallen = [run.call.epochs for run in runs], 0
        for number in range(2 * RISEN):
            if number:
                runs = self.runs.in_turn(self.runs.untrained(self.runs.ids.pop()), *epochs)
            risen = spread(runs[0], runs[-1]) > NOISES * noise  # one may be at its best at once
            fallen += falls(runs[:2])
            if falls([runs[0], runs[-1]]) or fallen > RISEN // 2 or not (number or risen):
                return ()
            if risen and all(run.done for run in runs):
                found.append((runs[0], runs[-1]))
            if len(found) == RISEN or len(self.runs.ids) < LEAST_IDS:
                break
        return tuple(found)

    def _boosting(self) -> str:
        """What the script names of that which is not the same in steps, in lower case."""
        text = Path(self.runs.bench.command.script).read_text("utf-8", "replace").lower()
        return next((word for word in BOOSTING if re.search(rf"\b{word}\b", text)), "")

    def _moved(self, first: ScriptRun, second: ScriptRun, fresh: ScriptRun) -> bool:
        """Whether going on changes the loss of some config: of one, the best so far may stay."""
        stays = self.runs.comparable and first.loss == second.loss != fresh.loss
        return not stays or self._heeded(first, second)

    def _heeded(self, *runs: ScriptRun) -> bool:
        """Whether the loss of some config changes with --epochs; one may have converged at once."""
        for _ in range(UNMOVED):
            if differ(runs) or not self.runs.ids:
                break
            workspace = self.runs.untrained(self.runs.ids.pop(0))
            few, many = runs[0].call.epochs, runs[-1].call.epochs
            runs = tuple(self.runs.in_turn(workspace, few, many))
        return differ(runs)


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
