"""What a drawing is made of: plain records in the drawing's own units, which templates turn to SVG.

A mark's `kind` is its class in the style sheet: colours and widths live there, geometry here.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from hbtrack.report.page.svg.scales import Scale, labels, named

Point = tuple[float, float]

TICKS = 6
"""About so many along an upright axis."""
DOTS = 600
"""With more configs, dots are counted in cells."""
FEW_DOTS = 60
"""With more, dots are smaller."""
PANEL_LEFT, PANEL_RIGHT, PANEL_TOP, PANEL_BOTTOM = 46.0, 268.0, 44.0, 180.0
"""Where the axes of a panel lie."""


@dataclass(frozen=True, slots=True)
class Path:
    """A line or an area; `d` is made of numbers and SVG's path letters only."""

    tag: ClassVar[str] = "path"
    d: str
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A circle."""

    tag: ClassVar[str] = "circle"
    x: float
    y: float
    r: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    tag: ClassVar[str] = "rect"
    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text; `anchor` is start, middle or end."""

    tag: ClassVar[str] = "text"
    x: float
    y: float
    text: str
    kind: str = "label"
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Group:
    """Marks that belong together; a `thread` can be reached by keyboard."""

    tag: ClassVar[str] = "g"
    kind: str
    title: str
    marks: tuple["Mark", ...]


Mark = Path | Dot | Box | Label | Group


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture: `label` says in a sentence what it shows to whoever cannot see it."""

    width: float
    height: float
    label: str
    marks: tuple[Mark, ...]
    kind: str = "wide"


def kinds(marks: Iterable[Mark]) -> Iterator[str]:
    """The words of all marks' kinds."""
    for mark in marks:
        yield from mark.kind.split()
        if isinstance(mark, Group):
            yield from kinds(mark.marks)


def panel(label: str, title: str, marks: Iterable[Mark]) -> Drawing:
    """A small chart under its title, one of several side by side."""
    return Drawing(280.0, 224.0, label, (Label(0, 14, title, "strong"), *marks), "small")


def coordinate(value: float) -> str:
    """A coordinate without needless digits."""
    return f"{value:.1f}".removesuffix(".0")


def line(points: Iterable[Point]) -> str:
    """Straight from point to point."""
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)


def steps(points: Sequence[Point], end: float) -> str:
    """Level from each point until the next, the last one until `end`."""
    parts = [line(points[:1])]
    parts += [f"H{coordinate(x)}V{coordinate(y)}" for x, y in points[1:]]
    return "".join([*parts, f"H{coordinate(end)}"])


def flowing(points: Sequence[Point]) -> str:
    """A smooth line that leaves and reaches every point level."""
    return line(points[:1]) + "".join(_bend(*here, *there) for here, there in pairwise(points))


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    if y == to_y:
        return f"H{coordinate(to_x)}"
    middle = coordinate((x + to_x) / 2)
    return (
        f"C{middle} {coordinate(y)} {middle} {coordinate(to_y)} "
        f"{coordinate(to_x)} {coordinate(to_y)}"
    )


def ribbon(x: float, top: float, bottom: float, to: tuple[float, float, float]) -> str:
    """An area between two upright lines: from (x, top..bottom) to (x, top..bottom)."""
    to_x, to_top, to_bottom = to
    there = flowing([(x, top), (to_x, to_top)])
    back = _bend(to_x, to_bottom, x, bottom)
    return f"{there}V{coordinate(to_bottom)}{back}Z"


def area(upper: Sequence[Point], lower: Sequence[Point]) -> str:
    """The area between two lines."""
    return line([*upper, *reversed(lower)]) + "Z"


def dots(points: Iterable[Point]) -> str:
    """Points that a line with round ends makes dots of: one path for many."""
    return "".join(f"M{coordinate(x)} {coordinate(y)}h0" for x, y in points)


def squares(cells: Iterable[tuple[int, int]], size: float) -> str:
    """Cells of a grid, by column and row, as one path: level lines as thick as a cell is high."""
    runs: list[list[int]] = []  # row, first column, columns
    for row, column in sorted((row, column) for column, row in cells):
        if runs and runs[-1][0] == row and sum(runs[-1][1:]) == column:
            runs[-1][2] += 1
        else:
            runs.append([row, column, 1])
    return "".join(
        f"M{coordinate(column * size)} {coordinate((row + 0.5) * size)}h{coordinate(n * size)}"
        for row, column, n in runs
    )


def cross(x: float, y: float, size: float) -> str:
    """An x, as wide as twice the size."""
    left, right, top, bottom = x - size, x + size, y - size, y + size
    return line([(left, top), (right, bottom)]) + line([(left, bottom), (right, top)])


def star(x: float, y: float, size: float) -> str:
    """A star of four points."""
    near = size * 0.3
    half = [(0.0, -size), (near, -near), (size, 0.0), (near, near)]
    corners = [*half, *((-dx, -dy) for dx, dy in half)]
    return line([(x + dx, y + dy) for dx, dy in corners]) + "Z"


def margin(y: Scale, least: float) -> float:
    """Room for what is written beside an upright axis, and at least so much."""
    return max(least, 10 + 7.0 * max(map(len, labels(y.ticks(TICKS))), default=0))


def frame(
    x: Scale, y: Scale, x_name: str, y_name: str, x_ticks: Iterable[tuple[float, str]] | None = None
) -> list[Mark]:
    """The axes of a chart: grid lines, ticks (round numbers, or `x_ticks`) and names."""
    left, right, bottom, top = x.start, x.end, y.start, y.end
    marks: list[Mark] = []
    for value, text in named(y.ticks(TICKS)):
        marks.append(Path(line([(left, y(value)), (right, y(value))]), "grid"))
        marks.append(Label(left - 8, y(value) + 4, text, "tick", "end"))
    free = -math.inf  # names of ticks do not run into each other
    for value, text in named(x.ticks(5)) if x_ticks is None else x_ticks:
        at, half = x(value), 3.4 * len(text)
        marks.append(Path(line([(at, bottom), (at, bottom + 4)]), "axis"))
        at = min(at, right + 12 - half)  # the last one stays within the drawing
        if at - half >= free:
            marks.append(Label(at, bottom + 18, text, "tick", "middle"))
            free = at + half + 5
    marks.append(Path(line([(left, bottom), (right, bottom)]), "axis"))
    marks.append(Label(right, bottom + 36, x_name, "name", "end"))
    marks.append(Label(0, top - 10, y_name, "name"))
    return marks
