"""Removing a search: all that the database has of it, in one transaction, then its folder."""

import os
import shutil
from contextlib import suppress

from hbtrack.database.location import search_folder
from hbtrack.faults import fault_point
from hbtrack.searches.saved import Saved
from hbtrack.searches.session import Session
from hbtrack.store.catalogue import delete_search, token_of


def remove_search(session: Session, saved: Saved | None, *, checkpoints: bool) -> None:
    """Remove a search of which no script runs. It is gone whole, or nothing has changed.

    What its scripts have `saved` stays, unless the checkpoints shall go, too; None leaves even
    folders that are empty.
    """
    with session.file.database() as database:
        with database.without_foreign_keys() as connection:
            delete_search(connection, session.search.pk)
            fault_point("remove.inside")
        fault_point("remove.after")
    _remove_folder(session)
    if saved is None:
        return
    if checkpoints:
        saved.remove_all()
    else:
        saved.remove_empty()


def _remove_folder(session: Session) -> None:
    """Remove the folder, and what one that was killed here has left.

    A search that is new may get the key of this one, and its folder. While the file is ours to
    write nobody makes one, so that is when the folder gets another name.
    """
    pk = session.search.pk
    folder = search_folder(session.file.path, pk)
    with session.file.transaction() as connection, suppress(FileNotFoundError):
        if token_of(connection, pk) is None:
            folder.rename(folder.with_name(f"{pk}{_GONE}{os.getpid()}"))
    for gone in folder.parent.glob(f"*{_GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)


_GONE = ".removed-"
