"""`hbtrack` alone: the searches of this folder and what to type next, or how to start."""

import argparse
from collections.abc import Iterator

from hbtrack.cli import status, tables
from hbtrack.database.location import database_path
from hbtrack.errors import NotFound
from hbtrack.report.state import state_of
from hbtrack.store.reading import Row, connected, rows
from hbtrack.text import printable

_QUERY = "SELECT run_identity, best_config_id, evaluations_failed FROM searches"

_START = """There is no search in {} yet. How to start (all commands: hbtrack help):
  hbtrack init myexp        write a script that works as it is, for you to fill in
  hbtrack check myexp.py    try whether it keeps the contract, and what to change
  hbtrack run myexp.py      search its hyperparameters; Ctrl-C loses nothing
  hbtrack resume            go on after a stop, a kill or a reboot
  hbtrack report            see the best configs and what failed"""


def main(args: argparse.Namespace) -> int:
    """Show as `status` does, and a line more; where there is no search, how one starts."""
    searches = _searches(args.db)
    if not searches:
        tables.write(_START.format(printable(str(database_path(args.db)))))
        return 0
    status.main(args)
    tables.write(f"\nNext: {', '.join(_next(searches))}")
    return 0


def _searches(db: str | None) -> list[Row]:
    """The searches with their states, none where there is no database yet."""
    try:
        with connected(db) as connection:
            path = database_path(db)
            return [
                {**row, "state": state_of(connection, path, row["run_identity"]).word}
                for row in rows(connection, _QUERY)
            ]
    except NotFound:
        return []


def _next(searches: list[Row]) -> Iterator[str]:
    """What to type, the first first: what stopped a search is looked at before it goes on."""
    states = {search["state"] for search in searches}
    failed = any(search["evaluations_failed"] for search in searches)
    best = any(search["best_config_id"] is not None for search in searches)
    chosen = {
        "hbtrack status --watch (live)": "running" in states,
        "hbtrack errors (why it stopped)": failed and "stopped" in states,
        "hbtrack resume (go on)": states - {"running", "finished"},
        "hbtrack report (the best)": best,
        "hbtrack errors (what failed)": failed and "stopped" not in states,
        "hbtrack help": True,
    }
    return (command for command, holds in chosen.items() if holds)
