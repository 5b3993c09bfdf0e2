"""Rows as text in the formats that --format names."""

import csv
import html
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hbtrack.display import printable

Row = Mapping[str, Any]


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
    from tabulate import tabulate  # noqa: PLC0415 - csv, tsv and json need none

    shown = [[_shown(cell, form) for cell in line] for line in cells]
    right = [any(_is_number(line[i]) for line in cells) for i in range(len(columns))]
    return str(
        tabulate(
            shown,
            headers=columns,
            tablefmt=form,
            disable_numparse=True,  # an id such as 12e4 or 0012 is not a number
            preserve_whitespace=True,
            colalign=["right" if is_right else "left" for is_right in right] if cells else None,
        )
    )


def rounded(value: float | None) -> float | None:
    """A loss for the eye; csv, tsv and json have all its digits."""
    return None if value is None else float(f"{value:.6g}")


def write(text: str) -> None:
    """A result, on stdout, in whatever encoding that has."""
    if sys.stdout is None:  # closed: >&-
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


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
    for line in (columns, *([_inert(cell) for cell in line] for line in cells)):
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
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = [
        "".join(f"<td>{html.escape(_shown(cell, 'html'))}</td>" for cell in line) for line in cells
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _encode(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)
