"""`hbtrack check`: does a script keep the contract, point by point?"""

import argparse
import os
import shlex
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hbtrack.check.budgets import AFFORDABLE, Budgets, budgets_of
from hbtrack.check.checks import Check, findings
from hbtrack.check.finding import Finding, Status
from hbtrack.check.functions import TYPICAL
from hbtrack.check.outlook import Progress
from hbtrack.cli import tables
from hbtrack.cli.check_progress import ProgressLine
from hbtrack.cli.signals import ended_by_signals
from hbtrack.errors import UsageError
from hbtrack.executors.gpus import AMD, find_gpus
from hbtrack.report.live.progress import can_redraw
from hbtrack.script.command import make_command
from hbtrack.text import printable

WIDEST = 100
"""Columns; longer lines do not read well."""
MOST_SIDE_BY_SIDE = 4
_MARGIN = " " * 13
"""Before what a check says; the verdict and the point stand in it."""
_WORDS = {Status.PASS: "ok", Status.WARN: "warn", Status.FAIL: "FAIL", Status.SKIP: "-"}
_COLOURS = {Status.PASS: "32", Status.WARN: "33", Status.FAIL: "1;31", Status.SKIP: "2"}


def main(args: argparse.Namespace) -> int:
    """Check the script; exit 2 when it breaks the contract."""
    check = Check(
        make_command(args.script, args.script_args, args.python, str(Path.cwd())),
        in_place=args.in_place,
        timeout=args.timeout,
        import_timeout=args.import_timeout,
        budgets=_budgets(args),
        quick=args.quick,
        side_by_side=1 if args.quick else side_by_side(),
    )
    line = ProgressLine("off" if args.quiet else "live" if can_redraw(sys.stderr) else "lines")
    stopped = "The check was stopped; what it ran is ended, its copies are removed."
    with ended_by_signals(stopped), line:
        found = list(_shown(check, args, line))
    if args.format == "json":
        _write_document(check, found, line.last)
    else:
        tables.write("\n".join(_conclusion(found, args, line.last)))
    fails = any(finding.status is Status.FAIL for finding in found)
    return UsageError.exit_code if fails else os.EX_OK


def _budgets(args: argparse.Namespace) -> Budgets:
    if args.max_epochs is None:
        return Budgets(most=TYPICAL.max_epochs)
    asked = {"max_epochs": args.max_epochs, "eta": args.eta, "min_epochs": args.min_epochs}
    return budgets_of(replace(TYPICAL, **asked))


def side_by_side() -> int:
    """How many runs may be side by side: half of the cores, and no more than one on a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores < 4 or find_gpus("all", isolate=False) or AMD.exists():
        return 1
    return min(MOST_SIDE_BY_SIDE, cores // 2)


def _shown(check: Check, args: argparse.Namespace, line: ProgressLine) -> Iterator[Finding]:
    """Each finding, shown as soon as it is there."""
    as_text = args.format != "json"
    if as_text:
        where = "in" if check.in_place else "in copies of"
        name = printable(Path(args.script).name)
        tables.write(f"{name}, {where} {printable(check.command.cwd)}\n")
    for finding in findings(check, line.show):
        if as_text and finding.status is not Status.SKIP:
            line.wipe()
            tables.write("\n".join(_lines(finding)))
            sys.stdout.flush()
        yield finding


def _lines(finding: Finding) -> Iterator[str]:
    head = f"  {_word(finding.status)} {finding.point:>3}   "
    yield from _beside(head, printable(finding.says))
    if finding.status in (Status.PASS, Status.SKIP):
        return
    for part in finding.evidence:
        yield from (" " * 15 + printable(line) for line in part.split("\n")[-12:] if line.strip())
    if finding.advice.change:
        yield from _beside(_MARGIN, f"-> {finding.advice.change}")
    yield from (" " * 17 + line for line in finding.advice.example.split("\n") if line)


def _beside(head: str, text: str) -> Iterator[str]:
    """The text in lines beside its head, which takes the margin's place in the first."""
    room = max(20, min(WIDEST, shutil.get_terminal_size().columns) - len(_MARGIN))
    first, *more = textwrap.wrap(text, room) or [""]
    yield head + first
    yield from (_MARGIN + line for line in more)


def _word(status: Status) -> str:
    word = f"{_WORDS[status]:4}"
    colourful = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{_COLOURS[status]}m{word}\x1b[0m" if colourful else word


def _conclusion(found: list[Finding], args: argparse.Namespace, last: Progress) -> Iterator[str]:
    """What could not be tried, and the sum of it all."""
    count = Counter(finding.status for finding in found)
    numbers = ", ".join(
        f"{count[status]} {word}"
        for status, word in (
            (Status.PASS, "hold"),
            (Status.WARN, "to look at"),
            (Status.FAIL, "to mend"),
            (Status.SKIP, "not tried"),
        )
        if count[status]
    )
    numbers = f"{numbers}. {_how_far(args, last, count)}" if last.starts else f"{numbers}."
    skips: dict[str, list[str]] = {}
    for finding in found:
        if finding.status is Status.SKIP:
            skips.setdefault(finding.says, []).append(finding.name.replace("_", " "))
    for because, names in skips.items():
        yield from _beside("  -          ", f"{because}: {', '.join(names)}")
    yield ""
    words = shlex.join([args.script, *args.script_args])
    if count[Status.FAIL]:
        text = f"{numbers} It does not keep the contract yet; the number is the point of it."
        yield tables.wrapped(text)
    elif args.quick:
        yield tables.wrapped(numbers)
        yield "As far as that tells, it fits. Without --quick all is tried."
    else:
        yield tables.wrapped(numbers)
        yield f"It fits: hbtrack run {printable(words)}"


def _how_far(args: argparse.Namespace, last: Progress, count: Counter[Status]) -> str:
    """How often it was started, and up to how many epochs."""
    starts = "start" if last.starts == 1 else "starts"
    text = f"{last.starts} {starts} of the script, up to {last.epochs} epochs"
    if args.max_epochs is None:
        return f"{text} (--max-epochs tries those of your search)."
    if last.epochs >= args.max_epochs:
        return f"{text}."
    text = f"{text} of {args.max_epochs}"
    too_long = not args.quick and not count[Status.FAIL]
    return f"{text}, for more take over {AFFORDABLE:.0f} s a run." if too_long else f"{text}."


def _write_document(check: Check, found: list[Finding], last: Progress) -> None:
    tables.write_document(
        "hbtrack.check/1",
        script=check.command.script,
        script_args=check.command.script_args,
        python=check.command.python,
        in_place=check.in_place,
        quick=check.quick,
        starts=last.starts,
        epochs_tried=last.epochs,
        keeps_contract=all(finding.status is not Status.FAIL for finding in found),
        checks=[
            {
                "check": finding.name,
                "point": finding.point,
                "status": finding.status.value,
                "says": finding.says,
                "evidence": [part for part in finding.evidence if part],
                "change": finding.advice.change or None,
                "example": finding.advice.example or None,
            }
            for finding in found
        ],
    )
