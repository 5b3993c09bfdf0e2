"""How far equal runs from nothing are apart, so that what differs by no more accuses nobody."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.training import FEW_DIGITS, by_noise, most_digits, spread
from hbtrack.check.workspaces import Runs

ALIKE = 5  # runs from nothing that give one loss: training is deterministic
SURE = 20  # runs from nothing before a loss is said to be off by more than their noise
PATIENCE = 60.0  # seconds that such runs take together


@dataclass(slots=True)
class Noise:
    """Runs that were made again from nothing, and kept for the next question."""

    runs: Runs
    _from_nothing: dict[Call, list[ScriptRun]] = field(init=False, default_factory=dict)

    def of(self, run: ScriptRun, other: ScriptRun) -> float:
        """How far this run and others from nothing are apart; `other` is what is judged by it."""
        config_id, epochs = run.call.config_id, run.call.epochs

        def anew(lane: Runs) -> ScriptRun:
            return lane.in_turn(lane.untrained(config_id), epochs)[0]

        runs = self._from_nothing.setdefault(run.call, [run])
        while doubts := in_doubt(runs, other):
            self.runs.outlook.expect(epochs, doubts)
            at_once = min(doubts, self.runs.width)
            for another in self.runs.together(*[anew] * at_once):
                if in_doubt(runs, other):  # as if they had come one after the other
                    runs.append(another)
        return spread(*runs)

    def judging(self, run: ScriptRun, other: ScriptRun, again: Callable[[], ScriptRun]) -> float:
        """How far equal runs are apart, where `other` went on from a checkpoint.

        One of many may be far off by chance, where most losses are close: `again` makes it once
        more, and if that one is not, it was.
        """
        noise = self.of(run, other)
        if noise == 0 or by_noise(run, other, noise):
            return noise
        second = again()
        by_chance = second.done and by_noise(run, second, noise)
        return spread(*self._from_nothing[run.call], other) if by_chance else noise


def in_doubt(runs: list[ScriptRun], other: ScriptRun) -> int:
    """How many more runs from nothing are needed, at most, to tell how far they are apart.

    Few of them may be close by chance, or even agree where the loss is a coarse one.
    """
    count, noise = len(runs), spread(*runs)
    coarse = most_digits(runs) <= FEW_DIGITS
    if count < 3 or (noise == 0 and not coarse):
        return max(0, ALIKE - count)
    enough = ALIKE if by_noise(runs[0], other, noise) else SURE
    in_time = math.ceil(PATIENCE / max(min(run.seconds for run in runs), 0.001))
    return max(0, min(enough, in_time) - count)
