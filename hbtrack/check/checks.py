"""All checks of a script, one after the other, in a private folder that is gone afterwards."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hbtrack.check.budgets import Budgets
from hbtrack.check.finding import POINTS, Finding, Status, skipped
from hbtrack.check.functions import ask
from hbtrack.check.outlook import Outlook, Progress, planned
from hbtrack.check.procedure import Procedure
from hbtrack.check.scratch import copy_folder, remove, scratch_folder
from hbtrack.check.script_run import Bench, in_copy
from hbtrack.check.told import OTHER, Told
from hbtrack.check.workspaces import NotTried, Runs
from hbtrack.core.records import Command

MOST_STARTS = 5  # with --quick


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be checked, and how."""

    command: Command
    in_place: bool
    timeout: float  # seconds of a run of the script
    import_timeout: float  # seconds of an import of it
    budgets: Budgets
    quick: bool  # at most MOST_STARTS of the script
    side_by_side: int  # at most so many runs, where they share nothing


Tell = Callable[[Progress], None]


def findings(check: Check, tell: Tell) -> Iterator[Finding]:
    """Try the script, point by point; `tell` hears where it is, before a check and after a run.

    It is imported in the very copy that its runs start from, as in a search: what the functions
    leave there, such as a table of ids, the runs find.

    Raises UsageError when the working directory is too large to be copied.
    """
    with scratch_folder() as scratch:
        pristine = None
        if not check.in_place:
            pristine = scratch / "pristine"
            copy_folder(Path(check.command.cwd), pristine)
        missing, because = dict.fromkeys(POINTS), ""
        try:
            for finding in _in(scratch, pristine, check, tell):
                missing.pop(finding.name)
                if finding.status is Status.FAIL:
                    because = f"not tried, since {finding.name} fails"
                yield _where_it_was(finding, scratch, check.command)
        except NotTried as reason:
            because = str(reason)
        yield from (skipped(name, because) for name in missing)


def _in(scratch: Path, pristine: Path | None, check: Check, tell: Tell) -> Iterator[Finding]:
    command = check.command
    imports = in_copy(command, pristine) if pristine else command
    outlook = Outlook(planned(check.budgets, quick=check.quick))

    def begin(name: str) -> None:
        outlook.begin(name)
        tell(outlook.progress())

    asked = yield from ask(imports, check.import_timeout, begin)
    if not asked.ids:
        return
    logs, work = scratch / "logs", scratch / "work"
    logs.mkdir()
    work.mkdir()
    told = Told(asked.identity, check.budgets.most, scratch.name)
    bench = Bench(command, check.timeout, logs, told)
    try:
        runs = Runs(
            *(bench, list(asked.ids), pristine, work, outlook, check.budgets),
            tell=lambda: tell(outlook.progress()),
            side_by_side=check.side_by_side,
            most=MOST_STARTS if check.quick else None,
        )
        yield from Procedure(runs, asked.others, begin).findings()
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
