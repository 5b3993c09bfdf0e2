"""hbtrack, by the command that its users type."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from peers.task import Task

TITLE = "hbtrack"
DISTRIBUTION = "hbtrack"
ABOUT = (
    "`hbtrack run`, defaults; Hyperband as in Algorithm 1: a rung is closed before it "
    "promotes, brackets run side by side. SQLite, WAL, `synchronous=FULL`: a result is "
    "fsync'ed before the next script is decided on."
)


def command(task: Task) -> list[str]:
    """What starts a search, and what goes on with it."""
    return [
        os.fspath(Path(sys.executable).with_name("hbtrack")),
        *("run", "--quiet", "--gpus", "none", "--workers", str(task.workers)),
        *("--max-epochs", str(task.max_epochs), "--seed", str(task.seed), "script.py"),
    ]


def results(task: Task) -> list[tuple[float, int, float]]:
    """What was accepted: x, epochs, loss."""
    query = "SELECT config_id, epochs, loss FROM results WHERE loss IS NOT NULL AND NOT reused"
    with closing(sqlite3.connect(Path(task.folder) / "hbtrack.db")) as connection:
        rows = connection.execute(query).fetchall()
    return [(float(config_id[2:]), epochs, loss) for config_id, epochs, loss in rows]
