"""A run is ended by a signal in the middle of its training, and made again: point 8."""

import signal
from dataclasses import dataclass, field, replace

from hbtrack.check import checkpoints
from hbtrack.check.candidates import CANDIDATES
from hbtrack.check.finding import Finding, skipped
from hbtrack.check.noise import Noise
from hbtrack.check.script_run import Call, ScriptRun, Stop
from hbtrack.check.training import Training, by_noise
from hbtrack.check.workspaces import Runs, Workspace

FRACTIONS = (0.5, 0.3, 0.15, 0.05)
"""Of the training, at which it is killed; the next if it had ended."""
TERM, KILL = signal.SIGTERM, signal.SIGKILL


@dataclass(slots=True)
class Kills:
    """What signals do to the config that was trained."""

    runs: Runs
    noise: Noise
    training: Training
    _patient: bool = field(init=False, default=True)

    def tried(self, name: str, number: signal.Signals) -> Finding:
        """A run that is ended in the middle of its training, and the same run again."""
        pace = 1.0  # of the machine: it may have been busy when the training was timed
        long = self.training.long
        for fraction in FRACTIONS:
            stop = Stop(number, pace * self.training.moment(fraction), self._patient)
            killed, rest = self._killed(stop)
            if rest is None:
                self._patient = False  # it is not late: what saves at its end only never has before
                pace = min(1.0, killed.seconds / long.seconds)
                continue
            by_itself = not (rest.done or self.runs.comparable)  # another config may fail
            if (by_itself or checkpoints.whole(killed, rest)) and fraction != FRACTIONS[-1]:
                continue
            training = replace(self.training, long_noise=self._noise(rest, stop))
            return checkpoints.killed(name, killed, rest, training)
        return skipped(name, "it had always ended before the signal came")

    def _killed(self, stop: Stop) -> tuple[ScriptRun, ScriptRun | None]:
        """A run that is signalled, and the same run again; none if it had ended before."""
        workspace = self.runs.nowhere() if self.runs.comparable else self._one_that_runs()
        epochs = self.training.long.call.epochs
        killed = self.runs.run(workspace, Call(workspace.config_id, epochs), stop)
        rest = self.runs.run(workspace, killed.call) if killed.stopped else None
        self.runs.discard(workspace)
        return killed, rest

    def _noise(self, rest: ScriptRun, stop: Stop) -> float:
        """How far equal runs are apart, as far as that matters to the run after the signal."""
        long, noise = self.training.long, self.training.long_noise
        if not self.runs.comparable or by_noise(rest, long, noise):
            return noise
        return self.noise.judging(long, rest, lambda: self._killed(stop)[1] or rest)

    def _one_that_runs(self) -> Workspace:
        """Another config, one of some that gives a loss after 1 epoch."""
        for _ in range(CANDIDATES):
            workspace = self.runs.nowhere()
            if self.runs.run(workspace, Call(workspace.config_id, self.runs.budgets.first)).done:
                break
        return workspace
