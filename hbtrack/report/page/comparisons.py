"""Small charts side by side: rank against rank, and each parameter against the loss."""

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from hbtrack.report.page.facts import Facts
from hbtrack.report.page.ranks import Move, Transition, numeric
from hbtrack.report.page.svg.drawing import (
    Box,
    Dot,
    Drawing,
    Frame,
    Label,
    Mark,
    Path,
    Point,
    line,
    margin,
    star,
)
from hbtrack.report.page.svg.scales import Scale, extent, labels, number
from hbtrack.report.page.wording import count, rho, short

FEW_VALUES = 8
"""Where a number takes no more values than that, they are its ticks."""

DOTS = 600
"""With more configs, dots are counted in cells."""
FEW_DOTS = 60
"""With more, dots are smaller."""
CATEGORIES = 10
PARAMETERS = 12
"""At most so many are shown."""

WIDTH, HEIGHT = 280.0, 224.0
LEFT, BOTTOM = 46.0, 44.0

Tick = tuple[float, str]


def rank_panel(one: Transition) -> Drawing:
    """The promoted configs of a rung: their rank there, and at the next rung; 1 is on top."""
    most = max(move.of for move in one.moves)
    x, y = Scale(0.5, most + 0.5, LEFT, WIDTH - 14), Scale(0.5, most + 0.5, 44, HEIGHT - BOTTOM)
    names = count(one.epochs, "epoch"), count(one.next_epochs, "epoch")
    agree = "" if one.rho is None else f" · {rho(one.rho)}"
    marks: list[Mark] = [
        Label(0, 14, f"bracket {one.bracket}{agree} · n = {one.n:,}", "strong"),
        Path(line([(x.start, y.start), (x.end, y.end)]), "diagonal"),
        Path(line([(x.start, y.start), (x.start, y.end), (x.end, y.end)]), "axis"),
        Label(x.end, y.end + 36, f"rank at {names[0]}", "name", "end"),
        Label(0, y.start - 12, f"rank at {names[1]}", "name"),
    ]
    for rank in (1, most):
        marks.append(Label(x(rank), y.end + 18, f"{rank:,}", "tick", "middle"))
        marks.append(Label(x.start - 8, y(rank) + 4, f"{rank:,}", "tick", "end"))
    marks += _moves(one, x, y)
    label = f"Rank at {names[0]} against rank at {names[1]}, bracket {one.bracket}."
    return Drawing(WIDTH, HEIGHT, label, tuple(marks), "small")


