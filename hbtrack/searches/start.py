"""From what the user asked to a search that may be driven.

Everything is checked before anything is written: the script, its identity, its first ids; then the
parameters against what is stored.
"""

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection

from hbtrack.core.derived import derive
from hbtrack.core.plan import Plan
from hbtrack.core.records import Command, Facts, Sampled, Search, SearchStatus, Terms
from hbtrack.core.schedule import schedule_of
from hbtrack.core.streams import NEW, stream_of
from hbtrack.database.location import checkpoints_folder, require_there
from hbtrack.errors import Conflict, UsageError
from hbtrack.faults import fault_point
from hbtrack.script.command import sha256_of
from hbtrack.script.probe import ScriptProbe
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.saved import Saved
from hbtrack.searches.session import Session, own
from hbtrack.searches.terms import Options, as_before, require_same, require_stated, with_given
from hbtrack.store import catalogue
from hbtrack.store.facts import load_facts, sampled_so_far


@contextmanager
def start_search(
    file: DatabaseFile, command: Command, terms: Terms, options: Options
) -> Iterator[Session]:
    """The search that the script names, new or stored, ready to be driven within the context.

    Raises Conflict, with nothing changed, when it was started under other terms.
    """
    with ExitStack() as ownership:
        # The import may take long: who else wants the search is refused at once, not after it.
        likely = _likely(file, command)
        session = ownership.enter_context(own(file, likely)) if likely else None
        with ScriptProbe(command, file.settings.import_timeout) as probe:
            identity, sampled, given = probe.identity(), None, options.given
            if session and session.search.run_identity != identity:
                ownership.close()
                session = None
            stored = session.search if session else _find(file, identity)
            if stored is None:
                sampled = probe.sample(terms, 1, (), stream_of(NEW, identity))
                stored = _create(file, identity, command, terms, options)
                given = frozenset(Terms.__dataclass_fields__)  # another may have been first
            require_same(stored, command, terms, given)
            session = session or ownership.enter_context(own(file, stored))
            command = as_before(command, session.search.command, options.given)
            search = replace(with_given(session.search, options), command=command)
            _say_what_stays(session, search)
            session = to_drive(session, search, probe, sampled)
        yield session


def _likely(file: DatabaseFile, command: Command) -> Search | None:
    """The unfinished search of the same script and arguments, whose identity will be the same."""
    if not file.is_current:  # nothing is upgraded for a script unseen
        return None
    same = (command.script_sha256, command.script_args)
    with file.transaction() as connection:
        for search in catalogue.load_searches(connection):
            found = (search.command.script_sha256, search.command.script_args)
            if found == same and search.status is not SearchStatus.FINISHED:
                return search
    return None


def _find(file: DatabaseFile, identity: str) -> Search | None:
    if not file.path.exists():
        return None
    with file.transaction() as connection:
        return catalogue.load_search(connection, identity)


def _create(
    file: DatabaseFile, identity: str, command: Command, terms: Terms, options: Options
) -> Search:
    """Write a new search; or find that another process did so just now."""
    schedule = schedule_of(terms)
    with file.transaction() as connection:
        if catalogue.load_search(connection, identity) is None:
            catalogue.create_search(
                connection,
                identity,
                terms=terms,
                command=command,
                resources=options.resources,
                limits=options.limits,
                derived=derive(Plan(schedule, terms.passes), {}),
                now=time.time(),
            )
        (search,) = catalogue.chosen_searches(connection, identity)
        fault_point("create.before")
    fault_point("create.after")
    return search


def resume_search(session: Session, options: Options) -> Session:
    """A stored search, ready to be driven on with nothing but what is stored."""
    with as_stored(session, options) as (search, probe):
        return to_drive(session, search, probe)


@contextmanager
def as_stored(session: Session, options: Options) -> Iterator[tuple[Search, ScriptProbe]]:
    """A search to be driven with the script that it was started with, and that script, imported.

    Raises UsageError when a part of how it is run is gone, ScriptError when it has another name.
    """
    require_stated(session.search, options.stated)
    search = replace(with_given(session.search, options), command=_command_now(session))
    require_there(search.resources.checkpoints)
    with ScriptProbe(search.command, session.settings.import_timeout) as probe:
        probe.require_identity(search.run_identity)
        _say_what_stays(session, search)
        yield search, probe


