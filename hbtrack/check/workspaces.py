"""Runs of the script, each where its config was never trained, or where it was on purpose.

A comparison needs one config trained from nothing more than once, so each such run has a copy of
the working directory of its own. Where that is not possible (`--in-place`, or the script saves
outside of its working directory) each run from nothing gets another config, and losses are not
compared.

Runs in copies of their own may be side by side. One that fails then is tried once more, alone.
"""

import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from threading import Event
from typing import TypeVar

from hbtrack.check.budgets import Budgets
from hbtrack.check.outlook import Outlook
from hbtrack.check.scratch import copy_folder, remove
from hbtrack.check.script_run import Bench, Call, ScriptRun, Stop

Got = TypeVar("Got")


class NotTried(Exception):
    """Why what is left of the checks is not tried."""


def _out_of_configs() -> NotTried:
    """The sampler gives too few different configs for the runs that are left."""
    return NotTried("not tried, for lack of different configs")


def left_out() -> NotTried:
    """The script was started as often as `--quick` lets it."""
    return NotTried("left out by --quick")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder, and the config that is trained there."""

    folder: Path
    config_id: str


@dataclass(slots=True)
class Runs:
    """All runs of one check, and the workspaces that they are made in."""

    bench: Bench
    ids: list[str]  # that were not trained yet
    pristine: Path | None  # a copy of the working directory as it was; None with --in-place
    work: Path  # for further copies
    outlook: Outlook
    budgets: Budgets
    tell: Callable[[], None]  # hears of each run that is over
    side_by_side: int = 1  # at most so many runs
    most: int | None = None  # starts of the script, with --quick
    config_id: str = field(init=False, default="")  # that is trained again and again
    comparable: bool = field(init=False)  # it can be trained from nothing more than once
    runs: list[ScriptRun] = field(init=False, default_factory=list)
    _copies: "count[int]" = field(init=False, default_factory=count)
    _stopping: Event = field(init=False, default_factory=Event)

    def __post_init__(self) -> None:
        """In place, nothing can be trained from nothing twice."""
        self.comparable = self.pristine is not None

    @property
    def width(self) -> int:
        """How many runs may be side by side now: one, where they would share a folder."""
        return self.side_by_side if self.comparable else 1

    @property
    def quick(self) -> bool:
        """Whether only a few starts are allowed."""
        return self.most is not None

    def may_start(self) -> bool:
        """Whether the script may be started once more."""
        return self.most is None or len(self.runs) < self.most

    def nowhere(self) -> Workspace:
        """The config of this check where it was never trained; if that is nowhere, another."""
        if not self.comparable and not self.ids:
            raise _out_of_configs()
        return self.untrained(self.config_id if self.comparable else self.ids.pop(0))

    def untrained(self, config_id: str) -> Workspace:
        """Where nothing was trained yet, unless it is in place."""
        return Workspace(self.copy_of(self.pristine), config_id)

    def copy_of(self, folder: Path | None) -> Path:
        """A new copy of a folder; in place, the working directory itself."""
        if folder is None or self.pristine is None:
            return Path(self.bench.command.cwd)
        new = self.work / str(next(self._copies))
        copy_folder(folder, new)
        return new

    def run(
        self,
        workspace: Workspace,
        call: Call,
        stop: Stop | None = None,
        reading: frozenset[str] = frozenset(),
        bench: Bench | None = None,
    ) -> ScriptRun:
        """Call the script there, and see whether it reads the files in `reading`."""
        if not self.may_start() or self._stopping.is_set():
            raise left_out()
        run = (bench or self.bench).run(workspace.folder, call, stop, reading)
        self.note(run)
        return run

    def note(self, run: ScriptRun) -> None:
        """A run is over; those of a lane are noted when they are believed."""
        self.runs.append(run)
        whole = not (run.stopped or run.timed_out)
        self.outlook.ran(run.call.epochs, run.seconds, to_its_end=whole, done=run.done)
        self.tell()

    def in_turn(self, workspace: Workspace, *epochs: int) -> list[ScriptRun]:
        """Train for each of these numbers of epochs, one after the other, and leave no copy."""
        runs = [self.run(workspace, Call(workspace.config_id, number)) for number in epochs]
        self.discard(workspace)
        return runs

    def fresh(self, *epochs: int) -> list[ScriptRun]:
        """Train from nothing, and leave no copy."""
        return self.in_turn(self.nowhere(), *epochs)

    def onward(self, workspace: Workspace, *epochs: int) -> list[ScriptRun]:
        """Train on what is there, and leave that as it is, unless it is in place."""
        return self.in_turn(self.again_in(workspace), *epochs)

    def again_in(self, workspace: Workspace) -> Workspace:
        """A copy of this workspace; in place, itself."""
        return Workspace(self.copy_of(workspace.folder), workspace.config_id)

    def discard(self, workspace: Workspace) -> None:
        """Remove its copy, if it is one."""
        if self.pristine:
            remove(workspace.folder)

    # --- side by side ----------------------------------------------------------------------------

    def together(self, *jobs: "Callable[[Runs], Got]") -> list[Got]:
        """What the jobs give, each of which makes runs in copies of its own and is repeatable.

        All in all it is as if they were done one after the other: where a run fails beside others,
        for want of memory perhaps, or of a port, its job is done once more without them.
        """
        if self.width == 1 or len(jobs) == 1:
            return [job(self) for job in jobs]
        found = []
        for job, (lane, got) in zip(jobs, self.beside(self.width, *jobs), strict=True):
            for run in lane.runs:
                self.note(run)
            found.append(got if all(run.done for run in lane.runs) else job(self))
        return found

    def beside(self, width: int, *jobs: "Callable[[Runs], Got]") -> "list[tuple[Runs, Got]]":
        """Do so many jobs at a time; what each gives, and its runs."""
        lanes = [self._lane(number) for number in range(len(jobs))]
        with ThreadPoolExecutor(width) as pool:
            made: list[Future[Got]] = []
            try:
                for job, lane in zip(jobs, lanes, strict=True):
                    made.append(pool.submit(job, lane))
                for _ in as_completed(made):
                    self.tell()
                return [(lane, one.result()) for lane, one in zip(lanes, made, strict=True)]
            except BaseException:  # Ctrl-C: nothing more starts, and what runs is ended
                self._stopping.set()
                while wait(made, timeout=0.05).not_done:
                    for lane in lanes:
                        lane.bench.end()
                raise

    def _lane(self, number: int) -> "Runs":
        """The same, for runs beside others: what these print lies apart, and is noted later."""
        lane = copy.copy(self)
        lane.bench = replace(self.bench, logs=self.bench.logs / str(number))
        lane.bench.logs.mkdir(exist_ok=True)
        lane.runs, lane.outlook, lane.tell = [], Outlook({}), lambda: None
        return lane
