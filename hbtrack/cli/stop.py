"""`hbtrack stop`: end searches, whether their driver lives or only their scripts do."""

import argparse
import os
import signal
import time
from pathlib import Path

from hbtrack.cli import complain, show_error
from hbtrack.cli.driving import drive, patience, settings_to_end, stoppable
from hbtrack.core.records import Search, SearchStatus
from hbtrack.database.location import existing_database, search_folder
from hbtrack.database.upgrade import writable
from hbtrack.driver.interfaces import StopRequest
from hbtrack.driver.lock import owner_of, signal_owner
from hbtrack.errors import INTERRUPTED, HbtrackError
from hbtrack.searches.start import session_to_end
from hbtrack.store.catalogue import read_searches
from hbtrack.store.reading import match_identity

SLACK = 5.0
"""Seconds beyond the grace period that a driver may need to record how its scripts ended."""


def main(args: argparse.Namespace) -> int:
    """End every unfinished search that matches, all at once; then settle each."""
    path = existing_database(args.db)
    with stoppable(), writable(path, complain, busy_seconds=patience()) as database:
        searches = {search.run_identity: search for search in read_searches(database)}
    chosen = [searches[name] for name in match_identity(list(searches), args.identity)]
    todo = [search for search in chosen if _is_under_way(path, search)]
    if not todo:
        complain("Nothing to stop: no search there is under way.")
    failed: dict[str, HbtrackError] = {}
    with stoppable():
        drivers = todo
        for number in (signal.SIGTERM, signal.SIGKILL):
            drivers = [search for search in drivers if _signal_driver(path, search, number, failed)]
            _await_end(path, drivers, args.grace + SLACK)
    codes = []
    for search in todo:  # each for itself: one that cannot be ended leaves no other running
        try:
            if search.run_identity in failed:
                raise failed[search.run_identity]
            codes.append(_settle(path, search, args))
        except HbtrackError as error:
            show_error(error)
            codes.append(error.exit_code)
    return max((code for code in codes if code != INTERRUPTED), default=os.EX_OK)


def _is_under_way(path: Path, search: Search) -> bool:
    """Also one that was stopped and is just being resumed: its script is being imported."""
    if search.status is SearchStatus.STOPPED:
        return owner_of(search_folder(path, search.pk)) is not None
    return search.status is SearchStatus.UNFINISHED


def _signal_driver(
    path: Path, search: Search, number: signal.Signals, failed: dict[str, HbtrackError]
) -> bool:
    """Ask a search's driver to end, as Ctrl-C would, or kill it; whether there is one."""
    try:
        return signal_owner(search_folder(path, search.pk), number)
    except HbtrackError as error:
        failed[search.run_identity] = error
        return False


def _await_end(path: Path, searches: list[Search], seconds: float) -> None:
    """Return when their drivers have ended, or time is up."""
    deadline = time.monotonic() + seconds
    waiting = searches
    while waiting and time.monotonic() < deadline:
        waiting = [search for search in waiting if owner_of(search_folder(path, search.pk))]
        time.sleep(0.02)


def _settle(path: Path, search: Search, args: argparse.Namespace) -> int:
    """Be its driver for as long as scripts of the one before are to be ended."""
    stop = StopRequest(time.time(), "hbtrack stop", for_good=True)
    return drive(session_to_end(path, search, settings_to_end(args.grace)), args, stop)
