"""`hbtrack errors`: the failures by cause, what they have in common, and what to type."""

import argparse
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from hbtrack.cli import tables
from hbtrack.cli.advice import to_type
from hbtrack.cli.help import sections
from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.records import AttemptStatus, Verdict
from hbtrack.database.location import database_path
from hbtrack.report.failures import FailureGroup, failure_groups, promotions
from hbtrack.report.snapshot import SEARCH
from hbtrack.report.state import find_search, rest_of, rests, state_of
from hbtrack.store.reading import Row, chosen_names, snapshot
from hbtrack.text import budget, duration, option, printable

LAST = 15
"""Lines of a traceback that are shown without --full."""


def main(args: argparse.Namespace) -> int:
    """Show the failures of each search that matches; exit 0 also when there is none."""
    with snapshot(args.db) as connection:
        chosen = chosen_names(connection, args.identity, some=True)
        found = [
            (find_search(connection, name, SEARCH), failure_groups(connection, name, args.top))
            for name in chosen
        ]
        remarks = {name: list(_remarks(connection, args, name)) for name in chosen}
    if args.format == "json":
        content = [
            {"run_identity": search["run_identity"], "groups": list(map(asdict, groups))}
            for search, groups in found
        ]
        tables.write_document("hbtrack.errors/1", searches=content)
    else:
        tables.write("\n\n".join(_text(search, groups, args, remarks) for search, groups in found))
    return 0


def _remarks(connection: sqlite3.Connection, args: argparse.Namespace, name: str) -> Iterator[str]:
    """What is to be said of all its failures: that it rests, or that only promotions fail."""
    owner = state_of(connection, database_path(args.db), name).owner
    if owner and (rest := rest_of(connection, name)):
        yield f"It {rests(rest, driven=True)}."
    found = promotions(connection, name)
    if found.alone_fail:
        yield (
            f"{found.failed} of {found.ended} failed after a promotion, {found.fresh_failed} of "
            f"{found.fresh_ended} that began anew: what differs is that a checkpoint is loaded, "
            "and the number of epochs. `hbtrack check SCRIPT` tries it."
        )


def _text(
    search: Row,
    groups: list[FailureGroup],
    args: argparse.Namespace,
    remarks: Mapping[str, list[str]],
) -> str:
    name, failed = search["run_identity"], search["evaluations_failed"]
    if not groups:
        return f"{printable(name)}: no evaluation has failed"
    head = (
        f"{printable(name)}: {failed} of {failed + search['evaluations_done']} evaluations failed"
    )
    if args.top > len(groups) and (reused := failed - sum(group.count for group in groups)) > 0:
        head += f", {reused} of them without a run: a config sampled again fails again"
    head = tables.wrapped(head, "  ")
    head = "\n".join([head, *(tables.wrapped(remark, "  ") for remark in remarks[name])])
    return "\n\n".join([head, *("\n".join(_group(group, search, args)) for group in groups)])


def _group(group: FailureGroup, search: Row, args: argparse.Namespace) -> Iterator[str]:
    what = printable(f"{group.error_type}: {group.error_message}")
    yield f"{group.count} failed: {what}"
    configs = "1 config" if group.configs == 1 else f"{group.configs} configs"
    share = f"{group.share * 100:.1f} % of all time"
    yield f"  {configs}, {_lost(group.seconds)} lost ({share})"
    first, last = (f"{at[:19]}Z" for at in (group.first_at, group.last_at))
    yield f"  {first} to {last}" if group.count > 1 else f"  {first}"
    if group.common:
        yield "  in common: " + "; ".join(map(printable, group.common))
    yield f"  example: {group.called} at {budget(group.epochs)}"
    yield from (f"    {printable(line)}" for line in _last_lines(group.error, args))
    yield from (f"  {printable(line)}" for line in _advice(group, search, args))


def _lost(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _last_lines(error: str, args: argparse.Namespace) -> list[str]:
    lines = [line.expandtabs(4) for line in error.rstrip().split("\n")]
    if args.full or len(lines) <= LAST:
        return lines
    return [f"[{len(lines) - LAST} lines before; --full shows them]", *lines[-LAST:]]


def _advice(group: FailureGroup, search: Row, args: argparse.Namespace) -> Iterator[str]:
    """What to type about it: see it, then run it again, with what may help."""
    name = search["run_identity"]
    if group.error_type in sections():
        yield f"more:  hbtrack help {group.error_type}"
    yield "see:   " + to_type(args, name, "logs", config=group.called.short)
    yield "again: " + to_type(args, name, "retry", *option("--error", group.error_type))
    yield "       " + to_type(args, name, "resume", *_remedy(group, search))


def _remedy(group: FailureGroup, search: Row) -> list[str]:
    """The options of `resume` that may help; none where the script or the config is at fault."""
    if group.error_type == "timeout":
        return ["--timeout", f"{2 * search['timeout']:.10g}"] if search["timeout"] else []
    end = Verdict(
        AttemptStatus.FAILED,
        error_type=group.error_type,
        error_message=group.error_message,
        error=group.error,
    )
    return _REMEDIES.get(cause_of(end), [])


_REMEDIES = {
    Cause.GPU_MEMORY: ["--per-gpu", "1", "--retries", "1"],
    Cause.MEMORY: ["--workers", "1", "--retries", "1"],
    Cause.GPU_LOST: ["--retries", "1"],
}