def _moves(one: Transition, x: Scale, y: Scale) -> list[Mark]:
    """A dot for each pair of ranks, the larger the more configs have it."""
    pairs: dict[tuple[float, float], list[Move]] = defaultdict(list)
    coarse = 0.5 if one.n <= DOTS else max(1, max(move.of for move in one.moves) // 40)
    for move in one.moves:
        pairs[move.before // coarse * coarse, move.after // coarse * coarse].append(move)
    most = max(map(len, pairs.values()))
    size = 4.0 if one.n <= FEW_DOTS else 2.4
    marks: list[Mark] = []
    for (before, after), moves in sorted(pairs.items()):
        move = moves[0]
        title = f"{short(move.config_id, 90)}: {move.before:g}, then {move.after:g} of {move.of:,}"
        if len(moves) > 1:
            title = f"{before:g}, then {after:g}: {count(len(moves), 'config')}"
        kind = "late" if any(move.rose_late for move in moves) else "on"
        radius = size if most == 1 else size * (0.5 + math.sqrt(len(moves) / most))
        marks.append(Dot(x(max(1, before)), y(max(1, after)), radius, kind, title))
    return marks


# --- parameters ----------------------------------------------------------------------------------


def parameter_panels(facts: Facts, names: Sequence[str]) -> list[Drawing]:
    """For each parameter, PARAMETERS of them, every config's loss at the largest budget reached."""
    last = facts.last_losses
    if not last:
        return []
    y = extent(loss for _, loss in last.values()).scale(HEIGHT - BOTTOM, 44)
    return [
        panel for name in names[:PARAMETERS] if (panel := _parameter_panel(facts, name, last, y))
    ]


def _parameter_panel(
    facts: Facts, name: str, last: Mapping[str, tuple[int, float]], y: Scale
) -> Drawing | None:
    values = {one: facts.params[one][name] for one in last if name in facts.params[one]}
    if not values:
        return None
    numbers = all(numeric(value) for value in values.values())
    at, frame = _numbers(values, y, short(name, 30)) if numbers else _categories(values, y)
    points = {one: (at(one), y(last[one][1])) for one in values}
    few = len(points) <= DOTS
    marks = [
        Label(0, 14, short(name, 36), "strong"),
        *frame,
        *(_dots(points, last) if few else _cells(points)),
    ]
    best = facts.best_config_id
    if best in points:
        marks.append(Path(star(*points[best], 8), "star", f"the best: {short(values[best])}"))
    return Drawing(WIDTH, HEIGHT, f"Loss against {short(name)}.", tuple(marks), "small")


def _numbers(
    values: Mapping[str, object], y: Scale, name: str
) -> tuple[Callable[[str], float], list[Mark]]:
    plain = {one: float(value) for one, value in values.items()}  # type: ignore[arg-type]
    x = extent(plain.values(), evenly=True).scale(margin(y, LEFT), WIDTH - 12)
    found = sorted(set(plain.values()))
    at = found if len(found) <= FEW_VALUES else x.ticks(5 if x.log else 4) or [x.low]
    at = [value for value in at if x.low <= value <= x.high]
    ticks = list(zip(at, labels(at), strict=True))
    return (lambda one: x(plain[one])), Frame(x, y, name, "loss", ticks).marks()


def _categories(
    values: Mapping[str, object], y: Scale
) -> tuple[Callable[[str], float], list[Mark]]:
    """A strip for each value, the most frequent ones; the rest share the last strip."""
    found = [value for value, _ in Counter(map(str, values.values())).most_common()]
    kept = found if len(found) <= CATEGORIES else [*found[: CATEGORIES - 1], "others"]
    kept = sorted(kept, key=lambda text: (text == "others", text))
    strips = {text: i for i, text in enumerate(kept)}
    x = Scale(-0.5, len(kept) - 0.5, margin(y, LEFT), WIDTH - 12)

    def at(one: str) -> float:
        strip = strips.get(str(values[one]), len(kept) - 1)
        return x(strip + (zlib.crc32(one.encode(errors="replace")) % 997 / 997 - 0.5) * 0.5)

    rows = 1 if len(kept) <= 3 else 2  # neighbours' names stand at different heights
    room = int((x.end - x.start) / len(kept) * rows / 7)
    marks = Frame(x, y, "", "loss", ()).marks()
    for text, i in strips.items():
        down = y.start + 18 + 16 * (i % rows)
        marks.append(Label(x(i), down, short(text, room), "tick", "middle"))
    return at, marks


def _dots(points: Mapping[str, Point], last: Mapping[str, tuple[int, float]]) -> list[Mark]:
    """The configs that reached the largest budget are filled."""
    largest = max(epochs for epochs, _ in last.values())
    marks: list[Mark] = []
    for one in sorted(points, key=lambda one: last[one][0]):
        epochs, loss = last[one]
        title = f"{short(one, 90)}: {number(loss)} at {epochs:,}"
        marks.append(Dot(*points[one], 3.2, "full" if epochs == largest else "part", title))
    return marks


def _cells(points: Mapping[str, Point]) -> list[Mark]:
    """How many configs lie where, in five shades."""
    size = 8.0
    cells = Counter((int(x // size), int(y // size)) for x, y in points.values())
    most = max(cells.values())
    return [
        Box(x * size, y * size, size, size, f"heat{_shade(n, most)}", count(n, "config"))
        for (x, y), n in sorted(cells.items())
    ]


def _shade(n: int, most: int) -> int:
    return min(5, 1 + int(5 * (n / most) ** 0.5 - 1e-9))
