"""One search of a million evaluations, and ten thousand searches in one file, as tables.

    python benchmarks/scale.py FOLDER [--evaluations 1000000] [--searches 10000] [--only PHASE]

The databases are made if they are not in FOLDER, by the real driver, plan and store over a made-up
machine (see made.py). FOLDER should lie in memory (/dev/shm): a million commits wait a million
times for a disk. Times are of the processor, so that what else the machine does changes little.

make: the large search, as a kill leaves it. running: its views then. take-over: what the next
driver does before it starts something, and when it ends. read: views and commands after that, when
the ranks are stored. many: `status` of many searches.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made import BEGIN, Unwatched, create, make, own
from reading import best_of, show_commands, show_views

from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Terms
from hbtrack.core.schedule import schedule_of
from hbtrack.database.location import make_search_folder
from hbtrack.database.upgrade import prepare_for_writing, writable
from hbtrack.store.catalogue import load_searches
from hbtrack.store.facts import sampled_so_far
from hbtrack.store.ledger import Ledger

MAX_EPOCHS = 19683
STEP = 100_000


def passes_for(evaluations: int) -> int:
    """So many passes that they do not end before that many evaluations."""
    schedule = schedule_of(Terms(MAX_EPOCHS, "3", 0, 1, 100.0))
    return evaluations // schedule.evaluations + 2


def resident() -> float:
    """MB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Checkpoints(Unwatched):
    """Writes a row each so many evaluations."""

    def __init__(self, path: Path, step: int) -> None:
        self._path, self._step, self._at = path, step, step
        self._began = self._last = time.process_time()
        self._longest = 0.0

    def progressed(self, plan: Plan, busy: int, workers: int) -> None:
        """Called after each commit."""
        now = time.process_time()
        self._longest, self._last = max(self._longest, now - self._last), now
        if (done := plan.places_done + plan.places_failed) < self._at:
            return
        print(
            f"| {done:,} | {(now - self._began) / self._step * 1e3:.3f} | {self._longest:.2f} "
            f"| {resident():.0f} | {self._path.stat().st_size / 1e6:.0f} |",
            flush=True,
        )
        self._at += self._step
        self._began, self._longest = now, 0.0


def make_large(path: Path, evaluations: int) -> None:
    """Write the large search, and say what it cost meanwhile."""
    print("| evaluations | ms each | longest step, s | memory of the driver, MB | file, MB |")
    print("|---:|---:|---:|---:|---:|")
    make(
        path,
        max_epochs=MAX_EPOCHS,
        passes=passes_for(evaluations),
        stop_after=evaluations + 1000,  # a few failures are taken back: a GPU may be at fault
        observer=Checkpoints(path, min(STEP, evaluations)),
    )


def take_over(path: Path) -> None:
    """What a driver does besides driving, and the memory that it has then."""
    print("| step | s | memory at most, MB |\n|---|---:|---:|")
    with writable(path, print, busy_seconds=60) as database:
        with database.transaction() as connection:
            (search,) = load_searches(connection)
        ledger = Ledger(database, search.pk)

        def known() -> object:
            with database.transaction() as connection:
                return sampled_so_far(connection.execute, search.pk)

        step("the config_ids, which the sampler avoids", known)
        facts = step("the facts", lambda: own(ledger, 8))
        terms = search.terms
        plan = step("the plan", lambda: rebuild(schedule_of(terms), terms.passes, facts))
        step("the next decision", plan.next)
        step("the end: the ranks of the leaderboard", lambda: ledger.release(BEGIN))


def step(name: str, run: Callable[[], Any]) -> Any:
    """Run it and write a row."""
    begin = time.process_time()
    found = run()
    took = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {took:.2f} | {peak:.0f} |", flush=True)
    return found


def make_many(path: Path, searches: int) -> None:
    """Write so many searches, of which nothing runs."""
    prepare_for_writing(path)
    terms = Terms(81, "3", 0, 1, 100.0)
    with (
        writable(path, print, busy_seconds=60) as database,
        database.transaction() as connection,
    ):
        made = [
            create(connection, f"model:made-{number}", terms, 8, BEGIN + number)
            for number in range(searches)
        ]
    for search_pk in made:
        (make_search_folder(path, search_pk) / "driver.lock").touch()


def read(path: Path, runs: int) -> None:
    """The views, the commands, and what recomputes everything, of the large search."""
    show_views(path, runs)
    print()
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.db")
        make(small)
        show_commands(small, path, runs)
    check = best_of(1, [sys.executable, "-m", "hbtrack", "db", "check", "--db", str(path)])
    print(f"| `hbtrack db check` | | | {check.seconds:.1f} | {check.memory:.0f} | |")


def show_many(path: Path, runs: int) -> None:
    """What `status` costs where there are many searches."""
    cost = best_of(runs, [sys.executable, "-m", "hbtrack", "status", "--db", str(path)])
    print("| command | s | memory, MB |\n|---|---:|---:|")
    print(f"| `hbtrack status` | {cost.seconds:.2f} | {cost.memory:.0f} |")


def main() -> None:
    """Go through the phases, each in a process of its own, whose memory is then its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--evaluations", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", metavar="PHASE", help="make, running, take-over, read or many")
    args = parser.parse_args()
    large, many = args.folder / "large.db", args.folder / "many.db"
    phases: dict[str, Callable[[], None]] = {
        "make": lambda: None if large.exists() else make_large(large, args.evaluations),
        "running": lambda: show_views(large, args.runs),
        "take-over": lambda: take_over(large),
        "read": lambda: read(large, args.runs),
        "many": lambda: show_many(many, args.runs),
    }
    if args.only:
        phases[args.only]()
        return
    if not many.exists():
        make_many(many, args.searches)
    for phase in phases:
        print(f"\n### {phase}\n", flush=True)
        subprocess.run([sys.executable, *sys.argv, "--only", phase], check=True)


if __name__ == "__main__":
    main()
