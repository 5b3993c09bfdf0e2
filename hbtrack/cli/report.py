"""`hbtrack report`: how far a search is, its best configs, its failures."""

import argparse
import html
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

from hbtrack.cli import tables
from hbtrack.cli.advice import to_type
from hbtrack.cli.leaderboard import leaderboard, separated
from hbtrack.core.times import unix
from hbtrack.database.location import database_path
from hbtrack.errors import UsageError
from hbtrack.report.agreement import GOOD, Agreement, agreement, compared
from hbtrack.report.called import Called, called
from hbtrack.report.comparability import found_checkpoints, mixture_sentence, told_max_epochs
from hbtrack.report.described import directed
from hbtrack.report.direction import Direction, direction
from hbtrack.report.failures import failure_counts
from hbtrack.report.ranking import ranking, require_sortable, unused_sentence
from hbtrack.report.script_changes import ScriptChange, script_changes
from hbtrack.report.snapshot import RUNNING, Snapshot, read_now
from hbtrack.report.starts import Starts, starts
from hbtrack.report.width import shortened, width_of
from hbtrack.store.reading import Row, chosen_names, rows, snapshot
from hbtrack.text import budget, duration, printable

FAILURES = 5
"""So many causes of failures are shown; `hbtrack errors` has all."""

EDITS = 5
"""So many edits of the script are shown."""

FEWEST = 5
"""So many of the best are shown on the lowest terminal."""

MOST_RUNNING = 5
"""So many running evaluations are shown, those that have run longest; `status --watch` has all."""


@dataclass(frozen=True)
class Report(Snapshot):
    """What is reported of one search, as read at one moment."""

    running: list[Row]  # what its scripts do at this moment
    ranked: list[Row]
    configs: Mapping[str, Called]  # those that are named, by their ids
    failures: list[Row]
    agreement: Agreement | None
    direction: Direction
    edits: list[ScriptChange]
    found_checkpoints: str | None  # that the search did not make: why that is thought
    told: dict[int, int]  # max_epochs, if several, and how many results of each
    starts: Starts | None  # what they took, where that is worth a word


def main(args: argparse.Namespace) -> int:
    """Report on each search that matches; exit 3 when there is none."""
    if args.html and (others := sorted(args.given & {"all", "format", "sort", "top"})):
        raise UsageError(
            f"A page has all of a search: leave --{others[0]} out, or --html.", see="command-line"
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
        ranked = {report.identity: report.ranked for report in reports}
        tables.write(separated(ranked, args.format))
    else:
        tables.write("\n\n".join(_text(report, args) for report in reports))
    return 0


def _read(
    connection: sqlite3.Connection, args: argparse.Namespace, name: str, limit: int | None
) -> Report:
    search, state, left = read_now(connection, database_path(args.db), name)
    results = compared(connection, name)
    runs = state in ("running", "orphaned")
    running = rows(connection, RUNNING, {"identity": name}) if runs else []
    failures, edits = failure_counts(connection, name), script_changes(connection, name)
    named = [
        *(row["config_id"] for row in running),
        *(row["example"] for row in failures),
        *(edit.config_id for edit in edits),
        *([search["best_config_id"]] if search["best_config_id"] else []),
    ]
    configs = called(connection, ((name, one) for one in named))
    return Report(
        search,
        state,
        left,
        running,
        ranking(connection, name, args.sort, limit),
        {config.config_id: config for config in configs.values()},
        failures,
        agreement(results),
        direction(results, maximize=bool(search["maximize"])),
        edits,
        found_checkpoints(connection, name),
        told_max_epochs(connection, name, search["max_epochs"]),
        starts(connection, search),
    )


# --- for programs --------------------------------------------------------------------------------


def _as_json(report: Report, limit: int | None) -> dict[str, Any]:
    names = {"error_type": "error_type", "error_message": "error_message", "failures": "count"}
    names |= {"for_example": "example", "config": "config", "epochs": "epochs"}
    names |= {"configs": "configs"}
    names |= {"last_at": "last_at", "fingerprint": "fingerprint"}
    failures = [{name: row[of] for name, of in names.items()} for row in report.failures[:limit]]
    return {
        "search": _naming(report, "best_config_id", report.search, "best_"),
        "state": report.state,
        "left": str(report.left) if report.left else None,
        "running": [_naming(report, "config_id", row) for row in report.running],
        "leaderboard": report.ranked,
        "failures": failures,
        "found_checkpoints": report.found_checkpoints,
        "max_epochs_told": [
            {"max_epochs": max_epochs, "results": count}
            for max_epochs, count in report.told.items()
        ],
        "agreement": asdict(report.agreement) if report.agreement else None,
        "promotions": {"worse": report.direction.worse, "compared": report.direction.of},
        "script_changes": [_naming(report, "config_id", asdict(edit)) for edit in report.edits],
        "starts": report.starts.as_dict() if report.starts else None,
    }


def _naming(report: Report, column: str, row: Row, prefix: str = "") -> Row:
    """The row with number and parameters of the config whose id it has, if it has one."""
    config = report.configs.get(row[column])
    return {
        **row,
        f"{prefix}config": config.number if config else None,
        f"{prefix}params": config.params if config else None,
    }


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
        parts.append(leaderboard(report.ranked, args.format))
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
        loss = tables.rounded(search["best_loss"])
        best = directed(loss, search["maximize"])
        at = f"best {best} at {budget(search['best_epochs'])}"
        return [*lines, f"{at}: {report.configs[search['best_config_id']]}"]
    if report.ended and report.ended == report.failed:
        return [*lines, "no evaluation has a loss: all that ended have failed"]
    return [*lines, "no evaluation has a loss yet"]


def _below(report: Report, args: argparse.Namespace) -> list[str]:
    """What runs and what failed, in a line each, and what shows more."""
    lines = [_attempt(row, report) for row in report.running[:MOST_RUNNING]]
    if (rest := len(report.running) - MOST_RUNNING) > 0:
        lines.append(f"and {rest} more running")
    lines += [_failure(row, report) for row in report.failures[:FAILURES]]
    if (rest := len(report.failures) - FAILURES) > 0:
        lines.append(f"and {rest} more causes")
    lines += [_edit(edit, report) for edit in report.edits[:EDITS]]
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
    if report.starts:
        lines.append(tables.wrapped(report.starts.sentence, "  "))
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


def _attempt(row: Row, report: Report) -> str:
    took = duration(max(0.0, time.time() - unix(row["started_at"])))
    text = f"running for {took}, to {budget(row['epochs'])}: {report.configs[row['config_id']]}"
    return tables.clipped(text)


def _edit(edit: ScriptChange, report: Report) -> str:
    names = ", ".join(PurePath(path).name for path in edit.files)
    config = report.configs[edit.config_id]
    text = f"{names} was edited: other text from {config} at {budget(edit.epochs)} on"
    return tables.clipped(printable(text))


def _failure(row: Row, report: Report) -> str:
    width, config = tables.terminal_width(), report.configs[row["example"]]
    text = printable(f"{row['count']} failed: {row['error_type']}: {row['error_message'][:120]}")
    whole, short = f"{text} (e.g. {config})", f" (e.g. {printable(config.short)})"
    if width is None or width_of(whole) <= width:
        return whole
    return tables.clipped(shortened(text, width - width_of(short)) + short)
