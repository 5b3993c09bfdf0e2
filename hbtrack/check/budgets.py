"""For how many epochs a script is tried: a few, or as many as a search of its own would ask for."""

from dataclasses import dataclass

from hbtrack.core.records import Terms
from hbtrack.core.schedule import schedule_of

AFFORDABLE = 60.0
"""Seconds of a run, above which no larger budget of the search is tried."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """`first`, then `second`, and in turn those of `ladder` that are affordable, if there are any.

    `most` is what the script is told to be the largest budget of the search.
    """

    most: int
    first: int = 1
    second: int = 2
    ladder: tuple[int, ...] = ()

    def affordable(self, epoch: float) -> tuple[int, ...]:
        """The first steps of the ladder, as far as no run takes long; `epoch` in seconds."""
        return tuple(epochs for epochs in self.ladder if epochs * epoch <= AFFORDABLE)


def budgets_of(terms: Terms) -> Budgets:
    """Those of a search. Where these are one or two, 1 and 2 are tried as well."""
    schedule = schedule_of(terms)
    steps = {rung.epochs for bracket in schedule.brackets for rung in bracket.rungs}
    first, second, *ladder = sorted(steps if len(steps) > 2 else steps | {1, 2})
    return Budgets(max(terms.max_epochs, 3), first, second, tuple(ladder))
