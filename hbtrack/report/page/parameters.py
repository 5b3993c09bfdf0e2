"""Each parameter and the loss: how much of the order of the losses it explains, and a panel of it.

A number explains by its rank, a word by groups.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

from hbtrack.report.agreement import ranks, spearman
from hbtrack.report.page.facts import PageFacts, numeric
from hbtrack.report.page.section import Section, make_table
from hbtrack.report.page.svg.drawing import (
    DOTS,
    PANEL_BOTTOM,
    PANEL_LEFT,
    PANEL_RIGHT,
    PANEL_TOP,
    Box,
    Dot,
    Drawing,
    Label,
    Mark,
    Path,
    Point,
    frame,
    margin,
    panel,
    star,
)
from hbtrack.report.page.svg.scales import Scale, extent, named, number
from hbtrack.report.page.wording import count, percent, rho, short

PARAMS_LOSS = """
SELECT p.name, p.value, l.loss, l.epochs, l.config_id
FROM leaderboard l JOIN params p USING (run_identity, config_id)
WHERE l.run_identity = :identity ORDER BY p.name, l.rank"""

PARAMETERS = 12
"""At most so many are shown."""
CATEGORIES = 10
FEW_VALUES = 8
"""Where a number takes no more values than that, they are its ticks."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A parameter beside the losses of n configs at one budget.

    `share` is the part of the variance of the losses' ranks that goes with the parameter (for a
    number the square of Spearman's `rho`, for words that between their groups); None where the
    parameter or the loss does not vary. `freedom` is how many groups there are, less one.
    """

    name: str
    epochs: int
    n: int
    low: float | None
    high: float | None
    rho: float | None
    share: float | None
    freedom: int

    @property
    def explains(self) -> float:
        """The share less what as many groups take by chance on average; 0 to 1."""
        left = self.n - 1 - self.freedom
        if self.share is None or left <= 0:
            return 0.0
        return max(0.0, 1 - (1 - self.share) * (self.n - 1) / left)

    def is_beyond_chance(self, several: int) -> bool:
        """Whether the largest of so many is as large by chance once in twenty times at most.

        The test of Kruskal and Wallis, with Bonferroni's correction.
        """
        least = _chi_squared(1 - 0.05 / several, self.freedom)
        return self.explains > 0 and (self.n - 1) * (self.share or 0) > least


def effect(
    name: str, epochs: int, params: Mapping[str, Mapping[str, object]], losses: Mapping[str, float]
) -> Effect:
    """The effect of a parameter on the losses of the configs that have it."""
    having = [one for one in losses if name in params.get(one, {})]
    values, found = [params[one][name] for one in having], [losses[one] for one in having]
    numbers = list(filter(numeric, values))
    if len(numbers) < len(values) or not numbers:
        groups = list(map(str, values))
        share, freedom = _between(groups, ranks(found)), len(set(groups)) - 1
        return Effect(name, epochs, len(values), None, None, None, share, freedom)
    rho = spearman(numbers, found)
    share = None if rho is None else rho**2
    return Effect(name, epochs, len(values), min(numbers), max(numbers), rho, share, 1)


def _between(groups: Sequence[str], values: Sequence[float]) -> float | None:
    """The share of the variance that is between groups."""
    members: dict[str, list[float]] = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        members[group].append(value)
    middle = fmean(values) if values else 0.0
    whole = sum((value - middle) ** 2 for value in values)
    if len(members) < 2 or not whole:
        return None
    return sum(len(some) * (fmean(some) - middle) ** 2 for some in members.values()) / whole


def _chi_squared(share: float, freedom: int) -> float:
    """The value below which that share of the distribution lies (Wilson and Hilferty)."""
    spread = 2 / (9 * max(1, freedom))
    return freedom * (1 - spread + NormalDist().inv_cdf(share) * sqrt(spread)) ** 3


def figure(facts: PageFacts) -> Section:
    """Each parameter against the loss, those that it follows most clearly first."""
    found = _effects(facts)
    best = facts.params.get(facts.best_config_id or "", {})
    rows = [
        (
            *(short(one.name), best.get(one.name), one.low, one.high, one.epochs, one.n, one.rho),
            "" if one.share is None else percent(one.explains),
        )
        for one in found
    ]
    varying = set(facts.varying)
    drawings = panels(facts, [one.name for one in found if one.name in varying])
    dense = len(facts.last_losses) > DOTS
    dots = {"full": "at the largest budget", "part": "stopped before", "star": "the best"}
    cells = {"heat2": "some configs", "heat5": "many", "star": "the best"}
    return Section(
        "parameters",
        "Parameters and loss",
        _sentences(facts, found),
        drawings,
        cells if dense else dots,
        make_table(
            "parameter, of the best, lowest, highest, at epochs, n, Spearman ρ, explains", rows
        ),
        PARAMS_LOSS,
    )


def _effects(facts: PageFacts) -> list[Effect]:
    """Each parameter's effect on the loss, at the budget with most losses; the largest first."""
    losses: dict[int, dict[str, float]] = {}
    for config_id, curve in facts.curves.items():
        for epochs, value in curve:
            losses.setdefault(epochs, {})[config_id] = value
    epochs = max(losses, key=lambda budget: (len(losses[budget]), budget), default=0)
    here = losses.get(epochs, {})
    found = (effect(name, epochs, facts.params, here) for name in facts.names)
    return sorted(found, key=lambda one: -one.explains)


