"""Kill hbtrack's processes, search after search, and compare each search with an undisturbed one.

    python tests/kill_loop.py --kills 200 --workers 8 --kinds driver --seed 1

tests the hbtrack of the interpreter that runs it. Every process of a search inherits a mark from
the driver that the loop started; nothing without that mark is ever killed.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from tabulate import tabulate

TOY = Path(__file__).parent / "scripts" / "toy.py"
MARK = "KILL_LOOP_SEARCH"
SEARCHES_PER_GOLDEN = 4
LONGEST_EPOCH = 3.0  # seconds, also where a start takes much longer
PATIENCE = 120.0  # seconds for what is sure to come, however busy the machine

KINDS = {
    "driver": ["driver"],
    # Besides every driver whose death is followed by some time without one.
    "any": ["driver", "warden", "warden", "script", "script", "all"],
}
MUST_BE_ZERO = (
    "lost",  # evaluations of the undisturbed search that this one does not have
    "duplicated",  # results accepted beyond one per evaluation
    "differing",  # places with another config, status, loss or promotion
    "second_writers",
    "trained_twice",  # epochs begun again although no kill hit their script
    "called_again",  # calls for an evaluation that had its call; counted if only drivers die
    "below",  # calls for fewer epochs than the checkpoint has
    "left_behind",  # processes
    "broken",  # everything else: exit status, standstill, db check
)
SHOWN = ("searches", "driver", "warden", "script", "all", "adoptions", "harvests", *MUST_BE_ZERO)

_DUMP = """
SELECT run_identity, pass, bracket, rung, slot, config_id, epochs, status, loss, promoted, reused
FROM results ORDER BY pass, bracket DESC, rung, slot"""
_ACCEPTED = """
SELECT count(*) - count(DISTINCT config_id || ' ' || epochs) FROM attempts
WHERE status IN ('done', 'failed', 'timeout')"""
_HARVESTED = "SELECT count(*) FROM _attempt WHERE status IN ('done', 'failed') AND NOT watched"

Row = tuple[object, ...]


@dataclass
class Report:
    """What the kills of some kinds came to, with so many workers."""

    kinds: str
    workers: int
    maximize: bool = False  # compared with the minimised search of the negated losses
    counts: Counter[str] = field(default_factory=Counter)
    post_mortems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(self.counts[kind] for kind in ("driver", "warden", "script", "all"))

    @property
    def faults(self) -> dict[str, int]:
        """The numbers that must be 0, if they are not."""
        return {name: self.counts[name] for name in MUST_BE_ZERO if self.counts[name]}

    def as_dict(self) -> dict[str, object]:
        plain = {name: value for name, value in asdict(self).items() if name != "counts"}
        return {**plain, "kills": self.kills, **{name: self.counts[name] for name in SHOWN}}


class Quota:
    """The kills that are still to come, for several threads."""

    def __init__(self, kills: int) -> None:
        self.left = kills
        self._lock = threading.Lock()

    def use(self) -> None:
        with self._lock:
            self.left -= 1


class Broken(Exception):
    """hbtrack does what it must never do; the search cannot go on."""


@dataclass
class Search:
    """One search of the toy in a folder of its own."""

    folder: Path
    environment: Mapping[str, str]
    words: tuple[object, ...]

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.diary_file = self.folder / "toy" / "diary.txt"
        self.own_folder = self.folder / "hbtrack.db.d" / "1"
        self.log_file = self.own_folder / "log"
        self.environment = {**self.environment, MARK: str(self.folder)}

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        self.note(*words)
        with (self.folder / "stderr").open("ab") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "hbtrack", *map(str, words)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def finish(self, driver: subprocess.Popen[bytes]) -> None:
        """Wait for a driver's end, for as long as something moves."""
        while driver.poll() is None:
            seen = self.marks()
            moved = until(lambda: driver.poll() is not None or self.marks() != seen, PATIENCE)  # noqa: B023
            if not moved:
                raise Broken(f"nothing moves any more in {self.folder}")
        if driver.returncode:
            raise Broken(f"exit status {driver.returncode} in {self.folder}")

    def marks(self) -> tuple[int, ...]:
        files = (self.diary_file, self.log_file)
        return tuple(file.stat().st_size if file.exists() else 0 for file in files)

    def note(self, *words: object) -> None:
        """A line for a post-mortem."""
        with (self.folder / "kills.log").open("a") as log:
            log.write(" ".join(map(str, (f"{time.time():.3f}", *words))) + "\n")

    def rows(self, sql: str) -> list[Row]:
        with closing(sqlite3.connect(self.folder / "hbtrack.db")) as connection:
            return connection.execute(sql).fetchall()

    def diary(self) -> list[list[str]]:
        return [line.split() for line in self.diary_file.read_text().splitlines()]

    def locks(self) -> list[tuple[str, ...]]:
        """The lines of each worker's lock file."""
        files = sorted(self.own_folder.glob("*[0-9].lock"))
        return [tuple(file.read_text().splitlines()) for file in files]

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""


