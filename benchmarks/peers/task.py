"""What every peer is given: a script, and how to call it. What the script noted of its calls.

The script is the clock: it notes its own start and end in a file, in the same way whoever calls it.
So nothing depends on what a peer says of itself.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

Job = TypeVar("Job")

SCRIPT = Path(__file__).with_name("script.py")


@dataclass(frozen=True)
class Task:
    """One search, in a folder of its own; the same for every peer."""

    folder: str
    workers: int
    max_epochs: int
    trials: int  # configs to sample
    calls: int  # evaluations that Hyperband's Algorithm 1 makes of them
    seconds: float = 0.0  # that the script sleeps per epoch
    seed: int = 0
    survive: bool = False  # set up for kills, where that costs; and go on if there is a search

    @property
    def script(self) -> str:
        """Where the script is."""
        return str(Path(self.folder) / "script.py")

    @property
    def budgets(self) -> list[int]:
        """Epochs of the rungs, for eta 3."""
        found = [self.max_epochs]
        while found[0] >= 3:
            found.insert(0, found[0] // 3)
        return found

    def write(self) -> None:
        """Lay the script out."""
        text = SCRIPT.read_text().replace("SECONDS = 0.0", f"SECONDS = {self.seconds!r}")
        Path(self.script).write_text(text)

    def dumped(self) -> str:
        """The task as an argument of a command."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Call:
    """One evaluation as the script saw it; `ended` is None if it never came to its end."""

    config_id: str
    epochs: int
    pid: int
    begun: float
    ended: float | None
    slept: float


def read_ledger(folder: str) -> list[Call]:
    """All calls in the order of their starts."""
    path = Path(folder) / "ledger"
    lines = path.read_text().splitlines() if path.exists() else []
    begun: dict[tuple[str, str, str], float] = {}
    ends: dict[tuple[str, str, str], tuple[float, float]] = {}
    for kind, config_id, epochs, pid, at, slept in (line.split() for line in lines):
        key = (config_id, epochs, pid)
        if kind == "start":
            begun[key] = float(at)
        else:
            ends[key] = float(at), float(slept)
    calls = []
    for (config_id, epochs, pid), at in begun.items():
        ended, slept = ends.get((config_id, epochs, pid), (None, 0.0))
        calls.append(Call(config_id, int(epochs), int(pid), at, ended, slept))
    return sorted(calls, key=lambda call: call.begun)


def evaluate(task: Task, x: float, epochs: int) -> float:
    """Call the script as its contract says, and give its loss."""
    words = [sys.executable, task.script, f"x:{x:.9f}", "--epochs", str(epochs), "--gpu", "0"]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(result.stdout.splitlines()[-1])


def in_threads(
    workers: int,
    ask: Callable[[], Job | None],
    work: Callable[[Job], float],
    tell: Callable[[Job, float], None],
) -> None:
    """Keep so many jobs under way until there is none to ask for; ask and tell in this thread."""
    running: dict[Future[float], Job] = {}
    with ThreadPoolExecutor(workers) as pool:
        while True:
            while len(running) < workers and (job := ask()) is not None:
                running[pool.submit(work, job)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                tell(running.pop(future), future.result())
