"""Is the number a loss: one that gets worse with training in nearly every config may be none."""

from collections.abc import Iterable
from typing import NamedTuple

from hbtrack.report.snapshot import Result

FEWEST = 8
"""Fewer promotions say nothing: a loss may rise now and then."""

NEARLY_ALL = 0.9


class Direction(NamedTuple):
    """In how many promotions the number got worse with the epochs, of how many that changed it."""

    worse: int
    of: int
    maximize: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody would expect that of a loss, or of what is maximised."""
        return self.of >= FEWEST and self.worse >= NEARLY_ALL * self.of

    @property
    def sentence(self) -> str:
        """What is said of it."""
        often = f"in {self.worse:,} of {self.of:,} promotions"
        if self.maximize:
            return (
                f"The number fell with training {often}: is it a loss? It is maximised, so the "
                "config that learns worst would be the best. Search it in another database without "
                "--maximize."
            )
        return (
            f"The number rose with training {often}: is it a loss? It is minimised, so the config "
            "that learns worst would be the best. Search an accuracy in another database with "
            "--maximize, or print 1 - accuracy."
        )


def direction(results: Iterable[Result], *, maximize: bool) -> Direction:
    """How the number of configs went on from each rung to the next."""
    objectives = {
        (one.pass_, one.bracket, one.slot, one.rung): one.objective
        for one in results
        if one.status == "done" and one.objective is not None
    }
    steps = [
        now - below
        for (pass_, bracket, slot, rung), now in objectives.items()
        if (below := objectives.get((pass_, bracket, slot, rung - 1))) is not None and now != below
    ]
    return Direction(sum(step > 0 for step in steps), len(steps), maximize)
