"""`hbtrack check`: does a script keep the contract, point by point?"""

import argparse
import os
import shlex
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hbtrack.check.checks import Check, findings
from hbtrack.check.finding import Finding, Status
from hbtrack.cli import tables
from hbtrack.cli.signals import ended_by_signals
from hbtrack.errors import UsageError
from hbtrack.script.command import make_command
from hbtrack.text import printable

WIDEST = 100
"""Columns; longer lines do not read well."""
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
    )
    with ended_by_signals("The check was stopped; what it ran is ended, its copies are removed."):
        found = list(_shown(check, args))
    if args.format == "json":
        _write_document(check, found)
    else:
        tables.write("\n".join(_conclusion(found, args)))
    fails = any(finding.status is Status.FAIL for finding in found)
    return UsageError.exit_code if fails else os.EX_OK


def _shown(check: Check, args: argparse.Namespace) -> Iterator[Finding]:
    """Each finding, shown as soon as it is there."""
    if args.format == "json":
        yield from findings(check, lambda _name: None)
        return
    where = "in" if check.in_place else "in copies of"
    tables.write(f"{printable(Path(args.script).name)}, {where} {printable(check.command.cwd)}\n")
    try:
        for finding in findings(check, _doing):
            if finding.status is not Status.SKIP:
                _doing("")
                tables.write("\n".join(_lines(finding)))
                sys.stdout.flush()
            yield finding
    finally:
        _doing("")


def _doing(name: str) -> None:
    """What is tried now, on a terminal: a line that the next one overwrites."""
    if sys.stdout.isatty():
        text = f"  ...      {name.replace('_', ' ')}" if name else ""
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()


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


def _conclusion(found: list[Finding], args: argparse.Namespace) -> Iterator[str]:
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
    skips: dict[str, list[str]] = {}
    for finding in found:
        if finding.status is Status.SKIP:
            skips.setdefault(finding.says, []).append(finding.name.replace("_", " "))
    for because, names in skips.items():
        yield from _beside("  -          ", f"{because}: {', '.join(names)}")
    yield ""
    words = shlex.join([args.script, *args.script_args])
    if count[Status.FAIL]:
        text = f"{numbers}. It does not keep the contract yet; the number is the point of it."
        yield tables.wrapped(text)
    else:
        yield f"{numbers}. It fits: hbtrack run {printable(words)}"


def _write_document(check: Check, found: list[Finding]) -> None:
    tables.write_document(
        "hbtrack.check/1",
        script=check.command.script,
        script_args=check.command.script_args,
        python=check.command.python,
        in_place=check.in_place,
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
