"""`hbtrack report`: how far a search is, its best configs, its failures."""

import argparse
import html
import sqlite3
from typing import Any

from hbtrack.cli import tables
from hbtrack.database.location import database_path
from hbtrack.display import printable
from hbtrack.errors import NotFound
from hbtrack.reading import Row, connected, match_identity, rows, state_of

_LEADERBOARD = """
SELECT rank, loss, epochs, epochs_reached, bracket, config_id, seconds
FROM leaderboard WHERE run_identity = ? ORDER BY rank LIMIT ?"""

_FAILURES = """
SELECT error_type, error_message, count(*) AS failures, min(config_id) AS for_example
FROM failures WHERE run_identity = ? GROUP BY error_type, error_message
ORDER BY failures DESC, error_type, error_message LIMIT ?"""

COLUMNS = ("rank", "loss", "epochs", "epochs_reached", "bracket", "config_id", "seconds")


def main(args: argparse.Namespace) -> int:
    """Report on each search that matches; exit 3 when there is none."""
    with connected(args.db) as connection:
        connection.execute("BEGIN")  # one moment of a search that may be running
        names = [row["run_identity"] for row in rows(connection, "SELECT * FROM searches")]
        if not names:
            raise NotFound("There is no search here yet; start one with `hbtrack run SCRIPT`.")
        if args.html:
            from hbtrack.cli import page  # noqa: PLC0415 - only a page needs a template engine

            chosen = match_identity(names, args.identity)
            return page.main(connection, database_path(args.db), chosen, args.html)
        reports = [_read(connection, args, name) for name in match_identity(names, args.identity)]
    if args.format == "json":
        tables.write(tables.document("hbtrack.report/1", searches=reports))
    elif args.format in ("csv", "tsv"):
        lines = [
            {"run_identity": report["search"]["run_identity"], **row}
            for report in reports
            for row in report["leaderboard"]
        ]
        tables.write(tables.table(lines, args.format, ("run_identity", *COLUMNS)))
    else:
        tables.write("\n\n".join(_text(report, args.format) for report in reports))
    return 0


def _read(connection: sqlite3.Connection, args: argparse.Namespace, name: str) -> dict[str, Any]:
    search = rows(connection, "SELECT * FROM searches WHERE run_identity = ?", [name])[0]
    return {
        "search": search,
        "state": state_of(connection, database_path(args.db), name).word,
        "leaderboard": rows(connection, _LEADERBOARD, [name, args.top]),
        "failures": rows(connection, _FAILURES, [name, args.top]),
    }


def _text(report: dict[str, Any], form: str) -> str:
    parts = ["\n".join(_headline(report))]
    if form == "html":
        parts = [f"<p>{html.escape(line)}</p>" for line in _headline(report)]
    if report["leaderboard"]:
        lines = [
            {**row, "loss": tables.rounded(row["loss"]), "seconds": round(row["seconds"], 2)}
            for row in report["leaderboard"]
        ]
        parts.append(tables.table(lines, form, COLUMNS))
    if report["failures"] and form == "simple":
        parts.append("\n".join(_failure(row) for row in report["failures"]))
    return "\n\n".join(parts)


def _headline(report: dict[str, Any]) -> list[str]:
    search = report["search"]
    ended = search["evaluations_done"] + search["evaluations_failed"]
    lines = [
        f"{printable(search['run_identity'])}: {report['state']}, "
        f"{search['epochs_done']}/{search['epochs_planned']} epochs, "
        f"{ended}/{search['evaluations_planned']} evaluations, "
        f"{search['evaluations_failed']} failed"
    ]
    if search["stop_reason"]:
        lines.append(f"stopped: {printable(search['stop_reason'])}")
    if search["best_loss"] is None:
        return [*lines, "no evaluation has a loss yet"]
    best = f"best {tables.rounded(search['best_loss'])} at {search['best_epochs']} epochs: "
    return [*lines, best + printable(search["best_config_id"])]


def _failure(row: Row) -> str:
    message = printable((row["error_message"] or "").split("\n")[0][:120])
    count = f"{row['failures']} failed" if row["failures"] > 1 else "1 failed"
    return f"{count}: {row['error_type']}: {message} (e.g. {printable(row['for_example'])})"