class Golden(Search):
    """A search undisturbed, by one worker and at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        begun = time.time()
        self.finish(self.start("run", "--workers", 1, *self.words, "--epoch_seconds", 0))
        ((first,),) = self.rows("SELECT min(started_at) FROM attempts")
        self.seconds_to_start = datetime.fromisoformat(str(first)).timestamp() - begun
        """From a command to its first script, just now: everything else is timed by it."""
        self.dump = self.rows(_DUMP)


@dataclass
class Hunt(Search):
    """A search whose processes are killed, until it is finished."""

    kinds: str
    workers: int
    dice: random.Random
    unit: float  # seconds that a start takes just now
    maximize: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.counts: Counter[str] = Counter()
        self.scripts_hit: Counter[str] = Counter()  # by config
        self.driver: subprocess.Popen[bytes] | None = None
        self.verb, self.born = "", 0.0
        self.told = 0  # how long the log was when it was born
        self.missed_an_end = False  # a script has ended while no driver was there

    def hunt(self, quota: Quota) -> None:
        """Kill until the quota is used up or the search is finished, then let it finish."""
        words = KINDS[self.kinds]
        kinds = itertools.chain(words[-1:], shuffled(self.dice, words))  # the last is sure to hit
        cards = self.deal()
        self.diary_file.parent.mkdir()
        hold, hurry = (self.diary_file.with_name(name) for name in ("hold", "hurry"))
        while quota.left > 0 and (driver := self.driver_at_work()):
            moment, absence = next(cards)
            if quota.left == 1:  # leaves something to adopt, and a driver that lives to adopt it
                moment, absence = LAST
                hold.touch()
            self.await_moment(driver, moment)
            kind = "driver" if absence else next(kinds)
            if driver.poll() is None and self.strike(driver, kind, moment):
                quota.use()
                self.counts[kind] += 1
                if driver.poll() is not None:
                    self.be_absent(absence)
        while driver := self.driver_at_work():
            self.await_moment(driver, "it adopts" if hold.exists() else "it speaks")
            hurry.touch()
            hold.unlink(missing_ok=True)
            self.finish(driver)

    def driver_at_work(self) -> subprocess.Popen[bytes] | None:
        """A driver, a new one if need be; None when the search is finished."""
        code = self.driver.poll() if self.driver else -signal.SIGKILL
        if code == 0:
            return None
        if code is not None:
            driven = self.own_folder.exists()
            # Whether a search is stored yet only hbtrack knows: resume says so by its status.
            too_early = code == 3 and self.verb == "resume" and not driven
            if code != -signal.SIGKILL and not too_early:
                raise Broken(f"exit status {code} of {self.verb}")
            stored = driven or ((self.folder / "hbtrack.db").exists() and not too_early)
            self.verb = "resume" if stored and self.dice.random() < 0.8 else "run"
            run = ("--workers", self.workers, *self.words) if self.verb == "run" else ()
            self.told = len(self.log())
            self.driver, self.born = self.start(self.verb, *run), time.monotonic()
        return self.driver

    # --- when ---

    def deal(self) -> Iterator[tuple[str, str]]:
        """Moments of kills, and for how long nobody is there after each: if so, only a driver dies.

        Early on a search is sure to have something to harvest.
        """
        yield self.dice.choice(["any time", "new file"]), ""
        while not self.missed_an_end:
            yield "after a start", "until an end"
        while True:
            cards = [
                ("any time", ""),
                ("any time", "a while"),
                ("taking over", ""),
                ("after a start", ""),
                ("after a start", "until an end"),
                ("start in flight", ""),
            ]
            yield from self.dice.sample(cards, len(cards))

    @property
    def patience(self) -> float:
        """Seconds in which most moments come; the first harvest must not be missed."""
        return 4 * self.unit if self.missed_an_end else PATIENCE

    def await_moment(self, driver: subprocess.Popen[bytes], moment: str) -> None:
        seen, locks_seen = len(self.log()), self.locks()

        def log_ends_with_a_start() -> bool:
            return "event=start" in (self.log()[seen:].splitlines() or [""])[-1]

        def a_start_is_in_flight() -> bool:
            new = {*self.locks()} - {*locks_seen}
            return any(lines[-1].startswith("attempt") for lines in new if lines)

        def a_script_is_held() -> bool:
            return self.diary_file.exists() and "held" in self.diary_file.read_text()

        def owns_the_search() -> bool:
            lock = self.own_folder / "driver.lock"
            return lock.exists() and f'"pid": {driver.pid},' in lock.read_text()

        conditions: dict[str, tuple[Callable[[], bool], float]] = {
            "any time": (lambda: True, 2.0),
            "new file": ((self.folder / "hbtrack.db").exists, 0.4),
            "taking over": (owns_the_search, 0.2),
            "after a start": (log_ends_with_a_start, 0.05),
            "start in flight": (a_start_is_in_flight, 0.0),
            "held": (a_script_is_held, 0.0),
            "it adopts": (lambda: "event=adopt" in self.log()[self.told :], 0.0),
            "it speaks": (lambda: len(self.log()) > self.told, 0.0),
        }
        condition, spread = conditions[moment]
        tick = 0.001 if moment == "start in flight" else 0.01
        patience = PATIENCE if moment in ("held", "it adopts", "it speaks") else self.patience
        until(lambda: driver.poll() is not None or condition(), patience, tick)
        if moment == "taking over":  # half-way through a start: the machine may have calmed down
            self.unit = min(self.unit, 2 * (time.monotonic() - self.born))
        time.sleep(self.dice.uniform(0, spread * self.unit))

    def be_absent(self, absence: str) -> None:
        """Let time pass with no driver there."""
        seen = {*self.locks()}

        def a_script_has_ended() -> bool:
            new = {*self.locks()} - seen
            return any(line.startswith("exit") for lines in new for line in lines)

        if absence == "a while":
            time.sleep(self.dice.uniform(0, 2 * self.unit))
        elif absence == "until an end":
            until(lambda: a_script_has_ended() or not self.left_behind(), self.patience, 0.05)
            self.missed_an_end |= a_script_has_ended()

    # --- whom ---

    def strike(self, driver: subprocess.Popen[bytes], kind: str, moment: str) -> bool:
        """SIGKILL the driver, a warden, a script, or all of them at once; whether that hit."""
        scripts = {pid: config for pid, config in self.started() if self.is_ours(pid)}
        children = children_of(driver.pid)
        wardens = [pid for pid in {*children, *map(parent_of, scripts)} if is_warden(pid)]
        some = {"driver": [driver.pid], "warden": sorted(wardens), "script": list(scripts)}
        victims = [driver.pid, *wardens, *scripts, *children]
        if kind != "all":
            victims = self.dice.sample(some[kind], bool(some[kind]))
        hit = [pid for pid in dict.fromkeys(victims) if self.kill(pid)]
        self.note("kill", kind, moment, *hit)
        self.scripts_hit.update(scripts[pid] for pid in hit if pid in scripts)
        if driver.pid in hit:
            driver.wait()
        return bool(hit)

    def started(self) -> Iterator[tuple[int, str]]:
        """Scripts without an exit record and their configs, also those of earlier drivers."""
        for lines in self.locks():
            facts = dict(line.split(" ")[:2] for line in lines if " " in line)
            if "pid" in facts and "exit" not in facts:
                with contextlib.suppress(OSError, IndexError):
                    command = Path(f"/proc/{facts['pid']}/cmdline").read_text()
                    yield int(facts["pid"]), command.split("\0")[2]

    def kill(self, pid: int) -> bool:
        """SIGKILL a process of this search; through a handle, so that no other can be hit."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if self.is_ours(pid):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    return True
            finally:
                os.close(handle)
        return False

    def is_ours(self, pid: int) -> bool:
        """Whether a process lives and carries this search's mark."""
        mark = f"{MARK}={self.folder}".encode()
        with contextlib.suppress(OSError):
            return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return False

    def left_behind(self) -> list[int]:
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if self.is_ours(pid)]

    # --- what came of it ---

    def compare(self, golden: Golden) -> None:
        """Count all that is not as if nothing had happened."""
        dump = (
            [turned_round(row) for row in self.rows(_DUMP)] if self.maximize else self.rows(_DUMP)
        )
        diary = Counter(tuple(line) for line in self.diary())
        counts = self.counts
        counts["lost"] = len(evaluations(golden.dump) - evaluations(dump))
        counts["duplicated"] = int(str(self.rows(_ACCEPTED)[0][0]))
        counts["differing"] = len({row[:5] for row in {*dump} ^ {*golden.dump}})
        counts["second_writers"] = total(diary, "RACE")
        counts["below"] = total(diary, "BELOW")
        begun_again: Counter[str] = Counter()
        for (word, config, *_), times in diary.items():
            begun_again[config] += times - 1 if word == "begin" else 0
        # A script that is killed has one epoch to begin again.
        counts["trained_twice"] = (begun_again - self.scripts_hit).total()
        if self.kinds == "driver":
            calls = Counter(line[1:3] for line in diary.elements() if line[0] == "call")
            counts["called_again"] = calls.total() - len(calls)
        counts["adoptions"] = self.log().count("event=adopt")
        counts["harvests"] = int(str(self.rows(_HARVESTED)[0][0]))
        self.finish(self.start("db", "check"))

    def end(self) -> None:
        """Nothing stays: neither the driver nor what it left behind."""
        if self.driver and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()
        until(lambda: not self.left_behind(), PATIENCE)
        for pid in self.left_behind():
            with contextlib.suppress(OSError):
                self.note("left behind", pid, Path(f"/proc/{pid}/cmdline").read_bytes())
            self.counts["left_behind"] += 1
            self.kill(pid)


