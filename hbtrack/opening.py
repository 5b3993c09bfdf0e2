"""From what the user asked to a search that may be driven.

Everything is checked before anything is written: the script, its identity, its first ids; then the
parameters against what is stored.
"""

import os
import shlex
import time
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import IntegrityError

from hbtrack.comparing import as_before, require_same, retyped
from hbtrack.database.connection import Database
from hbtrack.database.location import make_search_folder, search_folder
from hbtrack.database.revision import REVISION, peek
from hbtrack.database.upgrade import writable
from hbtrack.errors import NotFound, ScriptError, UsageError
from hbtrack.faults import passing
from hbtrack.launch import sha256_of
from hbtrack.ownership import Ownership, owned, owner_of
from hbtrack.plan import Plan
from hbtrack.records import (
    Launch,
    Limits,
    Resources,
    Sampled,
    Search,
    SearchStatus,
    Terms,
)
from hbtrack.schedule import schedule_of
from hbtrack.script.probe import ScriptProbe
from hbtrack.session import Session, Settings
from hbtrack.store import catalogue
from hbtrack.store.facts import sampled_so_far
from hbtrack.summary import summarise_search


def start_search(
    path: Path,
    launch: Launch,
    *,
    terms: Terms,
    typed: set[str],
    resources: Resources,
    limits: Limits,
    settings: Settings,
) -> Session:
    """The search that the script names, new or stored, ready to be driven.

    `typed` names what the user gave: only such terms are compared with what is stored, and only
    such resources and limits replace it.
    """
    schedule = schedule_of(terms)
    likely = _likely(path, launch, settings)
    with ExitStack() as stack:
        # The import may take long: who else wants the search is refused at once, not after it.
        ownership = own(path, likely, stack, settings)[0] if likely else None
        probe = stack.enter_context(ScriptProbe(launch, settings.import_timeout))
        identity = probe.identity()
        stored = _stored(path, identity, settings) if path.exists() else None
        if stored is None:
            sampled = probe.sample(schedule, terms.seed, 1, (), terms.configs)
            _show_printed(probe, settings)
            new = _New(identity, terms, launch, resources, limits)
            return _create(path, new, sampled, settings, stack)
        require_same(stored, launch, terms, typed)
        if ownership is None or ownership.folder != search_folder(path, stored.pk):
            ownership, stored = own(path, stored, stack, settings)
        launch = as_before(launch, stored.launch, typed)
        search = replace(retyped(stored, resources, limits, typed), launch=launch)
        return reopen(path, stored, search, probe, ownership, settings)


def open_file(path: Path, settings: Settings) -> AbstractContextManager[Database]:
    """The database, for writing, as patiently as the settings say."""
    return writable(path, settings.say, busy_seconds=settings.patience)


def _likely(path: Path, launch: Launch, settings: Settings) -> Search | None:
    """The unfinished search of the same script and arguments, whose identity will be the same."""
    if not path.exists() or peek(path) != REVISION:  # nothing is upgraded for a script unseen
        return None
    with open_file(path, settings) as database:
        searches = catalogue.read_searches(database)
    same = (launch.script_sha256, launch.script_args)
    for search in searches:
        found = (search.launch.script_sha256, search.launch.script_args)
        if found == same and search.status is not SearchStatus.FINISHED:
            return search
    return None


def _refuse_if_owned(path: Path, search: Search) -> None:
    """Raise Conflict, without waiting, when another driver runs this search."""
    if owner := owner_of(search_folder(path, search.pk)):
        raise owned(search.run_identity, owner)


def own(
    path: Path, search: Search, stack: ExitStack, settings: Settings
) -> tuple[Ownership, Search]:
    """This process owns the search, until the stack ends unless the ownership is kept.

    And the search as it is now that nobody else changes it: it may have been read hours ago, when
    another was still to be driven first. Raises NotFound when it has been removed meanwhile.
    """
    _refuse_if_owned(path, search)
    ownership = Ownership(make_search_folder(path, search.pk), search.run_identity)
    stack.callback(ownership.release_unless_kept)
    now = _stored(path, search.run_identity, settings)
    if now is None or now.token != search.token:
        raise _removed(search.run_identity)
    return ownership, now


def _removed(run_identity: str) -> NotFound:
    return NotFound(
        f"The search {run_identity!r} was removed by another hbtrack meanwhile.",
        see="removed-meanwhile",
    )


def resume_search(
    path: Path,
    stored: Search,
    *,
    resources: Resources,
    limits: Limits,
    typed: set[str],
    settings: Settings,
) -> Session:
    """A stored search, ready to be driven on with nothing but what is stored.

    It is owned before its script is imported, which may take long: a second one is refused at once.
    """
    with ExitStack() as stack:
        ownership, stored = own(path, stored, stack, settings)
        search = replace(retyped(stored, resources, limits, typed), launch=launch_now(path, stored))
        probe = same_script(stack, search, settings)
        return reopen(path, stored, search, probe, ownership, settings)


