"""Another search, which other arguments select: does it go on from this one's checkpoints?

A script that saves in HBTRACK_CHECKPOINT needs no trying. Of one with a place of its own a name
does not tell, for it may be a hash: so the script is run with other arguments.
"""

import copy
import os
from collections.abc import Sequence
from dataclasses import replace

from hbtrack.check import advice
from hbtrack.check.finding import Finding, passed, skipped, warned
from hbtrack.check.functions import Experiment
from hbtrack.check.noise import Noise
from hbtrack.check.script_run import Call, ScriptRun
from hbtrack.check.training import Training
from hbtrack.check.workspaces import Runs, Workspace

NAME = "other_search"
_ANEW = "a new search of this name, after `hbtrack rm` or with another --db,"


def tried(
    runs: Runs,
    workspace: Workspace,
    training: Training,
    others: Sequence[Experiment],
    shared: frozenset[str],
) -> Finding:
    """Whether one of the `others` finds what was trained in this workspace.

    The files that are `shared` by configs are no checkpoints: data, perhaps, or a log.
    """
    saved, told = training.checkpoint, runs.bench.told
    if saved and all(map(told.holds, saved)):
        return passed(NAME, "saves in HBTRACK_CHECKPOINT, which each search has of its own")
    own = frozenset(name for name in saved if name not in shared and not told.holds(name))
    own = own & training.second.touched.changed or own  # what only the first run wrote may be data
    if not own:
        return skipped(NAME, "no file was seen that is one config's checkpoint")
    for other in others:
        found, alone = _runs(runs, other, workspace, own)
        if found and (found.done or alone):
            return judged(other, own, found, alone if training.exact else None)
    says = f"saves {_few(own)}, not in HBTRACK_CHECKPOINT: {_ANEW} uses it"
    return passed(NAME, says)


def _runs(
    runs: Runs, other: Experiment, workspace: Workspace, own: frozenset[str]
) -> tuple[ScriptRun | None, ScriptRun | None]:
    """One epoch of the other search after this one; and alone, where that can be.

    The first is None where the script does not take these arguments, or they may lead out of the
    copy that it runs in; the second where its loss tells nothing.
    """
    command = runs.bench.command
    if os.sep in "".join(set(other.args).difference(command.script_args)):
        return None, None
    bench = replace(
        runs.bench,
        command=replace(command, script_args=other.args),
        told=runs.bench.told.of_another(other.identity),
    )

    there = copy.copy(runs)
    there.bench = bench

    def run(at: Workspace) -> ScriptRun:
        found = there.run(at, Call(at.config_id, runs.budgets.first), reading=own)
        runs.discard(at)
        return found

    alone = run(runs.untrained(workspace.config_id)) if runs.comparable else None
    if alone and not alone.done:
        return None, alone
    found = run(Workspace(runs.copy_of(workspace.folder), workspace.config_id))
    differs = alone is not None and found.done and found.loss != alone.loss
    if alone and differs and Noise(there).of(alone, found):
        alone = None  # others were equal by chance
    return found, alone


def judged(
    other: Experiment, own: frozenset[str], found: ScriptRun, alone: ScriptRun | None
) -> Finding:
    """Whether the other search used these files; by its loss too, where `alone` is exact."""
    written, read = own & found.touched.changed, found.touched.read
    by_loss = alone is not None and found.loss != alone.loss
    if written or (by_loss if alone and read != frozenset() else read):
        files = _few(written or read or own)
        says = f"another search, {other.identity!a}, uses {files} of this one"
        evidence = (*found.shown(), *(("and alone:", *alone.shown()) if alone else ()))
        return warned(NAME, says, *evidence, advice=advice.OTHER_SEARCH)
    says = f"another search, {other.identity!a}, does not use {_few(own)}"
    return passed(NAME, f"{says}; {_ANEW} does")


def _few(files: frozenset[str]) -> str:
    return ", ".join(sorted(files)[:3])
