"""The commands that read what was found, and look after the file."""

from hbtrack.cli.parser.pieces import (
    Parser,
    database,
    format_option,
    identity,
    in_seconds,
    text_or_json,
)
from hbtrack.cli.parser.values import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hbtrack.cli.parser.pieces import Verbs


def _status(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "status",
        help="every search in a line, as it is now",
        description="What is true of each search now, found by looking; nothing is repaired.",
        epilog="Example: hbtrack status --identity 'model:*'\n\n"
        "Exit status of --wait: 0 all are finished, or at --target-loss or --max-time; 1 one was\n"
        "stopped by its failures; 75 one was interrupted or stopped, and `hbtrack resume` goes on.",
    )
    identity(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--watch",
        action="store_true",
        help="show a search as its own hbtrack shows it, until that ends; without --identity the "
        "searches that run",
    )
    how.add_argument(
        "--wait", action="store_true", help="return when no hbtrack runs these searches any more"
    )
    format_option(parser)


def _report(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "report",
        help="the best configs and the failures of a search",
        description="How far a search is, its best configs, its failures.",
        epilog="Example: hbtrack report --identity model:resnet --top 5 --sort epochs",
    )
    identity(parser)
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument(
        "--top",
        type=whole(1),
        default=10,
        metavar="N",
        help="default 10, or as many as the terminal has room for",
    )
    how_many.add_argument("--all", action="store_true", help="every config that has a loss")
    parser.add_argument(
        "--sort",
        default="loss",
        metavar="BY",
        help="loss: the best first; epochs, seconds or the name of a metric: the largest; the name "
        "of a parameter: the smallest",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write one self-contained page instead; - is stdout"
    )
    format_option(parser)


def _show(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "show",
        help="one config: its parameters, its path, its attempts, its command; or what several "
        "differ in",
        description="All that is known of one config, and the command to run it by hand. Of "
        "several what they differ in: parameters, losses at common budgets, metrics, errors.",
        epilog="Example: hbtrack show best --identity model:resnet",
    )
    _config(parser, nargs="+", dest="configs")
    identity(parser)
    parser.add_argument(
        "--script",
        action="store_true",
        help="instead: what was edited in the script, and in the modules of yours that it imports, "
        "since it ran for this config",
    )
    text_or_json(parser)


def _errors(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "errors",
        help="the failures by cause, and what to do about them",
        description="Failures grouped by what they have in common: how many, how much time they "
        "cost, what the failing configs share, and the traceback of one.",
        epilog="Example: hbtrack errors --identity model:resnet --full",
    )
    identity(parser)
    parser.add_argument("--top", type=whole(1), default=10, metavar="N", help="default 10 causes")
    parser.add_argument("--full", action="store_true", help="the whole traceback of each example")
    text_or_json(parser)


def _logs(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "logs",
        help="what a config's script printed, also while it runs",
        description="What an attempt printed: the last one at the largest budget, unless said "
        "otherwise; without CONFIG, of the config that was started last. What could steer the "
        "terminal is made visible.",
        epilog="Example: hbtrack logs best --identity model:resnet",
    )
    _config(parser, nargs="?")
    parser.add_argument("--epochs", type=whole(1), metavar="N", help="the attempts at this budget")
    parser.add_argument("--attempt", type=whole(1), metavar="K", help="its K-th attempt")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stdout", dest="streams", action="store_const", const=("stdout",))
    which.add_argument("--stderr", dest="streams", action="store_const", const=("stderr",))
    parser.set_defaults(streams=("stdout", "stderr"))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("-f", "--follow", action="store_true", help="go on until the attempt ends")
    how.add_argument("--raw", action="store_true", help="every byte as it was printed")
    identity(parser)


