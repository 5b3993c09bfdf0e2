"""A search whose facts change after they were recorded: it grows, or a failure is taken back.

The facts change first. Then the plan is recomputed from them, and every row that follows from
them is made what the plan says, all in one transaction: the caller's.
"""

from collections.abc import Mapping
from dataclasses import replace
from sqlite3 import Connection
from types import MappingProxyType

from hbtrack.core.derived import derive
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import recompute
from hbtrack.core.records import Facts, Grown, Place, Sampled, passes_of, rung_of
from hbtrack.core.schedule import Schedule
from hbtrack.errors import Conflict
from hbtrack.store import derived
from hbtrack.store.catalogue import add_configs
from hbtrack.store.facts import load_facts
from hbtrack.text import budget


def grow(
    connection: Connection,
    search_pk: int,
    schedule: Schedule,
    passes: int,
    added: Grown | None = None,
) -> Plan:
    """The search has this schedule and so many passes from now on; its plan.

    `added` are the new slots of the passes that are open, if the schedule is a larger one. Raises
    Conflict when an attempt is open that would have no place any more.
    """
    connection.execute(
        "UPDATE _search SET max_epochs = ?, passes = ? WHERE pk = ?",
        (schedule.max_epochs, passes, search_pk),
    )
    if added:
        add_configs(connection, search_pk, Sampled(0, (), dict(added.params)))
    return rederive(connection, search_pk, schedule, passes, added.slots if added else {})


def rederive(
    connection: Connection,
    search_pk: int,
    schedule: Schedule,
    passes: int,
    slots: Mapping[Place, str] = MappingProxyType({}),
) -> Plan:
    """After the facts have changed: make what follows from them follow again; the plan.

    `slots` are configs of opened passes that have no place yet.
    """
    facts = load_facts(connection.execute, search_pk)
    for place, config_id in slots.items():
        facts.entered.setdefault(rung_of(place), {})[place.slot] = config_id
    plan = recompute(schedule, passes, replace(facts, passes=passes_of(facts.entered)))
    _take_over(plan, facts)
    begun = derived.begun(connection.execute, search_pk)
    derived.write(connection, search_pk, derive(plan, begun))
    return plan


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
