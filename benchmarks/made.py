"""A search of any size without processes: the real driver, plan and store over a made-up machine.

    python benchmarks/made.py FILE [--max-epochs 19683] [--passes 2] [--workers 8]

Time passes only inside the machine, so that a search of days is written in minutes. Losses fall
with the epochs as those of a training do; some configs fail, each cause with its traceback.
"""

import argparse
import heapq
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from sqlite3 import Connection

from hbtrack.core.execution import Ended, Output, Record
from hbtrack.core.gpu import Gpu
from hbtrack.core.plan import Plan, rebuild
from hbtrack.core.records import Closed, Command, Facts, Limits, Resources, Sampled, Terms, Verdict
from hbtrack.core.schedule import schedule_of
from hbtrack.core.summary import summarise_search
from hbtrack.database.upgrade import prepare_for_writing, writable
from hbtrack.driver.interfaces import Observer, Running, StopRequest, Tolerances
from hbtrack.driver.loop import Driver
from hbtrack.store.catalogue import create_search, read_searches
from hbtrack.store.ledger import Ledger

BEGIN = 1.79e9
_ID = r"lr:(.+)\.width:(\d+)\.optimiser:(\w+)\.n:.*"
OPTIMISERS = ("adam", "sgd", "rmsprop")
FAILURES = (
    ("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "forward", 0.5),
    ("ValueError: loss is nan", "loss_of", 0.3),
    ("KeyError: 'width'", "build", 0.2),
)


def sampled_ids(pass_: int, count: int) -> list[str]:
    """The configs of a pass: three parameters, of which one is a word."""
    draws = Random(f"ids {pass_}")
    return [
        f"lr:{10 ** draws.uniform(-5, -1):.3g}.width:{2 ** draws.randint(4, 10)}"
        f".optimiser:{draws.choice(OPTIMISERS)}.n:{pass_}-{slot}"
        for slot in range(count)
    ]


def params_of(config_id: str) -> dict[str, object]:
    """The parameters that an id of `sampled_ids` describes."""
    lr, width, optimiser = re.fullmatch(_ID, config_id).groups()  # type: ignore[union-attr]
    return {"lr": float(lr), "width": int(width), "optimiser": optimiser}


def loss_of(config_id: str, epochs: int) -> float:
    """A training's loss: it falls with the epochs, to a floor that the learning rate decides."""
    params = params_of(config_id)
    rate = float(str(params["lr"]))
    luck = Random(config_id).random()
    floor = 0.08 + 0.05 * abs(math.log10(rate) + 2.7) + 0.1 * luck
    return float(floor + 1.5 / (1 + epochs * 30 * rate) ** 0.6)


def failure_of(config_id: str, epochs: int, share: float) -> str | None:
    """The traceback with which this evaluation fails, if it does."""
    draws = Random(f"{config_id} {epochs}")
    if draws.random() >= share:
        return None
    message, where, _ = draws.choices(FAILURES, [weight for *_, weight in FAILURES])[0]
    return (
        "Traceback (most recent call last):\n"
        f'  File "/home/me/train.py", line 80, in main\n    loss = {where}(config)\n'
        f'  File "/home/me/train.py", line 42, in {where}\n    raise\n{message}\n'
    )


class Killed(BaseException):
    """The driver's process is no more."""


class Machine:
    """Workers that need no processes: the shape of hbtrack.seams.Executor."""

    def __init__(self, workers: int, fail: float, stop_after: int | None = None) -> None:
        self.now = BEGIN
        self._fail = fail
        self._free = list(range(workers))
        self._ends: list[tuple[float, int, int, str, int, float]] = []
        self._over: dict[int, tuple[str, int]] = {}
        self._trained: dict[str, int] = {}
        self._left = stop_after
        self._lost: list[Ended] = []
        self._draws = Random(0)

    def has_room(self) -> bool:
        """There is always room."""
        return True

    def user_of(self, key: str) -> str | None:
        """Nobody is known."""

    def take_worker(self, keys: Sequence[str] = (), per_gpu: int = 1) -> int | None:
        """The free worker of the lowest number."""
        return heapq.heappop(self._free)

    def start(self, attempt: int, worker: int, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Decide when it ends."""
        config_id, epochs = argv[2], int(argv[4])
        increment = epochs - self._trained.get(config_id, 0)
        seconds = 5 + increment * 0.8 * math.exp(0.4 * self._draws.gauss(0, 1))
        end = (self.now + seconds, attempt, worker, config_id, epochs, seconds)
        heapq.heappush(self._ends, end)

    def adopt(self, attempt: int, worker: int) -> None:
        """Nothing outlives this machine: it is lost."""
        self._free.remove(worker)
        self._lost.append(Ended(attempt, worker, Record()))

    def wait(self, timeout: float | None) -> list[Ended]:
        """Time goes on until the next end."""
        if self._lost:
            lost, self._lost = self._lost, []
            for ended in lost:
                heapq.heappush(self._free, ended.worker)
            return lost
        if self._left is not None:
            if self._left == 0:
                raise Killed
            self._left -= 1
        at, attempt, worker, config_id, epochs, seconds = heapq.heappop(self._ends)
        self.now = at
        heapq.heappush(self._free, worker)
        self._over[attempt] = (config_id, epochs)
        failed = failure_of(config_id, epochs, self._fail)
        if not failed:
            self._trained[config_id] = epochs
        record = Record(
            True, 4000 + worker, exit_status=1 if failed else 0, finished_at=at, seconds=seconds
        )
        return [Ended(attempt, worker, record)]

    def wake(self) -> None:
        """It waits for nothing but ends."""

    def output(self, ended: Ended) -> Output:
        """What the script printed."""
        if ended.attempt not in self._over:
            return Output(b"", "", "", None)
        config_id, epochs = self._over.pop(ended.attempt)
        if error := failure_of(config_id, epochs, self._fail):
            return Output(b"", "", error, None)
        line = f"{loss_of(config_id, epochs):.6f}"
        return Output(line.encode(), f"training\n{line}\n", "", None)

    def clear(self, ended: Ended) -> None:
        """It keeps no files."""

    def signal(self, attempt: int, number: object) -> None:
        """Nobody stops it."""


class Ids:
    """A sampler that knows all ids beforehand."""

    def __init__(self, configs: int) -> None:
        self._configs = configs

    def take(
        self, pass_: int, used: Callable[[], list[str]], wake: Callable[[], None]
    ) -> Sampled | None:
        """The ids of a pass with their parameters."""
        ids = sampled_ids(pass_, self._configs)
        return Sampled(pass_, tuple(ids), {one: params_of(one) for one in ids})  # type: ignore[misc]


class Unwatched:
    """An observer that looks away."""

    def started(self, running: Running) -> None:
        """Nothing is shown."""

    def ended(self, running: Running, verdict: Verdict) -> None:
        """Nothing is shown."""

    def promoted(self, plan: Plan, closed: Closed) -> None:
        """Nothing is shown."""

    def progressed(self, plan: Plan, busy: int, workers: int) -> None:
        """Nothing is shown."""

    def event(self, name: str, **facts: object) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing was open."""


COMMAND = Command("/home/me/train.py", "0" * 64, ("--model", "made"), "python", "/home/me")


def create(
    connection: Connection, identity: str, terms: Terms, workers: int, now: float = BEGIN
) -> int:
    """Write a search of which nothing has started; its private key."""
    schedule = schedule_of(terms)
    return create_search(
        connection,
        identity,
        terms=terms,
        command=COMMAND,
        resources=Resources(workers=workers, gpus="all"),
        limits=Limits(),
        schedule=schedule,
        summary=summarise_search(Plan(schedule, terms.passes)),
        now=now,
    )


def own(ledger: Ledger, workers: int) -> Facts:
    """Become the driver of a search; its facts."""
    return ledger.own(
        None,
        host="made-up",
        pid=1,
        command=COMMAND,
        resources=Resources(workers=workers, gpus="all"),
        limits=Limits(),
        workers=workers,
        isolated=False,
        command_text=("python /home/me/train.py", " --model made"),
        now=BEGIN,
    )


def make(
    path: Path,
    *,
    identity: str = "model:made",
    max_epochs: int = 81,
    passes: int = 1,
    workers: int = 8,
    fail: float = 0.03,
    stop_after: int | None = None,
    observer: Observer | None = None,
    machine: Machine | None = None,
) -> None:
    """Write a finished search into the file; or one that was killed after so many results.

    If the search is there already, it goes on.
    """
    prepare_for_writing(path)
    terms = Terms(max_epochs, "3", 0, passes, 100.0)
    schedule = schedule_of(terms)
    machine = machine or Machine(workers, fail, stop_after)
    with writable(path, print, busy_seconds=60) as database:
        if identity not in [one.run_identity for one in read_searches(database)]:
            with database.transaction() as connection:
                create(connection, identity, terms, workers)
        search = next(one for one in read_searches(database) if one.run_identity == identity)
        ledger = Ledger(database, search.pk)
        facts = own(ledger, workers)
        driver = Driver(
            search,
            rebuild(schedule, passes, facts),
            ledger=ledger,
            executor=machine,
            sampler=Ids(schedule.configs),
            observer=observer or Unwatched(),
            devices=[Gpu(str(number), "", "", isolated=False) for number in range(workers)],
            tolerances=Tolerances(10.0, 5, 2**31),
            stop=StopRequest(),
            clock=lambda: machine.now,
        )
        with suppress(Killed):
            driver.run(facts)
            ledger.release(machine.now)


def main() -> None:
    """Make one search and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--identity", default="model:made")
    parser.add_argument("--max-epochs", type=int, default=19683)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--fail", type=float, default=0.03)
    parser.add_argument("--stop-after", type=int, help="results after which it is killed")
    options = vars(parser.parse_args())
    begin = time.perf_counter()
    make(options.pop("file"), **options)
    print(f"{time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
