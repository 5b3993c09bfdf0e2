"""`hbtrack status`: every search in a line, as it is now."""

import argparse

from hbtrack.cli import tables
from hbtrack.database.location import database_path
from hbtrack.report.state import state_of
from hbtrack.report.width import shortened
from hbtrack.store.reading import Row, connected, match_identity, rows
from hbtrack.text import printable

_QUERY = """
SELECT run_identity, status, epochs_done, epochs_planned, evaluations_done, evaluations_failed,
    evaluations_planned, best_loss, best_config_id, best_epochs, created_at, finished_at
FROM searches"""

COLUMNS = (
    "run_identity",
    "state",
    "epochs",
    "evaluations",
    "failed",
    "best_loss",
    "best_epochs",
    "best_config_id",
    "left",
    "driver",
)

FOR_THE_EYE = (
    *("run_identity", "state", "epochs", "left", "best_loss", "best_epochs", "failed"),
    *("evaluations", "best_config_id", "driver"),
)
"""How far and how long still comes first: a narrow terminal may do without the last ones."""

SPARE = (
    *("epochs", "best_loss", "best_epochs"),
    *("failed", "best_config_id", "evaluations", "driver"),
)

NARROWEST = 12
"""Columns that an id keeps on a terminal."""


def main(args: argparse.Namespace) -> int:
    """Show the searches; exit 3 when `--identity` matches none."""
    if args.watch or args.wait:
        from hbtrack.cli import watch  # noqa: PLC0415 - a plain status does without

        return watch.watch(args) if args.watch else watch.wait(args, show=lambda: _show(args))
    return _show(args)


def _show(args: argparse.Namespace) -> int:
    with connected(args.db) as connection:
        searches = {row["run_identity"]: row for row in rows(connection, _QUERY)}
        chosen = match_identity(list(searches), args.identity)
        path = database_path(args.db)
        states = {name: state_of(connection, path, name) for name in chosen}
        running = [name for name in chosen if states[name].word == "running"]
        if running:  # a search that does not run takes no time
            from hbtrack.report.time_left import remaining  # noqa: PLC0415 - slow to import

            lefts = {name: remaining(connection, name) for name in running}
        else:
            lefts = {}
    if args.format == "json":
        content = [
            {
                **searches[name],
                "state": states[name].word,
                "left_low": left.low if (left := lefts.get(name)) else None,
                "left_high": left.high if left else None,
                "driver": {"host": owner.host, "pid": owner.pid, "since": owner.since}
                if (owner := states[name].owner)
                else None,
            }
            for name in chosen
        ]
        tables.write(tables.document("hbtrack.status/1", searches=content))
        return 0
    lines = [
        {
            **searches[name],
            "state": states[name].word,
            "epochs": f"{searches[name]['epochs_done']}/{searches[name]['epochs_planned']}",
            "evaluations": f"{_ended(searches[name])}/{searches[name]['evaluations_planned']}",
            "failed": searches[name]["evaluations_failed"],
            "left": str(lefts.get(name) or ""),
            "driver": str(states[name].owner or ""),
        }
        for name in chosen
    ]
    tables.write(
        _for_the_eye(lines)
        if args.format == "simple"
        else tables.table(lines, args.format, COLUMNS)
    )
    return 0


def _for_the_eye(lines: list[Row]) -> str:
    """A table that fits the terminal."""
    lines = [{**line, "best_loss": tables.rounded(line["best_loss"])} for line in lines]
    running = any(line["driver"] for line in lines)
    columns = [name for name in FOR_THE_EYE if running or name not in ("left", "driver")]
    shown = list(columns)
    if width := tables.terminal_width():
        lines = _cut(lines, "run_identity", width // 3)
        spare = [name for name in SPARE if name in columns]
        shown = tables.fitting(_cut(lines, "best_config_id", 0), columns, spare)
        others = [name for name in shown if name != "best_config_id"]
        lines = _cut(lines, "best_config_id", width - tables.wide(lines, others))
    text = tables.table(lines, "simple", shown)
    left_out = tables.left_out(columns, shown)
    return f"{text}\n{left_out}" if left_out else text


def _cut(lines: list[Row], column: str, room: int) -> list[Row]:
    width = max(room, NARROWEST)
    return [{**line, column: shortened(printable(line[column] or ""), width)} for line in lines]


def _ended(search: Row) -> int:
    return int(search["evaluations_done"] + search["evaluations_failed"])
