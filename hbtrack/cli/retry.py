"""`hbtrack retry`: queue failed evaluations again."""

import argparse
import os

from hbtrack.cli import complain, show_error
from hbtrack.cli.driving import command_options, patience, settings_to_end, settle_dead, stoppable
from hbtrack.core.records import Search
from hbtrack.database.location import existing_database
from hbtrack.database.upgrade import writable
from hbtrack.errors import Conflict, HbtrackError, NotFound
from hbtrack.searches.retry import Failure, Retried, retry_failures
from hbtrack.store.catalogue import read_searches
from hbtrack.store.reading import match_identity
from hbtrack.text import budget, printable

SHOWN = 10
"""At most so many evaluations are named one by one."""


def main(args: argparse.Namespace) -> int:
    """Take failures back in every search that matches; the worst exit status of them.

    3 when no failure is meant, 4 when none of them can be taken back.
    """
    with stoppable():
        return _retry(args)


def _retry(args: argparse.Namespace) -> int:
    path = existing_database(args.db)
    with writable(path, complain, busy_seconds=patience()) as database:
        searches = {search.run_identity: search for search in read_searches(database)}
    chosen = [searches[name] for name in match_identity(list(searches), args.identity)]
    found, queued, codes = 0, 0, []
    for search in chosen:
        try:
            settle_dead(path, search, args)
            retried = retry_failures(
                path, search, lambda one: _is_meant(one, args), settings_to_end(0.0)
            )
        except HbtrackError as error:
            show_error(error)
            codes.append(error.exit_code)
            continue
        found += len(retried.queued) + len(retried.refused)
        queued += len(retried.queued)
        _say(args, search, retried)
    if codes:
        return max(codes)
    if not found:
        raise NotFound(
            "No failed evaluation is meant. `hbtrack report` shows the failures.",
            see="nothing-failed",
        )
    return os.EX_OK if queued else Conflict.exit_code


def _is_meant(failure: Failure, args: argparse.Namespace) -> bool:
    if args.config is not None:
        return bool(failure.config_id == args.config)
    return args.error is None or args.error.casefold() in failure.error.casefold()


def _say(args: argparse.Namespace, search: Search, retried: Retried) -> None:
    for failure, problem in retried.refused[:SHOWN]:
        complain(
            f"Not queued: {printable(failure.config_id)} at {budget(failure.epochs)}: {problem}."
        )
    if (rest := len(retried.refused) - SHOWN) > 0:
        complain(f"Not queued: {rest} more.")
    if retried.queued and not args.quiet:
        count = len(retried.queued)
        what = "1 failed evaluation is" if count == 1 else f"{count} failed evaluations are"
        complain(
            f"{search.run_identity}: {what} queued again. To run: hbtrack resume "
            f"{command_options(args, search)}"
        )