def _sentences(facts: PageFacts, found: Sequence[Effect]) -> tuple[str, ...]:
    if not found:
        return ("No config's id or get_config gave parameters.",)
    how = "Drawn is the loss at the largest budget that a config reached."
    if facts.sampled:
        how += f" Looked at are the {len(facts.params):,} configs sampled first or ranked best."
    constant = len(found) - len(facts.varying)
    if constant:
        how += f" {count(constant, 'parameter')} without a second value "
        how += f"{'is' if constant == 1 else 'are'} left out."
    if len(facts.varying) > PARAMETERS:
        how += f" {PARAMETERS} of {len(facts.varying):,} parameters are drawn."
    return _clearest(facts, found), how


def _clearest(facts: PageFacts, found: Sequence[Effect]) -> str:
    """What the loss follows most clearly, if it is more than chance gives."""
    told = [one for one in found if one.share is not None]
    if not told:
        return "Nothing to compare: no parameter varies there, or no loss does."
    first, at = told[0], count(told[0].epochs, "epoch")
    name = short(first.name, 60)
    where = f"At {at}, where most configs were measured (n\u00a0=\u00a0{first.n:,}), "
    if not first.is_beyond_chance(len(told)):
        return f"{where}no parameter goes with the loss more clearly than chance lets expect."
    text = f"{where}the loss goes most clearly with {name}, which explains "
    text += f"{percent(first.explains)} of the order of the losses"
    if first.rho is not None:
        way = "grows with it" if first.rho > 0 else "falls as it grows"
        text += f", and {way} ({rho(first.rho)})"
    if first.epochs < facts.search["max_epochs"]:
        most = count(facts.search["max_epochs"], "epoch")
        text += f". What helps after {at} need not help after {most}"
    return f"{text}."


def panels(facts: PageFacts, names: Sequence[str]) -> list[Drawing]:
    """For each parameter, PARAMETERS of them, every config's loss at the largest budget reached."""
    last = facts.last_losses
    if not last:
        return []
    y = extent(loss for _, loss in last.values()).scale(PANEL_BOTTOM, PANEL_TOP)
    return [panel for name in names[:PARAMETERS] if (panel := _panel(facts, name, last, y))]


def _panel(
    facts: PageFacts, name: str, last: Mapping[str, tuple[int, float]], y: Scale
) -> Drawing | None:
    values = {one: facts.params[one][name] for one in last if name in facts.params[one]}
    if not values:
        return None
    numbers = all(numeric(value) for value in values.values())
    at, axes = _numbers(values, y, short(name, 30)) if numbers else _categories(values, y)
    points = {one: (at(one), y(last[one][1])) for one in values}
    few = len(points) <= DOTS
    marks = [*axes, *(_dots(points, last) if few else _cells(points))]
    best = facts.best_config_id
    if best in points:
        marks.append(Path(star(*points[best], 8), "star", f"the best: {short(values[best])}"))
    return panel(f"Loss against {short(name)}.", short(name, 36), marks)


def _numbers(
    values: Mapping[str, object], y: Scale, name: str
) -> tuple[Callable[[str], float], list[Mark]]:
    plain = {one: float(value) for one, value in values.items()}  # type: ignore[arg-type]
    x = extent(plain.values(), evenly=True).scale(margin(y, PANEL_LEFT), PANEL_RIGHT)
    found = sorted(set(plain.values()))
    at = found if len(found) <= FEW_VALUES else x.ticks(5 if x.log else 4) or [x.low]
    at = [value for value in at if x.low <= value <= x.high]
    return (lambda one: x(plain[one])), frame(x, y, name, "loss", named(at))


def _categories(
    values: Mapping[str, object], y: Scale
) -> tuple[Callable[[str], float], list[Mark]]:
    """A strip for each value, the most frequent ones; the rest share the last strip."""
    found = [value for value, _ in Counter(map(str, values.values())).most_common()]
    kept = found if len(found) <= CATEGORIES else [*found[: CATEGORIES - 1], "others"]
    kept = sorted(kept, key=lambda text: (text == "others", text))
    strips = {text: i for i, text in enumerate(kept)}
    x = Scale(-0.5, len(kept) - 0.5, margin(y, PANEL_LEFT), PANEL_RIGHT)

    def at(one: str) -> float:
        strip = strips.get(str(values[one]), len(kept) - 1)
        return x(strip + (zlib.crc32(one.encode(errors="replace")) % 997 / 997 - 0.5) * 0.5)

    rows = 1 if len(kept) <= 3 else 2  # neighbours' names stand at different heights
    room = int((x.end - x.start) / len(kept) * rows / 7)
    marks = frame(x, y, "", "loss", ())
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
        Box(x * size, y * size, size, size, f"heat{_heat(n, most)}", count(n, "config"))
        for (x, y), n in sorted(cells.items())
    ]


def _heat(n: int, most: int) -> int:
    return min(5, 1 + int(5 * (n / most) ** 0.5 - 1e-9))
