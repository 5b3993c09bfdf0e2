"""The commands that search, and those that change what is searched."""

from hbtrack.cli.parser.driving import (
    as_started,
    direction,
    grace,
    import_timeout,
    limits,
    python,
    running,
    schedule,
)
from hbtrack.cli.parser.pieces import format_option, identity, quiet, text_or_json
from hbtrack.cli.parser.values import at_once, finite, time, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hbtrack.cli.parser.pieces import Verbs


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
    parser.add_argument("script", nargs="?", metavar="SCRIPT", help="a Python file")
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="run it in this folder itself; what it saves for the configs of the check stays",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="start it five times at most, besides its import; says what it leaves out",
    )
    parser.add_argument(
        "--max-epochs",
        type=whole(1),
        metavar="R",
        help="try the budgets of a search with this, as far as a run takes a minute",
    )
    parser.add_argument("--eta", default="3", metavar="E", help="of that search; default 3")
    parser.add_argument(
        "--min-epochs", type=whole(1), default=1, metavar="r", help="of that search; default 1"
    )
    parser.add_argument(
        "--timeout", type=time, default=600.0, metavar="TIME", help="of a run; default 10m"
    )
    import_timeout(parser)
    python(parser)
    text_or_json(parser)
    quiet(parser)


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
    parser.add_argument(
        "script", nargs="?", metavar="SCRIPT", help="a Python file that keeps the contract"
    )
    search = parser.add_argument_group("the search (fixed when it first starts)")
    schedule(search)
    direction(search, default=False)
    search.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="default 0")
    search.add_argument(
        "--failure-loss",
        type=finite,
        metavar="LOSS",
        help="shown for what failed; default 100, with --maximize -100",
    )
    search.add_argument(
        "--config",
        dest="configs",
        action="append",
        default=[],
        metavar="ID",
        help="a config of your own, tried first; may be repeated",
    )
    how = parser.add_argument_group("how it runs")
    running(how)
    limits(parser)
    python(how)


def _resume(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "resume",
        help="go on with every search that is not finished",
        description="Go on exactly where searches stopped, with all that the database knows: "
        "script, arguments, interpreter, working directory.",
        epilog="Example: hbtrack resume --identity model:resnet",
    )
    identity(parser)
    as_started(parser)
    running(parser)
    limits(parser)


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
    which.add_argument(
        "--config",
        metavar="CONFIG",
        help="only failures of this one: its number, 3 or '#3', an id, or how only one begins",
    )
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
    as_started(parser)
    running(parser)
    limits(parser)


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
    grace(parser)
    quiet(parser)
    parser.set_defaults(progress="auto")


def _plan(verbs: "Verbs") -> None:
    parser = verbs.add_parser(
        "plan",
        help="show the brackets that a search would have; writes nothing",
        description="The brackets as Algorithm 1 gives them, and what they cost.",
        epilog="Example: hbtrack plan --max-epochs 81 --workers 4",
    )
    schedule(parser)
    parser.add_argument("--workers", type=at_once, metavar="N", help="also simulate N workers")
    format_option(parser)


COMMANDS = (_init, _check, _run, _resume, _retry, _extend, _stop, _plan)
"""What adds each of them, in the order of the help."""
