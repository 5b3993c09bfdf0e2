"""`hbtrack retry`: queue failed evaluations again."""

import argparse
import os

from hbtrack.cli import complain, show_error
from hbtrack.cli.advice import to_type
from hbtrack.cli.driving import file_to_end, searches_of, settle_dead
from hbtrack.cli.signals import stoppable
from hbtrack.core.places import named
from hbtrack.core.records import Search
from hbtrack.errors import Conflict, HbtrackError, NotFound
from hbtrack.searches.retry import Failure, Retried, retry_failures
from hbtrack.searches.session import own
from hbtrack.text import budget, printable

SHOWN = 10
"""At most so many evaluations are named one by one."""


def main(args: argparse.Namespace) -> int:
    """Take failures back in every search that matches; the worst exit status of them.

    3 when no failure is meant, 4 when none of them can be taken back.
    """
    found, queued, codes = 0, 0, []
    with stoppable(), file_to_end(args) as file:
        for search in searches_of(file, args):
            try:
                settle_dead(file, search)
                with own(file, search) as session:
                    retried = retry_failures(session, lambda failure: _is_meant(failure, args))
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
            f"{search.run_identity}: {what} queued again, {_cost(retried)} To run: "
            f"{to_type(args, search.run_identity, 'resume')}"
        )
        if retried.larger:
            complain(
                "There counts the result of a larger budget, which their configs have or were "
                f"started for: {named(retried.larger)}."
            )


def _cost(retried: Retried) -> str:
    """What running them again takes."""
    cost = f"{budget(retried.epochs)} to train"
    if retried.most > retried.epochs:
        cost += f", up to {retried.most} if other configs go on than before"
    return cost + "."
