"""How far a check is, and how long it still takes: pure, from the runs so far.

An estimate: so many runs are still to come, each as long as those for as many epochs usually took.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from hbtrack.check.budgets import Budgets
from hbtrack.check.finding import POINTS

ONE, TWO, MANY = 1, 2, 0
PLANNED = {
    "call": (ONE,),
    "resume": (TWO, TWO, TWO, MANY, MANY),
    "separate": (MANY, MANY, TWO),
    "at_once": (MANY, MANY),
    "bad_id": (ONE,),
    "sigterm": (MANY, MANY),
    "sigkill": (MANY, MANY),
    "half_written": (TWO,),
    "other_search": (ONE, ONE),
}
"""What is tried in which order, and the runs that it usually takes, each by its epochs."""
PLANNED_QUICKLY = {"call": (ONE,), "resume": (TWO, TWO, TWO), "separate": (ONE,)}


class Progress(NamedTuple):
    """Where a check is."""

    name: str  # of the check that is tried
    number: int  # its place among all
    of: int
    starts: int  # of the script so far, its imports not counted
    epochs: int  # the most that it was called with and gave a loss
    seconds_left: float | None  # as long as nothing is known: None


@dataclass(slots=True)
class Outlook:
    """What is tried now, which runs took how long, and which are still to come."""

    planned: Mapping[str, Sequence[int]]  # by check: of the runs that it takes, the epochs
    long: int = 0  # the epochs of a run that is planned for 0, as soon as that is known
    starts: int = 0
    epochs: int = 0
    _name: str = next(iter(POINTS))
    _ahead: Counter[int] = field(default_factory=Counter)  # runs of this check, by epochs
    _taken: dict[int, list[float]] = field(default_factory=dict)  # seconds, by epochs

    def begin(self, name: str) -> None:
        """This check is tried from now on."""
        self._name = name
        self._ahead = Counter(self._known(self.planned.get(name, ())))

    def expect(self, epochs: int, runs: int) -> None:
        """So many runs are still to come in this check, more or fewer than was planned."""
        self._ahead[epochs] = runs

    def leave_out(self, names: Collection[str]) -> None:
        """These are not tried after all."""
        self.planned = {name: runs for name, runs in self.planned.items() if name not in names}

    def ran(self, epochs: int, seconds: float, *, to_its_end: bool, done: bool) -> None:
        """A run is over; of one that was ended early, its time tells nothing."""
        self.starts += 1
        self._ahead = self._ahead - Counter({epochs: 1})
        if to_its_end:
            self._taken.setdefault(epochs, []).append(seconds)
        if done:
            self.epochs = max(self.epochs, epochs)

    def progress(self) -> Progress:
        """Where the check is now."""
        names = list(POINTS)
        at = names.index(self._name)
        later = [epochs for name in names[at + 1 :] for epochs in self.planned.get(name, ())]
        left = seconds_for([*self._ahead.elements(), *self._known(later)], self._taken)
        return Progress(self._name, at + 1, len(names), self.starts, self.epochs, left)

    def _known(self, planned: Sequence[int]) -> list[int]:
        usual = max(self.long, 3)
        return [epochs or usual for epochs in planned]


def seconds_for(ahead: Sequence[int], taken: Mapping[int, Sequence[float]]) -> float | None:
    """How long runs for these numbers of epochs take, one after the other; None if nothing tells.

    `taken` has the seconds of earlier runs by their epochs. Between them, and beyond, a run takes
    what a straight line through the two nearest says, but no less than a shorter one.
    """
    if not taken:
        return None
    known = sorted((epochs, median(seconds)) for epochs, seconds in taken.items())
    return sum(runs * _of_one(epochs, known) for epochs, runs in Counter(ahead).items())


def _of_one(epochs: int, known: Sequence[tuple[int, float]]) -> float:
    """The seconds of a run, from those of runs for other numbers of epochs, in their order."""
    shorter = [seconds for other, seconds in known if other <= epochs] or [0.0]
    if epochs in dict(known) or len(known) == 1:
        return dict(known).get(epochs, known[0][1])
    pairs = list(pairwise(known))
    (one, of_one), (other, of_other) = next(
        (pair for pair in pairs if epochs < pair[1][0]), pairs[-1]
    )
    straight = of_one + (of_other - of_one) * (epochs - one) / (other - one)
    return max(straight, *shorter) if len(shorter) > 1 else max(straight, shorter[0])


def planned(budgets: Budgets, *, quick: bool) -> dict[str, list[int]]:
    """The epochs of the runs that each check usually takes; 0 for many, yet to be found."""
    epochs = {ONE: budgets.first, TWO: budgets.second, MANY: 0}
    runs = PLANNED_QUICKLY if quick else PLANNED
    return {name: [epochs[one] for one in ones] for name, ones in runs.items()}
