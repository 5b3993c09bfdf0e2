"""What some configs share that the others do not: pure.

A trait is a value that a parameter has, or a range that it lies in. One is told only if nearly all
of the configs have it, few others do, and that is hardly a coincidence.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb

Value = str | int | float | bytes | None
Params = Mapping[str, Value]
"""The parameters of a config, by name."""

LEAST = 3
"""So many configs at least: two share something by chance alone."""

SHARE = 0.9
"""So many of the configs must have the trait,"""

OTHERS = 0.5
"""and at most so many of the others."""

CHANCE = 0.01
"""How likely the coincidence may be, all parameters taken together."""

VALUE_LENGTH = 60
"""Characters shown of a text value."""


@dataclass(frozen=True, slots=True)
class Trait:
    """A sentence about configs, and how many have it of these and of the others (0 to 1)."""

    text: str
    count: int
    of: int
    others: float
    freedom: int = 1  # out of how many such traits it was chosen; a range has two ends

    def __str__(self) -> str:
        share = "none" if self.others == 0 else f"{max(1, round(self.others * 100))} %"
        who = f"all {self.of}" if self.count == self.of else f"{self.count} of {self.of}"
        return f"{self.text} ({who}; {share} of the others)"

    def chance(self, others: int) -> float:
        """How likely it is that so many have the trait by coincidence; `others` were looked at."""
        # Nobody is sure of a share that was seen in a few only.
        share = (self.others * others + 1) / (others + 2)
        chance = sum(
            comb(self.of, k) * share**k * (1 - share) ** (self.of - k)
            for k in range(self.count, self.of + 1)
        )
        return min(1.0, self.freedom * chance)


def in_common(configs: Sequence[Params], others: Sequence[Params], most: int = 3) -> list[str]:
    """The traits of `configs` that few of the `others` have, as sentences; the most telling first.

    Nothing where there are fewer than LEAST configs or no others.
    """
    if len(configs) < LEAST or not others:
        return []
    names = list(dict.fromkeys(name for config in configs for name in config))
    found = []
    for name in names:
        traits = [trait for trait in _traits(name, configs, others) if _tells(trait)]
        if traits:
            best = min(traits, key=lambda trait: trait.chance(len(others)))
            found.append((best.chance(len(others)) * len(names), best.others, str(best)))
    return [text for chance, _, text in sorted(found) if chance < CHANCE][:most]


def _tells(trait: Trait) -> bool:
    """Whether nearly all have the trait; of a few, one may lack it only from ten on."""
    return trait.count >= SHARE * trait.of and trait.others <= OTHERS


def _traits(name: str, configs: Sequence[Params], others: Sequence[Params]) -> Iterator[Trait]:
    ours = [config[name] for config in configs if config.get(name) is not None]
    theirs = [config[name] for config in others if config.get(name) is not None]
    if not ours:
        return

    def trait(text: str, has: Callable[[Value], bool], freedom: int = 1) -> Trait:
        count, rest = sum(map(has, ours)), sum(map(has, theirs))
        return Trait(f"{name} {text}", count, len(configs), rest / len(others), freedom)

    ((value, _),) = Counter(ours).most_common(1)
    yield trait(f"= {_shown(value)}", lambda one: one == value)
    numbers = [one for one in ours if isinstance(one, int | float)]
    if len(set(numbers)) > 1:
        yield from _ranges(numbers, trait)


def _ranges(numbers: Sequence[int | float], trait: Callable[..., Trait]) -> Iterator[Trait]:
    low, high = min(numbers), max(numbers)

    def between(value: Value, least: float, most: float) -> bool:
        return isinstance(value, int | float) and least <= value <= most

    infinite = float("inf")
    yield trait(f">= {_shown(low)}", lambda one: between(one, low, infinite), 2)
    yield trait(f"<= {_shown(high)}", lambda one: between(one, -infinite, high), 2)
    ends = f"from {_shown(low)} to {_shown(high)}"
    yield trait(ends, lambda one: between(one, low, high), len(numbers))


def _shown(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= VALUE_LENGTH else text[: VALUE_LENGTH - 1] + "\u2026"
