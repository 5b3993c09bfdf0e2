"""What is measured. Every measure gives rows: flat dictionaries, one per peer and run."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path

from peers.task import Call, Task, read_ledger
from stores import STORES

from comparison.running import (
    BENCHMARKS,
    PeerFailed,
    end_session,
    finish,
    peer,
    run,
    start,
    task_in_a_folder,
)
from comparison.selection import Row

PASS = {"max_epochs": 81, "trials": 143, "calls": 206}
SMALL = {"max_epochs": 9, "trials": 17, "calls": 22}


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    blocks: int = 4
    rounds: int = 2
    overhead: tuple[tuple[str, int], ...] = tuple(PASS.items())
    whole: tuple[tuple[str, int], ...] = tuple(PASS.items())
    seconds: float = 0.005
    kills: tuple[tuple[int, ...], ...] = ((40, 120), (80, 160))
    stored: tuple[int, ...] = (1_000, 10_000, 100_000)
    fill_limit: float = 120.0
    limit: float = 30.0


QUICK = Size(1, 1, tuple(SMALL.items()), tuple(SMALL.items()), 0.005, ((5,),), (100,))


SLOW = ("raytune",)
"""They do not take part in every block: their start alone takes longer than all of the others."""


def taking_turns(names: Sequence[str], block: int, slow: int = 1) -> list[str]:
    """Who takes part in a block."""
    return [name for name in names if block < slow or name not in SLOW]


def attempted(measure: str, name: str, facts: Row, work: Callable[[], Row]) -> Row:
    """A row; of a peer that did not run, with its words."""
    try:
        return {"peer": name, "measure": measure, **facts} | work()
    except Exception as error:  # whatever a peer raises, the others are measured
        said = str(error) if isinstance(error, PeerFailed) else f"{type(error).__name__}: {error}"
        return {"peer": name, "failed": said, "of": measure, **facts}


def period(calls: Sequence[Call]) -> float:
    """Milliseconds between the starts of one process and the next, on average."""
    starts: dict[int, float] = {}
    for call in calls:
        starts.setdefault(call.pid, call.begun)
    return 1000 * (max(starts.values()) - min(starts.values())) / (len(starts) - 1)


def overhead(names: Sequence[str], size: Size) -> Iterator[Row]:
    """A search of a script that does nothing, against as many bare calls, block by block."""

    def work(name: str, workers: int) -> Row:
        with task_in_a_folder(workers=workers, **dict(size.overhead)) as task:
            begun = run(name, task)
            calls = read_ledger(task.folder)
        return {
            "period_ms": period(calls),
            "processes": len({call.pid for call in calls}),
            "first_script_s": calls[0].begun - begun,
        }

    for block, workers in product(range(size.blocks), (1, 2)):
        for name in ("bare", *taking_turns(names, block, 2)):
            facts: Row = {"workers": workers, "block": block}
            yield attempted("overhead", name, facts, partial(work, name, workers))


def utilisation(names: Sequence[str], size: Size) -> Iterator[Row]:
    """One pass over scripts that sleep."""

    def work(name: str, workers: int) -> Row:
        facts = {"workers": workers, "seconds": size.seconds, **dict(size.whole)}
        with task_in_a_folder(**facts) as task:
            run(name, task)
            return use_of_workers(task) | outcome(name, task)

    for block, workers in product(range(size.rounds), (2, 8)):
        for name in taking_turns(names, block):
            facts: Row = {"workers": workers, "block": block}
            yield attempted("utilisation", name, facts, partial(work, name, workers))


def use_of_workers(task: Task) -> Row:
    """The share of the workers' time that scripts slept, from the first start to the last end."""
    calls = read_ledger(task.folder)
    ended = [call for call in calls if call.ended is not None]
    wall = max(call.ended for call in ended) - calls[0].begun  # type: ignore[type-var, operator]
    slept = sum(call.slept for call in ended)
    return {
        "utilisation": slept / (wall * task.workers),
        "wall_s": wall,
        "evaluations": len(ended),
        "slept_epochs": round(slept / task.seconds),
    }


