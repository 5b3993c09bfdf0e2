"""How much of the order of the losses a parameter explains: a number by its rank, words by groups.

Pure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

from hbtrack.report.agreement import ranks, spearman
from hbtrack.report.page.facts import numeric


@dataclass(frozen=True, slots=True)
class Effect:
    """A parameter beside the losses of n configs at one budget.

    `share` is the part of the variance of the losses' ranks that goes with the parameter (for a
    number the square of Spearman's `rho`, for words that between their groups); None where the
    parameter or the loss does not vary. `freedom` is how many groups there are, less one.
    """

    name: str
    epochs: int
    n: int
    low: float | None
    high: float | None
    rho: float | None
    share: float | None
    freedom: int

    @property
    def explains(self) -> float:
        """The share less what as many groups take by chance on average; 0 to 1."""
        left = self.n - 1 - self.freedom
        if self.share is None or left <= 0:
            return 0.0
        return max(0.0, 1 - (1 - self.share) * (self.n - 1) / left)

    def is_beyond_chance(self, several: int) -> bool:
        """Whether the largest of so many is as large by chance once in twenty times at most.

        The test of Kruskal and Wallis, with Bonferroni's correction.
        """
        least = _chi_squared(1 - 0.05 / several, self.freedom)
        return self.explains > 0 and (self.n - 1) * (self.share or 0) > least


def effect(
    name: str, epochs: int, params: Mapping[str, Mapping[str, object]], losses: Mapping[str, float]
) -> Effect:
    """The effect of a parameter on the losses of the configs that have it."""
    having = [one for one in losses if name in params.get(one, {})]
    values, found = [params[one][name] for one in having], [losses[one] for one in having]
    numbers = list(filter(numeric, values))
    if len(numbers) < len(values) or not numbers:
        groups = list(map(str, values))
        share, freedom = _between(groups, ranks(found)), len(set(groups)) - 1
        return Effect(name, epochs, len(values), None, None, None, share, freedom)
    rho = spearman(numbers, found)
    share = None if rho is None else rho**2
    return Effect(name, epochs, len(values), min(numbers), max(numbers), rho, share, 1)


def _between(groups: Sequence[str], values: Sequence[float]) -> float | None:
    """The share of the variance that is between groups."""
    members: dict[str, list[float]] = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        members[group].append(value)
    middle = fmean(values) if values else 0.0
    whole = sum((value - middle) ** 2 for value in values)
    if len(members) < 2 or not whole:
        return None
    return sum(len(some) * (fmean(some) - middle) ** 2 for some in members.values()) / whole


def _chi_squared(share: float, freedom: int) -> float:
    """The value below which that share of the distribution lies (Wilson and Hilferty)."""
    spread = 2 / (9 * max(1, freedom))
    return freedom * (1 - spread + NormalDist().inv_cdf(share) * sqrt(spread)) ** 3


def effects(
    names: Sequence[str],
    epochs: int,
    params: Mapping[str, Mapping[str, object]],
    losses: Mapping[str, float],
) -> list[Effect]:
    """The effect of each parameter on these losses, all of that budget; the largest first."""
    found = (effect(name, epochs, params, losses) for name in names)
    return sorted(found, key=lambda one: -one.explains)
