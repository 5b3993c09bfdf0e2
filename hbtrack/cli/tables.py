"""Rows as text in the formats that --format names."""

import csv
import html
import io
import json
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from hbtrack.report.width import shortened, width_of
from hbtrack.text import printable

Row = Mapping[str, Any]

GAP = 2
"""Spaces between the columns of a table on a terminal."""
COMPUTED = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a text begins with that a spreadsheet would compute; full-width signs, too."""


def write_document(schema: str, **content: object) -> None:
    """One JSON document, on stdout; `schema` names its form and version."""
    content = {"schema": schema, **_finite(content)}
    write(json.dumps(content, ensure_ascii=True, indent=1, default=_encode, allow_nan=False))


def line(row: Row) -> str:
    """One row as JSON, in the same form as in a document."""
    return _LINE.encode(_finite(row))


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
        return "\n".join(separated(columns, cells, "," if form == "csv" else "\t"))
    if form == "html":
        return _html(columns, cells)
    if form == "simple":
        return _simple(columns, cells)
    import tabulate  # noqa: PLC0415 - the others need none

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


def _simple(columns: Sequence[str], cells: Sequence[Sequence[object]]) -> str:
    """A table for a terminal, where a character may take no column, one or two."""
    return beside(
        laid_out([column], [line[place] for line in cells]) for place, column in enumerate(columns)
    )


def beside(blocks: Iterable[Sequence[str]], gap: int = GAP) -> str:
    """A table of such columns as `laid_out` makes, with so many spaces between them."""
    return "\n".join((" " * gap).join(line).rstrip() for line in zip(*blocks, strict=True))


def laid_out(heading: Sequence[str], cells: Sequence[object]) -> list[str]:
    """The lines of a heading, a rule and cells, of equal width; points stand below each other."""
    alignment, texts = _alignment(cells), [_shown(cell, "simple") for cell in cells]
    if alignment == "decimal":
        tails = [len(text) - len(re.split("[.e]", text, maxsplit=1)[0]) for text in texts]
        most = max(tails)
        texts = [text + " " * (most - tail) for text, tail in zip(texts, tails, strict=True)]
    lines = [*(_shown(line, "simple") for line in heading), *texts]
    width = max(map(width_of, lines))
    gaps = [" " * (width - width_of(line)) for line in lines]
    lines = [
        line + gap if alignment == "left" else gap + line
        for line, gap in zip(lines, gaps, strict=True)
    ]
    return [*lines[: len(heading)], "-" * width, *lines[len(heading) :]]


def wrapped(text: str, indent: str = "") -> str:
    """A sentence in lines that fit the terminal, those after the first indented."""
    width, text = terminal_width(), _encodable(text)
    if width is None or width_of(text) <= width:
        return text
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def terminal_width() -> int | None:
    """The columns of the terminal that stdout is; None if it is none, and nothing is cut."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if on_terminal else None


def clipped(text: str, most: int = 1) -> str:
    """The text, cut where it takes more than so many lines of the terminal."""
    width = terminal_width()
    return text if width is None else shortened(text, most * width)


def lines_over(text: str) -> int:
    """By how many lines the text, and the prompt after it, are too high for the terminal."""
    if (width := terminal_width()) is None:
        return 0
    taken = sum(max(1, math.ceil(width_of(line) / width)) for line in text.split("\n"))
    return taken + 1 - shutil.get_terminal_size().lines


def fitted(rows: Sequence[Row], form: str, columns: Sequence[str]) -> str:
    """A table in one of the formats; a simple one that is too wide for the terminal fits it.

    First its numbers are rounded for the eye; if that is not enough, each row becomes a record of
    its own, a line for every column. What goes into a file or a pipe stays as it is.
    """
    text = table(rows, form, columns)
    if form != "simple" or _fits(text):
        return text
    short = [{column: rounded(row[column]) for column in columns} for row in rows]
    text = table(short, form, columns)
    return text if _fits(text) else _records(rows, columns)


def _fits(text: str) -> bool:
    width = terminal_width()
    return width is None or all(width_of(line) <= width for line in text.split("\n"))


def _records(rows: Sequence[Row], columns: Sequence[str]) -> str:
    width = max(map(len, columns))
    indent = "\n" + " " * (width + 2)
    parts = []
    for number, row in enumerate(rows, 1):
        parts.append(f"--- {number} of {len(rows)} ---")
        for column in columns:
            lines = str(row[column]).split("\n") if isinstance(row[column], str) else [row[column]]
            text = indent.join(_shown(line, "simple") for line in lines)
            parts.append(f"{printable(column):{width}}  {text}".rstrip())
    return "\n".join(parts)


def rounded(cell: object, digits: int = 6) -> object:
    """A float for the eye, and all else as it is; csv, tsv and json have all its digits."""
    return float(f"{cell:.{digits}g}") if isinstance(cell, float) else cell


def write(text: str, end: str = "\n") -> None:
    """A result, on stdout, in whatever encoding that has."""
    put((text + end).encode(_encoding(), "backslashreplace"))


def put(content: bytes) -> None:
    """Bytes on stdout, all of them.

    With PYTHONUNBUFFERED one write may take a part only: as much as a pipe holds, when a signal
    comes.
    """
    if sys.stdout is None:  # closed: >&-
        return
    rest = memoryview(content)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    if sys.stdout.isatty():
        sys.stdout.flush()


def flush() -> None:
    """What is written is seen at once."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _encodable(text: str) -> str:
    """The text with what stdout's encoding lacks escaped."""
    return text.encode(_encoding(), "backslashreplace").decode(_encoding())


def _encoding() -> str:
    return (sys.stdout.encoding if sys.stdout else None) or "utf-8"


def _alignment(cells: Sequence[object]) -> str:
    kinds = set(map(type, cells))
    if str in kinds:  # some are words: "none" among numbers
        return "left"
    return "decimal" if float in kinds else "right" if int in kinds else "left"


def _shown(cell: object, form: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return f"x'{cell.hex()}'"
    text = _encodable(printable(repr(cell) if isinstance(cell, float) else str(cell)))
    return text.replace("|", r"\|") if form == "github" else text


def separated(
    columns: Sequence[str],
    cells: Iterable[Sequence[Any]],
    delimiter: str = ",",
    *,
    raw: bool = False,
) -> Iterator[str]:
    """Lines of csv or tsv, each as it is needed, without its ending.

    A text that a spreadsheet would compute begins with an apostrophe, unless they are `raw`.
    """
    out = io.StringIO()
    # With this ending csv also quotes a lone carriage return, in every version of Python.
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    for line in chain(
        [[_cell(name, raw=raw) for name in columns]],
        ([_cell(cell, raw=raw) for cell in line] for line in cells),
    ):
        out.seek(0)
        out.truncate()
        writer.writerow(line)
        yield out.getvalue().removesuffix("\r\n")


def _cell(cell: object, *, raw: bool) -> object:
    if isinstance(cell, bytes):
        return cell.hex()
    computed = isinstance(cell, str) and cell.startswith(COMPUTED)
    return f"'{cell}" if computed and not raw else cell


def _html(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(_shown(column, 'html'))}</th>" for column in columns)
    lines = [
        "".join(f"<td>{html.escape(_shown(cell, 'html'))}</td>" for cell in line) for line in cells
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _encode(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)


_LINE = json.JSONEncoder(default=_encode, allow_nan=False)
