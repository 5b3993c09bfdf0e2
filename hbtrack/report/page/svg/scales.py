"""From values to places on a drawing, and the round numbers to write beside them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles

DECADES = 30
"""Positive values may get a log scale where the largest is so many times the smallest."""

LOGS = 3
"""Below that, a log scale shows nothing that an even one does not."""

TINY, MOST = 1e-300, 1.7e308

MIDDLE = 5
"""Fewer values have no middle that would tell how they are spread."""

FEW = 20
"""Among fewer values none is taken for an outlier."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps low..high to start..end, in the units of a drawing; what lies beyond is clipped."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where the value lies."""
        if self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, TINY))
        else:  # halves, so that nothing overflows at 1e308
            low, high, value = self.low / 2, self.high / 2, value / 2
        if high <= low:
            return (self.start + self.end) / 2
        share = (value - low) / (high - low)
        share = 0.0 if share < 0 else min(share, 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within the scale, about so many."""
        return log_ticks(self.low, self.high, about) if self.log else self._even_ticks(about)

    def _even_ticks(self, about: int) -> list[float]:
        step = round_step((self.high / 2 - self.low / 2) * 2 / max(1, about))
        if not 0 < step < math.inf:
            return [self.low]
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not smaller."""
    if not 0 < least < math.inf:
        return 0.0
    power = 10.0 ** math.floor(math.log10(least))
    return next((times * power for times in (1, 2, 5) if times * power >= least), 10 * power)


def log_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Powers of ten, with 2 and 5 between them where there are few, without some where many."""
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    decades = last - math.ceil(math.log10(low))
    every = max(1, math.ceil((decades + 1) / max(1, about)))
    times = (1,) if decades > 1 else (1, 2, 5)
    powers = range(first if decades < 2 else first + 1, last + 1, every)
    found = [t * 10.0**power for power in powers for t in times]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


@dataclass(frozen=True, slots=True)
class Extent:
    """What part of some values is worth drawing, and how."""

    low: float
    high: float
    log: bool

    def scale(self, start: float, end: float) -> Scale:
        """The scale that draws it from start to end, with a little room at both ends."""
        if self.log:
            room = math.exp(0.04 * (math.log(self.high) - math.log(self.low)))
            low, high = max(self.low / room, TINY), min(self.high * room, MOST)
            return Scale(low, high, start, end, log=True)
        room = (self.high / 2 - self.low / 2) * 0.08
        low, high = self.low - room, self.high + room
        return Scale(max(low, -MOST), min(high, MOST), start, end)


def extent(values: Iterable[float], *, evenly: bool = False) -> Extent:
    """Where the values lie; far outliers are left outside, on a log scale none.

    With `evenly` a log scale has to spread them more evenly, too.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    far_apart = low > TINY and high >= DECADES * low
    if far_apart and (not evenly or _more_even_in_logs(ordered)):
        return Extent(low, high, log=True)
    return _plain(ordered)


def ways(values: Iterable[float]) -> dict[str, Extent]:
    """How the values can be drawn, by name, the better way first; one way where logs are no use."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    plain = {"linear": _plain(ordered)}
    if low <= TINY or high < LOGS * low:
        return plain
    logs = {"log": Extent(low, high, log=True)}
    return logs | plain if extent(ordered).log else plain | logs


def _plain(ordered: Sequence[float]) -> Extent:
    ends = _without_outliers(ordered) if len(ordered) >= FEW else (ordered[0], ordered[-1])
    return Extent(*ends, log=False)


def _more_even_in_logs(ordered: Sequence[float]) -> bool:
    """Whether the middle value is nearer to the middle of the scale when logs are taken."""
    if len(ordered) < MIDDLE:
        return True
    low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    plain, logs = Scale(low, high, 0, 1), Scale(low, high, 0, 1, log=True)
    return abs(logs(middle) - 0.5) <= abs(plain(middle) - 0.5)


def _without_outliers(ordered: Sequence[float]) -> tuple[float, float]:
    tenths = quantiles([value / 4 for value in ordered], n=10)  # no overflow at 1e308
    reach = 5 * (tenths[-1] - tenths[0])
    if reach == 0:
        return ordered[0], ordered[-1]
    inside = [v for v in ordered if tenths[0] - reach <= v / 4 <= tenths[-1] + reach]
    return inside[0], inside[-1]


def number(value: float) -> str:
    """A number in at most four digits."""
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    if "e" not in text:
        return text
    digits, _, power = text.partition("e")
    return f"{digits}e{int(power)}"


def labels(values: Sequence[float]) -> list[str]:
    """The values in as few digits as tell them apart and hit each within 1 % of their distance."""
    gaps = [abs(b - a) for a, b in pairwise(sorted(values))] or [abs(value) for value in values]
    for digits in range(1, 18):
        rounded = [float(f"{value:.{digits}g}") for value in values]
        if all(abs(a - b) <= min(gaps) / 100 for a, b in zip(values, rounded, strict=True)):
            break
    return [_shortest(value, digits) for value in rounded]


def named(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """The values, each with its label."""
    return list(zip(ticks, labels(ticks), strict=True))


def _shortest(value: float, digits: int) -> str:
    plain = number(value) if value == float(f"{value:.4g}") else f"{value:.{digits}g}"
    if len(plain) <= 7 or not value:
        return plain
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return min(plain, f"{mantissa}e{int(power)}", key=len)


TIME_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def time_unit(seconds: float) -> tuple[int, str]:
    """The unit to count so many seconds in."""
    return next((one for one in TIME_UNITS if seconds >= 2 * one[0]), TIME_UNITS[-1])