def outcome(name: str, task: Task) -> Row:
    """What was accepted, beside what the script says that it finished."""
    accepted = Counter((f"x:{x:.9f}", int(epochs)) for x, epochs, _ in peer(name).results(task))
    calls = read_ledger(task.folder)
    finished = Counter((call.config_id, call.epochs) for call in calls if call.ended is not None)
    best = min(peer(name).results(task), key=lambda row: row[2])
    return {
        "accepted": sum(accepted.values()),
        "redone": sum(finished.values()) - len(finished),
        "at_once": overlaps(calls),
        "missing": len(finished.keys() - accepted.keys()),
        "twice": sum(accepted.values()) - len(accepted),
        "best": f"x:{best[0]:.9f} at {best[1]:g}",
    }


def overlaps(calls: Sequence[Call]) -> int:
    """How often a process began on a config on which another was still at work."""
    found = 0
    until: dict[str, tuple[int, float]] = {}
    for call in calls:
        pid, end = until.get(call.config_id, (call.pid, 0.0))
        found += pid != call.pid and call.begun < end
        until[call.config_id] = (call.pid, max(end, call.ended or call.begun))
    return found


def kills(names: Sequence[str], size: Size) -> Iterator[Row]:
    """The process that searches gets SIGKILL after so many evaluations, and is started again.

    Who cannot go on with two workers is tried with one.
    """

    def work(name: str, after: Sequence[int], workers: int) -> Row:
        facts = {"workers": workers, "seconds": size.seconds, "survive": True, **dict(size.whole)}
        with task_in_a_folder(**facts) as task:
            hit = [killed_after(name, task, count) for count in after]
            begun = run(name, task)
            starts = [call.begun for call in read_ledger(task.folder) if call.begun > begun]
            pause = max(
                (after - before for before, after in pairwise([begun, *starts])), default=0.0
            )
            return {"hit": sum(hit), "pause_s": pause} | outcome(name, task)

    for block, after in enumerate(size.kills):
        for name in taking_turns(names, block):
            for workers in (2, 1):
                facts: Row = {"after": list(after), "workers": workers}
                row = attempted("kill", name, facts, partial(work, name, after, workers))
                yield row
                if "failed" not in row:
                    break


def killed_after(name: str, task: Task, count: int) -> bool:
    """Let it run until so many evaluations have ended; False if it came to its end before."""
    process = start(name, task)
    ledger = Path(task.folder, "ledger")
    limit = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < limit:
        if ledger.exists() and ledger.read_text().count("end ") >= count:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    end_session(process)
    if process.returncode != 0:
        finish(name, task, process)
    return False


def storage(names: Sequence[str], size: Size) -> Iterator[Row]:
    """How long writing takes, and the first question, at so many results."""

    def work(name: str, count: int) -> Row:
        with tempfile.TemporaryDirectory(prefix="hbtrack-") as folder:
            row: Row = {"fill_s": step(name, "fill", folder, count, size.fill_limit)}
            row["bytes"] = bytes_in(Path(folder))
            for question in ("best", "next", "report"):
                row[f"{question}_s"] = answered(name, question, folder, size.limit)
            return row | {"write_ms": answered(name, "write", folder, size.limit)}

    for count, name in product(size.stored, names):
        if name in STORES:
            yield attempted("storage", name, {"results": count}, partial(work, name, count))


def answered(name: str, question: str, folder: str, limit: float) -> object:
    """Seconds; for writes the median in milliseconds; or why there is none."""
    try:
        found = step(name, question, folder, 20, limit)
    except PeerFailed as error:
        return str(error)
    return found if isinstance(found, float) else 1000 * statistics.median(found)  # type: ignore[arg-type]


def step(name: str, what: str, folder: str, count: int, limit: float) -> object:
    """One step of a store in a process of its own."""
    command = [sys.executable, "-m", "stores", name, what, folder, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    try:
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PeerFailed(f"> {limit:g} s") from error
    if result.returncode:
        raise PeerFailed(result.stderr.strip().splitlines()[-1][-200:])
    return json.loads(result.stdout.splitlines()[-1])


def bytes_in(folder: Path) -> int:
    """Of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


MEASURES = {"overhead": overhead, "utilisation": utilisation, "kill": kills, "storage": storage}
