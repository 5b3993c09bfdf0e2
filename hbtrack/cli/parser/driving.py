"""The options of the commands that search: how large, how it runs, and what it may take."""

import argparse

from hbtrack.cli.parser.pieces import in_seconds, quiet
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
    from hbtrack.cli.parser.pieces import Group


def schedule(parser: "Group") -> None:
    """How large the search is."""
    parser.add_argument("--max-epochs", type=whole(1), default=81, metavar="R", help="default 81")
    parser.add_argument("--eta", default="3", metavar="E", help="keep one in E configs; default 3")
    parser.add_argument(
        "--min-epochs",
        type=whole(1),
        default=1,
        metavar="r",
        help="no budget is smaller; where fewer epochs say nothing of a config; default 1",
    )
    parser.add_argument("--passes", type=whole(1), default=1, metavar="P", help="default 1")


def direction(parser: "Group", default: bool | None) -> None:
    """Which losses are the better ones."""
    parser.add_argument(
        "--maximize",
        action=argparse.BooleanOptionalAction,
        default=default,
        help="the larger what the script prints, the better: an accuracy; default: the smaller",
    )


def as_started(parser: argparse.ArgumentParser) -> None:
    """What a stored search was started with, and is refused where it was not."""
    group = parser.add_argument_group("the search (as it was started; else refused)")
    direction(group, default=None)
    group.add_argument("--min-epochs", type=whole(1), metavar="r", help="the smallest budget")


def running(parser: "Group") -> None:
    """How and where its scripts run."""
    parser.add_argument("--workers", type=at_once, metavar="N", help="default: one per GPU, or 1")
    _on_gpus(parser)
    parser.add_argument(
        "--checkpoints",
        type=or_none(folder),
        metavar="DIR",
        help="put the folders of HBTRACK_CHECKPOINT there, such as on another disk; none: beside "
        "the database, the default",
    )
    grace(parser)
    parser.add_argument(
        "--max-log",
        type=size,
        default="2GiB",
        metavar="SIZE",
        help="bytes of stdout or stderr at which a script is ended; default 2GiB",
    )
    import_timeout(parser)
    parser.add_argument(
        "--progress",
        choices=("auto", "live", "lines", "off"),
        default="auto",
        help="auto: live (a screen that is redrawn) on a terminal, else lines (one for each "
        "event); off: neither; default auto",
    )
    quiet(parser)


def _on_gpus(parser: "Group") -> None:
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


def limits(parser: argparse.ArgumentParser) -> None:
    """What it may take, and what of its failures is believed."""
    group = parser.add_argument_group("limits (stored; what is typed later replaces them)")
    group.add_argument(
        "--timeout", type=or_none(time), metavar="TIME", help="of an attempt: 90, 30m, 2h, none"
    )
    group.add_argument(
        "--retries",
        type=whole(0),
        default=0,
        metavar="N",
        help="of an evaluation for which memory ran out or the GPU was lost; default 0",
    )
    group.add_argument(
        "--retry-timeouts",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="--retries counts for timeouts, too",
    )
    _ends(group)
    _doubts(group)
    group.add_argument(
        "--script-changes",
        choices=("go-on", "stop"),
        default="go-on",
        help="what an edit of the script, or of a module of yours that it imports, does; "
        "default go-on",
    )


def _ends(group: "Group") -> None:
    group.add_argument(
        "--max-failures",
        type=or_none(failures),
        metavar="N|P%",
        help="stop when more evaluations than that have failed; or none",
    )
    group.add_argument(
        "--max-time",
        type=or_none(time),
        metavar="TIME",
        help="stop when hbtrack has worked on it for so long in all: 8h, or none",
    )
    group.add_argument(
        "--target-loss",
        type=or_none(finite),
        metavar="LOSS",
        help="stop when a loss is as good; or none",
    )


def _doubts(group: "Group") -> None:
    group.add_argument(
        "--max-streak",
        type=or_none(whole(1)),
        default=10,
        metavar="N",
        help="doubt so many failures in a row, if chance hardly makes them: rest, then run the "
        "last one again; none believes all; default 10",
    )
    group.add_argument(
        "--max-rest",
        type=time_or_0,
        default=1800.0,
        metavar="TIME",
        help="rest so long in all, then stop; default 30m",
    )
    group.add_argument(
        "--retry-on",
        action="append",
        default=[],
        metavar="TEXT",
        help="doubt a failure at once if its error or last lines have TEXT; may be repeated",
    )


def grace(parser: "Group") -> None:
    """--grace."""
    in_seconds(parser, "--grace", 10.0, "between asking scripts to end and killing them; ")


def import_timeout(parser: "Group") -> None:
    """--import-timeout."""
    in_seconds(parser, "--import-timeout", 300.0, "for importing the script and asking it; ")


def python(parser: "Group") -> None:
    """--python."""
    parser.add_argument("--python", metavar="PATH", help="the script's interpreter; default: ours")
