"""`hbtrack run`: start the search that a script names, or go on with it."""

import argparse
from dataclasses import replace
from pathlib import Path

from hbtrack.cli.driving import drive, options_of, settings_of, typed
from hbtrack.cli.signals import stoppable
from hbtrack.core.records import Terms
from hbtrack.core.schedule import format_eta, parse_eta
from hbtrack.database.location import database_path
from hbtrack.script.command import make_command
from hbtrack.script.probe import check_given
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.start import start_search


def main(args: argparse.Namespace) -> int:
    """Run the search to its end; the exit status says how it ended."""
    with stoppable():
        terms = _terms_of(args)
        command = make_command(args.script, args.script_args, args.python, str(Path.cwd()))
        with (
            DatabaseFile(database_path(args.db), settings_of(args)) as file,
            start_search(file, command, terms, options_of(args)) as session,
        ):
            return drive(session, args)


def _terms_of(args: argparse.Namespace) -> Terms:
    """The terms as typed. Raises UsageError when no search can have them."""
    terms = typed(Terms, args)
    terms = replace(terms, eta=format_eta(parse_eta(terms.eta)), configs=tuple(terms.configs))
    if args.failure_loss is None:
        terms = replace(terms, failure_loss=-100.0 if terms.maximize else 100.0)
    check_given(terms)
    return terms