LAST = ("held", "not at all")


def shuffled(dice: random.Random, words: list[str]) -> Iterator[str]:
    """The words in a random order, again and again."""
    while True:
        yield from dice.sample(words, len(words))


def a_search(dice: random.Random, workers: int) -> tuple[object, ...]:
    """The words of a search of the toy: the more workers the larger."""
    words = ("--max-epochs", 9, "--passes", 1 if workers < 3 else 2)
    return (*words, "--seed", dice.randrange(10**6), TOY, "--space", dice.choice([25, 10**9]))


def search_and_kill(
    report: Report, quota: Quota, golden: Golden, name: str, pace: float | None
) -> Counter[str]:
    """One search, under fire until the quota is used up: what it came to.

    `pace` is the time of an epoch as a multiple of a start.
    """
    dice, unit = random.Random(name), golden.seconds_to_start
    folder = golden.folder.with_name(name)
    pace = min(unit, LONGEST_EPOCH) * (pace or dice.choice([0.3, 0.6, 1.0]))
    words = (*golden.words, "--epoch_seconds", pace)
    if report.maximize:
        words = ("--maximize", *words, "--negative")
    kinds, workers, maximize = report.kinds, report.workers, report.maximize
    hunt = Hunt(folder, golden.environment, words, kinds, workers, dice, unit, maximize)
    try:
        hunt.hunt(quota)
        hunt.compare(golden)
    except Broken as broken:
        hunt.note("broken", broken)
        hunt.counts["broken"] += 1
    finally:
        hunt.end()
    if any(hunt.counts[name] for name in MUST_BE_ZERO):
        report.post_mortems.append(str(folder))
    else:
        shutil.rmtree(folder)
    return hunt.counts


