"""To be said."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from hbtrack.core.records import Limits, Place, Resources, Search, SearchStatus, Terms
from hbtrack.core.schedule import grown, schedule_of
from hbtrack.driver.rederive import grow
from hbtrack.errors import UsageError
from hbtrack.faults import fault_point
from hbtrack.script.probe import ScriptProbe
from hbtrack.searches.session import Session, Settings
from hbtrack.searches.start import command_now, open_file, own, reopen, require_settled, same_script
from hbtrack.searches.terms import with_given
from hbtrack.store import catalogue
from hbtrack.store.facts import load_facts


def extend_search(
    path: Path,
    stored: Search,
    *,
    max_epochs: int | None,
    passes: int | None,
    resources: Resources,
    limits: Limits,
    given: set[str],
    settings: Settings,
) -> Session:
    """A stored search with more passes or a larger max_epochs, both totals, ready to be driven.

    Raises UsageError when it would shrink, Conflict when scripts of it are not settled.
    """
    with ExitStack() as stack:
        lock, stored = own(path, stored, stack, settings)
        terms = _grown_terms(stored, max_epochs, passes)
        search = replace(
            with_given(stored, resources, limits, given), command=command_now(path, stored)
        )
        probe = same_script(stack, search, settings)
        if terms != stored.terms:
            _grow(path, stored, terms, probe, settings)
            search = replace(search, terms=terms, status=SearchStatus.UNFINISHED)
            stored = replace(stored, status=SearchStatus.UNFINISHED)
        return reopen(path, stored, search, probe, lock, settings)


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
            fault_point("grow.inside")
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
