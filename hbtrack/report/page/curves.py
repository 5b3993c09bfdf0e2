"""The charts of losses over what they cost: best so far, and learning curves."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import quantiles

from hbtrack.core.records import unix
from hbtrack.report.page.facts import Curve, Facts
from hbtrack.report.page.svg.drawing import (
    Dot,
    Drawing,
    Frame,
    Label,
    Mark,
    Path,
    Point,
    area,
    line,
    margin,
    star,
    steps,
)
from hbtrack.report.page.svg.scales import Extent, Scale, extent, number, time_unit
from hbtrack.report.page.wording import listed, short

CURVES = 300
"""With more configs, curves are drawn as their median and the middle 80 %."""
STEPS = 6  # colours, from the first rung to the last

_PANEL = (400.0, 250.0)


# --- best so far ---------------------------------------------------------------------------------


def incumbents(facts: Facts) -> list[Drawing]:
    """The best loss against epochs spent, and against time; none before it has improved."""
    if len(facts.incumbents) < 2:
        return []
    losses = [row["loss"] for row in facts.incumbents]
    spent = [float(row["epochs_spent"]) for row in facts.incumbents]
    began = unix(facts.search["created_at"])
    ended = unix(facts.search["finished_at"]) if facts.search["finished_at"] else facts.until
    waited = [max(0.0, unix(row["finished_at"]) - began) for row in facts.incumbents]
    whole = max(ended - began, waited[-1])
    size, unit = time_unit(whole)
    epochs = max(float(facts.search["epochs_done"]), spent[-1])
    return [
        _best_so_far(spent, losses, epochs, "epochs trained"),
        _best_so_far([w / size for w in waited], losses, whole / size, f"{unit} since the start"),
    ]


def _best_so_far(xs: Sequence[float], losses: Sequence[float], end: float, name: str) -> Drawing:
    width, height = _PANEL
    y = extent(losses).scale(height - 44, 26)
    x = Scale(0, end or 1, margin(y, 56), width - 12)
    points = [(x(at), y(loss)) for at, loss in zip(xs, losses, strict=True)]
    last = points[-1]
    marks = [
        *Frame(x, y, name, "best loss").marks(),
        Path(steps(points, x.end), "step"),
        *(Dot(*p, 2.5, "on", number(v)) for p, v in zip(points[:-1], losses, strict=False)),
        Path(star(*last, 7), "star", number(losses[-1])),
        Label(x.end, last[1] - 12, number(losses[-1]), "halo strong", "end"),
    ]
    return Drawing(width, height, f"Best loss so far against {name}.", tuple(marks), "half")


# --- learning curves -----------------------------------------------------------------------------


def shade(rung: int, rungs: int) -> int:
    """Which of the six colours a rung has, when there are so many rungs."""
    return STEPS - 1 if rungs <= 1 else round(rung * (STEPS - 1) / (rungs - 1))


def legend(reached: Iterable[int], rungs: int) -> list[tuple[str, str]]:
    """The colours of these rungs; more rungs than colours share them."""
    shared: dict[int, list[int]] = defaultdict(list)
    for rung in sorted(set(reached)):
        shared[shade(rung, rungs)].append(rung)
    return [
        (f"rung{colour}", f"reached rung {listed(list(map(str, members)))}")
        for colour, members in shared.items()
    ]


def curves(facts: Facts) -> Drawing | None:
    """Loss over budgets, coloured by the rung reached; None before a config has two losses."""
    found = facts.curves
    budgets = sorted({epochs for curve in found.values() for epochs, _ in curve})
    if all(len(curve) == 1 for curve in found.values()):
        return None
    width, height = 920.0, 400.0
    y_extent = extent(loss for curve in found.values() for _, loss in curve)
    y = y_extent.scale(height - 44, 26)
    x = Extent(budgets[0], budgets[-1], log=True).scale(margin(y, 60), width - 20)
    frame = Frame(x, y, "epochs", "loss", [(b, f"{b:,}") for b in _apart(budgets, x)])
    rungs = max(row["rung"] for row in facts.rungs) + 1
    draw = _each if len(found) <= CURVES else _bands
    marks = draw(found, facts.reached, rungs, x, y, facts.best_config_id)
    return Drawing(
        width, height, "Loss of every config over its budgets.", (*frame.marks(), *marks)
    )


def _apart(budgets: Sequence[int], x: Scale) -> list[int]:
    """The budgets whose labels do not run into each other, the largest always."""
    kept = [budgets[-1]]
    for budget in reversed(budgets[:-1]):
        if x(kept[-1]) - x(budget) >= 44:
            kept.append(budget)
    return kept[::-1]


def _each(
    found: Mapping[str, Curve],
    reach: Mapping[str, int],
    rungs: int,
    x: Scale,
    y: Scale,
    best: str | None,
) -> list[Mark]:
    marks: list[Mark] = []
    for config_id in sorted(found, key=lambda one: (one == best, reach[one])):
        points = [(x(epochs), y(loss)) for epochs, loss in found[config_id]]
        kind = "best" if config_id == best else f"rung{shade(reach[config_id], rungs)}"
        losses = ", ".join(f"{number(v)} at {e:,}" for e, v in found[config_id])
        title = f"{short(config_id, 90)}: {losses}"
        if len(points) > 1:
            marks.append(Path(line(points), f"curve {kind}", title))
        marks += [Dot(*point, 2.6, f"point {kind}", title) for point in points]
    if best and best in found:
        point = min(found[best], key=lambda one: one[1])
        marks.append(Path(star(x(point[0]), y(point[1]), 8), "star"))
    return marks


def _bands(
    found: Mapping[str, Curve],
    reach: Mapping[str, int],
    rungs: int,
    x: Scale,
    y: Scale,
    best: str | None,
) -> list[Mark]:
    """The median of the configs of a colour, and where the middle 80 % of them lie."""
    losses: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for config_id, curve in found.items():
        for epochs, loss in curve:
            losses[shade(reach[config_id], rungs)][epochs].append(loss)
    titles = dict(legend(reach.values(), rungs))
    marks: list[Mark] = []
    for colour, by_epochs in sorted(losses.items()):
        kind = f"rung{colour}"
        low, middle, high = _quantiles(sorted(by_epochs.items()), x, y)
        title = f"{titles[kind]}: median"
        marks += [Path(area(high, low), f"band {kind}"), Path(line(middle), f"curve {kind}", title)]
        marks += [Dot(*point, 2.6, f"point {kind}") for point in middle]
    if best and best in found:
        points = [(x(epochs), y(loss)) for epochs, loss in found[best]]
        marks += [Path(line(points), "curve best", short(best)), Path(star(*points[-1], 8), "star")]
    return marks


def _quantiles(
    columns: Iterable[tuple[int, Sequence[float]]], x: Scale, y: Scale
) -> tuple[list[Point], list[Point], list[Point]]:
    """The lower tenth, median and upper tenth at each budget."""
    lines: tuple[list[Point], list[Point], list[Point]] = ([], [], [])
    for epochs, losses in columns:
        several = losses if len(losses) > 1 else [*losses, *losses]
        tenths = quantiles([v / 4 for v in several], n=10)
        for points, value in zip(lines, (tenths[0], tenths[4], tenths[8]), strict=True):
            points.append((x(epochs), y(value * 4)))
    return lines
