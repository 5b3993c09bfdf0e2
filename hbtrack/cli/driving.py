"""What the commands share that change a search: what is typed and shown, and how it ends."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from hbtrack.cli import complain, more, show_error
from hbtrack.cli.advice import to_type
from hbtrack.cli.signals import stop_signals
from hbtrack.core.limits import Reached
from hbtrack.core.records import Limits, Resources, Search, SearchStatus
from hbtrack.database.location import existing_database
from hbtrack.driver.interfaces import StopRequest, Tolerances
from hbtrack.driver.lock import owned
from hbtrack.errors import INTERRUPTED, Conflict, HbtrackError, UsageError
from hbtrack.report.agreement import compared
from hbtrack.report.called import Called, called_one
from hbtrack.report.described import directed
from hbtrack.report.direction import direction
from hbtrack.report.live.progress import Progress, can_redraw
from hbtrack.report.state import state_of
from hbtrack.searches.file import DatabaseFile, Settings
from hbtrack.searches.session import Session, own
from hbtrack.searches.terms import STATED, Options
from hbtrack.store.catalogue import chosen_searches
from hbtrack.store.reading import Row, rows
from hbtrack.text import budget

Record = TypeVar("Record")

MAX_LOST = 5
PATIENCE = 60


def file_to_end(args: argparse.Namespace, grace: float = 0.0) -> DatabaseFile:
    """The database that is there, for drivers that start nothing and ask no script anything."""
    tolerances = Tolerances(grace, max_lost=0, max_log=0)
    settings = Settings(0.0, tolerances, _from_environment("HBTRACK_PATIENCE", PATIENCE), complain)
    return DatabaseFile(existing_database(args.db), settings)


def settings_of(args: argparse.Namespace) -> Settings:
    """How this start is to be run. HBTRACK_MAX_LOST is for those who kill scripts on purpose."""
    return Settings(
        import_timeout=args.import_timeout,
        tolerances=Tolerances(
            args.grace, _from_environment("HBTRACK_MAX_LOST", MAX_LOST), args.max_log
        ),
        patience=_from_environment("HBTRACK_PATIENCE", PATIENCE),
        say=(lambda _text: None) if args.quiet else complain,
    )


def options_of(args: argparse.Namespace) -> Options:
    """Where attempts run, and the limits, as typed."""
    stated = {name: getattr(args, name) for name in STATED if name in args.given}
    return Options(typed(Resources, args), typed(Limits, args), frozenset(args.given), stated)


def typed(record: type[Record], args: argparse.Namespace) -> Record:
    """A record of the options that are called as its fields."""
    names: Iterable[str] = record.__dataclass_fields__  # type: ignore[attr-defined]
    given = {name: getattr(args, name) for name in names}
    return record(
        **{name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}
    )


def searches_of(
    file: DatabaseFile, args: argparse.Namespace, *, some: bool = False
) -> list[Search]:
    """The stored searches that `--identity` means. Raises NotFound like `chosen_searches`."""
    with file.transaction() as connection:
        return chosen_searches(connection, args.identity, some=some)


def search_of(file: DatabaseFile, args: argparse.Namespace) -> Search:
    """The one search that `--identity` means. Raises UsageError when it means several."""
    search, *others = found = searches_of(file, args)
    if others:
        names = ", ".join(one.run_identity for one in found[:5])
        raise UsageError(
            f"{args.identity!r} means {len(found)} searches; name one: {names}.",
            see="several-searches",
        )
    return search


def _from_environment(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit()):
        raise UsageError(f"{name} must be a whole number, not {value!r}.", see="command-line")
    return int(value)


def drive(session: Session, args: argparse.Namespace, stop: StopRequest | None = None) -> int:
    """Drive one search, or only end what runs if a stop is asked for already; the exit status."""
    if session.finished:
        return _finished(session, args)
    stop, identity = stop or StopRequest(), session.search.run_identity
    how = _shown_as(args.progress) if not args.quiet else "off"

    def observer(folder: Path) -> Progress:
        return Progress(
            folder,
            identity,
            maximize=session.search.terms.maximize,
            how=how,
            database=session.file.path,
            say=session.settings.say,
            named=partial(_named, session),
            go_on=_to_type(session, args, "resume"),
        )

    try:
        with stop_signals(stop) as on_wake:
            status = session.drive(observer, stop, on_wake)
    except (HbtrackError, OSError):  # the latter is the machine's
        raise
    except Exception:  # the outermost: what is a defect of hbtrack's own
        return _crashed(session)
    if status is SearchStatus.FINISHED:
        return _finished(session, args)
    if stop.reached:
        return _at_limit(stop.reached, session, args)
    complain(f"Stopped by {stop.name}; everything finished is kept.")
    complain(f"To go on: {_to_type(session, args, 'resume')}")
    return INTERRUPTED


def _shown_as(progress: str) -> str:
    """What `--progress` means here: live, lines or off."""
    if progress != "auto":
        return progress
    return "live" if can_redraw(sys.stderr) else "lines"


def _finished(session: Session, args: argparse.Namespace) -> int:
    """Show the best of a finished search, from the views; the exit status."""
    if args.quiet:
        return os.EX_OK
    identity = session.search.run_identity
    with session.file.database() as database:
        (row,) = rows(database.connection, _SEARCH, [identity])
        compare = compared(database.connection, identity)
        found = direction(compare, maximize=session.search.terms.maximize)
    complain(
        f"{identity} is finished: {row['evaluations_done']} evaluations done, "
        f"{row['evaluations_failed']} failed."
    )
    if row["best_loss"] is None and row["evaluations_failed"]:
        retry, resume = _to_type(session, args, "retry"), _to_type(session, args, "resume")
        complain(f"Nothing has a loss. Why: {_to_type(session, args, 'errors')}")
        complain(f"When the script is mended: {retry}, then {resume}")
        return os.EX_OK
    _show_best(row, session)
    if found.is_doubtful:
        complain(found.sentence)
    complain(f"More: {_to_type(session, args, 'report')}")
    return os.EX_OK


def _show_best(search: Row, session: Session) -> None:
    """The best config with its parameters, if any has a loss."""
    if (config_id := search["best_config_id"]) is None:
        return
    maximize = session.search.terms.maximize
    config = _named(session, config_id) or config_id
    best = directed(search["best_loss"], maximize)
    complain(f"Best {best} at {budget(search['best_epochs'])}: {config}")


def _named(session: Session, config_id: str) -> Called | None:
    """What a config is called, if the database can be asked just now."""
    identity = session.search.run_identity
    return session.file.glance(lambda connection: called_one(connection, identity, config_id))


def _to_type(session: Session, args: argparse.Namespace, *words: str) -> str:
    """The command line to type next; it names the search only where there are others."""
    count = session.file.glance(lambda connection: connection.execute(_COUNT).fetchone()[0])
    return to_type(args, None if count == 1 else session.search.run_identity, *words)


def _at_limit(reached: Reached, session: Session, args: argparse.Namespace) -> int:
    """Say why the search stopped; the exit status."""
    retry, resume = (_to_type(session, args, verb) for verb in ("retry", "resume"))
    complain(f"Stopped: {reached.reason}. Everything finished is kept.")
    if not (reached.failure or args.quiet):
        with session.file.database() as database:
            (row,) = rows(database.connection, _SEARCH, [session.search.run_identity])
        _show_best(row, session)
    if reached.doubted:
        complain(f"Where the machine was at fault and is well again: {retry}, then {resume}")
        complain(f"Where it is the configs: {resume} --max-streak none")
    elif reached.to_go_on:
        first = f"{retry}, then " if reached.once else ""
        complain(f"To go on: {first}{resume}, and {reached.to_go_on}.")
    else:
        complain(f"When the script is mended: {retry}")
        complain(f"Then, or to go on all the same: {resume}")
    if reached.failure:
        by_doubt, by_number = more(see="failures-in-a-row"), more(see="stopped-by-failures")
        complain(by_doubt if reached.doubted else by_number)
        return HbtrackError.exit_code
    return os.EX_OK


def _crashed(session: Session) -> int:
    """A defect: its traceback on stderr and in the log; the scripts go on and are adopted."""
    text = traceback.format_exc()
    log = session.lock.folder / "log"
    with log.open("a", encoding="utf-8") as file:
        file.write(text)
    complain(text)
    defect = HbtrackError(
        f"this is a defect of hbtrack; the traceback is also in {log}. Everything recorded is "
        "kept and running scripts go on: `hbtrack resume` takes them over.",
        see="defect",
    )
    show_error(defect)
    return defect.exit_code


# --- searches that nobody drives -----------------------------------------------------------------


def settle_dead(file: DatabaseFile, search: Search) -> None:
    """Record what became of attempts whose processes and driver have died, if there are any.

    Raises Conflict when one of them, or a driver, is alive.
    """
    require_dead(file, search)
    with file.database() as database:
        open_attempts = rows(database.connection, _OPEN, [search.run_identity])
    if open_attempts:
        stop = StopRequest(time.time(), "settling", time.monotonic())
        with own(file, search) as session, stop_signals(stop) as on_wake:
            session.drive(lambda folder: Progress(folder, search.run_identity), stop, on_wake)


def require_dead(file: DatabaseFile, search: Search) -> None:
    """Raise Conflict when a driver or a script of the search is alive."""
    with file.database() as database:
        state = state_of(database.connection, file.path, search.run_identity)
    if state.owner:
        raise owned(search.run_identity, state.owner)
    if state.word == "orphaned":
        raise Conflict(
            f"Scripts of {search.run_identity!r} still run, although their hbtrack is dead. "
            "Nothing was changed; type `hbtrack resume` to go on with them, or `hbtrack stop` to "
            "end them.",
            see="scripts-still-run",
        )


_SEARCH = "SELECT * FROM searches WHERE run_identity = ?"

_COUNT = "SELECT count(*) FROM searches"

_OPEN = "SELECT 1 FROM attempts WHERE run_identity = ? AND finished_at IS NULL LIMIT 1"
