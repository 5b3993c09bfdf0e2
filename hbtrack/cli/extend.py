"""`hbtrack extend`: make a search larger, and go on with it."""

import argparse
import os

from hbtrack.cli import complain
from hbtrack.cli.driving import (
    drive,
    limits_of,
    patience,
    resources_of,
    settings_of,
    settle_dead,
    show_finished,
    stoppable,
)
from hbtrack.database.location import existing_database
from hbtrack.database.upgrade import writable
from hbtrack.errors import UsageError
from hbtrack.searches.extend import extend_search
from hbtrack.store.catalogue import read_searches
from hbtrack.store.reading import match_identity


def main(args: argparse.Namespace) -> int:
    """Grow the search that is meant and run it; the exit status says how it ended."""
    with stoppable():
        return _extend(args)


def _extend(args: argparse.Namespace) -> int:
    if args.passes is None and args.max_epochs is None:
        raise UsageError("Say how large: --passes P or --max-epochs R, as new totals.", see="usage")
    path = existing_database(args.db)
    with writable(path, complain, busy_seconds=patience()) as database:
        searches = {search.run_identity: search for search in read_searches(database)}
    names = match_identity(list(searches), args.identity)
    if len(names) > 1:
        raise UsageError(
            f"{args.identity!r} means {len(names)} searches; name one: {', '.join(names[:5])}.",
            see="several-searches",
        )
    search = searches[names[0]]
    settle_dead(path, search, args)
    session = extend_search(
        path,
        search,
        max_epochs=args.max_epochs,
        passes=args.passes,
        resources=resources_of(args),
        limits=limits_of(args),
        given=args.given,
        settings=settings_of(args),
    )
    if session.finished:
        show_finished(args, session.search)
        return os.EX_OK
    return drive(session, args)
