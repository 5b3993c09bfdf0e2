"""The commands that read what was found, and look after the file."""

from typing import TYPE_CHECKING

from hbtrack.cli.parser.pieces import Parser, common, format_option, identity
from hbtrack.cli.parser.values import seconds, whole

if TYPE_CHECKING:
    from hbtrack.cli.parser.pieces import Verbs


def add(verbs: "Verbs") -> None:
    """Add these commands to the verbs."""
    for add_command in (_status, _report, _sql, _db):
        add_command(verbs)


def _status(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "status",
        help="every search in a line, as it is now",
        description="What is true of each search now, found by looking; nothing is repaired.",
        epilog="Example: hbtrack status --identity 'model:*'",
    )
    identity(parser)
    format_option(parser)
    common(parser, "status")


def _report(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "report",
        help="the best configs and the failures of a search",
        description="How far a search is, its best configs, its failures.",
        epilog="Example: hbtrack report --identity model:resnet --top 5",
    )
    identity(parser)
    parser.add_argument("--top", type=whole(1), default=10, metavar="N", help="default 10")
    parser.add_argument(
        "--html", metavar="FILE", help="write one self-contained page instead; - is stdout"
    )
    format_option(parser)
    common(parser, "report")


def _sql(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "sql",
        help="ask the database, read-only",
        description="Run one SELECT over the public views. `SELECT * FROM data_dictionary` "
        "explains every column.",
        epilog='Example: hbtrack sql "SELECT config_id, loss FROM leaderboard LIMIT 5"',
    )
    parser.add_argument("query", metavar="SELECT", help="one query, in quotes")
    parser.add_argument(
        "--time-limit", type=seconds, default=60.0, metavar="SECONDS", help="default 60"
    )
    format_option(parser)
    common(parser, "sql")


def _db(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "db",
        help="path, upgrade, backup, check: the database file itself",
        description="Look after the database file.",
        epilog="Example: hbtrack db backup before-the-trip.db",
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=Parser
    )
    for name, text in (
        ("path", "print which file the other commands would use"),
        ("upgrade", "bring an older file to this version, after a backup"),
        ("backup", "copy the file safely, also while a search runs"),
        ("check", "recompute everything that follows from the facts and compare"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if name == "backup":
            action.add_argument("file", metavar="FILE", help="a file that does not exist yet")
        if name == "check":
            identity(action)
        common(action, "db")
