"""`hbtrack resume`: go on with the searches of a database, the oldest first."""

import argparse
import os

from hbtrack.cli.driving import drive, say, settings_of
from hbtrack.database.location import existing_database
from hbtrack.errors import INTERRUPTED, Conflict, NotFound
from hbtrack.reading import match_identity
from hbtrack.records import Resources, Search, SearchStatus
from hbtrack.session import resume_search, writable
from hbtrack.store.catalogue import read_searches


def main(args: argparse.Namespace) -> int:
    """Drive every unfinished search that matches; the worst exit status of them."""
    path = existing_database(args.db)
    with writable(path, say) as engine:
        searches = {search.run_identity: search for search in read_searches(engine)}
    if not searches:
        raise NotFound(f"There is no search in {path}; start one with `hbtrack run SCRIPT`.")
    chosen = [searches[name] for name in match_identity(list(searches), args.identity)]
    todo = [search for search in chosen if search.status is not SearchStatus.FINISHED]
    if not todo:
        say(
            f"Nothing to go on with: {_count(chosen)} finished. `hbtrack report` shows what was found."
        )
        return os.EX_OK
    return _drive_all(todo, args)


def _drive_all(todo: list[Search], args: argparse.Namespace) -> int:
    path = existing_database(args.db)
    statuses, owned = [], []
    for search in todo:
        session = resume_search(
            path,
            search,
            resources=Resources(args.workers, args.gpus),
            typed=args.typed,
            settings=settings_of(args),
        )
        try:
            status = drive(session, args)
        except Conflict as conflict:
            say(f"{search.run_identity}: {conflict}")
            owned.append(conflict)
            continue
        statuses.append(status)
        if status == INTERRUPTED:
            break
    if not statuses:
        return Conflict.exit_code
    return max(statuses)


def _count(searches: list[Search]) -> str:
    return "the search is" if len(searches) == 1 else f"all {len(searches)} searches are"
