"""A search of any size without processes: the real driver, plan and store over a made-up machine.

    python benchmarks/made.py FILE [--max-epochs 19683] [--passes 2] [--workers 8]

Time passes only inside the machine, so that a search of days is written in minutes. Losses fall
with the epochs as those of a training do; some configs fail, each cause with its traceback.
"""

import argparse
import math
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from hbtrack.core.gpu import Gpu
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Resources, Sampled, Terms
from hbtrack.core.schedule import schedule_of
from hbtrack.database.upgrade import prepare_for_writing, writable
from hbtrack.driver.interfaces import Edges, Observer, StopRequest, Tolerances
from hbtrack.driver.loop import Driver
from hbtrack.store.catalogue import chosen_searches, load_search
from hbtrack.store.ledger import Ledger

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # where the machine is made up

import made_up
from in_process import InProcess
from made_search import create, own

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


class Machine(made_up.Machine):
    """A machine whose trainings take their time, fall in loss, and sometimes fail."""

    def __init__(self, fail: float) -> None:
        super().__init__(fail=fail, now=BEGIN, together=0.0)
        self.begun = deque(maxlen=0)  # a million would be remembered

    def seconds(self, config_id: str, epochs: int) -> float:
        """Longer, the more epochs there are to train."""
        increment = epochs - self.trained.get(config_id, 0)
        return 5 + increment * 0.8 * math.exp(0.4 * self.chance.gauss(0, 1))

    def came_to(self, config_id: str, epochs: int) -> tuple[int, str, str]:
        """A loss, or a traceback."""
        if error := failure_of(config_id, epochs, self.fail):
            return 1, "", error
        return 0, f"training\n{loss_of(config_id, epochs):.6f}\n", ""


def dying(results: int | None, hook: made_up.Hook) -> made_up.Hook:
    """The hook, and death as the driver waits for one result more than so many; never if None."""
    left = results

    def before(call: str) -> None:
        nonlocal left
        hook(call)
        if left is not None and call == "wait":
            left -= 1
            if left < 0:
                raise made_up.Killed

    return before


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


class Unwatched(Observer):
    """An observer that looks away."""


def resources_of(workers: int) -> Resources:
    """So many workers, each with its GPU."""
    return Resources(workers=workers, gpus="all")


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
    before: made_up.Hook = lambda _call: None,
) -> None:
    """Write a finished search into the file; or one that was killed after so many results.

    If the search is there already, it goes on.
    """
    prepare_for_writing(path)
    terms = Terms(max_epochs, "3", 0, passes, 100.0)
    schedule, resources = schedule_of(terms), resources_of(workers)
    machine = Machine(fail)
    with writable(path, print, busy_seconds=60) as database:
        with database.transaction() as connection:
            if load_search(connection, identity) is None:
                create(connection, terms, identity=identity, resources=resources, now=BEGIN)
            (search,) = chosen_searches(connection, identity)
        ledger = Ledger(database, search.pk)
        facts = own(ledger, resources=resources, now=BEGIN)
        adopted = made_up.open_slots(search.token, facts)
        edges = Edges(
            InProcess(machine, workers, adopted, dying(stop_after, before)),
            Ids(schedule.configs),
            observer or Unwatched(),
            StopRequest(),
            Tolerances(10.0, 5, 2**31),
            clock=lambda: machine.now,
        )
        gpus = [Gpu(str(number), "", "", isolated=False) for number in range(workers)]
        driver = Driver(search, rebuild(schedule, passes, facts), ledger, edges, gpus)
        with suppress(made_up.Killed):
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
