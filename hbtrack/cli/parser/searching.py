"""The commands that search, and those that change what is searched."""

import argparse

from hbtrack.cli.parser.pieces import format_option, identity, in_seconds, quiet, text_or_json
from hbtrack.cli.parser.values import (
    at_once,
    failures,
    finite,
    folder,
    gpus,
    or_none,
    size,
    time,
    time_or_0,
    whole,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hbtrack.cli.parser.pieces import Group, Verbs


def _init(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "init",
        help="write a script that keeps the contract, for you to fill in",
        description="Write NAME.py into this folder: a short script, with comments, that can be "
        "searched as it is. A file that exists is left alone.",
        epilog="Example: hbtrack init myexp --plain",
    )
    parser.add_argument("name", metavar="NAME", help="of the script, with or without .py")
    kinds = parser.add_mutually_exclusive_group()
    for kind, help_ in (
        ("plain", "needs nothing but Python; the default"),
        ("torch", "PyTorch: checkpoints of model, optimizer and scheduler"),
        ("sklearn", "scikit-learn: anything that has partial_fit"),
        ("xgboost", "XGBoost: rounds as epochs"),
        ("lightgbm", "LightGBM: rounds as epochs"),
    ):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=help_)
    parser.set_defaults(kind="plain")


def _check(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "check",
        help="try whether a script keeps the contract, point by point",
        usage="hbtrack check [options] SCRIPT [the script's own arguments]",
        description="Run SCRIPT again and again in copies of this folder: for 1 epoch, for 2, the "
        "same again, killed in the middle, with half a checkpoint. Says what is wrong, and what to "
        "change.",
        epilog="Example: hbtrack check dummy.py --model resnet\n\n"
        "Exit status: 0 it fits, 2 a point of the contract does not hold.",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a Python file")
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="run it in this folder itself; what it saves for the configs of the check stays",
    )
    parser.add_argument(
        "--timeout", type=time, default=600.0, metavar="TIME", help="of a run; default 10m"
    )
    _import_timeout(parser)
    _python(parser)
    text_or_json(parser)


