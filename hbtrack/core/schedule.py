"""Hyperband's schedule in whole numbers: which brackets, how many configs, for how many epochs.

Algorithm 1 of Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization", JMLR 18 (2018), with budgets floored to whole epochs. Table 1 of the paper prints
81/27/9/6/5 configs for R=81, eta=3, which does not follow from its Algorithm 1; this module gives
81/34/15/8/5, which does. No floating point: floor(log(243) / log(3)) is 4 in floats, not 5.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from hbtrack.core.records import Terms
from hbtrack.errors import UsageError

MAX_EPOCHS_LIMIT = 10**9
"""Above this a typing mistake is likelier than a search."""


@dataclass(frozen=True, slots=True)
class Rung:
    """`configs` configs, each trained for `epochs` epochs in total."""

    epochs: int
    configs: int


@dataclass(frozen=True, slots=True)
class Bracket:
    """One successive halving."""

    rungs: tuple[Rung, ...]

    @property
    def s(self) -> int:
        """The paper's number of the bracket; the largest is the most aggressive."""
        return len(self.rungs) - 1

    @property
    def first_epochs(self) -> int:
        """The cheapest budget, by which a bracket is known even when max_epochs grows."""
        return self.rungs[0].epochs

    @property
    def configs(self) -> int:
        """How many configs enter the bracket."""
        return self.rungs[0].configs

    def increments(self) -> list[int]:
        """Epochs that a config trains to reach each rung from the one below, with checkpoints."""
        budgets = [0, *(rung.epochs for rung in self.rungs)]
        return [above - below for below, above in pairwise(budgets)]


@dataclass(frozen=True, slots=True)
class Schedule:
    """All brackets of one pass, the largest s first."""

    max_epochs: int
    eta: Fraction
    brackets: tuple[Bracket, ...]
    min_epochs: int = 1

    def bracket(self, first_epochs: int) -> Bracket:
        """The bracket with this first budget."""
        return next(one for one in self.brackets if one.first_epochs == first_epochs)

    @property
    def configs(self) -> int:
        """Configs sampled in one pass."""
        return sum(bracket.configs for bracket in self.brackets)

    @property
    def evaluations(self) -> int:
        """Places in one pass when nothing fails."""
        return sum(rung.configs for bracket in self.brackets for rung in bracket.rungs)

    @property
    def epochs(self) -> int:
        """Epochs trained in one pass when every config goes on from its checkpoint."""
        return sum(
            rung.configs * increment
            for bracket in self.brackets
            for rung, increment in zip(bracket.rungs, bracket.increments(), strict=True)
        )

    @property
    def epochs_without_checkpoints(self) -> int:
        """Epochs trained in one pass when every evaluation starts from nothing."""
        return sum(rung.configs * rung.epochs for b in self.brackets for rung in b.rungs)


def make_schedule(max_epochs: int, eta: Fraction, min_epochs: int = 1) -> Schedule:
    """The brackets of Algorithm 1 for max_epochs (the paper's R), eta and min_epochs (its r).

    The paper's Section 3 lets r be the smallest budget that means anything: then s_max is the
    largest s with r * eta^s <= R, and all else is as Algorithm 1 says.

    Raises UsageError when max_epochs is not in 1..10**9, min_epochs not in 1..max_epochs or eta is
    below 2.
    """
    if not 1 <= max_epochs <= MAX_EPOCHS_LIMIT:
        raise UsageError(
            f"max_epochs must be a whole number from 1 to {MAX_EPOCHS_LIMIT}, not {max_epochs}.",
            see="bad-schedule",
        )
    if eta < 2:
        raise UsageError(
            f"eta must be at least 2, not {format_eta(eta)}; 3 is the usual choice.",
            see="bad-schedule",
        )
    if not 1 <= min_epochs <= max_epochs:
        raise UsageError(
            f"min_epochs must be a whole number from 1 to max_epochs ({max_epochs}), not "
            f"{min_epochs}.",
            see="bad-schedule",
        )
    s_max = 0
    while min_epochs * eta ** (s_max + 1) <= max_epochs:
        s_max += 1
    brackets = tuple(_bracket(max_epochs, eta, s, s_max) for s in range(s_max, -1, -1))
    return Schedule(max_epochs, eta, brackets, min_epochs)


def grown(schedule: Schedule, max_epochs: int) -> Schedule:
    """The schedule for a larger max_epochs that has all rungs of this one, none of them smaller.

    So it is for max_epochs times a whole power of eta: each bracket keeps its first budget, and
    with it its slots, and its rungs keep theirs; UsageError for any other.
    """
    fitting = [schedule.max_epochs]
    while (larger := fitting[-1] * schedule.eta).denominator == 1 and larger <= MAX_EPOCHS_LIMIT:
        fitting.append(int(larger))
    if max_epochs in fitting:
        return make_schedule(max_epochs, schedule.eta, schedule.min_epochs)
    steps = ", ".join(map(str, fitting[1:4])) + (", ..." if len(fitting) > 4 else "")
    eta = format_eta(schedule.eta)
    raise UsageError(
        f"max_epochs grows from {schedule.max_epochs} by whole powers of eta ({eta}), so that all "
        f"that was measured can be used again, not to {max_epochs}: "
        + (f"choose one of {steps}" if steps else "no larger one is a whole number in range."),
        see="cannot-grow",
    )


def from_next_budget(schedule: Schedule) -> Schedule | None:
    """The schedule without the cheapest budget of this one; None where there is but one."""
    if len(schedule.brackets) == 1:
        return None
    min_epochs = schedule.brackets[1].first_epochs
    return make_schedule(schedule.max_epochs, schedule.eta, min_epochs)


def schedule_of(terms: Terms) -> Schedule:
    """The schedule of a search with these terms."""
    return make_schedule(terms.max_epochs, parse_eta(terms.eta), terms.min_epochs)


def _bracket(max_epochs: int, eta: Fraction, s: int, s_max: int) -> Bracket:
    configs = math.ceil((s_max + 1) * eta**s / (s + 1))  # n, with B = (s_max + 1) R
    return Bracket(
        tuple(
            Rung(
                epochs=math.floor(max_epochs / eta ** (s - i)),
                configs=math.floor(configs / eta**i),
            )
            for i in range(s + 1)
        )
    )


def parse_eta(text: str) -> Fraction:
    """The exact value of eta as typed: a whole or decimal number such as 3 or 2.5."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        raise UsageError(
            f"eta must be a number such as 3 or 2.5, not {text!r}.", see="bad-schedule"
        )
    return Fraction(text)


def format_eta(eta: Fraction) -> str:
    """The shortest decimal text of an eta that parse_eta gave: 3, 2.5."""
    whole, rest = divmod(eta, 1)
    return f"{whole}" if rest == 0 else f"{whole}.{f'{float(rest):.9f}'[2:].rstrip('0')}"
