"""Run a plan without running anything: what a schedule costs with so many workers."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hbtrack.core import known
from hbtrack.core.decisions import OpenPass, Start
from hbtrack.core.plan import Plan
from hbtrack.core.records import Objective, Place


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
    objective: Callable[[str, int], Objective],
    duration: Callable[[Start, int], float],
    remaining: Callable[[Start, int], float] | None = None,
) -> Simulation:
    """Live through the rest of `plan` with `workers` workers.

    `sample(pass)` gives the ids of a pass, `objective(config_id, epochs)` the results and
    `duration(start, trained)` how long an evaluation takes whose checkpoint has `trained` epochs.
    `remaining` says the same of what runs already; without it, that begins only now.
    """
    now, busy = 0.0, 0.0
    running: list[tuple[float, Place, Start]] = []
    trained = {
        config_id: epochs for config_id, epochs, _ in known.recorded(plan)
    }  # the last is most
    calls: list[Start] = []
    for place in sorted(plan.running):
        start = plan.start_of(place)
        seconds = (remaining or duration)(start, trained.get(start.config_id, 0))
        busy += seconds
        heapq.heappush(running, (seconds, place, start))
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
            plan.record(ended.config_id, ended.epochs, objective(ended.config_id, ended.epochs))
        else:
            return Simulation(now, busy / (now * workers) if now else 1.0, tuple(calls))


def distinct_ids(pass_: int, configs: int) -> Iterable[str]:
    """Ids that never repeat, for simulations that need no sampler."""
    return (f"{pass_}.{number}" for number in range(configs))
