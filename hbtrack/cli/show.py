"""`hbtrack show`: one config, its parameters, its path, its attempts, and how to run it by hand."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from hbtrack.cli import tables
from hbtrack.cli.advice import to_type
from hbtrack.database.location import database_path
from hbtrack.errors import NotFound
from hbtrack.report.config import Config, find_config, read_config
from hbtrack.report.script_changes import Ran, since_then, what_ran
from hbtrack.report.width import width_of
from hbtrack.store.reading import chosen_names, snapshot
from hbtrack.text import budget, printable

LAST = 5
"""Lines of an error that are shown."""

TALLEST = 3
"""Lines of a terminal that an id or a parameter may take; the command has all of the id."""


def main(args: argparse.Namespace) -> int:
    """Show a config; exit 3 when none, or more than one, may be meant."""
    with snapshot(args.db) as connection:
        chosen = chosen_names(connection, args.identity, some=True)
        found = find_config(connection, chosen, args.config)
        if args.script:
            return _script(args, what_ran(connection, *found), *found)
        config = read_config(connection, database_path(args.db), *found)
    if args.format == "json":
        tables.write_document("hbtrack.show/1", **asdict(config), command=config.command)
    else:
        tables.write("\n\n".join(_parts(config, args)))
    return 0


def _script(args: argparse.Namespace, ran: Ran | None, identity: str, config_id: str) -> int:
    """What ran for a config beside what would run now; all of its text as json."""
    if ran is None:
        raise NotFound(
            f"Which script ran for {config_id} is not known: nothing was started for it, or the "
            "script was edited while it ran. `hbtrack report` names the edits.",
            see="no-script-version",
        )
    if args.format == "json":
        names = {"run_identity": identity, "config_id": config_id}
        tables.write_document("hbtrack.show.script/1", **names, **asdict(ran))
        return 0
    lines = [printable(line.replace("\t", "    ")) for line in since_then(ran)]
    when = f"{budget(ran.epochs)}, {ran.started_at[:19]}Z"
    tables.write("\n".join(lines or [f"Nothing was edited since it ran ({when})."]))
    return 0


def _parts(config: Config, args: argparse.Namespace) -> Iterator[str]:
    yield "\n".join([tables.clipped(printable(config.config_id), TALLEST), _headline(config)])
    if config.params:
        names = [printable(name) for name in config.params]
        width = max(map(width_of, names))
        yield "\n".join(
            tables.clipped(
                f"{name}{' ' * (width - width_of(name))}  {printable(str(value))}", TALLEST
            )
            for name, value in zip(names, config.params.values(), strict=True)
        )
    yield _path(config)
    if config.attempts:
        yield _attempts(config)
    yield from _warnings(config)
    yield from _error(config, args)
    if config.checkpoint:
        yield f"what it has saved: {printable(config.checkpoint)}"
    yield _by_hand(config)


def _headline(config: Config) -> str:
    name = printable(config.run_identity)
    if config.best is None:
        return f"a config of {name} without a loss" + (
            "" if config.attempts else ": it was not started yet"
        )
    best = config.best
    loss, epochs = tables.rounded(best["loss"]), best["epochs"]
    return f"rank {best['rank']} of {name}: loss {loss} at {budget(epochs)}"


def _path(config: Config) -> str:
    lines = [
        {
            **row,
            "loss": tables.rounded(row["loss"]) if row["status"] == "done" else None,
            "rank": row["rank"] and f"{row['rank']}/{row['configs']}",
            "outcome": row["outcome"] + (", reused" if row["reused"] else ""),
        }
        for row in config.path
    ]
    columns = ["pass", "bracket", "rung", "slot", "epochs", "loss", "rank", "outcome"]
    spare = ["rung", "rank", "pass", "slot"]
    return tables.table(lines, "simple", tables.fitting(lines, columns, spare))


def _attempts(config: Config) -> str:
    lines = [
        {
            **row,
            "seconds": None if row["seconds"] is None else round(row["seconds"], 1),
            "exit": row["signal"] or row["exit_code"],
            "started_at": row["started_at"][:19] + "Z",
        }
        for row in config.attempts
    ]
    columns = ["epochs", "attempt", "status", "seconds", "exit", "gpu", "host", "started_at"]
    if any(row["retried"] for row in config.attempts):
        columns.insert(3, "retried")
    spare = ["gpu", "exit", "started_at", "host"]
    return tables.table(lines, "simple", tables.fitting(lines, columns, spare))


def _warnings(config: Config) -> Iterator[str]:
    for row in config.attempts:
        if row["warning"]:
            yield tables.wrapped(printable(f"{budget(row['epochs'])}: {row['warning']}."), "  ")


def _error(config: Config, args: argparse.Namespace) -> Iterator[str]:
    failed = config.failed
    if failed is None:
        return
    lines = failed["error"].strip().split("\n")
    whole = to_type(args, config.run_identity, "logs", config=config.config_id)
    head = f"error at {budget(failed['epochs'])}"
    if len(lines) > LAST:
        head += f" (its last lines; all that it printed: {whole})"
    yield "\n".join([printable(head) + ":", *(f"    {printable(one)}" for one in lines[-LAST:])])


def _by_hand(config: Config) -> str:
    if config.command is None:
        return "to run it by hand: its command is known once it was started"
    if config.command.isprintable():
        return f"to run it by hand:\n{config.command}"
    return (
        "to run it by hand (characters that a terminal does not show are escaped here; "
        f"`--format json` has them as they are):\n{printable(config.command)}"
    )
