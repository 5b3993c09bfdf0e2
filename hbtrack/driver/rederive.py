"""A search whose facts change after they were recorded: it grows, or a failure is taken back.

The facts change first. Then the plan is recomputed from them, and every row that follows from
them is made what the plan says, all in one transaction: the caller's.
"""

from sqlite3 import Connection
from typing import TYPE_CHECKING

from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import recompute
from hbtrack.core.records import Facts, Place, Sampled, Settled
from hbtrack.core.schedule import Schedule
from hbtrack.core.summary import summarise
from hbtrack.errors import Conflict, UsageError
from hbtrack.store import derived
from hbtrack.store.catalogue import add_configs
from hbtrack.store.facts import load_facts
from hbtrack.store.ledger import position
from hbtrack.text import budget

if TYPE_CHECKING:
    from hbtrack.core.records import Grown


def grow(
    connection: Connection,
    search_pk: int,
    schedule: Schedule,
    passes: int,
    added: "Grown | None" = None,
) -> Plan:
    """The search has this schedule and so many passes from now on; its plan.

    `added` are the new slots of the passes that are open, if the schedule is a larger one. Raises
    Conflict when an attempt is open that would have no place any more.
    """
    stored = connection.execute("SELECT passes FROM search WHERE pk = ?", (search_pk,))
    if passes < (before := stored.fetchone()[0]):
        raise UsageError(
            f"The search has {before} passes already; {passes} would be fewer.", see="would-shrink"
        )
    derived.write_schedule(connection, search_pk, schedule, passes)
    if added:
        add_configs(connection, search_pk, Sampled(0, (), dict(added.params)))
        where = _positions(schedule, added.slots)
        derived.add_slots(connection, search_pk, added.slots, where)
    return rederive(connection, search_pk, schedule, passes)


def rederive(connection: Connection, search_pk: int, schedule: Schedule, passes: int) -> Plan:
    """After the facts have changed: make what follows from them follow again; the plan."""
    facts = load_facts(connection.execute, search_pk)
    settled: dict[Place, Settled] = {}
    plan = recompute(schedule, passes, facts, settled)
    _take_over(plan, facts)
    reconcile(connection, search_pk, plan, settled)
    return plan


def reconcile(
    connection: Connection, search_pk: int, plan: Plan, settled: dict[Place, Settled]
) -> None:
    """Make every derived row what this plan, recomputed from the stored facts, says.

    The rows of the schedule and the places of first rungs are there already.
    """
    places = dict(plan.places())
    found = derived.Derived(
        places=places,
        positions=_positions(plan.schedule, places),
        promoted={
            key: frozenset(rung.closed.promoted) for key, rung in plan.rungs.items() if rung.closed
        },
        settled=settled,
        callable=plan.callable(),
        recorded=tuple(plan.recorded()),
        summary=summarise(plan, plan.rungs),
    )
    derived.write(connection, search_pk, found)


def _positions(schedule: Schedule, places: dict[Place, str]) -> dict[Place, int]:
    order = {bracket.first_epochs: number for number, bracket in enumerate(schedule.brackets)}
    return {place: position(place, order[place.first_epochs]) for place in places}


def _take_over(plan: Plan, facts: Facts) -> None:
    """What an earlier driver started counts as running."""
    for attempt in facts.open_attempts:
        try:
            plan.start(plan.place_of(attempt.config_id, attempt.epochs))
        except (LookupError, ValueError):
            raise Conflict(
                f"{attempt.config_id} is being trained to {budget(attempt.epochs)}, which would "
                "not be next any more. Nothing was changed. Type `hbtrack stop`, then try again.",
                see="scripts-still-run",
            ) from None
