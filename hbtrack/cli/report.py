"""`hbtrack report`: how far a search is, its best configs, its failures."""

import argparse
import html
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

from hbtrack.cli import tables
from hbtrack.cli.advice import to_type
from hbtrack.core.times import unix
from hbtrack.database.location import database_path
from hbtrack.errors import UsageError
from hbtrack.report.agreement import GOOD, Agreement, agreement, compared
from hbtrack.report.comparability import found_checkpoints, mixture_sentence, told_max_epochs
from hbtrack.report.direction import Direction, direction
from hbtrack.report.failures import failure_counts
from hbtrack.report.ranking import COLUMNS, names_of, ranking, require_sortable, unused_sentence
from hbtrack.report.script_changes import ScriptChange, script_changes
from hbtrack.report.snapshot import RUNNING, Snapshot, read_now
from hbtrack.report.width import shortened, width_of
from hbtrack.store.reading import Row, chosen_names, rows, snapshot
from hbtrack.text import budget, duration, printable

FAILURES = 5
"""So many causes of failures are shown; `hbtrack errors` has all."""

EDITS = 5
"""So many edits of the script are shown."""

FEWEST = 5
"""So many of the best are shown on the lowest terminal."""

MORE = ("epochs_reached", "bracket", "seconds")
"""Columns that a narrow terminal does without."""

NARROWEST = 12
"""Columns that a config_id keeps on a terminal, however narrow that is."""

MOST_RUNNING = 5
"""So many running evaluations are shown, those that have run longest; `status --watch` has all."""

WIDEST = 24
"""Columns that a parameter's text may take on a terminal."""


@dataclass(frozen=True)
class Report(Snapshot):
    """What is reported of one search, as read at one moment."""

    running: list[Row]  # what its scripts do at this moment
    ranked: list[Row]
    failures: list[Row]
    agreement: Agreement | None
    direction: Direction
    edits: list[ScriptChange]
    found_checkpoints: str | None  # that the search did not make: why that is thought
    told: dict[int, int]  # max_epochs, if several, and how many results of each


def main(args: argparse.Namespace) -> int:
    """Report on each search that matches; exit 3 when there is none."""
    if args.html and (others := sorted(args.given & {"all", "format", "sort", "top"})):
        raise UsageError(
            f"A page has all of a search: leave --{others[0]} out, or --html.", see="usage"
        )
    with snapshot(args.db) as connection:
        chosen = chosen_names(connection, args.identity, some=True)
        if args.html:
            from hbtrack.cli import page  # noqa: PLC0415 - only a page needs a template engine

            return page.main(connection, database_path(args.db), chosen, args.html)
        require_sortable(connection, chosen, args.sort)
        limit = None if args.all else args.top
        reports = [_read(connection, args, name, limit) for name in chosen]
    if args.format == "json":
        searches = [_as_json(report, limit) for report in reports]
        tables.write_document("hbtrack.report/1", searches=searches)
    elif args.format in ("csv", "tsv"):
        tables.write(_separated(reports, args.format))
    else:
        tables.write("\n\n".join(_text(report, args) for report in reports))
    return 0


def _read(
    connection: sqlite3.Connection, args: argparse.Namespace, name: str, limit: int | None
) -> Report:
    search, state, left = read_now(connection, database_path(args.db), name)
    results = compared(connection, name)
    return Report(
        search,
        state,
        left,
        rows(connection, RUNNING, {"identity": name}) if state in ("running", "orphaned") else [],
        ranking(connection, name, args.sort, limit),
        failure_counts(connection, name),
        agreement(results),
        direction(results),
        script_changes(connection, name),
        found_checkpoints(connection, name),
        told_max_epochs(connection, name, search["max_epochs"]),
    )


# --- for programs --------------------------------------------------------------------------------


