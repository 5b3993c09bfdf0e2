"""How long evaluations take: what every start costs, and every epoch. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

NOISE = 1e-9
"""Rates whose scatter is less than this share of them are all alike, but for rounding."""


class Sums(NamedTuple):
    """What a line through measured evaluations follows from; x is 1 / epochs, y seconds / epochs.

    Epochs are those that an evaluation trained.
    """

    number: int  # of evaluations
    epochs: int
    seconds: float
    x: float
    y: float
    xx: float
    xy: float


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of one worker: what every start costs, and every epoch."""

    start: float
    epoch: float

    def seconds(self, epochs: int, evaluations: int = 1) -> float:
        """How long so many evaluations with so many epochs in all take one worker."""
        return evaluations * self.start + epochs * self.epoch


def sums_of(measured: Iterable[tuple[int, float]]) -> Sums:
    """The sums of (epochs trained, seconds) of evaluations."""
    rows = [
        (1, epochs, seconds, 1 / epochs, seconds / epochs, epochs**-2, seconds * epochs**-2)
        for epochs, seconds in measured
    ]
    return Sums(*map(sum, zip(*rows, strict=True))) if rows else Sums(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)


def line_through(sums: Sums) -> Line | None:
    """The straight line through what was measured; None without any.

    Its height at 0 is what every start costs, so that short evaluations do not make long ones
    look long. By least squares of seconds per epoch: durations scatter in proportion to their
    length, and the few long ones must not decide alone.
    """
    if not sums.number:
        return None
    mean_x, mean_y = sums.x / sums.number, sums.y / sums.number
    spread = sums.xx - mean_x * sums.x
    start = (sums.xy - mean_y * sums.x) / spread if spread > NOISE * sums.xx else 0.0
    epoch = mean_y - start * mean_x
    if start < 0 or epoch <= 0:  # too little seen, or too noisy: all of it is training
        return Line(0.0, sums.seconds / sums.epochs)
    return Line(start, epoch)
