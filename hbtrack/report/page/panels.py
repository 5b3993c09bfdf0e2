"""Panels: the loss over a parameter, at one budget, or at every budget in a colour each."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hbtrack.report.page.facts import PageFacts, numeric
from hbtrack.report.page.svg.drawing import (
    DOTS,
    PANEL_BOTTOM,
    PANEL_LEFT,
    PANEL_RIGHT,
    PANEL_TOP,
    Dot,
    Drawing,
    Label,
    Mark,
    Path,
    Point,
    dots,
    frame,
    margin,
    panel,
    squares,
    star,
)
from hbtrack.report.page.svg.scales import Extent, Scale, extent, named, number
from hbtrack.report.page.wording import short

CATEGORIES = 10
FEW_VALUES = 8
"""Where a number takes no more values than that, they are its ticks."""
OF_EACH = 100
"""At most so many losses of each budget are drawn where all budgets are drawn together."""
TOLD = 120
"""With more dots none has a name of its own: a page has to stay small."""
CELL = 8.0


@dataclass(frozen=True, slots=True)
class Column:
    """A parameter: its value in each config that has a loss, and how that is drawn across."""

    name: str
    values: Mapping[str, Any]
    numbers: Extent | None  # None where not all are numbers


def columns(facts: PageFacts) -> dict[str, Column]:
    """The parameters that vary, by name."""
    found = {}
    known = {one: params for one, params in facts.params.items() if one in facts.curves}
    for name in facts.varying:
        values = {one: params[name] for one, params in known.items() if name in params}
        if values:
            plain = all(map(numeric, values.values()))
            across = (
                extent((float(one) for one in values.values() if numeric(one)), evenly=True)
                if plain
                else None
            )
            found[name] = Column(name, values, across)
    return found


Place = Callable[[str], float]
"""Where a config lies across."""


def at_one(facts: PageFacts, columns: Iterable[Column], epochs: int) -> list[Drawing]:
    """Every config's loss at one budget, over each parameter."""
    losses = facts.losses_at[epochs]
    y = extent(losses.values()).scale(PANEL_BOTTOM, PANEL_TOP)
    down = {one: y(loss) for one, loss in losses.items()}
    best = facts.best_config_id

    def marks(column: Column, at: Place) -> Iterator[Mark]:
        points = {one: (at(one), there) for one, there in down.items() if one in column.values}
        yield from _dots(facts, points, epochs) if len(points) <= DOTS else _cells(points.values())
        if best in points:
            yield Path(star(*points[best], 8), "star", f"the best: {number(losses[best])}")

    return [_panel(column, y, marks) for column in columns]


def at_all(
    facts: PageFacts, columns: Iterable[Column], colours: Mapping[int, str]
) -> list[Drawing]:
    """The losses at all budgets, over each parameter; each budget has its colour."""
    at_each = facts.losses_at.items()
    y = extent(loss for _, at in at_each for loss in at.values()).scale(PANEL_BOTTOM, PANEL_TOP)

    def marks(column: Column, at: Place) -> Iterator[Mark]:
        for epochs, losses in at_each:
            drawn = islice((one for one in losses if one in column.values), OF_EACH)
            points = [(at(one), y(losses[one])) for one in drawn]
            if points:
                yield Path(dots(points), f"dots {colours[epochs]}")

    return [_panel(column, y, marks) for column in columns]


def _panel(column: Column, y: Scale, marks: Callable[[Column, Place], Iterable[Mark]]) -> Drawing:
    """The chart of a parameter. Across it is the same at each budget."""
    at, axes = _numbers(column, column.numbers, y) if column.numbers else _categories(column, y)
    label = f"Loss against {short(column.name)}."
    return panel(label, short(column.name, 36), [*axes, *marks(column, at)])


def _numbers(column: Column, across: Extent, y: Scale) -> tuple[Place, list[Mark]]:
    x = across.scale(margin(y, PANEL_LEFT), PANEL_RIGHT)
    found = sorted(set(column.values.values()))
    at = found if len(found) <= FEW_VALUES else x.ticks(5 if x.log else 4) or [x.low]
    at = [value for value in at if x.low <= value <= x.high]
    axes = frame(x, y, short(column.name, 30), "loss", named(at))
    return (lambda one: x(column.values[one])), axes


def _categories(column: Column, y: Scale) -> tuple[Place, list[Mark]]:
    """A strip for each value, the most frequent ones; the rest share the last strip."""
    found = [value for value, _ in Counter(map(str, column.values.values())).most_common()]
    kept = found if len(found) <= CATEGORIES else [*found[: CATEGORIES - 1], "others"]
    kept = sorted(kept, key=lambda text: (text == "others", text))
    strips = {text: i for i, text in enumerate(kept)}
    x = Scale(-0.5, len(kept) - 0.5, margin(y, PANEL_LEFT), PANEL_RIGHT)

    def at(one: str) -> float:
        strip = strips.get(str(column.values[one]), len(kept) - 1)
        return x(strip + (zlib.crc32(one.encode(errors="replace")) % 997 / 997 - 0.5) * 0.5)

    rows = 1 if len(kept) <= 3 else 2  # neighbours' names stand at different heights
    room = int((x.end - x.start) / len(kept) * rows / 7)
    marks = frame(x, y, "", "loss", ())
    for text, i in strips.items():
        down = y.start + 18 + 16 * (i % rows)
        marks.append(Label(x(i), down, short(text, room), "tick", "middle"))
    return at, marks


def _dots(facts: PageFacts, points: Mapping[str, Point], epochs: int) -> Iterator[Mark]:
    """The configs that went on, or are at the largest budget, are filled; of many none is told."""
    largest = max(facts.losses_at)
    kinds = {
        one: "full" if facts.curves[one][-1][0] > epochs or epochs == largest else "part"
        for one in points
    }
    if len(points) > TOLD:
        for kind in ("part", "full"):
            yield Path(dots(points[one] for one in points if kinds[one] == kind), f"dots {kind}")
        return
    for one, (x, y) in points.items():
        title = f"{facts.brief(one)}: {number(facts.losses_at[epochs][one])}"
        yield Dot(x, y, 3.2, kinds[one], title)


def _cells(points: Iterable[Point]) -> Iterator[Mark]:
    """How many configs lie where, in five shades."""
    counts = Counter((int(x // CELL), int(y // CELL)) for x, y in points)
    most = max(counts.values())
    shades: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for cell, n in counts.items():
        shades[_heat(n, most)].add(cell)
    for heat, cells in sorted(shades.items()):
        yield Path(squares(cells, CELL), f"cells heat{heat}")


def _heat(n: int, most: int) -> int:
    return min(5, 1 + int(5 * (n / most) ** 0.5 - 1e-9))
