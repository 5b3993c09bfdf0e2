"""To be said."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Search
from hbtrack.core.schedule import schedule_of
from hbtrack.driver.rederive import rederive
from hbtrack.faults import fault_point
from hbtrack.searches.session import Settings
from hbtrack.searches.start import open_file, own, require_settled
from hbtrack.store import catalogue
from hbtrack.store.facts import load_facts
from hbtrack.store.ledger import withdraw


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed evaluation."""

    config_id: str
    epochs: int
    error: str  # type, message and traceback


@dataclass(frozen=True, slots=True)
class Retried:
    """Which of the chosen failures run again, and what stands in the way of the others."""

    queued: tuple[Failure, ...]
    refused: tuple[tuple[Failure, str], ...]


def retry_failures(
    path: Path, stored: Search, chosen: Callable[[Failure], bool], settings: Settings
) -> Retried:
    """Take back the chosen failures of a search, so that the next driver runs them again.

    Raises Conflict when a driver runs the search or scripts of it are not settled.
    """
    with ExitStack() as stack:
        _, stored = own(path, stored, stack, settings)
        database = stack.enter_context(open_file(path, settings))
        connection = stack.enter_context(database.transaction())
        facts = load_facts(connection.execute, stored.pk)
        require_settled(stored, facts)
        plan = rebuild(schedule_of(stored.terms), stored.terms.passes, facts)
        queued, refused = [], []
        found = [Failure(*row) for row in catalogue.failures(connection, stored.pk)]
        for failure in filter(chosen, found):
            evaluation = (failure.config_id, failure.epochs)
            if problem := plan.withdrawal_problem(*evaluation):
                refused.append((failure, problem))
            elif withdraw(connection, stored.pk, *evaluation, "asked"):
                queued.append(failure)
            else:
                refused.append((failure, "its config has been started for more epochs since"))
        if queued:
            rederive(connection, stored.pk, schedule_of(stored.terms), stored.terms.passes)
            fault_point("grow.inside")
            catalogue.reopen(connection, stored.pk)
        return Retried(tuple(queued), tuple(refused))
