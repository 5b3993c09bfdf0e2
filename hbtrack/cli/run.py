"""`hbtrack run`: start the search that a script names, or go on with it."""

import argparse
import os
from pathlib import Path

from hbtrack.cli.driving import (
    drive,
    limits_of,
    resources_of,
    settings_of,
    show_finished,
    stoppable,
)
from hbtrack.core.records import Terms
from hbtrack.core.schedule import format_eta, make_schedule, parse_eta
from hbtrack.database.location import database_path
from hbtrack.script.command import make_command
from hbtrack.script.probe import check_given
from hbtrack.searches.start import start_search


def main(args: argparse.Namespace) -> int:
    """Run the search to its end; the exit status says how it ended."""
    with stoppable():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    terms = Terms(
        max_epochs=args.max_epochs,
        eta=format_eta(parse_eta(args.eta)),
        seed=args.seed,
        passes=args.passes,
        failure_loss=args.failure_loss,
        configs=tuple(args.configs),
    )
    schedule = make_schedule(terms.max_epochs, parse_eta(terms.eta))  # refuses before all else
    check_given(terms.configs, schedule)
    session = start_search(
        database_path(args.db),
        make_command(args.script, args.script_args, args.python, str(Path.cwd())),
        terms=terms,
        given=args.given,
        resources=resources_of(args),
        limits=limits_of(args),
        settings=settings_of(args),
    )
    if session.finished:
        show_finished(args, session.search)
        return os.EX_OK
    return drive(session, args)