def _as_json(report: Report, limit: int | None) -> dict[str, Any]:
    names = {"error_type": "error_type", "error_message": "error_message", "failures": "count"}
    names |= {"for_example": "example", "epochs": "epochs", "configs": "configs"}
    names |= {"last_at": "last_at", "fingerprint": "fingerprint"}
    failures = [{name: row[of] for name, of in names.items()} for row in report.failures[:limit]]
    return {
        "search": report.search,
        "state": report.state,
        "left": str(report.left) if report.left else None,
        "running": report.running,
        "leaderboard": report.ranked,
        "failures": failures,
        "found_checkpoints": report.found_checkpoints,
        "max_epochs_told": [
            {"max_epochs": max_epochs, "results": count}
            for max_epochs, count in report.told.items()
        ],
        "agreement": asdict(report.agreement) if report.agreement else None,
        "promotions": {"rose": report.direction.rose, "compared": report.direction.of},
        "script_changes": [asdict(edit) for edit in report.edits],
    }


def _separated(reports: Sequence[Report], form: str) -> str:
    names = dict.fromkeys(name for report in reports for name in names_of(report.ranked))
    columns = ("run_identity", *COLUMNS, *map(_column_of, names))
    lines = [
        {"run_identity": report.identity, **_line(row, names)}
        for report in reports
        for row in report.ranked
    ]
    return tables.table(lines, form, columns)


def _line(row: Row, names: Sequence[str] | dict[str, None]) -> Row:
    params = {_column_of(name): row["params"].get(name) for name in names}
    return {**params, **{name: row[name] for name in COLUMNS}}


def _column_of(name: str) -> str:
    """The column of a parameter, which may have the name of one of ours."""
    return f"param:{name}" if name in (*COLUMNS, "run_identity") else name


# --- for people ----------------------------------------------------------------------------------


def _text(report: Report, args: argparse.Namespace) -> str:
    """The report; on a low terminal with fewer of the best, so that all that it says is seen."""
    text = _whole_text(report, args)
    if args.format == "simple" and not args.given & {"top", "all"}:
        ranked = report.ranked[: max(FEWEST, len(report.ranked) - max(0, tables.lines_over(text)))]
        text = _whole_text(replace(report, ranked=ranked), args)
    return text


def _whole_text(report: Report, args: argparse.Namespace) -> str:
    parts = ["\n".join(tables.wrapped(line, "  ") for line in _headline(report))]
    if args.format == "html":
        parts = [f"<p>{html.escape(line)}</p>" for line in _headline(report)]
    if report.ranked:
        parts += _table(report, args)
    if args.format == "simple":
        parts += _below(report, args)
    return "\n\n".join(parts)


def _headline(report: Report) -> list[str]:
    search = report.search
    lines = [
        f"{printable(report.identity)}: {report.state}, {report.epochs} epochs, "
        f"{report.evaluations} evaluations, {report.failed} failed"
        + (f", {report.left} left" if report.left else "")
    ]
    if search["stop_reason"]:
        lines.append(f"stopped: {printable(search['stop_reason'])}")
    if search["best_loss"] is not None:
        best = f"best {tables.rounded(search['best_loss'])} at {budget(search['best_epochs'])}: "
        return [*lines, best + printable(search["best_config_id"])]
    if report.ended and report.ended == report.failed:
        return [*lines, "no evaluation has a loss: all that ended have failed"]
    return [*lines, "no evaluation has a loss yet"]


def _table(report: Report, args: argparse.Namespace) -> list[str]:
    """The ranked table, with as many parameters as fit; and what was left out of it."""
    names = names_of(report.ranked)
    lines = [_for_the_eye(_line(row, names)) for row in report.ranked]
    needed = ["rank", "loss", "epochs", "config_id"]
    flat = [name for name in names if not _nested(report.ranked, name)]
    more = [*map(_column_of, flat), *MORE, *map(_column_of, [*{*names} - {*flat}])]
    columns = [*needed[:-1], *more, "config_id"]
    if args.format != "simple":
        return [tables.table(lines, args.format, columns)]
    if width := tables.terminal_width():
        lines = _shortened(lines, width - tables.wide(lines, needed[:-1]))
    shown = tables.fitting(lines, columns, more)
    return [tables.table(lines, "simple", shown) + tables.left_out(columns, shown)]


