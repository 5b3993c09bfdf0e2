"""What reading costs: the views with their usual filters, and the commands.

Times are of the processor, so that what else the machine does changes little, and the least of
several runs: of views in this process, of commands from start to finish. Memory is the most that
was resident.
"""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from comparison.selection import Row

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


def cost_of_views(database: Path, runs: int) -> Iterator[Row]:
    """Milliseconds and rows of each query."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for query, values in queries(connection):
            took = []
            for _ in range(runs):
                begin = time.process_time()
                rows = connection.execute(query, values).fetchall()
                took.append(time.process_time() - begin)
            short = query.removeprefix("SELECT * FROM ").replace("run_identity = ?", "a search")
            yield {"query": short, "rows": len(rows), "ms": round(min(took) * 1e3, 1)}


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


def cost_of_commands(small: Path, large: Path, runs: int) -> Iterator[Row]:
    """Seconds on both, in bare starts of Python too; memory and output on the large one."""
    bare = best_of(runs, [sys.executable, *BARE])
    yield {
        "command": f"python -c '{BARE[1]}'",
        "small_s": round(bare.seconds, 3),
        "bare_starts": 1.0,
        "memory_mb": round(bare.memory),
    }
    for words in COMMANDS:
        command = [sys.executable, "-m", "hbtrack", *words, "--db"]
        short, long = (best_of(runs, [*command, str(path)]) for path in (small, large))
        yield {
            "command": f"hbtrack {' '.join(words)}",
            "small_s": round(short.seconds, 3),
            "bare_starts": round(short.seconds / bare.seconds, 1),
            "large_s": round(long.seconds, 3),
            "memory_mb": round(long.memory),
            "output_kb": round(long.output / 1000),
        }


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
