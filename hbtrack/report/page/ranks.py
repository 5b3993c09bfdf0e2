"""What follows from the results: ranks, late risers, edges, idle shares. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from hbtrack.report.page.facts import Result

EDGE_SHARE = 0.02
"""A value is at the edge when less than that share of the sampled ones lies beyond it."""
EDGE_CONFIGS = 10
"""With fewer configs nothing is said of edges."""


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, from 1; equal ones share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for index in order[first : last + 1]:
            found[index] = (first + last) / 2 + 1
        first = last + 1
    return found


def spearman(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Spearman's rank correlation, -1 to 1; None where one of the two does not vary."""
    if len(before) < 2:
        return None
    x, y = ranks(before), ranks(after)
    middle = (len(x) + 1) / 2
    spread = sqrt(sum((a - middle) ** 2 for a in x) * sum((b - middle) ** 2 for b in y))
    if not spread:
        return None
    return sum((a - middle) * (b - middle) for a, b in zip(x, y, strict=True)) / spread


@dataclass(frozen=True, slots=True)
class Move:
    """A promoted config's rank among the promoted, at its rung and at the next; from 1.

    Equal losses share the mean of their ranks.
    """

    config_id: str
    before: float
    after: float
    of: int

    @property
    def rose_late(self) -> bool:
        """Whether it rose by half the field or more, as `hbtrack sql @late-risers` counts it."""
        return self.of > 2 and (self.before - self.after) * 2 >= self.of


@dataclass(frozen=True, slots=True)
class Transition:
    """From one rung of a bracket to the next, over all passes."""

    bracket: int
    rung: int
    epochs: int
    next_epochs: int
    moves: tuple[Move, ...]
    rho: float | None

    @property
    def n(self) -> int:
        """How many configs were measured at both rungs."""
        return len(self.moves)


def transitions(results: Iterable[Result]) -> list[Transition]:
    """Rank against rank, where at least two promoted configs have a loss at both rungs."""
    rungs: dict[tuple[int, int, int], dict[int, Result]] = defaultdict(dict)
    for one in results:
        if one.status == "done":
            rungs[one.pass_, one.bracket, one.rung][one.slot] = one
    moves: dict[tuple[int, int], list[Move]] = defaultdict(list)
    epochs: dict[tuple[int, int], tuple[int, int]] = {}
    for (pass_, bracket, rung), here in rungs.items():
        there = rungs.get((pass_, bracket, rung + 1), {})
        slots = [slot for slot, one in here.items() if one.promoted and slot in there]
        if len(slots) >= 2:
            moves[bracket, rung] += _moves(slots, here, there)
            epochs[bracket, rung] = here[slots[0]].epochs, there[slots[0]].epochs
    return [_transition(*key, *epochs[key], moves[key]) for key in sorted(moves, key=_first)]


def _first(key: tuple[int, int]) -> tuple[int, int]:
    return -key[0], key[1]


def _moves(
    slots: Sequence[int], here: Mapping[int, Result], there: Mapping[int, Result]
) -> list[Move]:
    before, after = (
        dict(zip(slots, ranks([rung[slot].loss for slot in slots]), strict=True))
        for rung in (here, there)
    )
    return [Move(here[slot].config_id, before[slot], after[slot], len(slots)) for slot in slots]


def _transition(bracket: int, rung: int, epochs: int, later: int, moves: list[Move]) -> Transition:
    # Passes may promote differently many: ranks are compared as shares of their own pass.
    before = [(move.before - 0.5) / move.of for move in moves]
    after = [(move.after - 0.5) / move.of for move in moves]
    return Transition(bracket, rung, epochs, later, tuple(moves), spearman(before, after))


def comparable(found: Iterable[Transition]) -> list[Transition]:
    """Those that say something: at least three configs, whose losses differ at both rungs."""
    return [one for one in found if one.rho is not None and one.n >= 3]


def agreement(found: Sequence[Transition]) -> tuple[float, int]:
    """The mean Spearman of comparable transitions weighted by their n, and the sum of n."""
    n = sum(one.n for one in found)
    return sum(one.n * (one.rho or 0) for one in found) / n, n


def numeric(value: object) -> bool:
    """Whether a parameter's value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


@dataclass(frozen=True, slots=True)
class Edge:
    """A numeric parameter of the best config that lies at the edge of what was sampled."""

    name: str
    value: float
    side: str  # smallest or largest
    low: float
    high: float


def edges(best: Mapping[str, object], sampled: Iterable[Mapping[str, object]]) -> list[Edge]:
    """The parameters of the best config with almost no sampled value beyond them."""
    columns: dict[str, list[float]] = defaultdict(list)
    for params in sampled:
        for name, value in params.items():
            if numeric(value):
                columns[name].append(value)  # type: ignore[arg-type]
    found = (_edge(name, value, columns[name]) for name, value in best.items() if numeric(value))
    return [edge for edge in found if edge]


def _edge(name: str, value: object, values: Sequence[float]) -> Edge | None:
    if len(values) < EDGE_CONFIGS or len(set(values)) < 3 or not isinstance(value, int | float):
        return None
    least = EDGE_SHARE * len(values)
    if sum(other < value for other in values) < least:
        return Edge(name, value, "smallest", min(values), max(values))
    if sum(other > value for other in values) < least:
        return Edge(name, value, "largest", min(values), max(values))
    return None


Span = tuple[float, float]


def united(spans: Iterable[Span]) -> list[Span]:
    """The same time as spans that do not overlap, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def overlap(one: Sequence[Span], other: Sequence[Span]) -> float:
    """Seconds that lie in both; each of them as `united` gives it."""
    total, i, j = 0.0, 0, 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        total += max(0.0, end - start)
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total


def idle_share(busy: Iterable[Span], alive: Iterable[Span]) -> float | None:
    """The share of the time an hbtrack was alive in which nothing ran; None if it never was."""
    lived = united(alive)
    whole = sum(end - start for start, end in lived)
    return 1 - overlap(united(busy), lived) / whole if whole > 0 else None
