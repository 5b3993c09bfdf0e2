"""`hbtrack stop`: end searches, whether their driver lives or only their scripts do."""

import argparse
import os
import signal
import time
from pathlib import Path

from hbtrack.cli import complain
from hbtrack.cli.driving import PATIENCE, drive, stoppable
from hbtrack.database.location import existing_database, search_folder
from hbtrack.database.upgrade import writable
from hbtrack.errors import INTERRUPTED
from hbtrack.ownership import owner_of, signal_owner
from hbtrack.reading import match_identity
from hbtrack.records import Search, SearchStatus
from hbtrack.seams import Limits, StopRequest
from hbtrack.session import Session, Settings
from hbtrack.store.catalogue import read_searches

SLACK = 5.0
"""Seconds beyond the grace period that a driver may need to record how its scripts ended."""


def main(args: argparse.Namespace) -> int:
    """End every unfinished search that matches, all at once; then settle each."""
    path = existing_database(args.db)
    with writable(path, complain) as engine:
        searches = {search.run_identity: search for search in read_searches(engine)}
    chosen = [searches[name] for name in match_identity(list(searches), args.identity)]
    todo = [search for search in chosen if search.status is SearchStatus.UNFINISHED]
    if not todo:
        complain("Nothing to stop: no search there is under way.")
    with stoppable():
        _end_drivers(path, todo, args.grace + SLACK)
    codes = [_settle(path, search, args) for search in todo]
    return max((code for code in codes if code != INTERRUPTED), default=os.EX_OK)


def _end_drivers(path: Path, searches: list[Search], seconds: float) -> None:
    """Ask the drivers to end, as Ctrl-C would; kill those that do not in time."""
    folders = [search_folder(path, search.pk) for search in searches]
    asked = [folder for folder in folders if signal_owner(folder, signal.SIGTERM)]
    deadline = time.monotonic() + seconds
    while asked := [folder for folder in asked if owner_of(folder)]:
        if time.monotonic() > deadline:
            for folder in asked:
                signal_owner(folder, signal.SIGKILL)
        time.sleep(0.02)


def _settle(path: Path, search: Search, args: argparse.Namespace) -> int:
    """Be its driver for as long as scripts of the one before are to be ended."""
    settings = Settings(
        import_timeout=0.0,  # the script is not asked anything
        limits=Limits(args.grace, max_lost=0, max_log=0),  # nothing is started
        patience=PATIENCE,
        say=complain,
    )
    stop = StopRequest(time.time(), "hbtrack stop", for_good=True)
    return drive(Session(path, search, None, settings), args, stop)