def _run(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "run",
        help="search a script's hyperparameters, or go on with its search",
        usage="hbtrack run [options] SCRIPT [the script's own arguments]",
        description="Search SCRIPT's hyperparameters with Hyperband. A search is known by what the "
        "script's run_identity says; one that exists is gone on with.",
        epilog="Example: hbtrack run --max-epochs 9 dummy.py --model resnet\n"
        "Options of hbtrack stand before SCRIPT; all that follows it is the script's.",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a Python file that keeps the contract")
    search = parser.add_argument_group("the search (fixed when it first starts)")
    _schedule_options(search)
    search.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="default 0")
    search.add_argument(
        "--failure-loss", type=finite, default=100.0, metavar="LOSS", help="default 100"
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
    _python(running)


def _resume(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "resume",
        help="go on with every search that is not finished",
        description="Go on exactly where searches stopped, with all that the database knows: "
        "script, arguments, interpreter, working directory.",
        epilog="Example: hbtrack resume --identity model:resnet",
    )
    identity(parser)
    _running_options(parser)
    _limit_options(parser)


def _retry(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "retry",
        help="queue failed evaluations again; resume runs them",
        description="Take failures back, whatever was decided with them; `hbtrack resume` then "
        "runs these evaluations again, and the search comes to what it would have come to.",
        epilog="Example: hbtrack retry --identity model:resnet --error 'loss is nan'",
    )
    identity(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", metavar="ID", help="only failures of this config")
    which.add_argument("--error", metavar="TEXT", help="only failures whose error contains TEXT")
    quiet(parser)


def _extend(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "extend",
        help="make a search larger, and go on with it",
        description="Give a search more passes, or a larger --max-epochs (times a power of eta). "
        "Both are new totals. All that was measured is used again.",
        epilog="Example: hbtrack extend --identity model:resnet --passes 2",
    )
    identity(parser, several=False)
    parser.add_argument("--passes", type=whole(1), metavar="P", help="the new number of passes")
    parser.add_argument("--max-epochs", type=whole(1), metavar="R", help="the new largest budget")
    _running_options(parser)
    _limit_options(parser)


def _stop(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "stop",
        help="end the searches that run, and all their scripts",
        description="End every search that is not finished: its hbtrack if one runs, here or in "
        "another terminal, its scripts and what they started. Everything finished is kept, and "
        "resume goes on.",
        epilog="Example: hbtrack stop --identity model:resnet",
    )
    identity(parser)
    _grace(parser)
    quiet(parser)
    parser.set_defaults(progress="auto")


def _plan(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "plan",
        help="show the brackets that a search would have; writes nothing",
        description="The brackets as Algorithm 1 gives them, and what they cost.",
        epilog="Example: hbtrack plan --max-epochs 81 --workers 4",
    )
    _schedule_options(parser)
    parser.add_argument("--workers", type=at_once, metavar="N", help="also simulate N workers")
    format_option(parser)


def _schedule_options(parser: "Group") -> None:
    parser.add_argument("--max-epochs", type=whole(1), default=81, metavar="R", help="default 81")
    parser.add_argument("--eta", default="3", metavar="E", help="keep one in E configs; default 3")
    parser.add_argument("--passes", type=whole(1), default=1, metavar="P", help="default 1")


def _running_options(parser: "Group") -> None:
    parser.add_argument("--workers", type=at_once, metavar="N", help="default: one per GPU, or 1")
    parser.add_argument(
        "--gpus", type=gpus, default="all", metavar="all|none|0,2", help="default all"
    )
    parser.add_argument(
        "--per-gpu", type=at_once, default=1, metavar="K", help="at once on each GPU; default 1"
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
    parser.add_argument(
        "--checkpoints",
        type=or_none(folder),
        metavar="DIR",
        help="put the folders of HBTRACK_CHECKPOINT there, such as on another disk; none: beside "
        "the database, the default",
    )
    _grace(parser)
    parser.add_argument(
        "--max-log",
        type=size,
        default="2GiB",
        metavar="SIZE",
        help="bytes of stdout or stderr at which a script is ended; default 2GiB",
    )
    _import_timeout(parser)
    parser.add_argument(
        "--progress",
        choices=("auto", "live", "lines", "off"),
        default="auto",
        help="auto: live (a screen that is redrawn) on a terminal, else lines (one for each "
        "event); off: neither; default auto",
    )
    quiet(parser)


def _limit_options(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits (stored; what is typed later replaces them)")
    limits.add_argument(
        "--timeout", type=or_none(time), metavar="TIME", help="of an attempt: 90, 30m, 2h, none"
    )
    limits.add_argument(
        "--retries",
        type=whole(0),
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
        type=or_none(failures),
        metavar="N|P%",
        help="stop when more evaluations than that have failed; or none",
    )
    limits.add_argument(
        "--max-time",
        type=or_none(time),
        metavar="TIME",
        help="stop when hbtrack has worked on it for so long in all: 8h, or none",
    )
    limits.add_argument(
        "--target-loss",
        type=or_none(finite),
        metavar="LOSS",
        help="stop when a loss is not larger; or none",
    )
    limits.add_argument(
        "--max-streak",
        type=or_none(whole(1)),
        default=10,
        metavar="N",
        help="doubt so many failures in a row, if chance hardly makes them: rest, then run the "
        "last one again; none believes all; default 10",
    )
    limits.add_argument(
        "--max-rest",
        type=time_or_0,
        default=1800.0,
        metavar="TIME",
        help="rest so long in all, then stop; default 30m",
    )
    limits.add_argument(
        "--retry-on",
        action="append",
        default=[],
        metavar="TEXT",
        help="doubt a failure at once if its error or last lines have TEXT; may be repeated",
    )
    limits.add_argument(
        "--script-changes",
        choices=("go-on", "stop"),
        default="go-on",
        help="what an edit of the script, or of a module of yours that it imports, does; "
        "default go-on",
    )


def _grace(parser: "Group") -> None:
    in_seconds(parser, "--grace", 10.0, "between asking scripts to end and killing them; ")


def _import_timeout(parser: "Group") -> None:
    in_seconds(parser, "--import-timeout", 300.0, "for importing the script and asking it; ")


def _python(parser: "Group") -> None:
    parser.add_argument("--python", metavar="PATH", help="the script's interpreter; default: ours")


COMMANDS = (_init, _check, _run, _resume, _retry, _extend, _stop, _plan)
"""What adds each of them, in the order of the help."""
