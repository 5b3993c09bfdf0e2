"""A figure with all that belongs to it: a sentence, a legend, a table, the SQL behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hbtrack.report.page.svg.drawing import Drawing, kinds

ROWS = 200
"""At most so many rows of a figure's table are in the page."""

Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows beside a figure; `all_rows` is how many there would be."""

    columns: tuple[str, ...]
    rows: tuple[Cells, ...]
    all_rows: int


@dataclass(frozen=True, slots=True)
class View:
    """One of the ways in which a figure can be seen."""

    name: str  # what the chooser calls it
    drawings: Sequence[Drawing]
    meanings: Mapping[str, str]  # of the kinds of marks that may be drawn
    sentences: Sequence[str] = ()

    @property
    def legend(self) -> dict[str, str]:
        """The meanings of what is drawn."""
        drawn = {kind for drawing in self.drawings for kind in kinds(drawing.marks)}
        return {k: text for k, text in self.meanings.items() if k.split("-")[-1] in drawn}


@dataclass(frozen=True, slots=True)
class Section:
    """A figure with all that belongs to it."""

    id: str
    title: str
    sentences: Sequence[str]
    views: Sequence[View]  # where there are several, the reader chooses one
    table: Table
    sql: str
    choice: str = ""  # what is chosen
    chosen: int = 0  # which of the views is seen first

    @property
    def drawings(self) -> list[Drawing]:
        """What is seen first."""
        return list(self.views[self.chosen].drawings) if self.views else []


def make_table(columns: str, rows: Sequence[Cells], size: int | None = None) -> Table:
    """The first rows under columns named with commas between; `size` is how many there are."""
    return Table(tuple(columns.split(", ")), tuple(rows[:ROWS]), size or len(rows))
