"""`hbtrack stop`: end searches, whether their driver lives or only their scripts do."""

import argparse
import os
import signal
import time
from pathlib import Path

from hbtrack.cli import complain, show_error
from hbtrack.cli.driving import drive, file_to_end, searches_of
from hbtrack.cli.signals import stoppable
from hbtrack.core.records import Search, SearchStatus
from hbtrack.database.location import search_folder
from hbtrack.driver.interfaces import StopRequest
from hbtrack.driver.lock import owner_of, signal_owner
from hbtrack.errors import INTERRUPTED, HbtrackError
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.session import own

SLACK = 5.0
"""Seconds beyond the grace period that a driver may need to record how its scripts ended."""


def main(args: argparse.Namespace) -> int:
    """End every unfinished search that matches, all at once; then settle each."""
    with file_to_end(args, args.grace) as file:
        with stoppable():
            todo = [one for one in searches_of(file, args) if _is_under_way(file.path, one)]
            if not todo:
                complain("Nothing to stop: no search there is under way.")
            failed = _end_drivers(file.path, todo, args.grace + SLACK)
        codes = []
        for search in todo:  # each for itself: one that cannot be ended leaves no other running
            try:
                if search.run_identity in failed:
                    raise failed[search.run_identity]
                codes.append(_settle(file, search, args))
            except HbtrackError as error:
                show_error(error)
                codes.append(error.exit_code)
    return max((code for code in codes if code != INTERRUPTED), default=os.EX_OK)


def _is_under_way(path: Path, search: Search) -> bool:
    """Whether a search has something to end; also a stopped one whose script is just imported."""
    if search.status is SearchStatus.STOPPED:
        return owner_of(search_folder(path, search.pk)) is not None
    return search.status is SearchStatus.UNFINISHED


def _end_drivers(path: Path, todo: list[Search], seconds: float) -> dict[str, HbtrackError]:
    """Ask all drivers to end, then kill those that have not in so long; why some cannot be."""
    failed: dict[str, HbtrackError] = {}
    for number in (signal.SIGTERM, signal.SIGKILL):
        todo = [search for search in todo if _signal_driver(path, search, number, failed)]
        _await_end(path, todo, seconds)
    return failed


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
    """Return when the drivers of these searches have ended, or time is up."""
    deadline = time.monotonic() + seconds
    waiting = searches
    while waiting and time.monotonic() < deadline:
        waiting = [search for search in waiting if owner_of(search_folder(path, search.pk))]
        time.sleep(0.02)


def _settle(file: DatabaseFile, search: Search, args: argparse.Namespace) -> int:
    """End what the last driver of a search has left running, as its driver; the exit status."""
    with own(file, search) as session:
        stop = StopRequest(time.time(), "hbtrack stop", time.monotonic(), for_good=True)
        return drive(session, args, stop)
