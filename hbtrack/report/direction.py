"""Is what is minimised a loss: one that rises with training in nearly every config may be none."""

from collections.abc import Iterable
from typing import NamedTuple

from hbtrack.report.snapshot import Result

FEWEST = 8
"""Fewer promotions say nothing: a loss may rise now and then."""

NEARLY_ALL = 0.9


class Direction(NamedTuple):
    """In how many promotions the number rose with the epochs, of how many in which it changed."""

    rose: int
    of: int

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody would expect that of a loss."""
        return self.of >= FEWEST and self.rose >= NEARLY_ALL * self.of

    @property
    def sentence(self) -> str:
        """What is said of it."""
        return (
            f"The number rose with training in {self.rose:,} of {self.of:,} promotions: is it a "
            "loss? It is minimised, so the config that learns worst would be the best. Instead "
            "of an accuracy print 1 - accuracy."
        )


def direction(results: Iterable[Result]) -> Direction:
    """How the number of configs went on from each rung to the next."""
    losses = {
        (one.pass_, one.bracket, one.slot, one.rung): one.loss
        for one in results
        if one.status == "done" and one.loss is not None
    }
    steps = [
        loss - below
        for (pass_, bracket, slot, rung), loss in losses.items()
        if (below := losses.get((pass_, bracket, slot, rung - 1))) is not None and loss != below
    ]
    return Direction(sum(step > 0 for step in steps), len(steps))
