"""All checks of a script, one after the other, in a private folder that is gone afterwards."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hbtrack.check.finding import POINTS, Finding, Status, skipped
from hbtrack.check.functions import TYPICAL, ask
from hbtrack.check.procedure import Procedure
from hbtrack.check.scratch import copy_folder, remove, scratch_folder
from hbtrack.check.script_run import Bench, in_copy
from hbtrack.check.told import OTHER, Told
from hbtrack.check.workspaces import OutOfConfigs, Runs
from hbtrack.core.records import Command


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be checked, and how."""

    command: Command
    in_place: bool
    timeout: float  # seconds of a run of the script
    import_timeout: float  # seconds of an import of it


def findings(check: Check, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Try the script, point by point; `tell` hears the name of what is tried next.

    It is imported in the very copy that its runs start from, as in a search: what the functions
    leave there, such as a table of ids, the runs find.

    Raises UsageError when the working directory is too large to be copied.
    """
    with scratch_folder() as scratch:
        pristine = None
        if not check.in_place:
            pristine = scratch / "pristine"
            copy_folder(Path(check.command.cwd), pristine)
        found = []
        with suppress(OutOfConfigs):
            for finding in _in(scratch, pristine, check, tell):
                found.append(finding)
                yield _where_it_was(finding, scratch, check.command)
        yield from _not_tried(found)


def _not_tried(found: list[Finding]) -> Iterator[Finding]:
    """The checks that are missing, and why."""
    fails = [finding.name for finding in found if finding.status is Status.FAIL]
    because = f"since {fails[-1]} fails" if fails else "for lack of different configs"
    seen = {finding.name for finding in found}
    yield from (skipped(name, f"not tried, {because}") for name in POINTS if name not in seen)


def _in(
    scratch: Path, pristine: Path | None, check: Check, tell: Callable[[str], None]
) -> Iterator[Finding]:
    command = check.command
    imports = in_copy(command, pristine) if pristine else command
    asked = yield from ask(imports, check.import_timeout, tell)
    if not asked.ids:
        return
    logs, work = scratch / "logs", scratch / "work"
    logs.mkdir()
    work.mkdir()
    told = Told(asked.identity, TYPICAL.max_epochs, scratch.name)
    bench = Bench(command, check.timeout, logs, told)
    try:
        runs = Runs(bench, list(asked.ids), pristine, work)
        yield from Procedure(runs, asked.others, tell).findings()
    finally:
        bench.end()
        if check.in_place:
            remove(Path(command.cwd, told.folder))


def _where_it_was(finding: Finding, scratch: Path, command: Command) -> Finding:
    """The same, with paths as they are in the user's own folder, and in a search."""
    copies = re.compile(re.escape(str(scratch)) + r"/(?:pristine|work/\d+)")
    saved = re.compile(rf"(?:{re.escape(command.cwd)}/)?{scratch.name}/(?:{OTHER}/)?[0-9a-f]{{20}}")

    def mended(text: str) -> str:
        return saved.sub("$HBTRACK_CHECKPOINT", copies.sub(lambda _: command.cwd, text))

    return replace(
        finding, says=mended(finding.says), evidence=tuple(map(mended, finding.evidence))
    )
