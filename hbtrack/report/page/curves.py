"""Learning curves: the loss of every config over its budgets."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from statistics import quantiles

from hbtrack.report.page.facts import Curve, PageFacts
from hbtrack.report.page.section import ROWS, Section, View, make_table
from hbtrack.report.page.svg.drawing import (
    Dot,
    Drawing,
    Group,
    Mark,
    Path,
    Point,
    area,
    frame,
    line,
    margin,
    star,
)
from hbtrack.report.page.svg.scales import Extent, Scale, number, ways
from hbtrack.report.page.wording import count, listed, loss

POINTS = """
SELECT DISTINCT config_id, epochs, loss
FROM results WHERE run_identity = :identity AND status = 'done' ORDER BY config_id, epochs"""

CURVES = 300
"""With more configs, curves are drawn as their median and the middle 80 %."""
STEPS = 6  # colours, from the first rung to the last


def figure(facts: PageFacts) -> Section:
    """Every config's losses over its budgets."""
    found, reach, best = facts.curves, facts.reached, facts.best_config_id
    points = (
        (facts.called(one), reach[one], epochs, value)
        for one in sorted(found, key=lambda one: (one != best, one))
        for epochs, value in found[one]
    )
    size = sum(map(len, found.values()))
    return Section(
        "curves",
        "Learning curves",
        _sentences(facts, found),
        _views(facts),
        make_table("config, rung reached, epochs, loss", list(islice(points, ROWS)), size),
        POINTS,
        "Losses",
    )


def _views(facts: PageFacts) -> list[View]:
    """The curves in every way in which the losses can be drawn; nothing where there is no curve."""
    if all(len(curve) == 1 for curve in facts.curves.values()):
        return []
    meanings = {**legend(facts.reached.values(), facts.depth), "best": "the best"}
    losses = ways(value for curve in facts.curves.values() for _, value in curve)
    return [View(name, [draw(facts, one)], meanings) for name, one in losses.items()]


def _sentences(facts: PageFacts, found: dict[str, Curve]) -> tuple[str, ...]:
    once = sum(len(curve) == 1 for curve in found.values())
    text = f"{count(len(found), 'config')} have a loss" if len(found) > 1 else "1 config has a loss"
    if len(found) == once:
        return (f"{text}, at one budget only: there is no curve to draw.",)
    text += f", {once:,} of them at one budget only."
    best = found.get(facts.best_config_id or "", [])
    if len(best) > 1:
        (first, was), (last, became) = best[0], best[-1]
        text += f" The best went from {loss(was)} at {count(first, 'epoch')} to {loss(became)} "
        text += f"at {count(last, 'epoch')}."
    if len(found) <= CURVES:
        return (text,)
    return text, "They are too many to draw: lines are medians, areas the middle 80 %."


def shade(rung: int, rungs: int) -> int:
    """Which of the six colours a rung has, when there are so many rungs."""
    return STEPS - 1 if rungs <= 1 else round(rung * (STEPS - 1) / (rungs - 1))


def legend(reached: Iterable[int], rungs: int) -> dict[str, str]:
    """The colours of these rungs; more rungs than colours share them."""
    shared: dict[int, list[int]] = defaultdict(list)
    for rung in sorted(set(reached)):
        shared[shade(rung, rungs)].append(rung)
    return {
        f"rung{colour}": f"reached rung {listed(list(map(str, members)))}"
        for colour, members in shared.items()
    }


def draw(facts: PageFacts, losses: Extent) -> Drawing:
    """Loss over budgets, coloured by the rung reached."""
    budgets = list(facts.losses_at)
    width, height = 760.0, 440.0
    y = losses.scale(height - 44, 26)
    x = Extent(budgets[0], budgets[-1], log=True).scale(margin(y, 60), width - 20)
    axes = frame(x, y, "epochs", "loss", [(b, f"{b:,}") for b in _apart(budgets, x)])
    lines = _each if len(facts.curves) <= CURVES else _bands
    label = "Loss of every config over its budgets."
    return Drawing(width, height, label, (*axes, *lines(facts, x, y)))


def _apart(budgets: Sequence[int], x: Scale) -> list[int]:
    """The budgets whose labels do not run into each other, the largest always."""
    kept = [budgets[-1]]
    for budget in reversed(budgets[:-1]):
        if x(kept[-1]) - x(budget) >= 44:
            kept.append(budget)
    return kept[::-1]


def _each(facts: PageFacts, x: Scale, y: Scale) -> list[Mark]:
    """A line for each config, the best on top."""
    best, reach = facts.best_config_id, facts.reached
    marks: list[Mark] = []
    for one in sorted(facts.curves, key=lambda one: (one == best, reach[one])):
        curve = facts.curves[one]
        points = [(x(epochs), y(value)) for epochs, value in curve]
        kind = "best" if one == best else f"rung{shade(reach[one], facts.depth)}"
        title = f"{facts.called(one)}: {', '.join(f'{number(v)} at {e:,}' for e, v in curve)}"
        drawn: list[Mark] = [Dot(*point, 2.6, f"point {kind}") for point in points]
        if len(points) > 1:
            drawn.insert(0, Path(line(points), f"curve {kind}"))
        marks.append(Group("config", title, tuple(drawn)))
    if best in facts.curves:
        better = max if facts.search["maximize"] else min
        epochs, value = better(facts.curves[best], key=lambda point: point[1])
        marks.append(Path(star(x(epochs), y(value), 8), "star"))
    return marks


def _bands(facts: PageFacts, x: Scale, y: Scale) -> list[Mark]:
    """The median of the configs of a colour, and where the middle 80 % of them lie."""
    best = facts.best_config_id
    losses: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one, curve in facts.curves.items():
        for epochs, value in curve:
            losses[shade(facts.reached[one], facts.depth)][epochs].append(value)
    titles = legend(facts.reached.values(), facts.depth)
    marks: list[Mark] = []
    for colour, by_epochs in sorted(losses.items()):
        kind = f"rung{colour}"
        low, middle, high = _quantiles(sorted(by_epochs.items()), x, y)
        title = f"{titles[kind]}: median"
        marks += [Path(area(high, low), f"band {kind}"), Path(line(middle), f"curve {kind}", title)]
        marks += [Dot(*point, 2.6, f"point {kind}") for point in middle]
    if best in facts.curves:
        points = [(x(epochs), y(value)) for epochs, value in facts.curves[best]]
        marks.append(Path(line(points), "curve best", facts.called(best)))
        marks.append(Path(star(*points[-1], 8), "star"))
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