def _rm(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "rm",
        help="remove a search from the database",
        description="Remove a search: all that the database has of it, and its folder of logs. "
        "Checkpoints stay unless they are named. It asks first.",
        epilog="Example: hbtrack rm --identity model:resnet --yes",
    )
    identity(parser, several=False)
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="also what its scripts have saved in HBTRACK_CHECKPOINT",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _clean(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "clean",
        help="free the checkpoints that a search needs no more",
        description="Remove what scripts have saved in HBTRACK_CHECKPOINT for configs that no "
        "place of the search can need any more; results stay. It says how much that is, and "
        "what would be trained again if the search became larger. It asks first.",
        epilog="Example: hbtrack clean --identity model:resnet --yes",
    )
    identity(parser, several=False)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _config(parser: Parser, nargs: str, dest: str = "config") -> None:
    parser.add_argument(
        dest,
        nargs=nargs,
        metavar="CONFIG",
        help="best; its number, 3 or '#3'; an id, or how only one begins; or rank:3",
    )


def _sql(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "sql",
        help="ask the database, read-only",
        description="Run one SELECT over the public views, or a query that has a name. `SELECT * "
        "FROM data_dictionary` explains every column. Queries of your own: files NAME.sql in the "
        "folder hbtrack-queries beside the database, or in ~/.config/hbtrack/queries.",
        epilog="Example: hbtrack sql @best --identity 'model:*'",
    )
    parser.add_argument(
        "query", metavar="QUERY", nargs="?", help="a SELECT in quotes, @NAME, @FILE, or - for stdin"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--list", action="store_true", help="the queries that have a name")
    which.add_argument("--print", action="store_true", help="show the query, do not run it")
    identity(parser)
    in_seconds(parser, "--time-limit", 60.0)
    format_option(parser)


def _export(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "export",
        help="every view as csv, json or jsonl",
        description="Write every view to DEST: a new folder with a file per view for csv and "
        "jsonl, one new file for json. NULL is an empty cell in csv and null in the others.",
        epilog="Example: hbtrack export csv exported --identity model:resnet",
    )
    parser.add_argument("form", choices=("csv", "json", "jsonl"), help="what to write")
    parser.add_argument("dest", metavar="DEST", help="a folder or file that does not exist yet")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="csv cells as they are, also those that a spreadsheet would compute",
    )
    identity(parser)


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
    for name, text, example in (
        ("path", "print which file the other commands would use", "path"),
        ("upgrade", "bring an older file to this version, after a backup", "upgrade"),
        ("backup", "copy the file safely, also while a search runs", "backup copy.db"),
        ("check", "recompute everything that follows from the facts and compare", "check"),
    ):
        action = actions.add_parser(
            name,
            help=text,
            description=f"{text.capitalize()}.",
            epilog=f"Example: hbtrack db {example}",
        )
        if name == "backup":
            action.add_argument("file", metavar="FILE", help="a file that does not exist yet")
        if name == "check":
            identity(action)
        database(action)


def _completion(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "completion",
        help="let your shell complete what you type",
        description="Print a script that makes a shell complete commands, options and files.\n\n"
        "bash: type this once\n"
        "    mkdir -p ~/.local/share/bash-completion/completions\n"
        "    hbtrack completion bash > ~/.local/share/bash-completion/completions/hbtrack\n"
        "bash without the package bash-completion: put this line into ~/.bashrc\n"
        '    eval "$(hbtrack completion bash)"\n'
        "zsh: put this line into ~/.zshrc, after compinit\n"
        '    eval "$(hbtrack completion zsh)"',
        epilog="Example: hbtrack completion bash",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


def _help(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "help",
        help="what a command takes, or what an error means",
        description="Show what a command takes, as its --help does, or what an error means. "
        "`hbtrack --explain` lists the names of all errors.",
        epilog="Example: hbtrack help another-driver",
    )
    parser.add_argument(
        "name", metavar="NAME", help="of a command, or as it stands in an error's last line"
    )


COMMANDS = (
    *(_status, _report, _show, _errors, _logs, _sql, _export, _rm, _clean, _db, _completion),
    _help,
)
"""What adds each of them, in the order of the help."""
