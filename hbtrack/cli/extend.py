"""`hbtrack extend`: make a search larger, and go on with it."""

import argparse

from hbtrack.cli.driving import drive, options_of, search_of, settings_of, settle_dead
from hbtrack.cli.signals import stoppable
from hbtrack.database.location import existing_database
from hbtrack.errors import UsageError
from hbtrack.searches.extend import extend_search
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.session import own


def main(args: argparse.Namespace) -> int:
    """Grow the search that is meant and run it; the exit status says how it ended."""
    if args.passes is None and args.max_epochs is None:
        raise UsageError(
            "Say how large: --passes P or --max-epochs R, as new totals.", see="command-line"
        )
    with stoppable(), DatabaseFile(existing_database(args.db), settings_of(args)) as file:
        search = search_of(file, args)
        settle_dead(file, search)
        with own(file, search) as owned:
            session = extend_search(
                owned, options_of(args), max_epochs=args.max_epochs, passes=args.passes
            )
            return drive(session, args)
