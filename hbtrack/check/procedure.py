"""What the checks of a script run, and in which order: points 2, 3 and 6 to 10 of the contract."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hbtrack.check import advice, calls, checkpoints, losses, other_search
from hbtrack.check.abbreviations import taken
from hbtrack.check.candidates import (
    CANDIDATES,
    alike,
    from_nothing,
    says_enough,
    used,
    used_by_one,
    worth_trying,
)
from hbtrack.check.finding import Finding, Status, skipped
from hbtrack.check.functions import Experiment
from hbtrack.check.losses import NOT_TRIED
from hbtrack.check.outlook import ONE, TWO
from hbtrack.check.scratch import is_database, states
from hbtrack.check.script_run import Call, ScriptRun, Stop
from hbtrack.check.trainer import Trainer
from hbtrack.check.training import Stuck, Training, by_noise, starts_again
from hbtrack.check.workspaces import Runs, Workspace, left_out

FRACTIONS = (0.5, 0.3, 0.15, 0.05)
"""Of the training, at which it is killed; the next if it had ended."""
BAD_IDS = ("not-a-config-of-this-script", "nor is this")
TERM, KILL = signal.SIGTERM, signal.SIGKILL


GOES_ON = ("checkpoint", "resume", "total", "again")
"""Where one of these fails, what trains for long would only say it once more."""
ASIDE = ("multi_gpu", "half_written", "other_search")
LONG_ONES = ("at_once", "sigterm", "sigkill", "half_written")


@dataclass(slots=True)
class Procedure:
    """One check; `findings` makes its runs."""

    runs: Runs
    others: Sequence[Experiment]  # that other arguments select
    tell: Callable[[str], None]  # hears the name of what is tried next
    _trainer: Trainer = field(init=False)
    _workspace: Workspace = field(init=False)
    _after_first: Path | None = field(init=False, default=None)  # its folder as it was then
    _training: Training = field(init=False)
    _others_use: frozenset[str] = field(init=False, default=frozenset())
    _failing: int = field(init=False, default=0)  # configs that failed after their first epoch
    _second: ScriptRun | None = field(init=False, default=None)  # of another config, alone
    _saves_late: bool = field(init=False, default=False)  # nothing is saved before its end
    _multi_gpu: ScriptRun | None = field(init=False, default=None)  # the first once more, with it

    def __post_init__(self) -> None:
        self._trainer = Trainer(self.runs)

    def findings(self) -> Iterator[Finding]:
        """Run the script again and again; what the runs show.

        Raises NotTried before what the script, or the user, does not let it try.
        """
        self.tell("call")
        ids = list(self.runs.ids)
        workspace, first = self._first()
        yield from calls.called(self.runs.runs)
        if not first.done:
            return
        self.tell("resume")
        training = self._begin(workspace, first, ids)
        while isinstance(training, Stuck) and self._fails_anyway():
            workspace, first = self._first()
            if first.done:
                training = self._begin(workspace, first, ids)
        if isinstance(training, Stuck):
            yield checkpoints.stuck(training)
            return
        self._workspace, self._training = workspace, training
        if another := losses.another(training, self.runs.runs):
            yield another
            return
        found = list(self._trained())
        yield from found
        if self.runs.quick:
            yield from self._quick()
            raise left_out()
        fails = [one.name for one in found if one.status is Status.FAIL and one.name in GOES_ON]
        yield from self._tried(dict.fromkeys(LONG_ONES if fails else (), *fails[:1]))
        yield calls.left(self.runs.runs)

    def _trained(self) -> Iterator[Finding]:
        """What training showed; without what so few runs do not tell."""
        short = starts_again(self._training.second)
        for finding in checkpoints.trained(self._training, self.runs.runs):
            if finding.name == "resume":
                short = short and finding.status is Status.FAIL
            if finding.name == "again" and short:
                yield skipped("again", "not tried, since resume fails")
            elif self.runs.quick and (finding.advice is advice.TELL or finding.says == NOT_TRIED):
                yield skipped(finding.name, str(left_out()))
            elif finding.says == NOT_TRIED:
                yield skipped(finding.name, "not tried, since resume fails")
            else:
                yield finding

    def _quick(self) -> Iterator[Finding]:
        """What takes one run more, or none."""
        self.tell("separate")
        if self._training.checkpoint and self.runs.ids and self.runs.may_start():
            beside = self._beside(self.runs.ids.pop(0), self.runs.budgets.first)
            if beside.done:  # else it may fail by itself
                yield calls.separate(self._training, None, beside, self._training.again)
        yield calls.left(self.runs.runs)

    def _tried(self, left: dict[str, str]) -> Iterator[Finding]:
        """One check after the other, but for those that are `left` since another one fails.

        Those that need nothing but copies of what was trained are tried side by side.
        """
        checks = {
            "separate": self._separate,
            "at_once": self._at_once,
            "multi_gpu": self._multi,
            "bad_id": self._bad_ids,
            "sigterm": lambda runs: self._killed(runs, "sigterm", TERM),
            "sigkill": lambda runs: self._killed(runs, "sigkill", KILL),
            "half_written": self._half_written,
            "other_search": self._other_search,
        }
        self.runs.outlook.leave_out(left)
        found: dict[str, Finding] = {}
        for name, check in checks.items():
            self.tell(name)
            if name in left:
                found[name] = skipped(name, f"not tried, since {left[name]} fails")
            elif name in ASIDE and self.runs.width > 1 and name not in found:
                aside = [one for one in ASIDE if one not in left]
                made = self.runs.together(*[checks[one] for one in aside])
                found.update(zip(aside, made, strict=True))
            elif name not in found:
                found[name] = check(self.runs)
            yield found[name]
            if name == "separate" and found[name].status is Status.FAIL:
                left |= dict.fromkeys(("at_once", "bad_id"), name) | left
            if name == "at_once" and found[name].status is not Status.PASS:
                self.runs.side_by_side = 1

    def _first(self) -> tuple[Workspace, ScriptRun]:
        """One epoch of a config that works and had no checkpoint before, if one is found.

        Of a search that ran here the copy holds checkpoints. They are known by this: one config
        reads or changes them, and the next does not. They are removed from the copy, unless the
        config then fails: it was data.
        """
        tried: list[tuple[Workspace, ScriptRun]] = []
        runs: list[ScriptRun] = []
        while self.runs.ids and self._goes_on_trying(runs):
            tried.append(self._one_epoch(self.runs.untrained(self.runs.ids.pop(0))))
            runs.append(tried[-1][1])
        best = max(tried, key=lambda one: (one[1].done, from_nothing(one[1])))
        for workspace, _ in tried:
            if workspace is not best[0]:
                self.runs.discard(workspace)
        if from_nothing(best[1]) or not self.runs.pristine or self.runs.quick:
            return best
        stale = used_by_one(best[1], runs)
        if stale and (without := self._without(stale, best[0].config_id))[1].done:
            for name in stale:
                (self.runs.pristine / name).unlink()
            self.runs.discard(best[0])
            return without
        return best

    def _without(self, files: frozenset[str], config_id: str) -> tuple[Workspace, ScriptRun]:
        """One epoch where these files are not there."""
        workspace = self.runs.untrained(config_id)
        for name in files:
            (workspace.folder / name).unlink()
        return self._one_epoch(workspace)

    def _goes_on_trying(self, runs: list[ScriptRun]) -> bool:
        if self.runs.quick:
            return self.runs.may_start() and not any(map(says_enough, runs))
        return worth_trying(runs)

    def _one_epoch(self, workspace: Workspace) -> tuple[Workspace, ScriptRun]:
        found = frozenset(states(workspace.folder)) if self.runs.pristine else frozenset()
        call = self._call(workspace.config_id)
        return workspace, self.runs.run(workspace, call, reading=found)

    def _begin(self, workspace: Workspace, first: ScriptRun, ids: list[str]) -> Training | Stuck:
        """Take this config, one of `ids`; what training shows."""
        self.runs.config_id = workspace.config_id
        self.runs.comparable = self.runs.comparable and bool(first.touched.saved)
        ids.remove(workspace.config_id)
        if self.runs.comparable:  # in a new copy, those that were tried are new, too
            self.runs.ids = list(ids)
            self._after_first = self.runs.copy_of(workspace.folder)
        return self._trainer.train(workspace, first)

    def _call(self, config_id: str, step: int = ONE) -> Call:
        budgets = self.runs.budgets
        return Call(config_id, budgets.second if step == TWO else budgets.first)

    def _fails_anyway(self) -> bool:
        """Whether 2 epochs fail from nothing, too, as they may with some configs."""
        self._failing += 1
        another = self._failing < CANDIDATES and bool(self.runs.ids)
        epochs = self.runs.budgets.second
        return another and not (self.runs.comparable and self.runs.fresh(epochs)[0].done)

    def _separate(self, _runs: Runs) -> Finding:
        """Other configs beside the first, and then the first again."""
        nearest, epochs = self._nearest(), self._epochs_beside()
        told: list[tuple[Training, ScriptRun | None, ScriptRun]] = []
        failing = []  # where it cannot be told whether they would alone
        for config_id in list(dict.fromkeys([*nearest, *self.runs.ids]))[: 2 + CANDIDATES]:
            self.runs.ids.remove(config_id)
            alone = self._alone(config_id, epochs) if self.runs.comparable else None
            if alone and not alone.done:
                continue
            beside = self._beside(config_id, epochs)
            if not (alone or beside.done):
                failing.append(beside)
                continue
            self._second = alone if beside.done else self._second
            told.append((self._judged(self.runs, beside, alone), alone, beside))
            found = calls.separate(*told[-1], self._training.again)
            if found.status is not Status.PASS or len(told) == len(nearest):
                break
        if not told:
            return calls.no_second(failing)
        back = self._back()
        # Of those before the last one nothing was seen so far.
        each = [calls.separate(*one, back) for one in reversed(told)]
        return next((one for one in each if one.status is not Status.PASS), each[0])

    def _nearest(self) -> list[str]:
        """Those most like the first, for a checkpoint's name may tell only some of the id.

        One, where all that it saved lies in the folder that hbtrack has named.
        """
        saved, told = self._training.first.touched.saved, self.runs.bench.told
        nearest = alike(self._workspace.config_id, self.runs.ids)
        return nearest[:1] if saved and all(map(told.holds, saved)) else nearest

    def _epochs_beside(self) -> int:
        """For how many epochs: as many as of two at once, where that saves time of one of them."""
        first, long = self._training.first, self._training.long
        if self.runs.comparable and long.seconds < 2 * first.seconds:
            return long.call.epochs
        return first.call.epochs

    def _beside(self, config_id: str, epochs: int) -> ScriptRun:
        """Another config where the first was trained."""
        files = self._training.first.touched.written
        beside = self.runs.run(self._workspace, Call(config_id, epochs), reading=files)
        self._others_use |= used(beside)
        return beside

    def _back(self) -> ScriptRun:
        """The first config again: with --multi_gpu, and without where that is not the same."""
        again = self._call(self._workspace.config_id, TWO)
        if self.runs.comparable:
            at = self.runs.again_in(self._workspace)
            multi = self._multi_gpu = self.runs.run(at, replace(again, multi_gpu=True))
            self.runs.discard(at)
            if multi.done and multi.loss == self._training.again.loss:
                return multi
        return self.runs.run(self._workspace, again)

    def _at_once(self, _runs: Runs) -> Finding:
        """Two configs at the same time, as two workers train them."""
        if not (self.runs.comparable and self._second):
            return skipped("at_once", "it takes a folder of its own, and two configs")
        workspace, long, second = self.runs.nowhere(), self._training.long, self._second
        if second.call.epochs != long.call.epochs:
            second = self._alone(second.call.config_id, long.call.epochs)
        calls_ = [long.call, second.call]

        def job(call: Call) -> Callable[[Runs], ScriptRun]:
            return lambda lane: lane.run(workspace, call)

        beside = [run for _, run in self.runs.beside(2, *map(job, calls_))]
        for run in beside:
            self.runs.note(run)
        self.runs.discard(workspace)
        pairs = list(zip(beside, [long, second], strict=True))
        exact = all(self._judged(self.runs, *pair).exact for pair in pairs)
        return calls.at_once(pairs, exact=exact)

    def _judged(self, runs: Runs, run: ScriptRun, alone: ScriptRun | None) -> Training:
        """What training showed, with the noise of the run `alone`, where a loss would accuse.

        Few losses may be equal by chance, as the error of an unseeded training in 50 points.
        """
        equal = alone is None or not (run.done and alone.done) or run.loss == alone.loss
        if alone is None or equal or not self._training.exact:
            return self._training
        return replace(self._training, noise=Trainer(runs).noise(alone, run))

    def _alone(self, config_id: str, epochs: int) -> ScriptRun:
        """Where no config was trained yet."""
        return self.runs.in_turn(self.runs.untrained(config_id), epochs)[0]

    def _multi(self, runs: Runs) -> Finding:
        multi = self._multi_gpu
        if multi is None:
            at = runs.again_in(self._workspace)
            multi = runs.run(at, replace(self._call(at.config_id, TWO), multi_gpu=True))
            runs.discard(at)
        options = ("--gpu", "--multi_gpu") if multi.done else ()
        found = (taken(option, runs, self._workspace) for option in options)
        return calls.multi(multi, self._training, next(filter(None, found), None))

    def _bad_ids(self, runs: Runs) -> Finding:
        """Ids that no sampler gave; the second only where the first did not end it.

        For other epochs: it may take both for a config of default values, and train that.
        """
        one, other = BAD_IDS
        found = [runs.run(self._workspace, self._call(one))]
        if found[0].exit_status == 0:
            found.append(runs.run(self._workspace, self._call(other, TWO)))
        return calls.bad_ids(found)

    def _killed(self, _runs: Runs, name: str, number: signal.Signals) -> Finding:
        """A run that is ended in the middle of its training, and the same run again."""
        pace = 1.0  # of the machine: it may have been busy when the training was timed
        long = self._training.long
        for fraction in FRACTIONS:
            stop = Stop(number, pace * self._training.moment(fraction))
            workspace, killed = self._stopped(stop, long.call.epochs)
            if killed.stopped:
                rest = self.runs.run(workspace, killed.call)
                self.runs.discard(workspace)
                by_itself = not (rest.done or self.runs.comparable)  # another config may fail
                if (by_itself or checkpoints.whole(killed, rest)) and fraction != FRACTIONS[-1]:
                    continue
                noise = self._training.long_noise
                if self.runs.comparable and not by_noise(rest, long, noise):
                    noise = self._trainer.noise(long, rest)
                training = replace(self._training, long_noise=noise)
                return checkpoints.killed(name, killed, rest, training)
            self.runs.discard(workspace)
            pace = min(1.0, killed.seconds / long.seconds)
        return skipped(name, "it had always ended before the signal came")

    def _stopped(self, stop: Stop, epochs: int) -> tuple[Workspace, ScriptRun]:
        """A run that is signalled; once more if it had saved nothing yet, for it may begin late.

        That would show nothing. A script that saves at its end only has never saved yet.
        The second time comes half of what was left later, and is not tried again by another signal.
        """
        workspace = self.runs.nowhere() if self.runs.comparable else self._one_that_runs()
        run = self.runs.run(workspace, Call(workspace.config_id, epochs), stop)
        if self._saves_late or not self.runs.comparable:
            return workspace, run
        if run.stopped and not run.touched.written:
            self.runs.discard(workspace)
            workspace = self.runs.nowhere()
            left = max(0.0, self._training.long.seconds - stop.after)
            run = self.runs.run(workspace, run.call, replace(stop, after=stop.after + left / 2))
            self._saves_late = not run.touched.written
        return workspace, run

    def _one_that_runs(self) -> Workspace:
        """Another config, one of some that gives a loss after 1 epoch."""
        for _ in range(CANDIDATES):
            workspace = self.runs.nowhere()
            if self.runs.run(workspace, self._call(workspace.config_id)).done:
                break
        return workspace

    def _half_written(self, runs: Runs) -> Finding:
        """The checkpoint after one epoch, cut in half."""
        if self._after_first is None:
            return skipped("half_written", "nothing is damaged where it could not be brought back")
        own = [name for name in self._training.checkpoint if name not in self._others_use]
        if not self._training.checkpoint:
            return skipped("half_written", "no file was seen that is its checkpoint")
        if not own:
            return skipped("half_written", "its checkpoint is a file that other configs use, too")
        in_place = [
            name
            for name in checkpoints.in_place(self._training, own)
            if not is_database(self._after_first / name)
        ]
        if not in_place:
            return checkpoints.half_written(None, self._training, in_place)
        at = Workspace(runs.copy_of(self._after_first), runs.config_id)
        for name in in_place:
            file = at.folder / name
            with file.open("r+b") as half:
                half.truncate(file.stat().st_size // 2)
        run = runs.run(at, self._call(at.config_id, TWO))
        runs.discard(at)
        training = self._judged(runs, run, self._training.fresh)
        return checkpoints.half_written(run, training, in_place)

    def _other_search(self, runs: Runs) -> Finding:
        return other_search.tried(
            runs, self._workspace, self._training, self.others, self._others_use
        )
