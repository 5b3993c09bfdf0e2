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

from hbtrack.core.derived import derive
from hbtrack.core.plan import Plan
from hbtrack.core.records import (
    Command,
    Facts,
    Limits,
    Resources,
    Sampled,
    Search,
    SearchStatus,
    Terms,
)
from hbtrack.core.schedule import schedule_of
from hbtrack.database.connection import Database
from hbtrack.database.location import make_search_folder, search_folder
from hbtrack.database.revision import REVISION, peek
from hbtrack.database.upgrade import writable
from hbtrack.driver.lock import DriverLock, owned, owner_of
from hbtrack.errors import Conflict, NotFound, ScriptError, UsageError
from hbtrack.faults import fault_point
from hbtrack.script.command import sha256_of
from hbtrack.script.probe import ScriptProbe
from hbtrack.searches.session import Session, Settings
from hbtrack.searches.terms import as_before, require_same, with_given
from hbtrack.store import catalogue
from hbtrack.store.facts import sampled_so_far


def start_search(
    path: Path,
    command: Command,
    *,
    terms: Terms,
    given: set[str],
    resources: Resources,
    limits: Limits,
    settings: Settings,
) -> Session:
    """The search that the script names, new or stored, ready to be driven.

    `given` names what the user gave: only such terms are compared with what is stored, and only
    such resources and limits replace it.
    """
    schedule = schedule_of(terms)
    likely = _likely(path, command, settings)
    with ExitStack() as stack:
        # The import may take long: who else wants the search is refused at once, not after it.
        lock = own(path, likely, stack, settings)[0] if likely else None
        probe = stack.enter_context(ScriptProbe(command, settings.import_timeout))
        identity = probe.identity()
        stored = _stored(path, identity, settings) if path.exists() else None
        if stored is None:
            sampled = probe.sample(schedule, terms.seed, 1, (), terms.configs)
            _show_printed(probe, settings)
            new = _New(identity, terms, command, resources, limits)
            return _create(path, new, sampled, settings, stack)
        require_same(stored, command, terms, given)
        if lock is None or lock.folder != search_folder(path, stored.pk):
            lock, stored = own(path, stored, stack, settings)
        command = as_before(command, stored.command, given)
        search = replace(with_given(stored, resources, limits, given), command=command)
        return reopen(path, stored, search, probe, lock, settings)


def open_file(path: Path, settings: Settings) -> AbstractContextManager[Database]:
    """The database, for writing, as patiently as the settings say."""
    return writable(path, settings.say, busy_seconds=settings.patience)


def _likely(path: Path, command: Command, settings: Settings) -> Search | None:
    """The unfinished search of the same script and arguments, whose identity will be the same."""
    if not path.exists() or peek(path) != REVISION:  # nothing is upgraded for a script unseen
        return None
    with open_file(path, settings) as database:
        searches = catalogue.read_searches(database)
    same = (command.script_sha256, command.script_args)
    for search in searches:
        found = (search.command.script_sha256, search.command.script_args)
        if found == same and search.status is not SearchStatus.FINISHED:
            return search
    return None


def _refuse_if_owned(path: Path, search: Search) -> None:
    """Raise Conflict, without waiting, when another driver runs this search."""
    if owner := owner_of(search_folder(path, search.pk)):
        raise owned(search.run_identity, owner)


def own(
    path: Path, search: Search, stack: ExitStack, settings: Settings
) -> tuple[DriverLock, Search]:
    """This process owns the search, until the stack ends unless the lock is kept.

    And the search as it is now that nobody else changes it: it may have been read hours ago, when
    another was still to be driven first. Raises NotFound when it has been removed meanwhile.
    """
    _refuse_if_owned(path, search)
    lock = DriverLock(make_search_folder(path, search.pk), search.run_identity)
    stack.callback(lock.release_unless_kept)
    now = _stored(path, search.run_identity, settings)
    if now is None or now.token != search.token:
        raise _removed(search.run_identity)
    return lock, now


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
    given: set[str],
    settings: Settings,
) -> Session:
    """A stored search, ready to be driven on with nothing but what is stored.

    It is owned before its script is imported, which may take long: a second one is refused at once.
    """
    with ExitStack() as stack:
        lock, stored = own(path, stored, stack, settings)
        search = replace(
            with_given(stored, resources, limits, given), command=command_now(path, stored)
        )
        probe = same_script(stack, search, settings)
        return reopen(path, stored, search, probe, lock, settings)


def session_to_end(path: Path, stored: Search, settings: Settings) -> Session:
    """A stored search, to be driven for as long as what still runs is ended and settled."""
    with ExitStack() as stack:
        lock, search = own(path, stored, stack, settings)
        return Session(path, search, None, settings, lock.keep())


def command_now(path: Path, stored: Search) -> Command:
    """How the script of a stored search is run, if all of it is still there."""
    command = stored.command
    for what, place in (("script", command.script), ("interpreter", command.python)):
        if not os.access(place, os.R_OK):
            raise UsageError(
                f"The {what} of {stored.run_identity}, {place}, is gone, so the search was left "
                f"as it is. Type `hbtrack run --db {shlex.quote(str(path))} SCRIPT "
                f"{shlex.join(command.script_args)}` with its new path to go on.",
                see="moved",
            )
    if not Path(command.cwd).is_dir():
        raise UsageError(
            f"The working directory of {stored.run_identity}, {command.cwd}, is gone, so the "
            "search was left as it is. Make it again, or use `hbtrack run` from its new place.",
            see="moved",
        )
    return replace(command, script_sha256=sha256_of(command.script))


def same_script(stack: ExitStack, search: Search, settings: Settings) -> ScriptProbe:
    """The imported script of a stored search, which must still say the same identity."""
    probe = stack.enter_context(ScriptProbe(search.command, settings.import_timeout))
    identity = probe.identity()
    if identity != search.run_identity:
        raise ScriptError(
            f"run_identity of {search.command.script} says {identity!r} now, but the search is "
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
    command: Command
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
                command=new.command,
                resources=new.resources,
                limits=new.limits,
                derived=derive(Plan(schedule, new.terms.passes), {}),
                now=time.time(),
            )
            fault_point("create.before")
        fault_point("create.after")
        with database.transaction() as connection:
            search = catalogue.load_search(connection, identity)
    if search is None:
        raise _removed(identity)
    require_same(search, new.command, new.terms, set(Terms.__dataclass_fields__))
    lock, search = own(path, search, stack, settings)
    search = replace(search, command=new.command, resources=new.resources, limits=new.limits)
    return Session(path, search, sampled, settings, lock.keep())


def reopen(
    path: Path,
    stored: Search,
    search: Search,
    probe: ScriptProbe,
    lock: DriverLock,
    settings: Settings,
) -> Session:
    """A stored search, to be run as `search` says."""
    if stored.status is SearchStatus.FINISHED:
        return Session(path, search, None, settings)
    sampled = _next_pass(path, search, probe, settings)
    _show_printed(probe, settings)
    changed = stored.command.script_sha256 != search.command.script_sha256
    return Session(path, search, sampled, settings, lock.keep(), script_changed=changed)


def require_settled(stored: Search, facts: Facts) -> None:
    """Raise Conflict when attempts are open."""
    if facts.open_attempts:
        raise Conflict(
            f"{len(facts.open_attempts)} scripts of {stored.run_identity} may still run, so it "
            "was left as it is. Type `hbtrack resume` to go on with them, or `hbtrack stop` to end "
            "them.",
            see="scripts-still-run",
        )
