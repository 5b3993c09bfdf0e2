"""`hbtrack status`: every search in a line, as it is now."""

import argparse
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from hbtrack.cli import tables
from hbtrack.cli.fitting import NARROWEST, Elastic, fitted_table, left_out
from hbtrack.database.location import database_path
from hbtrack.driver.lock import Owner
from hbtrack.report.called import Called, called
from hbtrack.report.snapshot import Snapshot, read_left
from hbtrack.report.state import rest_of, rests, state_of
from hbtrack.report.width import shortened
from hbtrack.store.reading import Row, chosen_names, connected, rows
from hbtrack.text import printable

_QUERY = """
SELECT run_identity, status, epochs_done, epochs_planned, evaluations_done, evaluations_failed,
    evaluations_planned, best_loss, best_config_id, best_epochs, created_at, finished_at, maximize
FROM searches"""

COLUMNS = (
    "run_identity",
    "state",
    "epochs",
    "evaluations",
    "failed",
    "best_loss",
    "best_epochs",
    "best_config",
    "best_config_id",
    "left",
    "driver",
)

FOR_THE_EYE = (
    *("run_identity", "state", "epochs", "left", "best_loss", "best_epochs", "failed"),
    *("evaluations", "best_config", "driver"),
)
"""How far and how long still comes first: a narrow terminal may do without the last ones."""

SPARE = (
    *("epochs", "best_loss", "best_epochs"),
    *("failed", "best_config", "evaluations", "driver"),
)


def main(args: argparse.Namespace) -> int:
    """Show the searches; exit 3 when `--identity` matches none."""
    if args.watch or args.wait:
        from hbtrack.cli import watch  # noqa: PLC0415 - a plain status does without

        return watch.watch(args) if args.watch else watch.wait(args, show=lambda: _show(args))
    return _show(args)


@dataclass(frozen=True)
class _Now(Snapshot):
    """A search as it is now, who runs it, and what its best config is called."""

    owner: Owner | None
    rest: Row | None
    best: Called | None


def _show(args: argparse.Namespace) -> int:
    with connected(args.db) as connection:
        chosen = chosen_names(connection, args.identity)
        searches = {row["run_identity"]: row for row in rows(connection, _QUERY)}
        best = [(name, searches[name]["best_config_id"]) for name in chosen]
        configs = called(connection, [(name, one) for name, one in best if one])
        path = database_path(args.db)
        found = [_look(connection, searches[key[0]], path, configs.get(key)) for key in best]
    if args.format == "json":
        tables.write_document("hbtrack.status/1", searches=[_as_json(now) for now in found])
        return 0
    if args.format == "simple":
        resting = [
            f"{printable(one.identity)} {rests(one.rest, driven=one.owner is not None)}"
            for one in found
            if one.rest
        ]
        tables.write("\n".join([_for_the_eye(found), *resting]))
    else:
        lines = [_line(now) for now in found]
        tables.write(tables.table(lines, args.format, COLUMNS))
    return 0


def _look(connection: sqlite3.Connection, search: Row, path: Path, best: Called | None) -> _Now:
    name = search["run_identity"]
    state = state_of(connection, path, name)
    rest = rest_of(connection, name) if state.word != "finished" else None
    return _Now(
        search, state.word, read_left(connection, name, state.word), state.owner, rest, best
    )


def _as_json(now: _Now) -> Row:
    return {
        **now.search,
        "best_config": now.best.number if now.best else None,
        "best_params": now.best.params if now.best else None,
        "state": now.state,
        "left_low": now.left.low if now.left else None,
        "left_high": now.left.high if now.left else None,
        "driver": asdict(now.owner) if now.owner else None,
        **(now.rest if now.owner and now.rest else {"rests_until": None, "rests_because": None}),
    }


def _line(now: _Now) -> Row:
    return {
        **now.search,
        "state": now.state,
        "epochs": now.epochs,
        "evaluations": now.evaluations,
        "failed": now.failed,
        "best_config": now.best.number if now.best else None,
        "left": str(now.left or ""),
        "driver": str(now.owner or ""),
    }


def _best_loss(search: Row) -> object:
    loss = tables.rounded(search["best_loss"])
    return f"{loss} (max)" if search["maximize"] and loss is not None else loss


def _for_the_eye(found: list[_Now]) -> str:
    """A table that fits the terminal."""
    width = tables.terminal_width()
    lines = [
        {
            **_line(now),
            "run_identity": shortened(printable(now.identity), max(width // 3, NARROWEST))
            if width
            else now.identity,
            "best_loss": _best_loss(now.search),
            "best_config": str(now.best or ""),
        }
        for now in found
    ]
    running = any(line["driver"] for line in lines)
    columns = [name for name in FOR_THE_EYE if running or name not in ("left", "driver")]
    spare = [name for name in SPARE if name in columns]
    text, shown = fitted_table(lines, columns, spare, Elastic("best_config", NARROWEST))
    return text + left_out(columns, shown)
