"""Does argparse take an option of hbtrack's for the beginning of another one?

It does not say so. What it says of a value that is missing, or must not be, names the option.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hbtrack.check.command_line import suspects, taken_for
from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.sources import texts_of
from hbtrack.check.workspaces import Runs, Workspace

_WRONGLY = {"--epochs": "--epochs", "--gpu": "--gpu", "--multi_gpu": "--multi_gpu=0"}
"""Each option as its parser refuses it."""


class Taken(NamedTuple):
    """An option of hbtrack's, the option that it was taken for, and what shows it."""

    option: str
    other: str
    run: ScriptRun


def taken(option: str, runs: Runs, workspace: Workspace) -> Taken | None:
    """What this option is taken for, if it is: asked of the script where its text makes it likely.

    The option stands at the end, where it takes another's place, and no other word is its value.
    """
    command = runs.bench.command
    if not suspects(option, texts_of(Path(command.script), Path(command.cwd))):
        return None
    asking = replace(command, script_args=(*command.script_args, _WRONGLY[option]))
    bench = replace(runs.bench, command=asking)
    at = runs.again_in(workspace)
    run = runs.run(at, Call(at.config_id, runs.budgets.first), bench=bench)
    runs.discard(at)
    other = taken_for(option, run.stderr)
    return Taken(option, other, run) if other else None
