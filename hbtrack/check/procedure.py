"""What the checks of a script run, and in which order: points 2, 3 and 6 to 10 of the contract."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hbtrack.check import calls, checkpoints, other_search
from hbtrack.check.finding import Finding, Status, skipped
from hbtrack.check.functions import Experiment
from hbtrack.check.scratch import states
from hbtrack.check.script_run import Call, ScriptRun, Stop
from hbtrack.check.training import Stuck, Trainer, Training, by_noise
from hbtrack.check.workspaces import Runs, Workspace

FRACTIONS = (0.5, 0.3, 0.15, 0.05)
"""Of the training, at which it is killed; the next if it had ended."""
CANDIDATES = 4  # configs that are tried for one that runs and has no checkpoint yet
MOST_CANDIDATES = 20  # while none runs at all: in some searches most configs fail
PATIENCE = 60.0  # seconds of runs that fail, after which no more than CANDIDATES are tried
BAD_IDS = ("not-a-config-of-this-script", "nor is this")
TERM, KILL = signal.SIGTERM, signal.SIGKILL


@dataclass(slots=True)
class Procedure:
    """One check; `findings` makes its runs."""

    runs: Runs
    others: Sequence[Experiment]  # that other arguments select
    tell: Callable[[str], None]  # hears the name of what is tried next
    _trainer: Trainer = field(init=False)
    _others_use: frozenset[str] = field(init=False, default=frozenset())
    _failing: int = field(init=False, default=0)  # configs that failed after their first epoch
    _second: str = field(init=False, default="")  # another config that gives a loss

    def __post_init__(self) -> None:
        self._trainer = Trainer(self.runs)

    def findings(self) -> Iterator[Finding]:
        """Run the script again and again; what the runs show."""
        self.tell("call")
        ids = list(self.runs.ids)
        workspace, first = self._first()
        yield from calls.called(self.runs.runs)
        if not first.done:
            return
        self.tell("resume")
        after_first, training = self._begin(workspace, first, ids)
        while isinstance(training, Stuck) and self._fails_anyway():
            workspace, first = self._first()
            if first.done:
                after_first, training = self._begin(workspace, first, ids)
        if isinstance(training, Stuck):
            yield checkpoints.stuck(training)
            return
        yield from checkpoints.trained(training, self.runs.runs)
        self.tell("separate")
        yield self._separate(workspace, training)
        self.tell("at_once")
        yield self._at_once(training)
        self.tell("multi_gpu")
        multi = self.runs.run(workspace, Call(workspace.config_id, 2, multi_gpu=True))
        yield calls.multi(multi, training)
        self.tell("bad_id")
        yield self._bad_ids(workspace)
        for name, number in (("sigterm", TERM), ("sigkill", KILL)):
            self.tell(name)
            yield self._killed(name, number, training)
        self.tell("half_written")
        yield self._half_written(after_first, training)
        self.tell("other_search")
        yield other_search.tried(self.runs, workspace, training, self.others, self._others_use)
        yield calls.left(self.runs.runs)

    def _first(self) -> tuple[Workspace, ScriptRun]:
        """One epoch of a config that works and had no checkpoint before, if one is found.

        Of a search that ran here the copy holds checkpoints. They are known by this: one config
        reads or changes them, and the next does not. They are removed from the copy.
        """
        tried: list[tuple[Workspace, ScriptRun]] = []
        runs: list[ScriptRun] = []
        while self.runs.ids and _worth_trying(runs):
            tried.append(self._one_epoch(self.runs.ids.pop(0)))
            runs.append(tried[-1][1])
        best = max(tried, key=lambda one: (one[1].done, _from_nothing(one[1])))
        for workspace, _ in tried:
            if workspace is not best[0]:
                self.runs.discard(workspace)
        if _from_nothing(best[1]) or not self.runs.pristine:
            return best
        if stale := _used_by_one(best[1], runs):
            for name in stale:
                (self.runs.pristine / name).unlink()
            self.runs.discard(best[0])
            return self._one_epoch(best[0].config_id)
        return best

    def _one_epoch(self, config_id: str) -> tuple[Workspace, ScriptRun]:
        workspace = self.runs.untrained(config_id)
        found = frozenset(states(workspace.folder)) if self.runs.pristine else frozenset()
        return workspace, self.runs.run(workspace, Call(config_id, 1), reading=found)

    def _begin(
        self, workspace: Workspace, first: ScriptRun, ids: list[str]
    ) -> tuple[Path | None, Training | Stuck]:
        """Take this config, one of `ids`; its folder as it is now, and what training shows."""
        self.runs.config_id = workspace.config_id
        self.runs.comparable = self.runs.comparable and bool(first.touched.saved)
        ids.remove(workspace.config_id)
        if self.runs.comparable:  # in a new copy, those that were tried are new, too
            self.runs.ids = list(ids)
        after_first = self.runs.copy_of(workspace.folder) if self.runs.comparable else None
        return after_first, self._trainer.train(workspace, first)

    def _fails_anyway(self) -> bool:
        """Whether 2 epochs fail from nothing, too, as they may with some configs."""
        self._failing += 1
        another = self._failing < CANDIDATES and bool(self.runs.ids)
        return another and not (self.runs.comparable and self.runs.fresh(2)[0].done)

    def _separate(self, workspace: Workspace, training: Training) -> Finding:
        """Other configs beside the first, and the first again after each.

        First those most like it, for a checkpoint's name may tell only some of the id.
        """
        nearest, found = _alike(workspace.config_id, self.runs.ids), []
        failing = []  # where it cannot be told whether they would alone
        for config_id in list(dict.fromkeys([*nearest, *self.runs.ids]))[: 2 + CANDIDATES]:
            self.runs.ids.remove(config_id)
            alone = self._alone(config_id, 1) if self.runs.comparable else None
            if alone is None or alone.done:
                files = training.first.touched.written
                beside = self.runs.run(workspace, Call(config_id, 1), reading=files)
                if alone is None and not beside.done:
                    failing.append(beside)
                    continue
                back = self.runs.run(workspace, Call(workspace.config_id, 2))
                self._others_use |= _used(beside)
                self._second = config_id if beside.done else self._second
                found.append(calls.separate(training, alone, beside, back))
                if found[-1].status is not Status.PASS or len(found) == len(nearest):
                    return found[-1]
        return found[-1] if found else calls.no_second(failing)

    def _at_once(self, training: Training) -> Finding:
        """Two configs at the same time, as two workers train them."""
        if not (self.runs.comparable and self._second):
            return skipped("at_once", "it takes a folder of its own, and two configs")
        workspace, epochs = self.runs.nowhere(), training.long.call.epochs
        asked = [Call(config_id, epochs) for config_id in (workspace.config_id, self._second)]
        beside = self.runs.bench.run_beside(workspace.folder, asked)
        self.runs.runs += beside
        self.runs.discard(workspace)
        alone = [training.long, self._alone(self._second, epochs)]
        return calls.at_once(list(zip(beside, alone, strict=True)), training)

    def _alone(self, config_id: str, epochs: int) -> ScriptRun:
        """Where no config was trained yet."""
        return self.runs.in_turn(self.runs.untrained(config_id), epochs)[0]

    def _bad_ids(self, workspace: Workspace) -> Finding:
        """Ids that no sampler gave; the second only where the first did not end it."""
        one, other = (Call(name, 1) for name in BAD_IDS)
        runs = [self.runs.run(workspace, one)]
        if runs[0].exit_status == 0:
            runs.append(self.runs.run(workspace, other))
        return calls.bad_ids(runs)

    def _killed(self, name: str, number: signal.Signals, training: Training) -> Finding:
        """A run that is ended in the middle of its training, and the same run again."""
        pace = 1.0  # of the machine: it may have been busy when the training was timed
        for fraction in FRACTIONS:
            stop = Stop(number, pace * training.moment(fraction))
            workspace, killed = self._stopped(stop, training.long.call.epochs)
            if killed.stopped:
                rest = self.runs.run(workspace, killed.call)
                self.runs.discard(workspace)
                if not (rest.done or self.runs.comparable) and fraction != FRACTIONS[-1]:
                    continue  # another config: that one may fail by itself
                if training.long_noise and not by_noise(rest, training.long, training.long_noise):
                    training = replace(
                        training, long_noise=self._trainer.noise(training.long, rest)
                    )
                return checkpoints.killed(name, killed, rest, training)
            self.runs.discard(workspace)
            pace = min(1.0, killed.seconds / training.long.seconds)
        return skipped(name, "it had always ended before the signal came")

    def _stopped(self, stop: Stop, epochs: int) -> tuple[Workspace, ScriptRun]:
        """A run that is signalled; once more if it had saved nothing yet, for it may begin late.

        That would show nothing. A script that saves at its end only has never saved yet.
        """
        workspace = self.runs.nowhere() if self.runs.comparable else self._one_that_runs()
        run = self.runs.run(workspace, Call(workspace.config_id, epochs), stop)
        if self.runs.comparable and run.stopped and not run.touched.written:
            self.runs.discard(workspace)
            workspace = self.runs.nowhere()
            run = self.runs.run(workspace, run.call, stop)
        return workspace, run

    def _one_that_runs(self) -> Workspace:
        """Another config, one of some that gives a loss after 1 epoch."""
        for _ in range(CANDIDATES):
            workspace = self.runs.nowhere()
            if self.runs.run(workspace, Call(workspace.config_id, 1)).done:
                break
        return workspace

    def _half_written(self, after_first: Path | None, training: Training) -> Finding:
        """The checkpoint after one epoch, cut in half."""
        if after_first is None:
            return skipped("half_written", "nothing is damaged where it could not be brought back")
        own = [name for name in training.checkpoint if name not in self._others_use]
        if not training.checkpoint:
            return skipped("half_written", "no file was seen that is its checkpoint")
        if not own:
            return skipped("half_written", "its checkpoint is a file that other configs use, too")
        in_place = checkpoints.in_place(training, own)
        for name in in_place:
            file = after_first / name
            with file.open("r+b") as half:
                half.truncate(file.stat().st_size // 2)
        there, two = Workspace(after_first, self.runs.config_id), Call(self.runs.config_id, 2)
        run = self.runs.run(there, two) if in_place else None
        return checkpoints.half_written(run, training, in_place)


# --- which configs, and which files are whose ----------------------------------------------------


def _worth_trying(runs: list[ScriptRun]) -> bool:
    """Whether to try another config after these, for one that runs and is new here."""
    if any(run.timed_out or _from_nothing(run) or calls.refused(run) for run in runs):
        return False
    if len(runs) < CANDIDATES:
        return True
    none_runs = not any(run.done for run in runs)
    spent = sum(run.seconds for run in runs)
    return none_runs and len(runs) < MOST_CANDIDATES and spent < PATIENCE


def _alike(config_id: str, ids: list[str]) -> list[str]:
    """The ids that begin most like this one, and that end most like it."""
    if not ids:
        return []
    begins = max(ids, key=lambda other: _common(config_id, other))
    ends = max(ids, key=lambda other: _common(config_id[::-1], other[::-1]))
    return list(dict.fromkeys([begins, ends]))


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _from_nothing(run: ScriptRun) -> bool:
    """Whether the config runs and had no checkpoint, as far as its files tell."""
    return run.done and bool(run.touched.created) and not run.touched.changed


def _used_by_one(run: ScriptRun, runs: list[ScriptRun]) -> frozenset[str]:
    """The files that this run read or changed, and no other."""
    others = [one for one in runs if one is not run]
    return _used(run).difference(*map(_used, others)) if others else frozenset()


def _used(run: ScriptRun) -> frozenset[str]:
    """The files of before that it read or changed, as far as that was seen."""
    return run.touched.changed | (run.touched.read or frozenset())
