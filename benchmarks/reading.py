"""What reading costs: the views with their usual filters, and the commands, as two tables.

    python benchmarks/reading.py [FILE] [--max-epochs 19683] [--passes 2]

FILE is made if it is not there (minutes; see made.py). Times are of the processor, so that what
else the machine does changes little, and the least of several runs: of views in this process, of
commands from start to finish, on a search of 206 places and on FILE, beside a bare
`python -c "import sqlite3, tabulate"`. Memory is the most that was resident.
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

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
    """A line per query: milliseconds, rows."""
    print("| query | rows | ms |\n|---|---:|---:|")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for query, values in queries(connection):
            took = []
            for _ in range(runs):
                begin = time.process_time()
                rows = connection.execute(query, values).fetchall()
                took.append(time.process_time() - begin)
            short = query.removeprefix("SELECT * FROM ").replace("run_identity = ?", "a search")
            print(f"| `{short}` | {len(rows)} | {min(took) * 1e3:.1f} |")


BARE = ("-c", "import sqlite3, tabulate")
COMMANDS = (
    ("status",),
    ("report",),
    ("show", "best"),
    ("errors",),
    ("sql", "@best"),
    ("sql", "@late-risers"),
    ("report", "--html", "-"),
)


def show_commands(small: Path, large: Path, runs: int) -> None:
    """A line per command: seconds on both, how many bare starts that is, memory and output."""
    print("| command | 206 places, s | bare starts | FILE, s | memory, MB | output, kB |")
    print("|---|---:|---:|---:|---:|---:|")
    bare = best_of(runs, [sys.executable, *BARE])
    print(f"| `python -c '{BARE[1]}'` | {bare.seconds:.3f} | 1.0 | | {bare.memory:.0f} | |")
    for words in COMMANDS:
        command = [sys.executable, "-m", "hbtrack", *words, "--db"]
        short, long = (best_of(runs, [*command, str(path)]) for path in (small, large))
        print(
            f"| `hbtrack {' '.join(words)}` | {short.seconds:.3f} | "
            f"{short.seconds / bare.seconds:.1f} | {long.seconds:.3f} | {long.memory:.0f} | "
            f"{long.output / 1000:.0f} |"
        )


@dataclass(frozen=True)
class Cost:
    """What a command took: processor seconds, MB of memory at most, bytes of output."""

    seconds: float
    memory: float
    output: int


def best_of(runs: int, command: list[str]) -> Cost:
    """The run that took least."""
    return min((run(command) for _ in range(runs)), key=lambda cost: cost.seconds)


# A process begins with the peak of the one that it comes from: here that is a small one.
_RUN = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
os.write(2, b" %d %d" % ((usage.ru_utime + usage.ru_stime) * 1e6, usage.ru_maxrss))
os._exit(os.waitstatus_to_exitcode(status))
"""


def run(command: list[str]) -> Cost:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _RUN, *command], capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}")
    microseconds, kibibytes = map(int, done.stderr.split()[-2:])
    return Cost(microseconds / 1e6, kibibytes / 1024, len(done.stdout))


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
        small = Path(folder, "small.db")
        make(small)
        show_commands(small, database, args.runs)
        print()
        show_views(database, args.runs)


if __name__ == "__main__":
    main()
