"""What the checks of a script run, and in which order: points 2, 3 and 6 to 10 of the contract."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hbtrack.check import advice, calls, checkpoints, losses, other_search
from hbtrack.check.abbreviations import taken
from hbtrack.check.candidates import (
    CANDIDATES,
    from_nothing,
    says_enough,
    used_by_one,
    worth_trying,
)
from hbtrack.check.finding import Finding, Status, skipped
from hbtrack.check.functions import Experiment
from hbtrack.check.kills import KILL, TERM, Kills
from hbtrack.check.losses import NOT_TRIED
from hbtrack.check.neighbours import Neighbours, judged
from hbtrack.check.noise import Noise
from hbtrack.check.outlook import ONE, TWO
from hbtrack.check.scratch import is_database, states
from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.trainer import Trainer
from hbtrack.check.training import Stuck, Training, starts_again
from hbtrack.check.workspaces import Runs, Workspace, left_out

BAD_IDS = ("not-a-config-of-this-script", "nor is this")

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
    _noise: Noise = field(init=False)
    _workspace: Workspace = field(init=False)
    _after_first: Path | None = field(init=False, default=None)  # its folder as it was then
    _training: Training = field(init=False)
    _neighbours: Neighbours = field(init=False)
    _failing: int = field(init=False, default=0)  # configs that failed after their first epoch

    def __post_init__(self) -> None:
        self._noise = Noise(self.runs)

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
        self._neighbours = Neighbours(self.runs, workspace, training)
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
            beside = self._neighbours.beside(self.runs.ids.pop(0), self.runs.budgets.first)
            if beside.done:  # else it may fail by itself
                yield calls.separate(self._training, None, beside, self._training.again)
        yield calls.left(self.runs.runs)

    def _tried(self, left: dict[str, str]) -> Iterator[Finding]:
        """One check after the other, but for those that are `left` since another one fails.

        Those that need nothing but copies of what was trained are tried side by side.
        """
        kills = Kills(self.runs, self._noise, self._training)
        checks: dict[str, Callable[[Runs], Finding]] = {
            "separate": lambda _runs: self._neighbours.separate(),
            "at_once": lambda _runs: self._neighbours.at_once(),
            "multi_gpu": self._multi,
            "bad_id": self._bad_ids,
            "sigterm": lambda _runs: kills.tried("sigterm", TERM),
            "sigkill": lambda _runs: kills.tried("sigkill", KILL),
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
        return Trainer(self.runs, self._noise).train(workspace, first)

    def _call(self, config_id: str, step: int = ONE) -> Call:
        budgets = self.runs.budgets
        return Call(config_id, budgets.second if step == TWO else budgets.first)

    def _fails_anyway(self) -> bool:
        """Whether 2 epochs fail from nothing, too, as they may with some configs."""
        self._failing += 1
        another = self._failing < CANDIDATES and bool(self.runs.ids)
        epochs = self.runs.budgets.second
        return another and not (self.runs.comparable and self.runs.fresh(epochs)[0].done)

    def _multi(self, runs: Runs) -> Finding:
        multi = self._neighbours.multi_gpu
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

    def _half_written(self, runs: Runs) -> Finding:
        """The checkpoint after one epoch, cut in half."""
        if self._after_first is None:
            return skipped("half_written", "nothing is damaged where it could not be brought back")
        own = [name for name in self._training.checkpoint if name not in self._neighbours.use]
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
        training = judged(self._training, runs, run, self._training.fresh)
        return checkpoints.half_written(run, training, in_place)

    def _other_search(self, runs: Runs) -> Finding:
        return other_search.tried(
            runs, self._workspace, self._training, self.others, self._neighbours.use
        )
