"""`hbtrack retry`: queue failed evaluations again."""

import argparse
import os
from collections.abc import Sequence
from functools import partial

from hbtrack.cli import complain, show_error
from hbtrack.cli.advice import to_type
from hbtrack.cli.driving import file_to_end, searches_of, settle_dead
from hbtrack.cli.signals import stoppable
from hbtrack.core.places import named
from hbtrack.core.records import Search
from hbtrack.errors import Conflict, HbtrackError, NotFound
from hbtrack.report.called import called
from hbtrack.report.which_config import find_config
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.retry import Failure, Retried, retry_failures
from hbtrack.searches.session import own
from hbtrack.text import budget

SHOWN = 10
"""At most so many evaluations are named one by one."""


def main(args: argparse.Namespace) -> int:
    """Take failures back in every search that matches; the worst exit status of them.

    3 when no failure is meant, 4 when none of them can be taken back.
    """
    found, queued, codes = 0, 0, []
    with stoppable(), file_to_end(args) as file:
        for search, config_id in _chosen(file, args):
            try:
                settle_dead(file, search)
                with own(file, search) as session:
                    retried = retry_failures(session, partial(_is_meant, args, config_id))
                refused = _refused(file, search, retried)
            except HbtrackError as error:
                show_error(error)
                codes.append(error.exit_code)
                continue
            found += len(retried.queued) + len(retried.refused)
            queued += len(retried.queued)
            _say(args, search, retried, refused)
    if codes:
        return max(codes)
    if not found:
        raise NotFound(
            "No failed evaluation is meant. `hbtrack report` shows the failures.",
            see="nothing-failed",
        )
    return os.EX_OK if queued else Conflict.exit_code


def _chosen(file: DatabaseFile, args: argparse.Namespace) -> list[tuple[Search, str | None]]:
    """The searches that are meant, or the one that has the config that is, and that config's id."""
    searches = searches_of(file, args)
    if args.config is None:
        return [(search, None) for search in searches]
    with file.transaction() as connection:
        found = find_config(connection, [one.run_identity for one in searches], args.config)
    return [(search, found[1]) for search in searches if search.run_identity == found[0]]


def _is_meant(args: argparse.Namespace, config_id: str | None, failure: Failure) -> bool:
    if config_id is not None:
        return failure.config_id == config_id
    return args.error is None or args.error.casefold() in failure.error.casefold()


def _refused(file: DatabaseFile, search: Search, retried: Retried) -> list[str]:
    """What stands in the way of those that are named one by one."""
    shown = retried.refused[:SHOWN]
    with file.transaction() as connection:
        configs = called(connection, ((search.run_identity, one.config_id) for one, _ in shown))
    return [
        f"{configs[search.run_identity, one.config_id]} at {budget(one.epochs)}: {problem}."
        for one, problem in shown
    ]


def _say(
    args: argparse.Namespace, search: Search, retried: Retried, refused: Sequence[str]
) -> None:
    for problem in refused:
        complain(f"Not queued: {problem}")
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
