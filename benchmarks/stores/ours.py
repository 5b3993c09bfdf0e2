"""hbtrack: its real driver, plan and store, over a made-up machine."""

import itertools
import shutil
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from made import make

from hbtrack.cli import main
from hbtrack.core.schedule import make_schedule

HOW = (
    "written by its driver, result after result, in a folder in memory that is then moved "
    "to the disk; a write is one result with what follows from it, in a commit with fsync"
)
MEMORY = Path("/dev/shm")


class Calls:
    """When the driver starts something, and when it waits."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.waits: list[float] = []

    def __call__(self, call: str) -> None:
        """Note it."""
        if call in ("start", "wait"):
            (self.starts if call == "start" else self.waits).append(time.perf_counter())


def go_on(folder: Path, size: int, results: int) -> Calls:
    """So many more results of a search of about that size; then it is killed."""
    max_epochs = 81
    while 2 * make_schedule(max_epochs, Fraction(3)).evaluations < size + 500:
        max_epochs *= 3
    passes = -(-(size + 500) // make_schedule(max_epochs, Fraction(3)).evaluations)
    calls = Calls()
    make(
        folder / "hbtrack.db",
        max_epochs=max_epochs,
        passes=passes,
        workers=1,
        fail=0.0,
        stop_after=results,
        before=calls,
    )
    return calls


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
    """Open, rebuild the plan, and start the next: it waits for what it finds running before."""
    begun = time.perf_counter()
    return go_on(folder, int((folder / "size").read_text()), 2).starts[0] - begun


def command(*words: str):  # type: ignore[no-untyped-def]
    """A command that answers."""

    def answer(folder: Path) -> None:
        assert main([*words, "--db", str(folder / "hbtrack.db")]) == 0

    return answer


QUESTIONS = {"best": command("show", "best"), "next": following, "report": command("report")}
