"""`hbtrack show A B`: configs side by side, only what differs."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from hbtrack.cli import tables
from hbtrack.cli.fitting import fitted_table, left_out
from hbtrack.report.config import Config
from hbtrack.report.described import params_text
from hbtrack.report.side_by_side import Comparison, side_by_side
from hbtrack.report.width import shortened
from hbtrack.text import data_size, printable

LONGEST = 40
"""Columns that what went wrong may take."""


def show_beside(configs: Sequence[Config], args: argparse.Namespace) -> None:
    """Write what the configs differ in."""
    found = side_by_side(configs)
    if args.format == "json":
        every = [{**asdict(config), "command": config.command} for config in configs]
        differ = {"differ": found.differ, "equal_params": found.equal}
        tables.write_document("hbtrack.show.beside/1", configs=every, **differ)
    else:
        tables.write("\n\n".join(_parts(configs, found)))


def _parts(configs: Sequence[Config], found: Comparison) -> list[str]:
    names = _headings(configs)
    rows = {name: [_shown(name, cell) for cell in row] for name, row in found.differ.items()}
    lines = [
        {"": name, **dict(zip(names, row, strict=True))}
        for name, row in rows.items()
        if len({*row}) > 1  # not only in digits that are not shown
    ]
    text, shown = fitted_table(lines, ["", *names], names[2:])
    text += left_out(["", *names], shown, "json")
    head = f"configs of {printable(configs[0].run_identity)}"
    if len({config.run_identity for config in configs}) > 1:
        head = "configs of several searches"
    head += ", the larger a loss the better" if any(one.maximize for one in configs) else ""
    return [tables.wrapped(head, "  "), text, tables.wrapped(_equal(configs, found), "  ")]


def _headings(configs: Sequence[Config]) -> list[str]:
    """What each is called in as few words as tell them apart."""
    shorts = [config.called.short for config in configs]
    if len({*shorts}) == len(shorts):
        return shorts
    return [f"{config.called.short} of {config.run_identity}" for config in configs]


def _shown(name: str, cell: object) -> str:
    if cell is None:
        return ""
    if name == "peak_memory" and isinstance(cell, int):
        return data_size(cell)
    if name == "seconds" and isinstance(cell, float):
        return f"{cell:.1f}"
    if name == "error":  # its message is for `show` of the one config
        return shortened(printable(str(cell).partition(": ")[0]), LONGEST)
    return str(tables.rounded(cell))


def _equal(configs: Sequence[Config], found: Comparison) -> str:
    count = len(found.equal)
    if not any(config.params for config in configs):
        return "Their ids tell no parameters."
    if not count:
        return "No parameter is equal."
    return f"{count} equal parameter{'' if count == 1 else 's'}: {params_text(found.equal)}"
