"""What an evaluation costs beyond its script: `hbtrack run` against a pool of bare scripts.

    python benchmarks/overhead.py [--blocks 15] [--max-epochs 81] [--workers 1 2] [--busy 0 10]

Blocks of bare scripts (`subprocess.run`, as many threads as workers) alternate with whole searches
of the same script, so that both see the same machine; the search's time is counted from its first
start to its last end. The script is stdlib-only and works for --busy milliseconds beside Python's
own start. Wall time, and CPU time of the script, the driver and the scripts' parent (warden), in
milliseconds per evaluation: medians and quartiles over the blocks. On a busy machine trust the CPU
times in relation to that of the script, and of the wall times the lower quartile. With several
workers some of the wall time is the search's own: before a rung is closed there may be nothing to
start (benchmarks/utilisation.py: 3% with 2 workers and 81 epochs).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

from hbtrack.core.records import Limits, Resources, Terms
from hbtrack.core.schedule import make_schedule
from hbtrack.driver.interfaces import End, Running, StopRequest, Tolerances
from hbtrack.report.live.progress import Progress
from hbtrack.script.command import make_command
from hbtrack.searches.file import DatabaseFile, Settings
from hbtrack.searches.start import start_search
from hbtrack.searches.terms import Options

SCRIPT = """
import sys, time

def get_random_config_id(rng):
    return f"x:{{rng.uniform():.9f}}"

def run_identity(argv):
    return "overhead"

if __name__ == "__main__":
    until = time.process_time() + {busy} / 1000
    while {busy} and time.process_time() < until:
        pass
    print(sys.argv[1][2:])
"""


class Clocked(Progress):
    """The usual log, and what was spent between the first start and the last of so many ends."""

    left = 0
    begun: "list[float]"
    spent: "list[float]"

    def started(self, running: Running) -> None:
        """The first start begins the count."""
        if not hasattr(self, "begun"):
            self.begun = clocks()
        super().started(running)

    def ended(self, end: End) -> None:
        """The last end ends it."""
        super().ended(end)
        self.left -= 1
        if self.left == 0:
            self.spent = [now - then for now, then in zip(clocks(), self.begun, strict=True)]


def clocks() -> list[float]:
    """Seconds: by the wall, of this process, of its children (the warden)."""
    pid = os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    on_cpu = [int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) for child in children]
    return [time.perf_counter(), time.process_time(), sum(on_cpu) / 1e9]


def search(folder: Path, max_epochs: int, workers: int) -> None:
    """One whole search of the script in a folder; prints milliseconds per evaluation as JSON."""
    seen = []
    count = make_schedule(max_epochs, Fraction(3)).evaluations

    def observer(place: Path) -> Clocked:
        seen.append(Clocked(place, "overhead"))
        seen[0].left = count
        return seen[0]

    settings = Settings(60.0, Tolerances(10.0, 5, 2**31), 60.0, print)
    command = make_command("script.py", (), None, str(folder))
    terms = Terms(max_epochs, "3", 0, 1, 100.0)
    options = Options(Resources(workers, "none"), Limits(), frozenset())
    with (
        DatabaseFile(folder / "hbtrack.db", settings) as file,
        start_search(file, command, terms, options) as session,
    ):
        session.drive(observer, StopRequest(), lambda _descriptor: None)
    print(json.dumps([1000 * seconds / count for seconds in seen[0].spent]))


def measured_search(script: str, max_epochs: int, workers: int) -> list[float]:
    """The same in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "script.py").write_text(script)
        command = [sys.executable, __file__, "--search", name, "--max-epochs", str(max_epochs)]
        result = subprocess.run(
            [*command, "--workers", str(workers)], check=True, stdout=subprocess.PIPE
        )
    found: list[float] = json.loads(result.stdout.splitlines()[-1])
    return found


def bare(script: str, count: int, workers: int) -> tuple[float, float]:
    """Milliseconds per evaluation of bare scripts in a pool, and of their CPU time."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "script.py"
        path.write_text(script)
        command = [sys.executable, str(path), "x:0.5", "--epochs", "1", "--gpu", "0"]

        def one(_number: int) -> None:
            subprocess.run(command, capture_output=True, check=True)

        with ThreadPoolExecutor(workers) as pool:
            begun = time.perf_counter(), cpu_of_children()
            list(pool.map(one, range(count)))
            ended = time.perf_counter(), cpu_of_children()
    wall, cpu = (1000 * (now - then) / count for now, then in zip(ended, begun, strict=True))
    return wall, cpu


def cpu_of_children() -> float:
    """Seconds of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spread(values: Sequence[float]) -> str:
    """The median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:6.2f} [{low:.2f}, {high:.2f}]"


def show(busy: float, workers: int, blocks: int, max_epochs: int) -> None:
    """Measure one kind of search, and print it."""
    script = SCRIPT.format(busy=busy)
    rows = [
        (*bare(script, 50, workers), *measured_search(script, max_epochs, workers))
        for _ in range(blocks)
    ]
    print(f"script +{busy:g} ms, {workers} workers")
    print(f"  bare          {spread([row[0] for row in rows])} ms")
    print(f"  hbtrack       {spread([row[2] for row in rows])} ms")
    print(f"  over bare     {spread([row[2] - row[0] for row in rows])} ms")
    print(f"  ratio         {spread([row[2] / row[0] for row in rows])}")
    print(f"  script's CPU  {spread([row[1] for row in rows])} ms")
    print(f"  driver's CPU  {spread([row[3] for row in rows])} ms")
    print(f"  warden's CPU  {spread([row[4] for row in rows])} ms", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--max-epochs", type=int, default=81)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--busy", type=float, nargs="+", default=[0, 10])
    parser.add_argument("--search", help=argparse.SUPPRESS)  # the measured process
    args = parser.parse_args()
    if args.search:
        search(Path(args.search), args.max_epochs, args.workers[0])
        return
    for busy in args.busy:
        for workers in args.workers:
            show(busy, workers, args.blocks, args.max_epochs)


if __name__ == "__main__":
    main()
