"""What a plan knows of a rung, and of a config."""

from bisect import bisect_left
from dataclasses import dataclass, field

from hbtrack.core.consequences import Closed
from hbtrack.core.records import Objective, Place, SlotKey

NOWHERE = Place(2**62, 0, 0, 0)
"""Stands for the place of an orphan: after every real one in canonical order."""


@dataclass(slots=True)
class RungState:
    """A rung as far as it is known. `expected` shrinks when failures below leave fewer configs."""

    epochs: int
    increment: int
    expected: int
    members: dict[int, str] = field(default_factory=dict)  # slot -> config_id
    objectives: dict[int, Objective] = field(default_factory=dict)  # slot -> of settled places
    failed: int = 0
    best_objective: Objective = None
    closed: Closed | None = None

    @property
    def done(self) -> int:
        """Places that have an objective."""
        return len(self.objectives) - self.failed

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen here: settled, or never to be entered."""
        return self.closed is not None or self.expected == 0


@dataclass(slots=True)
class ConfigState:
    """One config_id: what is recorded of it and which slots it stands in.

    A search may have a million of them: most stand in one slot and come to a result or two.
    """

    slots: list[SlotKey]  # canonical order
    budgets: tuple[int, ...] = ()  # recorded, ascending
    objectives: tuple[Objective, ...] = ()  # of those budgets
    live: int = 0  # the first slot that has not come to its end
    begun: int = 0  # the largest budget it was started for: so much may lie in its checkpoint
    # Budget -> first place that took it, and the later slots that have come to their end: where
    # there are several slots.
    owners: dict[int, Place] | None = None
    ended: set[SlotKey] | None = None

    def has_result_for(self, epochs: int) -> bool:
        """Whether a budget is recorded that is not below `epochs`."""
        return bool(self.budgets) and self.budgets[-1] >= epochs

    def source_for(self, epochs: int) -> int:
        """The recorded budget whose result a place with `epochs` takes; there must be one."""
        return self.budgets[bisect_left(self.budgets, epochs)]
