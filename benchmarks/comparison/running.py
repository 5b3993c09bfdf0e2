"""Peers as processes: each search in a session of its own, ended with all that is left in it."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from peers.task import Task

BENCHMARKS = Path(__file__).parent.parent
LIMIT = 180.0
"""Seconds that one search may take."""


class PeerFailed(Exception):
    """It could not be loaded or run; says what it said."""


def peer(name: str) -> ModuleType:
    """Its module."""
    try:
        return importlib.import_module(f"peers.{name}")
    except ImportError as error:
        raise PeerFailed(f"{type(error).__name__}: {error}") from error


def start(name: str, task: Task) -> subprocess.Popen[bytes]:
    """Start a search, or one that goes on."""
    module = peer(name)
    own = [sys.executable, "-m", "peers", name, task.dumped()]
    command = module.command(task) if hasattr(module, "command") else own
    with Path(task.folder, "output").open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=task.folder,
            env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def finish(name: str, task: Task, process: subprocess.Popen[bytes]) -> None:
    """Wait for its end."""
    try:
        status: int | str = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        status = f"nothing for {LIMIT:g} s"
    finally:
        end_session(process)
    if status != 0:
        said = Path(task.folder, "output").read_text(errors="replace").strip().splitlines()
        raise PeerFailed(
            f"{name} ended with {status}: {said[-1].strip()[-300:] if said else 'nothing'}"
        )


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the session that `start` began, the process itself as well."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            number = int(folder.name)
            if os.getsid(number) == process.pid:
                os.kill(number, signal.SIGKILL)
    process.wait()


@contextmanager
def task_in_a_folder(**facts: object) -> Iterator[Task]:
    """A search to make, in a folder that is removed afterwards."""
    folder = tempfile.mkdtemp(prefix="hbtrack-")
    task = Task(folder, **facts)  # type: ignore[arg-type]
    task.write()
    try:
        yield task
    finally:
        time.sleep(0.05)  # a script that was killed with its peer is still leaving
        shutil.rmtree(folder, ignore_errors=True)


def run(name: str, task: Task) -> float:
    """One whole search; when it was started, on the script's clock."""
    begun = time.monotonic()
    finish(name, task, start(name, task))
    return begun
