"""What reading costs: the views with their usual filters, and the commands, on one database.

    python benchmarks/reading.py [FILE] [--max-epochs 19683] [--passes 2]

FILE is made if it is not there (minutes; see made.py). Figures are medians of several runs, for
views in this process, for commands from start to finish beside a bare
`python -c "import sqlite3, tabulate"`.
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from made import make

from hbtrack.database.views import VIEWS

LONG = ("results", "attempts", "failures", "leaderboard", "params")
"""Of these views users ask for the first hundred rows."""


def queries(connection: sqlite3.Connection) -> list[tuple[str, tuple[object, ...]]]:
    """Each view with its usual filters: a search, a pass and bracket, a config, the first 100."""
    find = "SELECT run_identity, config_id FROM leaderboard LIMIT 1"
    identity, config_id = connection.execute(find).fetchone()
    found: list[tuple[str, tuple[object, ...]]] = []
    for view in VIEWS:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({view})")]
        query = f"SELECT * FROM {view} WHERE run_identity = ?"
        found.append((f"{query} LIMIT 100" if view in LONG else query, (identity,)))
        if "pass" in names:
            found.append((f"{query} AND pass = 1 AND bracket = 2", (identity,)))
        if "config_id" in names:
            found.append((f"{query} AND config_id = ?", (identity, config_id)))
    ranked = "SELECT * FROM leaderboard WHERE run_identity = ? ORDER BY rank LIMIT 100"
    latest = "SELECT * FROM failures WHERE run_identity = ? ORDER BY finished_at DESC LIMIT 100"
    return [*found, (ranked, (identity,)), (latest, (identity,))]


def show_views(database: Path, runs: int) -> None:
    """A line per query: milliseconds, rows, the query."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for query, values in queries(connection):
            rows = connection.execute(query, values).fetchall()
            seconds = timed(lambda: connection.execute(query, values).fetchall(), runs)  # noqa: B023
            print(f"{seconds * 1e3:9.1f} ms {len(rows):7} rows  {query}")


def show_commands(database: Path, runs: int) -> None:
    """A line per command: seconds, times the bare start, most memory."""
    bare = [sys.executable, "-c", "import sqlite3, tabulate"]
    hbtrack = [sys.executable, "-m", "hbtrack"]
    with tempfile.TemporaryDirectory() as folder:
        page = str(Path(folder, "page.html"))
        commands = [
            ["status"],
            ["report"],
            ["show", "best"],
            ["errors"],
            ["sql", "@best"],
            ["report", "--html", page],
        ]
        start = timed(lambda: measured(bare), runs)
        print(f"{start:9.3f} s  {1.0:5.1f} x  {measured(bare):6.0f} MB  python -c {bare[2]!r}")
        for words in commands:
            command = [*hbtrack, *words, "--db", str(database)]
            memory = measured(command)
            Path(page).unlink(missing_ok=True)
            seconds = timed(lambda: (measured(command), Path(page).unlink(missing_ok=True)), runs)  # noqa: B023
            shown = " ".join(words).replace(page, "FILE")
            print(f"{seconds:9.3f} s  {seconds / start:5.1f} x  {memory:6.0f} MB  hbtrack {shown}")


def timed(call: Callable[[], object], runs: int) -> float:
    """Seconds of a call: the median."""
    took = []
    for _ in range(runs):
        begin = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin)
    return median(took)


def measured(command: list[str]) -> float:
    """Run a command to its end; the most memory it had, in MB."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Show both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--max-epochs", type=int, default=19683)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = args.file or Path(folder, "made.db")
        if not database.exists():
            make(database, max_epochs=args.max_epochs, passes=args.passes)
        show_views(database, args.runs)
        show_commands(database, args.runs)


if __name__ == "__main__":
    main()