def _say_what_stays(session: Session, search: Search) -> None:
    """Tell of the checkpoints that lie where they are not looked for any more."""
    if search.resources.checkpoints == session.search.resources.checkpoints:
        _say_what_is_not_there(session, search)
        return
    before, now = (
        Saved(checkpoints_folder(session.file.path, one.token, one.resources.checkpoints))
        for one in (session.search, search)
    )
    if count := before.missing_in(now):
        session.settings.say(
            f"What {count} of the configs of {search.run_identity} saved stays in {before.folder}. "
            f"From now on {now.folder} has their folders, with nothing in them: each that goes on "
            "is trained again from its first epoch. It need not be: `hbtrack stop`, copy what the "
            "old folder holds into the new one, `hbtrack resume`."
        )


def _say_what_is_not_there(session: Session, search: Search) -> None:
    """Tell of a folder on another disk that an earlier start made, and that is not there."""
    elsewhere = search.resources.checkpoints
    folder = checkpoints_folder(session.file.path, search.token, elsewhere)
    if elsewhere is None or not Path(elsewhere).is_dir() or folder.is_dir():
        return
    with session.file.transaction() as connection:
        opened, _ = sampled_so_far(connection.execute, search.pk)
    if opened:
        session.settings.say(
            f"{elsewhere} has nothing of {search.run_identity} any more, so what goes on is "
            "trained again from its first epoch. If the disk is not mounted: `hbtrack stop`, mount "
            "it, `hbtrack resume`."
        )


def _command_now(session: Session) -> Command:
    """How the script of a stored search is run, if all of it is still there."""
    search, command = session.search, session.search.command
    for what, place in (("script", command.script), ("interpreter", command.python)):
        if not os.access(place, os.R_OK):
            raise UsageError(
                f"The {what} of {search.run_identity}, {place}, is gone, so the search was left "
                f"as it is. Type `hbtrack run --db {shlex.quote(str(session.file.path))} SCRIPT "
                f"{shlex.join(command.script_args)}` with its new path to go on.",
                see="moved",
            )
    if not Path(command.cwd).is_dir():
        raise UsageError(
            f"The working directory of {search.run_identity}, {command.cwd}, is gone, so the "
            "search was left as it is. Make it again, or use `hbtrack run` from its new place.",
            see="moved",
        )
    return replace(command, script_sha256=sha256_of(command.script))


def to_drive(
    session: Session, search: Search, probe: ScriptProbe, sampled: Sampled | None = None
) -> Session:
    """The session of a stored search, to be run as `search` says.

    The pass that opens next is sampled if it is not, while the script is imported anyway.
    """
    if search.status is not SearchStatus.FINISHED:
        sampled = sampled or _next_pass(session.file, search, probe)
        if printed := probe.printed().strip():  # not lost, nor among hbtrack's results
            session.settings.say(printed)
    return replace(session, search=search, sampled=sampled, imported=probe.found)


def _next_pass(file: DatabaseFile, search: Search, probe: ScriptProbe) -> Sampled | None:
    with file.transaction() as connection:
        opened, used = sampled_so_far(connection.execute, search.pk)
    if opened == search.terms.passes:
        return None
    return probe.sample(search.terms, opened + 1, used, search.stream)


def load_settled(connection: Connection, stored: Search) -> Facts:
    """The facts of a search of which nothing runs. Raises Conflict when attempts are open."""
    facts = load_facts(connection.execute, stored.pk)
    if facts.open_attempts:
        raise Conflict(
            f"{len(facts.open_attempts)} scripts of {stored.run_identity} may still run, so it "
            "was left as it is. Type `hbtrack resume` to go on with them, or `hbtrack stop` to end "
            "them.",
            see="scripts-still-run",
        )
    return facts
