"""Taking failures back, so that the next driver runs these evaluations again."""

from collections.abc import Callable
from dataclasses import dataclass

from hbtrack.core.rebuild import rebuild
from hbtrack.core.schedule import schedule_of
from hbtrack.driver.rederive import rederive
from hbtrack.faults import fault_point
from hbtrack.searches.session import Session
from hbtrack.searches.start import load_settled
from hbtrack.store import catalogue
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


def retry_failures(session: Session, chosen: Callable[[Failure], bool]) -> Retried:
    """Take back the chosen failures of a search, so that the next driver runs them again.

    Raises Conflict when scripts of the search are not settled.
    """
    stored, schedule = session.search, schedule_of(session.search.terms)
    queued, refused = [], []
    with session.file.transaction() as connection:
        plan = rebuild(schedule, stored.terms.passes, load_settled(connection, stored))
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
            rederive(connection, stored.pk, schedule, stored.terms.passes)
            fault_point("grow.inside")
            catalogue.reopen(connection, stored.pk)
    return Retried(tuple(queued), tuple(refused))
