"""Run a plan without running anything: what a schedule costs with so many workers."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hbtrack.plan import OpenPass, Plan, Start
from hbtrack.records import Loss, Place


@dataclass(frozen=True, slots=True)
class Simulation:
    """How long it took (in the unit of `duration`) and how busy the workers were (0 to 1)."""

    makespan: float
    utilisation: float
    calls: tuple[Start, ...]


def simulate(
    plan: Plan,
    workers: int,
    *,
    sample: Callable[[int], Sequence[str]],
    loss: Callable[[str, int], Loss],
    duration: Callable[[Start, int], float],
) -> Simulation:
    """Live through the rest of `plan` with `workers` workers.

    `sample(pass)` gives the ids of a pass, `loss(config_id, epochs)` the results and
    `duration(start, trained)` how long an evaluation takes whose checkpoint has `trained` epochs.
    """
    now, busy = 0.0, 0.0
    running: list[tuple[float, Place, Start]] = []
    trained: dict[str, int] = {}
    calls: list[Start] = []
    while True:
        decision = plan.next()
        if isinstance(decision, OpenPass) and len(running) < workers:
            plan.open_pass(decision.pass_, sample(decision.pass_))
        elif isinstance(decision, Start) and len(running) < workers:
            plan.start(decision.place)
            calls.append(decision)
            seconds = duration(decision, trained.get(decision.config_id, 0))
            busy += seconds
            heapq.heappush(running, (now + seconds, decision.place, decision))
        elif running:
            now, _, ended = heapq.heappop(running)
            trained[ended.config_id] = ended.epochs
            plan.record(ended.config_id, ended.epochs, loss(ended.config_id, ended.epochs))
        else:
            return Simulation(now, busy / (now * workers) if now else 1.0, tuple(calls))


def distinct_ids(pass_: int, configs: int) -> Iterable[str]:
    """Ids that never repeat, for simulations that need no sampler."""
    return (f"{pass_}.{number}" for number in range(configs))
