"""What follows from a fact, and the summaries that it changes: what the store writes with it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hbtrack.core.records import BracketStatus, Objective, Place, RungKey, rung_of


class Entered(NamedTuple):
    """A config has a place in a rung."""

    place: Place
    config_id: str


class Settled(NamedTuple):
    """A place has a result: that of its config at `source_epochs`, its budget or one above.

    `reused` unless the script was called for this very place.
    """

    place: Place
    config_id: str
    source_epochs: int
    reused: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """A rung is settled; these slots go on."""

    rung: RungKey
    promoted: tuple[int, ...]
    cutoff_objective: Objective


@dataclass(frozen=True, slots=True)
class Improved:
    """An evaluation has a smaller objective than all recorded before."""

    config_id: str
    epochs: int
    objective: float
    epochs_spent: int


@dataclass(slots=True)
class Consequences:
    """What follows from one fact, for the store to write with it."""

    entered: list[Entered] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    improved: list[Improved] = field(default_factory=list)

    def rungs(self) -> set[RungKey]:
        """The rungs whose progress changed."""
        entered = {rung_of(entered.place) for entered in self.entered}
        settled = {rung_of(settled.place) for settled in self.settled}
        return entered | settled | {closed.rung for closed in self.closed}


# --- summaries, which the views show -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RungSummary:
    """A rung as it is planned, and how far it is."""

    key: RungKey
    epochs: int
    configs_planned: int
    configs_entered: int
    done: int
    failed: int
    promoted: int | None
    best_objective: Objective
    cutoff_objective: Objective


@dataclass(frozen=True, slots=True)
class BracketSummary:
    """A bracket as it is planned, and how far it is."""

    pass_: int
    first_epochs: int
    configs: int
    rungs: int
    status: BracketStatus
    evaluations_planned: int
    evaluations_done: int
    best_objective: Objective


@dataclass(frozen=True, slots=True)
class SearchSummary:
    """The progress and the best of a search."""

    evaluations_planned: int
    evaluations_done: int
    evaluations_failed: int
    epochs_planned: int
    epochs_done: int
    best_objective: Objective
    best_config_id: str | None
    best_epochs: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The summaries that one fact changed."""

    search: SearchSummary
    brackets: tuple[BracketSummary, ...]
    rungs: tuple[RungSummary, ...]
