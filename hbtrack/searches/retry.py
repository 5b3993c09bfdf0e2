"""Taking failures back, so that the next driver runs these evaluations again.

However much was decided with them: the plan is made anew from the facts that are left, and comes to
what it would have come to if they had never failed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hbtrack.core import known
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Place
from hbtrack.core.schedule import schedule_of
from hbtrack.driver.rederive import rederive
from hbtrack.faults import fault_point
from hbtrack.searches.session import Session
from hbtrack.searches.start import load_settled
from hbtrack.store import catalogue
from hbtrack.store.writer import withdraw


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed evaluation."""

    config_id: str
    epochs: int
    error: str  # type, message and traceback


@dataclass(frozen=True, slots=True)
class Retried:
    """Which of the chosen failures run again, what stands in the way of the others, and the cost.

    `larger` are places that take the result of a larger budget, which their configs have or were
    started for.
    """

    queued: tuple[Failure, ...] = ()
    refused: tuple[tuple[Failure, str], ...] = ()
    larger: tuple[Place, ...] = ()
    epochs: int = 0  # to be trained for those that are queued
    most: int = 0  # and at most, if none goes on that went on before


def retry_failures(session: Session, chosen: Callable[[Failure], bool]) -> Retried:
    """Take back the chosen failures of a search, so that the next driver runs them again.

    Raises Conflict when scripts of the search are not settled.
    """
    stored, terms = session.search, session.search.terms
    queued, refused = [], []
    with session.file.transaction() as connection:
        before = rebuild(schedule_of(terms), terms.passes, load_settled(connection, stored))
        found = [Failure(*row) for row in catalogue.failures(connection, stored.pk)]
        for failure in filter(chosen, found):
            evaluation = (failure.config_id, failure.epochs)
            if problem := known.withdrawal_problem(before, *evaluation):
                refused.append((failure, problem))
            else:
                withdraw(connection, stored.pk, *evaluation, "asked")
                queued.append(failure)
        if not queued:
            return Retried(refused=tuple(refused))
        after = rederive(connection, stored.pk, schedule_of(terms), terms.passes)
        fault_point("grow.inside")
        catalogue.reopen(connection, stored.pk)
    epochs = _epochs(after, queued)
    most = max(epochs, after.epochs_left - before.epochs_left)
    larger = known.larger(after, {failure.config_id for failure in queued})
    return Retried(tuple(queued), tuple(refused), tuple(larger), epochs, most)


def _epochs(plan: Plan, queued: list[Failure]) -> int:
    """The epochs that these evaluations train, as far as the script is called for them."""
    reached = {config_id: epochs for config_id, epochs, _ in known.recorded(plan)}  # the largest
    asked: dict[str, int] = {}  # one call of a config is for all that is asked of it
    for one in queued:
        asked[one.config_id] = max(one.epochs, asked.get(one.config_id, 0))
    return sum(max(0, epochs - reached.get(name, 0)) for name, epochs in asked.items())
