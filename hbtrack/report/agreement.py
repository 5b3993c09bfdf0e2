"""Was early stopping right: how far ranks at a rung and at the next agree."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, starmap
from math import sqrt

from hbtrack.report.snapshot import Result, tuples

GOOD, FAIR = 0.7, 0.4
"""From so much agreement on, small budgets tell good configs from bad ones; or tell something."""

FEW = 30
"""Fewer configs give a hint only."""

COMPARED = 5_000
"""Of a search with more evaluations, so many are compared, more or less: of each k-th slot."""

_COMPARED = """
SELECT pass, bracket, rung, slot, config_id, epochs, status, loss, promoted, objective
FROM results WHERE run_identity = :identity AND status = 'done' AND (promoted = 1 OR rung > 0)
    AND slot % (SELECT 1 + (evaluations_done + evaluations_failed) / :compared
        FROM searches WHERE run_identity = :identity) = 0"""


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value, from 1; equal ones share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    before = 0
    for _, equal in groupby(order, key=values.__getitem__):
        places = list(equal)
        for place in places:
            found[place] = before + (len(places) + 1) / 2
        before += len(places)
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
    ordered = sorted(moves, key=lambda step: (-step[0], step[1]))
    return [_transition(*step, *epochs[step], moves[step]) for step in ordered]


def _moves(
    slots: Sequence[int], here: Mapping[int, Result], there: Mapping[int, Result]
) -> list[Move]:
    before, after = (ranks([rung[slot].objective for slot in slots]) for rung in (here, there))
    ids = (here[slot].config_id for slot in slots)
    return [Move(*move, len(slots)) for move in zip(ids, before, after, strict=True)]


def _transition(bracket: int, rung: int, epochs: int, later: int, moves: list[Move]) -> Transition:
    # Passes may promote differently many: ranks are compared as shares of their own pass.
    before = [(move.before - 0.5) / move.of for move in moves]
    after = [(move.after - 0.5) / move.of for move in moves]
    return Transition(bracket, rung, epochs, later, tuple(moves), spearman(before, after))


def comparable(found: Iterable[Transition]) -> list[Transition]:
    """Those that say something: at least three configs, whose losses differ at both rungs."""
    return [one for one in found if one.rho is not None and one.n >= 3]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Spearman's correlation of the ranks, the mean of all steps from a rung to the next."""

    rho: float  # -1 to 1
    n: int  # promoted configs that were compared: they have a loss at the next rung, too

    def __str__(self) -> str:
        verdict = "doubtful: rungs rank differently"
        if self.rho >= FAIR:
            verdict = "mostly: rungs rank somewhat alike"
        if self.rho >= GOOD:
            verdict = "yes: rungs rank alike"
        few = ", a hint only" if self.n < FEW else ""
        return f"{verdict}, rho {self.rho:.2f} (n = {self.n}{few})"


def mean_agreement(known: Sequence[Transition]) -> Agreement:
    """The mean of comparable transitions, one at least, weighted by their n."""
    n = sum(one.n for one in known)
    return Agreement(sum(one.n * (one.rho or 0) for one in known) / n, n)


def compared(connection: sqlite3.Connection, identity: str) -> list[Result]:
    """The places of a search that went on from a rung to the next, some of very many."""
    return list(
        starmap(Result, tuples(connection, _COMPARED, identity=identity, compared=COMPARED))
    )


def agreement(results: Iterable[Result]) -> Agreement | None:
    """How far ranks agree; None where too few configs were measured again."""
    known = comparable(transitions(results))
    return mean_agreement(known) if known else None
