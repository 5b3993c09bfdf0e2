"""What can be typed. Loads nothing but argparse; the commands are imported when they are called."""

import argparse
import importlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hbtrack import __version__
from hbtrack.contract import RESERVED_OPTIONS
from hbtrack.errors import UsageError

if TYPE_CHECKING:
    from typing import NoReturn

    Verbs = argparse._SubParsersAction["_Parser"]
    Group = argparse._ArgumentGroup | argparse.ArgumentParser

Command = Callable[[argparse.Namespace], int]

FORMATS = ("simple", "github", "csv", "tsv", "json", "html", "latex")
_RAW = argparse.RawDescriptionHelpFormatter


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are ours: one sentence, exit status 2."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})  # type: ignore[arg-type]

    def error(self, message: str) -> "NoReturn":
        raise UsageError(f"{message}. Type `{self.prog} --help` for what can be typed.")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command; `command` is what to call with them. Raises UsageError."""
    parser, commands = _make_parser()
    tail: list[str] = []
    if argv[:1] == ["run"]:
        head, tail = _split_at_script(commands["run"], argv[1:])
        argv = ["run", *head]
    args = parser.parse_args(argv)
    if args.verb == "run":
        args.script_args = _script_args(commands["run"], tail)
    args.typed = _typed(commands.get(args.verb), argv[1:])
    return args


def _make_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser(
        prog="hbtrack",
        description="Hyperband over your own training script, in one SQLite file, resumed exactly.",
        epilog="Start here: hbtrack run --max-epochs 81 myexp.py --model resnet",
    )
    parser.add_argument("--version", action="version", version=f"hbtrack {__version__}")
    verbs = parser.add_subparsers(
        dest="verb", metavar="COMMAND", required=True, parser_class=_Parser
    )
    commands = {
        "run": _run(verbs),
        "resume": _resume(verbs),
        "retry": _retry(verbs),
        "extend": _extend(verbs),
        "stop": _stop(verbs),
        "plan": _plan(verbs),
        "status": _status(verbs),
        "report": _report(verbs),
        "sql": _sql(verbs),
        "db": _db(verbs),
    }
    return parser, commands


def _run(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "run",
        help="search a script's hyperparameters, or go on with its search",
        usage="hbtrack run [options] SCRIPT [the script's own arguments]",
        description="Search SCRIPT's hyperparameters with Hyperband. A search is known by what the "
        "script's run_identity says; one that exists is gone on with.",
        epilog="Example: hbtrack run --max-epochs 27 dummy.py --model resnet\n"
        "Options of hbtrack stand before SCRIPT; all that follows it is the script's.",
        formatter_class=_RAW,
    )
    parser.add_argument("script", metavar="SCRIPT", help="a Python file that keeps the contract")
    search = parser.add_argument_group("the search (fixed when it first starts)")
    search.add_argument("--max-epochs", type=_whole(1), default=81, metavar="R", help="default 81")
    search.add_argument("--eta", default="3", metavar="E", help="keep one in E configs; default 3")
    search.add_argument("--seed", type=_whole(0, 2**32 - 1), default=0, help="default 0")
    search.add_argument("--passes", type=_whole(1), default=1, metavar="P", help="default 1")
    search.add_argument(
        "--failure-loss", type=_finite, default=100.0, metavar="LOSS", help="default 100"
    )
    search.add_argument(
        "--config",
        dest="configs",
        action="append",
        default=[],
        metavar="ID",
        help="a config of your own, tried first; may be repeated",
    )
    running = parser.add_argument_group("how it runs")
    _running_options(running)
    _limit_options(parser)
    running.add_argument("--python", metavar="PATH", help="the script's interpreter; default: ours")
    _common(parser, "run")
    return parser


def _resume(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "resume",
        help="go on with every search that is not finished",
        description="Go on exactly where searches stopped, with all that the database knows: "
        "script, arguments, interpreter, working directory.",
        epilog="Example: hbtrack resume --identity model:resnet",
    )
    _identity(parser)
    _running_options(parser)
    _limit_options(parser)
    _common(parser, "resume")
    return parser


def _retry(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "retry",
        help="queue failed evaluations again; resume runs them",
        description="Take failures back, where no rung that uses them has promoted a config yet; "
        "`hbtrack resume` then runs these evaluations again.",
        epilog="Example: hbtrack retry --identity model:resnet --error 'out of memory'",
    )
    _identity(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", metavar="ID", help="only failures of this config")
    which.add_argument("--error", metavar="TEXT", help="only failures whose error contains TEXT")
    parser.add_argument("-q", "--quiet", action="store_true", help="show errors only")
    _common(parser, "retry")
    return parser


def _extend(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "extend",
        help="make a search larger, and go on with it",
        description="Give a search more passes, or a larger --max-epochs (times a power of eta). "
        "Both are new totals. All that was measured is used again.",
        epilog="Example: hbtrack extend --identity model:resnet --max-epochs 243",
    )
    parser.add_argument("--identity", required=True, metavar="ID", help="one search")
    parser.add_argument("--passes", type=_whole(1), metavar="P", help="the new number of passes")
    parser.add_argument("--max-epochs", type=_whole(1), metavar="R", help="the new largest budget")
    _running_options(parser)
    _limit_options(parser)
    _common(parser, "extend")
    return parser


def _running_options(parser: "Group") -> None:
    parser.add_argument("--workers", type=_whole(1), metavar="N", help="default: one per GPU, or 1")
    parser.add_argument(
        "--gpus", type=_gpus, default="all", metavar="all|none|0,2", help="default all"
    )
    parser.add_argument(
        "--per-gpu", type=_whole(1), default=1, metavar="K", help="at once on each GPU; default 1"
    )
    parser.add_argument(
        "--isolate-gpus",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="give each script its GPU by CUDA_VISIBLE_DEVICES, and --gpu 0",
    )
    parser.add_argument(
        "--multi-gpu",
        choices=("auto", "never"),
        default="auto",
        help="auto: the last evaluation that is left gets all GPUs; default auto",
    )
    _grace(parser)
    parser.add_argument(
        "--max-log",
        type=_bytes,
        default="2GiB",
        metavar="SIZE",
        help="bytes of stdout or stderr at which a script is ended; default 2GiB",
    )
    parser.add_argument(
        "--import-timeout",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="for importing the script and asking it; default 300",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show errors only")


def _limit_options(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits (stored; what is typed later replaces them)")
    limits.add_argument(
        "--timeout", type=_or_none(_time), metavar="TIME", help="of an attempt: 90, 30m, 2h, none"
    )
    limits.add_argument(
        "--retries",
        type=_whole(0),
        default=0,
        metavar="N",
        help="of an evaluation for which memory ran out or the GPU was lost; default 0",
    )
    limits.add_argument(
        "--retry-timeouts",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="--retries counts for timeouts, too",
    )
    limits.add_argument(
        "--max-failures",
        type=_or_none(_failures),
        metavar="N|P%",
        help="stop when more evaluations than that have failed; or none",
    )
    limits.add_argument(
        "--max-time",
        type=_or_none(_time),
        metavar="TIME",
        help="stop when hbtrack has worked on it for so long in all: 8h, or none",
    )
    limits.add_argument(
        "--target-loss",
        type=_or_none(_finite),
        metavar="LOSS",
        help="stop when a loss is not larger; or none",
    )


def _grace(parser: "Group") -> None:
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="between asking scripts to end and killing them; default 10",
    )


def _stop(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "stop",
        help="end the searches that run, and all their scripts",
        description="End every search that is not finished: its hbtrack if one runs, here or in "
        "another terminal, its scripts and what they started. Everything finished is kept, and "
        "resume goes on.",
        epilog="Example: hbtrack stop --identity model:resnet",
    )
    _identity(parser)
    _grace(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="show errors only")
    _common(parser, "stop")
    return parser


def _plan(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "plan",
        help="show the brackets that a search would have; writes nothing",
        description="The brackets as Algorithm 1 gives them, and what they cost.",
        epilog="Example: hbtrack plan --max-epochs 81 --workers 4",
    )
    parser.add_argument("--max-epochs", type=_whole(1), default=81, metavar="R", help="default 81")
    parser.add_argument("--eta", default="3", metavar="E", help="default 3")
    parser.add_argument("--passes", type=_whole(1), default=1, metavar="P", help="default 1")
    parser.add_argument("--workers", type=_whole(1), metavar="N", help="also simulate N workers")
    _format(parser)
    parser.set_defaults(command=_command("plan"))
    return parser


def _status(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "status",
        help="every search in a line, as it is now",
        description="What is true of each search now, found by looking; nothing is repaired.",
        epilog="Example: hbtrack status --identity 'model:*'",
    )
    _identity(parser)
    _format(parser)
    _common(parser, "status")
    return parser


def _report(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "report",
        help="the best configs and the failures of a search",
        description="How far a search is, its best configs, its failures.",
        epilog="Example: hbtrack report --identity model:resnet --top 5",
    )
    _identity(parser)
    parser.add_argument("--top", type=_whole(1), default=10, metavar="N", help="default 10")
    _format(parser)
    _common(parser, "report")
    return parser


def _sql(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "sql",
        help="ask the database, read-only",
        description="Run one SELECT over the public views. `SELECT * FROM data_dictionary` "
        "explains every column.",
        epilog='Example: hbtrack sql "SELECT config_id, loss FROM leaderboard LIMIT 5"',
    )
    parser.add_argument("query", metavar="SELECT", help="one query, in quotes")
    parser.add_argument(
        "--time-limit", type=_seconds, default=60.0, metavar="SECONDS", help="default 60"
    )
    _format(parser)
    _common(parser, "sql")
    return parser


def _db(verbs: "Verbs") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        "db",
        help="path, upgrade, backup, check: the database file itself",
        description="Look after the database file.",
        epilog="Example: hbtrack db backup before-the-trip.db",
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=_Parser
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
            _identity(action)
        _common(action, "db")
    return parser


# --- pieces --------------------------------------------------------------------------------------


def _common(parser: argparse.ArgumentParser, module: str) -> None:
    parser.add_argument(
        "--db", metavar="PATH", help="the database; default HBTRACK_DB, else ./hbtrack.db"
    )
    parser.set_defaults(command=_command(module))


def _identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--identity", metavar="ID", help="one search, or several by a shell pattern: 'model:*'"
    )


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="simple", help="default simple")


def _command(module: str) -> Command:
    """The function `main` of a command's module, imported when it is called."""

    def call(args: argparse.Namespace) -> int:
        return int(importlib.import_module(f"hbtrack.cli.{module}").main(args))

    return call


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {text!r}")
        if most is not None and int(text) > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, not {text}")
        return int(text)

    return number