def kill_loop(
    kinds: str,
    workers: int,
    *,
    kills: int,
    seed: int,
    folder: Path,
    environment: Mapping[str, str],
    at_once: int = 1,
    maximize: bool = False,
) -> Report:
    """Search after search, `at_once` side by side, until that many kills have hit something."""
    report, quota, begun = Report(kinds, workers, maximize), Quota(kills), time.monotonic()
    environment = {**environment, "HBTRACK_MAX_LOST": "1000000"}
    for name in ("HBTRACK_DB", "HBTRACK_ATTEMPT"):
        environment.pop(name, None)

    def keep_searching(lane: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        while quota.left > 0:
            name = f"{kinds}-{workers}-{seed}-{lane}-{counts['searches']}"
            if counts["searches"] % SEARCHES_PER_GOLDEN == 0:
                words = a_search(random.Random(name), workers)
                golden = Golden(folder.resolve() / f"{name}-golden", environment, words)
            # At first slow enough for adoptions and harvests to be sure.
            pace = None if counts["searches"] else 1.0
            counts += search_and_kill(report, quota, golden, name, pace)
            counts["searches"] += 1
        return counts

    with ThreadPoolExecutor(at_once) as lanes:
        try:
            for counts in lanes.map(keep_searching, range(at_once)):
                report.counts += counts
        finally:
            quota.left = 0  # when something failed, or by Ctrl-C: the others come to their end
    report.seconds = time.monotonic() - begun
    return report


def turned_round(row: Row) -> Row:
    """A row of a dump with the negative of its loss."""
    *where, loss, promoted, reused = row
    return (*where, None if loss is None else -float(str(loss)), promoted, reused)


def evaluations(dump: list[Row]) -> set[Row]:
    """Every (config_id, epochs) that has come to a result."""
    return {row[5:7] for row in dump if row[7] in ("done", "failed")}


def total(diary: Counter[tuple[str, ...]], word: str) -> int:
    return sum(n for line, n in diary.items() if line[0] == word)


def until(condition: Callable[[], object], seconds: float, tick: float = 0.01) -> bool:
    """Wait for a condition; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(tick)
    return True


def children_of(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def parent_of(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def is_warden(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return b"warden.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def table(reports: list[Report]) -> str:
    """One line for each kind of kills and number of workers."""
    head = ("kinds", "workers", "kills", *(name.replace("_", " ") for name in SHOWN), "seconds")
    lines = [
        (one.kinds, one.workers, one.kills, *(one.counts[name] for name in SHOWN), one.seconds)
        for one in reports
    ]
    return tabulate(lines, head, tablefmt="plain", floatfmt=".0f")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="in all, shared evenly")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--maximize", action="store_true", help="a toy that prints the negative")
    at_once = 2 * (os.cpu_count() or 1)  # most of the time they wait
    parser.add_argument("--at-once", type=int, default=at_once, help="searches side by side")
    parser.add_argument("--folder", type=Path, help="where searches lie; default: a new one")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="kill_loop."))
    lines = [(kinds, workers) for kinds in args.kinds for workers in args.workers]
    reports = [
        kill_loop(
            *line,
            kills=-(-args.kills // len(lines)),
            seed=args.seed,
            folder=folder,
            environment=os.environ,
            at_once=args.at_once,
            maximize=args.maximize,
        )
        for line in lines
    ]
    if args.json:
        print(json.dumps([report.as_dict() for report in reports], indent=2))
    else:
        print(table(reports))
    for report in reports:
        for post_mortem in report.post_mortems:
            print(f"kept for a post-mortem: {post_mortem}", file=sys.stderr)
    if any(report.faults for report in reports):
        return 1
    if not args.folder:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