def _for_the_eye(line: Row) -> Row:
    rounded = {name: tables.rounded(value) for name, value in line.items()}
    return {**rounded, "seconds": round(line["seconds"], 1)}


def _nested(ranked: Sequence[Row], name: str) -> bool:
    """Whether a parameter is a list or a mapping, which JSON text stands for."""
    return any(str(row["params"].get(name)).startswith(("[", "{")) for row in ranked)


def _shortened(lines: list[Row], room: int) -> list[Row]:
    """Texts cut to a terminal's width; ids only where there is no room for them."""

    def cut(name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        width = max(room, NARROWEST) if name == "config_id" else WIDEST
        return shortened(printable(value), width)

    return [{name: cut(name, value) for name, value in line.items()} for line in lines]


def _below(report: Report, args: argparse.Namespace) -> list[str]:
    """What runs and what failed, in a line each, and what shows more."""
    lines = [_attempt(row) for row in report.running[:MOST_RUNNING]]
    if (rest := len(report.running) - MOST_RUNNING) > 0:
        lines.append(f"and {rest} more running")
    lines += [_failure(row) for row in report.failures[:FAILURES]]
    if (rest := len(report.failures) - FAILURES) > 0:
        lines.append(f"and {rest} more causes")
    lines += [_edit(edit) for edit in report.edits[:EDITS]]
    if (rest := len(report.edits) - EDITS) > 0:
        lines.append(f"and {rest} more edits")
    if report.found_checkpoints:
        lines.append(tables.wrapped(printable(report.found_checkpoints), "  "))
    if unused := unused_sentence(report.ranked):
        lines.append(tables.wrapped(unused, "  "))
    if report.told:
        lines.append(tables.wrapped(mixture_sentence(report.told), "  "))
    if report.direction.is_doubtful:
        lines.append(tables.wrapped(report.direction.sentence, "  "))
    if report.agreement:
        lines.append(tables.wrapped(f"was stopping early right? {report.agreement}", "  "))
    more = [
        printable(f"{what + ':':20} {to_type(args, report.identity, *words)}")
        for what, words in _further(report).items()
    ]
    return ["\n".join(part) for part in (lines, more) if part]


def _further(report: Report) -> dict[str, tuple[str, ...]]:
    """What shows more of it, or goes on with it."""
    further: dict[str, tuple[str, ...]] = {}
    if report.ranked:
        further["run the best again"] = ("show", "best")
    if report.failures:
        further["look into failures"] = ("errors",)
    if report.agreement and report.agreement.rho < GOOD:
        further["who rose late"] = ("sql", "@late-risers")
    if report.state == "running":
        further["watch it"] = ("status", "--watch")
    if report.state in ("interrupted", "orphaned", "stopped"):
        further["go on"] = ("resume",)
    return further


def _attempt(row: Row) -> str:
    took = duration(max(0.0, time.time() - unix(row["started_at"])))
    text = f"running for {took}, to {budget(row['epochs'])}: {printable(row['config_id'])}"
    return tables.clipped(text)


def _edit(edit: ScriptChange) -> str:
    names = ", ".join(PurePath(path).name for path in edit.files)
    text = f"{names} was edited: other text from {edit.config_id} at {budget(edit.epochs)} on"
    return tables.clipped(printable(text))


def _failure(row: Row) -> str:
    width = tables.terminal_width()
    text = printable(f"{row['count']} failed: {row['error_type']}: {row['error_message'][:120]}")
    example = f"(e.g. {printable(row['example'])})"
    if width is None or width_of(text) + 1 + width_of(example) <= width:
        return f"{text} {example}"
    return tables.clipped(text)