def _gpus(text: str) -> str:
    if not re.fullmatch(r"all|none|[0-9]+(,[0-9]+)*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"must be all, none, or numbers as 0,2; not {text!r}")
    return text


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:  # nan and the infinities
        raise argparse.ArgumentTypeError(f"must be a finite number, not {text!r}")
    return value


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]+)\s*(?:([KMGT])i?B?|B)?", text, re.ASCII | re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"must be a size such as 500MiB or 2GiB, not {text!r}")
    return int(match[1]) * int(1024 ** " KMGT".index((match[2] or " ").upper()))


def _seconds(text: str) -> float:
    value = _finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, but is {text}")
    return value


def _or_none(kind: Callable[[str], object]) -> Callable[[str], object]:
    def value(text: str) -> object:
        return None if text == "none" else kind(text)

    return value


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _time(text: str) -> float:
    """Seconds of 90, 30m, 1h30m, 2d."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", text, re.ASCII)
    whole = "".join(number + unit for number, unit in parts) == text
    bare = any(not unit for _, unit in parts[:-1]) or (len(parts) > 1 and not parts[-1][1])
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if not parts or not whole or bare or seconds == 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 90, 30m or 1h30m, not {text!r}")
    return seconds


def _failures(text: str) -> str:
    match = re.fullmatch(r"[0-9]{1,9}|([0-9]{1,3}(?:\.[0-9]{1,6})?)%", text, re.ASCII)
    if not match or (match[1] and float(match[1]) > 100):
        raise argparse.ArgumentTypeError(f"must be a number or a percentage, not {text!r}")
    return text


# --- the script's own arguments ------------------------------------------------------------------


def _options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    return {name: action for action in parser._actions for name in action.option_strings}


def _split_at_script(
    parser: argparse.ArgumentParser, argv: Sequence[str]
) -> tuple[list[str], list[str]]:
    """What is hbtrack's (SCRIPT its last word) and what comes after it."""
    options = _options(parser)
    position = 0
    while position < len(argv):
        word = argv[position]
        if word == "--":
            return [*argv[: position + 2]], list(argv[position + 2 :])
        if not word.startswith("-"):
            return list(argv[: position + 1]), list(argv[position + 1 :])
        action = options.get(word)
        position += 2 if action and action.nargs is None and "=" not in word else 1
    return list(argv), []


def _script_args(parser: argparse.ArgumentParser, tail: Sequence[str]) -> list[str]:
    """The script's own arguments; refuses what hbtrack would have taken before SCRIPT."""
    own = {*_options(parser), *RESERVED_OPTIONS}
    before = tail[: tail.index("--")] if "--" in tail else tail
    for word in before:
        name = word.split("=")[0] if word.startswith("--") else word
        if name in RESERVED_OPTIONS:
            raise UsageError(
                f"{name} stands after the script, but hbtrack passes {name} to it by itself. "
                f"Leave it out, or if the script means something else, write: SCRIPT -- {word}"
            )
        if name in own:
            raise UsageError(
                f"{name} stands after the script. For hbtrack write it before the script: "
                f"hbtrack run {word} ... SCRIPT; for the script, after a --: SCRIPT -- {word}"
            )
    if "--" not in tail:
        return list(tail)
    return [*before, *tail[len(before) + 1 :]]


def _typed(parser: argparse.ArgumentParser | None, argv: Sequence[str]) -> set[str]:
    """The destinations of the options that the user gave."""
    options = _options(parser) if parser else {}
    names = (word.split("=")[0] for word in argv if word.startswith("-"))
    return {options[name].dest for name in names if name in options}
