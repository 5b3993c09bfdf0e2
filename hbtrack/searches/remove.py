"""Removing a search: all that the database has of it, in one transaction, then its folder."""

import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

from hbtrack.core.records import Search
from hbtrack.database.connection import Database
from hbtrack.database.location import search_folder
from hbtrack.database.upgrade import writable
from hbtrack.faults import fault_point
from hbtrack.searches.session import Settings
from hbtrack.searches.start import own
from hbtrack.store.catalogue import delete_search, token_of


def remove_search(path: Path, stored: Search, settings: Settings) -> None:
    """Remove a search of which no script runs. It is gone whole, or nothing has changed.

    Raises Conflict when a driver runs it, NotFound when it has been removed meanwhile.
    """
    with ExitStack() as stack:
        own(path, stored, stack, settings)
        file = writable(path, settings.say, busy_seconds=settings.patience, foreign_keys=False)
        database = stack.enter_context(file)
        with database.transaction() as connection:
            delete_search(connection, stored.pk)
            fault_point("remove.inside")
        fault_point("remove.after")
        _remove_folder(database, path, stored)


def _remove_folder(database: Database, path: Path, stored: Search) -> None:
    """Remove the folder, and what one that was killed here has left.

    A search that is new may get the key of this one, and its folder. While the file is ours to
    write nobody makes one, so that is when the folder gets another name.
    """
    folder = search_folder(path, stored.pk)
    with database.transaction() as connection, suppress(FileNotFoundError):
        if token_of(connection, stored.pk) is None:
            folder.rename(folder.with_name(f"{stored.pk}{_GONE}{os.getpid()}"))
    for gone in folder.parent.glob(f"*{_GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)


_GONE = ".removed-"
