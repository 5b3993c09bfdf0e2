"""One search of a million evaluations, and ten thousand searches in one file: what they cost.

    python benchmarks/scale.py FOLDER [--evaluations 1000000] [--searches 10000] [--only PHASE]
    python benchmarks/against.py --page     write docs/benchmarks.md anew, with these figures

The databases are made if they are not in FOLDER, by the real driver, plan and store over a made-up
machine (see made.py). FOLDER should lie in memory (/dev/shm): a million commits wait a million
times for a disk. Times are of the processor, so that what else the machine does changes little.

made: the large search, as a kill leaves it. running: its views then. take_over: what the next
driver does before it starts something, and when it ends. views, commands: after that, when the
ranks are stored. many: `status` of many searches.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from comparison.machine import describe
from comparison.selection import Row
from made import BEGIN, Unwatched, create, make, own, resources_of
from reading import best_of, cost_of_commands, cost_of_views

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
RESULTS = Path(__file__).parent.parent / "docs" / "benchmarks-scale.json"

say = partial(print, file=sys.stderr)  # stdout is for rows


def passes_for(evaluations: int) -> int:
    """So many passes that they do not end before that many evaluations."""
    schedule = schedule_of(Terms(MAX_EPOCHS, "3", 0, 1, 100.0))
    return evaluations // schedule.evaluations + 2


def resident() -> float:
    """MB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def tell(row: Row) -> None:
    """Hand a row to the process that gathers them."""
    print(json.dumps(row), flush=True)


class Checkpoints(Unwatched):
    """Tells a row each so many evaluations."""

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
        tell(
            {
                "evaluations": done,
                "ms": round((now - self._began) / self._step * 1e3, 3),
                "longest_s": round(self._longest, 2),
                "memory_mb": round(resident()),
                "file_mb": round(self._path.stat().st_size / 1e6),
            }
        )
        self._at += self._step
        self._began, self._longest = now, 0.0


def make_large(path: Path, evaluations: int) -> None:
    """Write the large search, and say what it cost meanwhile."""
    make(
        path,
        max_epochs=MAX_EPOCHS,
        passes=passes_for(evaluations),
        stop_after=evaluations + 1000,  # a few failures are taken back: a GPU may be at fault
        observer=Checkpoints(path, min(STEP, evaluations)),
    )


def take_over(path: Path) -> None:
    """What a driver does besides driving, and the memory that it has then."""
    with writable(path, say, busy_seconds=60) as database:
        with database.transaction() as connection:
            (search,) = load_searches(connection)
        ledger = Ledger(database, search.pk)

        def known() -> object:
            with database.transaction() as connection:
                return sampled_so_far(connection.execute, search.pk)

        step("the config_ids, which the sampler avoids", known)
        facts = step("the facts", lambda: own(ledger, resources=resources_of(8), now=BEGIN))
        terms = search.terms
        plan = step("the plan", lambda: rebuild(schedule_of(terms), terms.passes, facts))
        step("the next decision", plan.next)
        step("the end: the ranks of the leaderboard", lambda: ledger.release(BEGIN))


def step(name: str, run: Callable[[], Any]) -> Any:
    """Run it and tell what it took."""
    begin = time.process_time()
    found = run()
    took = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tell({"step": name, "s": round(took, 2), "memory_mb": round(peak)})
    return found


def make_many(path: Path, searches: int) -> None:
    """Write so many searches, of which nothing runs."""
    prepare_for_writing(path)
    terms = Terms(81, "3", 0, 1, 100.0)
    with (
        writable(path, say, busy_seconds=60) as database,
        database.transaction() as connection,
    ):
        made = [
            create(
                connection,
                terms,
                identity=f"model:made-{number}",
                resources=resources_of(8),
                now=BEGIN + number,
            )
            for number in range(searches)
        ]
    for search_pk in made:
        (make_search_folder(path, search_pk) / "driver.lock").touch()


def commands(path: Path, runs: int) -> Iterator[Row]:
    """The commands, and what recomputes everything, of a small search and of the large one."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.db")
        make(small)
        yield from cost_of_commands(small, path, runs)
    yield one("hbtrack db check", path, 1)


def one(command: str, path: Path, runs: int) -> Row:
    """What one command costs on a file."""
    words = command.removeprefix("hbtrack ").split()
    cost = best_of(runs, [sys.executable, "-m", "hbtrack", *words, "--db", str(path)])
    return {"command": command, "large_s": round(cost.seconds, 2), "memory_mb": round(cost.memory)}


def gather(phase: str) -> list[Row]:
    """The rows of a phase, run in a process of its own, whose memory is then its own."""
    rows = []
    words = [sys.executable, *sys.argv, "--only", phase]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{phase}: {line}", end="", flush=True)
            rows.append(json.loads(line))
    if process.returncode:
        raise SystemExit(f"{phase} ended with {process.returncode}")
    return rows


def main() -> None:
    """Go through the phases and write down what they tell; a database that was there stays."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--evaluations", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures are kept")
    parser.add_argument("--only", metavar="PHASE", help="only print the rows of one")
    args = parser.parse_args()
    large, many = args.folder / "large.db", args.folder / "many.db"
    phases: dict[str, Callable[[], object]] = {
        "made": lambda: None if large.exists() else make_large(large, args.evaluations),
        "running": lambda: [*map(tell, cost_of_views(large, args.runs))],
        "take_over": lambda: take_over(large),
        "views": lambda: [*map(tell, cost_of_views(large, args.runs))],
        "commands": lambda: [*map(tell, commands(large, args.runs))],
        "many": lambda: tell(one("hbtrack status", many, args.runs)),
    }
    if args.only:
        phases[args.only]()
        return
    if not many.exists():
        make_many(many, args.searches)
    found = {phase: gather(phase) for phase in phases}
    if args.json.exists() and not found["made"]:  # made earlier
        found["made"] = json.loads(args.json.read_text())["made"]
    facts = {"machine": describe(), "max_epochs": MAX_EPOCHS, "searches": args.searches}
    args.json.write_text(json.dumps(facts | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
