"""Rows as text in the formats that --format names."""

import csv
import html
import io
import json
import math
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hbtrack.display import printable, width_of

Row = Mapping[str, Any]

GAP = 2
"""Spaces between the columns of a table on a terminal."""


def document(schema: str, **content: object) -> str:
    """One JSON document; `schema` names its form and version."""
    content = {"schema": schema, **_finite(content)}
    return json.dumps(content, ensure_ascii=True, indent=1, default=_encode, allow_nan=False)


def _finite(value: Any) -> Any:
    """The same with infinities as texts: JSON has none."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Sequence[Row], form: str, columns: Sequence[str] | None = None) -> str:
    """The rows in one of the formats but json; `columns` is needed where rows may be empty."""
    columns = list(columns if columns is not None else rows[0] if rows else [])
    cells = [[row[column] for column in columns] for row in rows]
    if form in ("csv", "tsv"):
        return _separated(columns, cells, "," if form == "csv" else "\t")
    if form == "html":
        return _html(columns, cells)
    import tabulate  # noqa: PLC0415 - csv, tsv and json need none

    tabulate.MIN_PADDING = 0  # a heading needs no wider column than its own
    shown = [[_shown(cell, form) for cell in line] for line in cells]
    return str(
        tabulate.tabulate(
            shown,
            headers=[_shown(column, form) for column in columns],
            tablefmt=form,
            disable_numparse=True,  # an id such as 12e4 or 0012 is not a number
            preserve_whitespace=True,
            colalign=[_alignment(column) for column in zip(*cells, strict=True)] or None,
        )
    )


def fitting(rows: Sequence[Row], columns: Sequence[str], spare: Sequence[str]) -> list[str]:
    """The columns without the last of the `spare` ones, where the terminal has no room for them."""
    room, left = terminal_width(), list(columns)
    if room is None:
        return left
    widths = {column: wide(rows, [column]) for column in columns}
    for column in reversed(spare):
        if sum(widths[one] for one in left) <= room + GAP:
            break
        left.remove(column)
    return left


def wide(rows: Sequence[Row], columns: Sequence[str]) -> int:
    """How much of a terminal these columns take, each with the gap after it."""
    return sum(
        GAP + max(width_of(_shown(column, "simple")), _wide([row[column] for row in rows]))
        for column in columns
    )


def _wide(cells: Sequence[object]) -> int:
    """How wide they are below each other; numbers have their points in line."""
    texts = [_shown(cell, "simple") for cell in cells]
    if _alignment(cells) != "decimal":
        return max(map(width_of, texts), default=0)
    heads = [re.split("[.e]", text, maxsplit=1)[0] for text in texts]
    tails = [len(text) - len(head) for text, head in zip(texts, heads, strict=True)]
    return max(map(len, heads)) + max(tails)


def terminal_width() -> int | None:
    """The columns of the terminal that stdout is; None if it is none, and nothing is cut."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if on_terminal else None


def rounded(value: float | None) -> float | None:
    """A loss for the eye; csv, tsv and json have all its digits."""
    return None if value is None else float(f"{value:.6g}")


def write(text: str, end: str = "\n") -> None:
    """A result, on stdout, in whatever encoding that has."""
    if sys.stdout is None:  # closed: >&-
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + end)


def _alignment(cells: Sequence[object]) -> str:
    kinds = set(map(type, cells))
    return "decimal" if float in kinds else "right" if int in kinds else "left"


def _shown(cell: object, form: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return f"x'{cell.hex()}'"
    text = printable(repr(cell) if isinstance(cell, float) else str(cell))
    return text.replace("|", r"\|") if form == "github" else text


def _separated(columns: Sequence[str], cells: Sequence[Sequence[Any]], delimiter: str) -> str:
    """Cells as they are, but a text that a spreadsheet would compute begins with an apostrophe."""
    lines = []
    for line in (
        [_inert(column) for column in columns],
        *([_inert(cell) for cell in line] for line in cells),
    ):
        out = io.StringIO()
        # With this ending csv also quotes a lone carriage return, in every version of Python.
        csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(line)
        lines.append(out.getvalue().removesuffix("\r\n"))
    return "\n".join(lines)


def _inert(cell: object) -> object:
    if isinstance(cell, bytes):
        return cell.hex()
    computed = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    return f"'{cell}" if computed else cell


def _html(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(_shown(column, 'html'))}</th>" for column in columns)
    lines = [
        "".join(f"<td>{html.escape(_shown(cell, 'html'))}</td>" for cell in line) for line in cells
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _encode(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)
