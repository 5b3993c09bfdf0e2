"""Changing what a stored search is to do: more passes, larger budgets, failures taken back.

Facts change, the plan is recomputed from them, and every row that follows is made to agree, in one
transaction. Nothing may run meanwhile: the search is owned, and all its attempts are settled.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from hbtrack.comparing import retyped
from hbtrack.errors import Conflict, UsageError
from hbtrack.faults import passing
from hbtrack.growth import bring_up_to_date, grow
from hbtrack.opening import launch_now, open_file, own, reopen, same_script
from hbtrack.plan import rebuild
from hbtrack.records import Facts, Limits, Place, Resources, Search, SearchStatus, Terms
from hbtrack.schedule import grown, schedule_of
from hbtrack.script.probe import ScriptProbe
from hbtrack.session import Session, Settings
from hbtrack.store import catalogue
from hbtrack.store.facts import load_facts
from hbtrack.store.ledger import withdraw


def extend_search(
    path: Path,
    stored: Search,
    *,
    max_epochs: int | None,
    passes: int | None,
    resources: Resources,
    limits: Limits,
    typed: set[str],
    settings: Settings,
) -> Session:
    """A stored search with more passes or a larger max_epochs, both totals, ready to be driven.

    Raises UsageError when it would shrink, Conflict when scripts of it are not settled.
    """
    with ExitStack() as stack:
        ownership, stored = own(path, stored, stack, settings)
        terms = _grown_terms(stored, max_epochs, passes)
        search = replace(retyped(stored, resources, limits, typed), launch=launch_now(path, stored))
        probe = same_script(stack, search, settings)
        if terms != stored.terms:
            _grow(path, stored, terms, probe, settings)
            search = replace(search, terms=terms, status=SearchStatus.UNFINISHED)
            stored = replace(stored, status=SearchStatus.UNFINISHED)
        return reopen(path, stored, search, probe, ownership, settings)


def _grown_terms(stored: Search, max_epochs: int | None, passes: int | None) -> Terms:
    terms = stored.terms
    if (passes or terms.passes) < terms.passes:
        raise UsageError(
            f"{stored.run_identity} has {terms.passes} passes, and --passes is the new total: "
            f"{passes} would be fewer. Nothing was changed.",
            see="would-shrink",
        )
    grown_schedule = grown(schedule_of(terms), max_epochs or terms.max_epochs)
    return replace(terms, passes=passes or terms.passes, max_epochs=grown_schedule.max_epochs)


def _grow(path: Path, stored: Search, terms: Terms, probe: ScriptProbe, settings: Settings) -> None:
    """Write the larger schedule, with what is sampled for it, in one transaction."""
    with open_file(path, settings) as database:
        with database.transaction() as connection:
            facts = load_facts(connection.execute, stored.pk)
        require_settled(stored, facts)
        old = schedule_of(stored.terms)
        more = probe.grow(schedule_of(terms), terms.seed, facts.passes, old, terms.configs)
        with database.transaction() as connection:
            grow(connection, stored.pk, schedule_of(terms), terms.passes, more)
            passing("grow.inside")
            catalogue.reopen(connection, stored.pk)
    if more.differing:
        settings.say(
            f"{len(more.differing)} slots hold other configs than those of a search begun with "
            f"--max-epochs {terms.max_epochs}, for configs repeat themselves here: "
            f"{_named(more.differing)}."
        )


def _named(places: Iterable[Place]) -> str:
    """Slots by their brackets, neighbours together: pass 1, first budget 3: 0, 4-7."""
    texts = []
    for (pass_, first_epochs), slots in groupby(sorted(places), key=lambda place: place[:2]):
        runs: list[list[int]] = []
        for place in slots:
            if runs and place.slot == runs[-1][-1] + 1:
                runs[-1].append(place.slot)
            else:
                runs.append([place.slot])
        found = ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs)
        texts.append(f"pass {pass_}, first budget {first_epochs}: {found}")
    return "; ".join(texts)


def require_settled(stored: Search, facts: Facts) -> None:
    """Raise Conflict when attempts are open."""
    if facts.open_attempts:
        raise Conflict(
            f"{len(facts.open_attempts)} scripts of {stored.run_identity} may still run, so it "
            "was left as it is. Type `hbtrack resume` to go on with them, or `hbtrack stop` to end "
            "them.",
            see="scripts-still-run",
        )


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
            bring_up_to_date(connection, stored.pk, schedule_of(stored.terms), stored.terms.passes)
            passing("grow.inside")
            catalogue.reopen(connection, stored.pk)
        return Retried(tuple(queued), tuple(refused))
