"""Making a search larger: more passes, or a larger max_epochs; all that was measured counts."""

from dataclasses import replace

from hbtrack.core.places import named
from hbtrack.core.records import Search, SearchStatus, Terms
from hbtrack.core.schedule import grown, schedule_of
from hbtrack.driver.rederive import grow
from hbtrack.errors import UsageError
from hbtrack.faults import fault_point
from hbtrack.script.probe import ScriptProbe
from hbtrack.searches.session import Session
from hbtrack.searches.start import as_stored, load_settled, to_drive
from hbtrack.searches.terms import Options
from hbtrack.store.catalogue import reopen


def extend_search(
    session: Session, options: Options, *, max_epochs: int | None, passes: int | None
) -> Session:
    """A stored search with more passes or a larger max_epochs, both totals, ready to be driven.

    Raises UsageError when it would shrink, Conflict when scripts of it are not settled.
    """
    terms = _grown_terms(session.search, max_epochs, passes)
    with as_stored(session, options) as (search, probe):
        if terms == search.terms:
            return to_drive(session, search, probe)
        _grow(session, terms, probe)
        larger = replace(search, terms=terms, status=SearchStatus.UNFINISHED)
        return to_drive(session, larger, probe)


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


def _grow(session: Session, terms: Terms, probe: ScriptProbe) -> None:
    """Write the larger schedule, with what is sampled for it, in one transaction."""
    stored, schedule = session.search, schedule_of(terms)
    with session.file.transaction() as connection:
        facts = load_settled(connection, stored)
    if facts.results and terms.max_epochs != stored.terms.max_epochs:
        _say_what_was_told(session, terms.max_epochs)
    more = probe.grow(terms, facts.passes, stored.terms, stored.stream)
    with session.file.transaction() as connection:
        grow(connection, stored.pk, schedule, terms.passes, more)
        fault_point("grow.inside")
        reopen(connection, stored.pk)
    if more.differing:
        session.settings.say(
            f"{len(more.differing)} slots hold other configs than those of a search begun with "
            f"--max-epochs {terms.max_epochs}, for configs repeat themselves here: "
            f"{named(more.differing)}."
        )


def _say_what_was_told(session: Session, max_epochs: int) -> None:
    session.settings.say(
        f"Results so far were trained for max_epochs {session.search.terms.max_epochs}; from now "
        f"on scripts are told {max_epochs} (HBTRACK_MAX_EPOCHS). A script that uses it, as for a "
        "learning rate that falls to the end, gives losses that are not comparable with them."
    )
