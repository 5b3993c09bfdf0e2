"""`hbtrack report --html FILE`: one self-contained page of a search."""

import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hbtrack.cli import tables
from hbtrack.errors import UsageError
from hbtrack.report.page.gather import gather
from hbtrack.report.page.page import render
from hbtrack.report.page.write import write
from hbtrack.text import option, printable


def main(
    connection: sqlite3.Connection, database: Path, identities: Sequence[str], target: str
) -> int:
    """Write the page of the one search that matches to `target`; - is stdout.

    The caller has begun the transaction. Raises UsageError when several searches match.
    """
    if len(identities) > 1:
        raise UsageError(_several(identities), see="several-searches")
    page = render(gather(connection, database, identities[0], time.time()))
    if target == "-":
        tables.put(page.encode())  # UTF-8, as the page says of itself
        return 0
    path = write(page, target)
    if sys.stdout is not None and sys.stdout.isatty():
        tables.write(f"The page is in {printable(str(path))}; open it with a browser.")
    return 0


def _several(identities: Sequence[str]) -> str:
    names = [printable(" ".join(option("--identity", repr(one)))) for one in identities]
    more = f" (and {len(names) - 5} more)" if len(names) > 5 else ""
    return (
        "A page shows one search, and several match. Nothing was written. Choose one: "
        f"{', '.join(names[:5])}{more}."
    )
