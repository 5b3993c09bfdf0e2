"""`hbtrack show`: one config, its parameters, its path, its attempts, and how to run it by hand."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from hbtrack.cli import tables
from hbtrack.cli.advice import to_type
from hbtrack.cli.beside import show_beside
from hbtrack.cli.fitting import fitted_table, left_out
from hbtrack.database.location import database_path
from hbtrack.errors import NotFound, UsageError
from hbtrack.report.config import Config, read_config
from hbtrack.report.described import directed
from hbtrack.report.script_changes import Ran, since_then, what_ran
from hbtrack.report.which_config import find_config
from hbtrack.report.width import width_of
from hbtrack.store.reading import chosen_names, snapshot
from hbtrack.text import budget, data_size, printable

LAST = 5
"""Lines of an error that are shown."""

TALLEST = 3
"""Lines of a terminal that an id or a parameter may take; the command has all of the id."""


def main(args: argparse.Namespace) -> int:
    """Show a config, or several side by side; exit 3 when one may be none, or more than one."""
    if args.script and len(args.configs) > 1:
        raise UsageError("--script is of one config: name one.", see="command-line")
    with snapshot(args.db) as connection:
        chosen = chosen_names(connection, args.identity, some=True)
        found = dict.fromkeys(find_config(connection, chosen, text) for text in args.configs)
        if args.script:
            (key,) = found
            return _script(args, what_ran(connection, *key), *key)
        path = database_path(args.db)
        config, *others = configs = [read_config(connection, path, *key) for key in found]
    if others:
        show_beside(configs, args)
    elif args.format == "json":
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
    yield tables.wrapped(_headline(config), "  ")
    if config.params:
        names = [printable(name) for name in config.params]
        width = max(map(width_of, names))
        yield "\n".join(
            tables.clipped(
                f"{name}{' ' * (width - width_of(name))}  {printable(str(value))}", TALLEST
            )
            for name, value in zip(names, config.params.values(), strict=True)
        )
    else:
        yield tables.clipped(printable(config.config_id), TALLEST)
    yield _path(config)
    if config.metrics:
        yield _metrics(config)
    if config.attempts:
        yield _attempts(config)
    yield from _warnings(config)
    yield from _error(config, args)
    if config.checkpoint:
        yield f"what it has saved: {printable(config.checkpoint)}"
    yield _by_hand(config)


def _headline(config: Config) -> str:
    number = "" if config.config is None else f" #{config.config}"
    head = f"config{number} of {printable(config.run_identity)}"
    if config.best is None:
        return f"{head}: it has no loss" + (
            "" if config.attempts else ", for it was not started yet"
        )
    best = config.best
    loss = directed(tables.rounded(best["loss"]), config.maximize)
    return f"{head}: rank {best['rank']}, loss {loss} at {budget(best['epochs'])}"


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
    return fitted_table(lines, columns, spare)[0]


def _metrics(config: Config) -> str:
    """What was printed beside the loss at each budget."""
    names = dict.fromkeys(name for row in config.metrics for name in row["metrics"])
    columns = {name: "metric:epochs" if name == "epochs" else name for name in names}
    lines = [
        {
            "epochs": row["epochs"],
            **{
                column: tables.rounded(row["metrics"].get(name)) for name, column in columns.items()
            },
        }
        for row in config.metrics
    ]
    every = ["epochs", *columns.values()]
    text, shown = fitted_table(lines, every, every[1:])
    return text + left_out(every, shown, "json")


def _attempts(config: Config) -> str:
    lines = [
        {
            **row,
            "seconds": _tenths(row["seconds"]),
            "cpu_seconds": _tenths(row["cpu_seconds"]),
            "peak_memory": None if row["peak_memory"] is None else data_size(row["peak_memory"]),
            "exit": row["signal"] or row["exit_code"],
            "started_at": row["started_at"][:19] + "Z",
        }
        for row in config.attempts
    ]
    columns = ["epochs", "attempt", "status", "seconds", "exit", "gpu", "host", "started_at"]
    used = ["cpu_seconds", "peak_memory"]
    columns[4:4] = [name for name in used if any(row[name] is not None for row in lines)]
    if any(row["retried"] for row in config.attempts):
        columns.insert(3, "retried")
    spare = ["gpu", "exit", *(name for name in used if name in columns), "started_at", "host"]
    return fitted_table(lines, columns, spare)[0]


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _warnings(config: Config) -> Iterator[str]:
    for row in config.attempts:
        if row["warning"]:
            yield tables.wrapped(printable(f"{budget(row['epochs'])}: {row['warning']}."), "  ")


def _error(config: Config, args: argparse.Namespace) -> Iterator[str]:
    failed = config.failed
    if failed is None:
        return
    lines = failed["error"].strip().split("\n")
    whole = to_type(args, config.run_identity, "logs", config=config.called.short)
    head = f"error at {budget(failed['epochs'])}"
    if len(lines) > LAST:
        head += f" (its last lines; all that it printed: {whole})"
    yield "\n".join([printable(head) + ":", *(f"    {printable(one)}" for one in lines[-LAST:])])


def _by_hand(config: Config) -> str:
    if config.command is None:
        return (
            f"its id: {printable(config.config_id)}\n"
            "to run it by hand: its command is known once it was started"
        )
    if config.command.isprintable():
        return f"to run it by hand:\n{config.command}"
    return (
        "to run it by hand (characters that a terminal does not show are escaped here; "
        f"`--format json` has them as they are):\n{printable(config.command)}"
    )
