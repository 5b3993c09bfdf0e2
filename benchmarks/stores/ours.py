"""hbtrack: its real driver, plan and store, over a made-up machine."""

import itertools
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from made import Machine, make

from hbtrack.cli import main
from hbtrack.core.execution import Ended
from hbtrack.core.schedule import make_schedule

HOW = (
    "written by its driver, result after result, in a folder in memory that is then moved "
    "to the disk; a write is one result with what follows from it, in a commit with fsync"
)
MEMORY = Path("/dev/shm")


class Clocked(Machine):
    """It notes when it is asked to start something, and when it is waited for."""

    def __init__(self, results: int) -> None:
        super().__init__(1, 0.0, results)
        self.starts: list[float] = []
        self.waits: list[float] = []

    def start(self, attempt: int, worker: int, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Note it."""
        self.starts.append(time.perf_counter())
        super().start(attempt, worker, argv, env)

    def wait(self, timeout: float | None) -> list[Ended]:
        """Note it."""
        self.waits.append(time.perf_counter())
        return super().wait(timeout)


def go_on(folder: Path, size: int, results: int) -> Clocked:
    """So many more results of a search of about that size; then it is killed."""
    max_epochs = 81
    while 2 * make_schedule(max_epochs, Fraction(3)).evaluations < size + 500:
        max_epochs *= 3
    passes = -(-(size + 500) // make_schedule(max_epochs, Fraction(3)).evaluations)
    machine = Clocked(results)
    make(folder / "hbtrack.db", max_epochs=max_epochs, passes=passes, workers=1, machine=machine)
    return machine


def fill(folder: Path, count: int) -> None:
    """Search, from the beginning."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as memory:
        go_on(Path(memory), count, count)
        shutil.copytree(memory, folder, dirs_exist_ok=True)
    (folder / "size").write_text(str(count))


def write(folder: Path, count: int) -> list[float]:
    """Results, each with the decision that follows."""
    waits = go_on(folder, int((folder / "size").read_text()), count).waits
    return [after - before for before, after in itertools.pairwise(waits)]


def following(folder: Path) -> float:
    """Open, rebuild the plan, and start the next."""
    begun = time.perf_counter()
    return go_on(folder, int((folder / "size").read_text()), 0).starts[0] - begun


def command(*words: str):  # type: ignore[no-untyped-def]
    """A command that answers."""

    def answer(folder: Path) -> None:
        assert main([*words, "--db", str(folder / "hbtrack.db")]) == 0

    return answer


QUESTIONS = {"best": command("show", "best"), "next": following, "report": command("report")}
