"""Runs of the script, each where its config was never trained, or where it was on purpose.

A comparison needs one config trained from nothing more than once, so each such run has a copy of
the working directory of its own. Where that is not possible (`--in-place`, or the script saves
outside of its working directory) each run from nothing gets another config, and losses are not
compared.
"""

from dataclasses import dataclass, field
from pathlib import Path

from hbtrack.check.scratch import copy_folder, remove
from hbtrack.check.script_run import Bench, Call, ScriptRun, Stop


class OutOfConfigs(Exception):
    """The sampler gives too few different configs for the runs that are left."""


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
    config_id: str = field(init=False, default="")  # that is trained again and again
    comparable: bool = field(init=False)  # it can be trained from nothing more than once
    runs: list[ScriptRun] = field(init=False, default_factory=list)
    _copies: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """In place, nothing can be trained from nothing twice."""
        self.comparable = self.pristine is not None

    def nowhere(self) -> Workspace:
        """The config of this check where it was never trained; if that is nowhere, another."""
        if not self.comparable and not self.ids:
            raise OutOfConfigs
        return self.untrained(self.config_id if self.comparable else self.ids.pop(0))

    def untrained(self, config_id: str) -> Workspace:
        """Where nothing was trained yet, unless it is in place."""
        return Workspace(self.copy_of(self.pristine), config_id)

    def copy_of(self, folder: Path | None) -> Path:
        """A new copy of a folder; in place, the working directory itself."""
        if folder is None or self.pristine is None:
            return Path(self.bench.command.cwd)
        self._copies += 1
        copy = self.work / str(self._copies)
        copy_folder(folder, copy)
        return copy

    def run(
        self,
        workspace: Workspace,
        call: Call,
        stop: Stop | None = None,
        reading: frozenset[str] = frozenset(),
    ) -> ScriptRun:
        """Call the script there, and see whether it reads the files in `reading`."""
        run = self.bench.run(workspace.folder, call, stop, reading)
        self.runs.append(run)
        return run

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
        copy = Workspace(self.copy_of(workspace.folder), workspace.config_id)
        return self.in_turn(copy, *epochs)

    def discard(self, workspace: Workspace) -> None:
        """Remove its copy, if it is one."""
        if self.pristine:
            remove(workspace.folder)
