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
    """A folder, and a config that was never trained there."""

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
        config_id = self.config_id if self.comparable else self.ids.pop(0)
        return Workspace(self.copy_of(self.pristine), config_id)

    def copy_of(self, folder: Path | None) -> Path:
        """A new copy of a folder; without one, the working directory itself."""
        if folder is None:
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

    def fresh(self, epochs: int) -> ScriptRun:
        """Train from nothing, and leave no copy."""
        workspace = self.nowhere()
        run = self.run(workspace, Call(workspace.config_id, epochs))
        self.discard(workspace)
        return run

    def discard(self, workspace: Workspace) -> None:
        """Remove its copy, if it is one."""
        if self.pristine:
            remove(workspace.folder)

    def alone(self, call: Call) -> ScriptRun:
        """This call where no config was trained yet, and leave no copy."""
        workspace = Workspace(self.copy_of(self.pristine), call.config_id)
        run = self.run(workspace, call)
        self.discard(workspace)
        return run
