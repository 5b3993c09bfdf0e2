"""Which share of a search's time its starts took, and what another smallest budget would change."""

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from hbtrack.core.pace import Line, line_through, sums_of
from hbtrack.store.durations import measured_evenly
from hbtrack.store.reading import Row

if TYPE_CHECKING:
    from hbtrack.core.schedule import Schedule

FEWEST = 20
"""So many measured evaluations say what a start takes."""

WORTH_A_WORD = 0.1
"""The share of the time from which starts are spoken of."""

WORTH_A_SEARCH = 60.0
"""So many seconds they took in all, at least: nobody plans another search for less."""

_SEARCH = "SELECT pk FROM _search WHERE run_identity = ?"


class Plan(NamedTuple):
    """What a search does in all."""

    min_epochs: int
    configs: int
    evaluations: int
    epochs: int

    def time(self, line: Line) -> float:
        """How many seconds it takes one worker."""
        return line.seconds(self.epochs, self.evaluations)


class Starts(NamedTuple):
    """What starts took of a search that is `as_it_is`; with `instead`, the next smallest budget."""

    seconds_each: float
    share: float  # of all the time that scripts took
    as_it_is: Plan
    instead: Plan | None  # None where no larger smallest budget is left
    time: float | None  # that `instead` takes, as a share

    @property
    def sentence(self) -> str:
        """What is said of it."""
        took = f"starts took about {self.share:.0%} of the time ({self.seconds_each:.2g} s each)"
        if self.instead is None:
            return took
        now, then = self.as_it_is, self.instead
        return (
            f"{took}; another search with --min-epochs {then.min_epochs} would try "
            f"{then.configs:,} configs instead of {now.configs:,} in {then.evaluations:,} "
            f"evaluations instead of {now.evaluations:,}, and take about {self.time:.2g} of the "
            "time"
        )

    def as_dict(self) -> dict[str, object]:
        """The same for programs."""
        plans = {"as_it_is": self.as_it_is, "instead": self.instead}
        shown = {name: plan and plan._asdict() for name, plan in plans.items()}
        return {"seconds_each": self.seconds_each, "share": self.share, **shown, "time": self.time}


def starts(connection: sqlite3.Connection, search: Row) -> Starts | None:
    """What starts took, if that is worth a word and enough was measured to tell.

    `search` is a row of the view `searches`.
    """
    cursor = connection.cursor()
    cursor.row_factory = None
    ((search_pk,),) = cursor.execute(_SEARCH, (search["run_identity"],))
    sums = sums_of(measured_evenly(cursor.execute, search_pk))
    if sums.number < FEWEST or not (line := line_through(sums)):
        return None
    ended = search["evaluations_done"] + search["evaluations_failed"]
    all_of_it = line.seconds(search["epochs_done"], ended)
    took = line.start * ended
    if took < max(WORTH_A_SEARCH, WORTH_A_WORD * all_of_it):
        return None
    return _told(search, line, took / all_of_it)


def _told(search: Row, line: Line, share: float) -> Starts:
    # Fractions are slow to load, and most reports need none.
    from hbtrack.core.schedule import (  # noqa: PLC0415
        from_next_budget,
        make_schedule,
        parse_eta,
    )

    eta = parse_eta(str(search["eta"]))
    schedule = make_schedule(search["max_epochs"], eta, search["min_epochs"])
    as_it_is = _plan(schedule, search["passes"])
    if (other := from_next_budget(schedule)) is None:
        return Starts(line.start, share, as_it_is, None, None)
    instead = _plan(other, search["passes"])
    return Starts(line.start, share, as_it_is, instead, instead.time(line) / as_it_is.time(line))


def _plan(schedule: "Schedule", passes: int) -> Plan:
    totals = (schedule.configs, schedule.evaluations, schedule.epochs)
    return Plan(schedule.min_epochs, *(passes * total for total in totals))