def session_to_end(path: Path, stored: Search, settings: Settings) -> Session:
    """A stored search, to be driven for as long as what still runs is ended and settled."""
    with ExitStack() as stack:
        ownership, search = own(path, stored, stack, settings)
        return Session(path, search, None, settings, ownership.keep())


def launch_now(path: Path, stored: Search) -> Launch:
    """How the script of a stored search is run, if all of it is still there."""
    launch = stored.launch
    for what, place in (("script", launch.script), ("interpreter", launch.python)):
        if not os.access(place, os.R_OK):
            raise UsageError(
                f"The {what} of {stored.run_identity}, {place}, is gone, so the search was left "
                f"as it is. Type `hbtrack run --db {shlex.quote(str(path))} SCRIPT "
                f"{shlex.join(launch.script_args)}` with its new path to go on.",
                see="moved",
            )
    if not Path(launch.cwd).is_dir():
        raise UsageError(
            f"The working directory of {stored.run_identity}, {launch.cwd}, is gone, so the search "
            "was left as it is. Make it again, or use `hbtrack run` from its new place.",
            see="moved",
        )
    return replace(launch, script_sha256=sha256_of(launch.script))


def same_script(stack: ExitStack, search: Search, settings: Settings) -> ScriptProbe:
    """The imported script of a stored search, which must still say the same identity."""
    probe = stack.enter_context(ScriptProbe(search.launch, settings.import_timeout))
    identity = probe.identity()
    if identity != search.run_identity:
        raise ScriptError(
            f"run_identity of {search.launch.script} says {identity!r} now, but the search is "
            f"{search.run_identity!r}: the script has changed. The search was left as it is; "
            "`hbtrack run` would start one of the new name.",
            see="script-changed",
        )
    return probe


def _stored(path: Path, identity: str, settings: Settings) -> Search | None:
    with (
        open_file(path, settings) as database,
        database.transaction() as connection,
    ):
        return catalogue.load_search(connection, identity)


def _show_printed(probe: ScriptProbe, settings: Settings) -> None:
    """What the script printed while it was imported is not lost, nor among hbtrack's results."""
    if printed := probe.printed().strip():
        settings.say(printed)


def _next_pass(
    path: Path, search: Search, probe: ScriptProbe, settings: Settings
) -> Sampled | None:
    """The configs of the pass that opens next, while the script is imported anyway."""
    with (
        open_file(path, settings) as database,
        database.transaction() as connection,
    ):
        opened, used = sampled_so_far(connection.execute, search.pk)
    if opened == search.terms.passes:
        return None
    terms = search.terms
    given = terms.configs if opened == 0 else ()
    return probe.sample(schedule_of(terms), terms.seed, opened + 1, used, given)


@dataclass(frozen=True, slots=True)
class _New:
    """A search that is not stored yet."""

    identity: str
    terms: Terms
    launch: Launch
    resources: Resources
    limits: Limits


def _create(
    path: Path, new: _New, sampled: Sampled, settings: Settings, stack: ExitStack
) -> Session:
    """Write a new search; or find that another process did so just now, on the same terms."""
    schedule, identity = schedule_of(new.terms), new.identity
    with open_file(path, settings) as database:
        with suppress(IntegrityError), database.transaction() as connection:
            catalogue.create_search(
                connection,
                identity,
                terms=new.terms,
                launch=new.launch,
                resources=new.resources,
                limits=new.limits,
                schedule=schedule,
                summary=summarise_search(Plan(schedule, new.terms.passes)),
                now=time.time(),
            )
            passing("create.before")
        passing("create.after")
        with database.transaction() as connection:
            search = catalogue.load_search(connection, identity)
    if search is None:
        raise _removed(identity)
    require_same(search, new.launch, new.terms, set(Terms.__dataclass_fields__))
    ownership, search = own(path, search, stack, settings)
    search = replace(search, launch=new.launch, resources=new.resources, limits=new.limits)
    return Session(path, search, sampled, settings, ownership.keep())


def reopen(
    path: Path,
    stored: Search,
    search: Search,
    probe: ScriptProbe,
    ownership: Ownership,
    settings: Settings,
) -> Session:
    """A stored search, to be run as `search` says."""
    if stored.status is SearchStatus.FINISHED:
        return Session(path, search, None, settings)
    sampled = _next_pass(path, search, probe, settings)
    _show_printed(probe, settings)
    changed = stored.launch.script_sha256 != search.launch.script_sha256
    return Session(path, search, sampled, settings, ownership.keep(), script_changed=changed)
