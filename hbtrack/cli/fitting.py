"""A table for the terminal that it is written to: first tighter, then without what can be spared.

On no terminal it stays as it is.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from hbtrack.cli.tables import GAP, Row, beside, laid_out, rounded, table, terminal_width, wrapped
from hbtrack.report.width import shortened, width_of
from hbtrack.text import printable

NARROWEST = 12
"""Columns that a text keeps, however narrow the terminal is."""


FEWEST_DIGITS = 4
"""Digits that a number keeps whose column is never left out."""


class Form(NamedTuple):
    """How tight a table is. Only in columns that can be spared are texts cut."""

    text: int | None = None  # columns that a text may take; None: all that it needs
    broken: bool = False  # headings of two words and more take two lines
    gap: int = GAP
    digits: int = 6


FORMS = (
    Form(),
    Form(24),
    Form(24, broken=True),
    Form(24, broken=True, gap=1),
    Form(24, broken=True, gap=1, digits=4),
    Form(24, broken=True, gap=1, digits=3),
)
"""From the one that is read best to the one that needs least room."""


class Elastic(NamedTuple):
    """A column that takes what the others leave it, but at least so much that they are left out."""

    column: str
    least: int | None = None  # None: what it needs, as long as any other can be left out


def fitted_table(
    rows: Sequence[Row],
    columns: Sequence[str],
    spare: Sequence[str],
    elastic: Elastic | None = None,
) -> tuple[str, list[str]]:
    """A table as tight as it must be, without the last `spare` columns that it has no room for.

    Also which columns it has.
    """
    room = terminal_width()
    if room is None:
        return table(rows, "simple", columns), list(columns)
    name = elastic.column if elastic else ""
    sheet = whole = _Sheet(rows, {*spare} - {name})
    if elastic:
        fixed = [one for one in columns if one not in (*spare, name)]
        left = room - _total(sheet.widths(fixed, FORMS[0]), FORMS[0]) - GAP
        sheet = whole.cut(name, left if elastic.least is None else min(left, elastic.least))
    shown = _kept(sheet.widths(columns, FORMS[-1]), spare, room)
    form = next((one for one in FORMS if _fits(sheet, shown, one, room)), FORMS[-1])
    if name in shown:
        others = [one for one in shown if one != name]
        sheet = whole.cut(name, room - _total(sheet.widths(others, form), form) - form.gap)
    return sheet.written(shown, form), shown


def _kept(widths: Mapping[str, int], spare: Sequence[str], room: int) -> list[str]:
    """The columns without the last spare ones that have no room in the tightest form."""
    kept = dict(widths)
    for column in reversed(spare):
        if _total(kept, FORMS[-1]) <= room:
            break
        del kept[column]
    return list(kept)


def _fits(sheet: "_Sheet", columns: Sequence[str], form: Form, room: int) -> bool:
    return _total(sheet.widths(columns, form), form) <= room


def _total(widths: Mapping[str, int], form: Form) -> int:
    return sum(widths.values()) + form.gap * max(0, len(widths) - 1)


def left_out(columns: Sequence[str], shown: Sequence[str], form: str = "csv") -> str:
    """A line to follow the table, about columns without room in it; empty if there are none.

    `form` is a format that has them.
    """
    names = [printable(column) for column in columns if column not in shown]
    return "\n" + wrapped(f"No room: {', '.join(names)} (--format {form})", "  ") if names else ""


class _Sheet(NamedTuple):
    """Rows as a form shows them."""

    rows: Sequence[Row]
    spare: Collection[str]

    def cut(self, column: str, width: int) -> "_Sheet":
        """The texts of a column in so many columns of the terminal, or the fewest."""
        width = max(width, NARROWEST)
        rows = [{**row, column: _short(row[column], width)} for row in self.rows]
        return self._replace(rows=rows)

    def widths(self, columns: Sequence[str], form: Form) -> dict[str, int]:
        """How much of the terminal each column takes."""
        return {column: width_of(self._block(column, form)[0]) for column in columns}

    def written(self, columns: Sequence[str], form: Form) -> str:
        """The table."""
        blocks = [self._block(column, form) for column in columns]
        if not any(block[0].strip() for block in blocks):  # no heading takes two lines
            blocks = [block[1:] for block in blocks]
        return beside(blocks, form.gap)

    def _block(self, column: str, form: Form) -> list[str]:
        """The column with two lines for its heading, the first of which may be empty."""
        cells = [row[column] for row in self.rows]
        if column in self.spare:
            cells = [rounded(_short(cell, form.text), form.digits) for cell in cells]
        else:
            cells = [rounded(cell, max(form.digits, FEWEST_DIGITS)) for cell in cells]
        block = laid_out(["", column], cells)
        if form.broken and width_of(laid_out([""], cells)[0]) < width_of(block[0]):
            return laid_out(_two_lines(column), cells)
        return block


def _short(value: object, width: int | None) -> object:
    if width is None or not isinstance(value, str):
        return value
    return shortened(printable(value), width)


def _two_lines(heading: str) -> list[str]:
    """A heading of several words as narrow as two lines make it; one of a single word is below."""
    ends = [place + 1 for place, character in enumerate(heading) if character == "_"]
    pairs = [[heading[:end], heading[end:]] for end in ends if heading[end:]]
    return min(pairs, key=lambda pair: max(map(width_of, pair)), default=["", heading])
