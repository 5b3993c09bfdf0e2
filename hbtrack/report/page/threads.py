"""The configs of a bracket, each a thread through its rungs to where it stopped."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from hbtrack.report.page.svg.drawing import Dot, Group, Mark, Path, cross, flowing, star
from hbtrack.report.page.svg.scales import number
from hbtrack.report.page.wording import ordinal
from hbtrack.report.snapshot import Result

TALLEST = 330.0
STUB = 18.0
"""How far a thread reaches to the left of its first column."""

_DRAWN = ("waiting", "stopped", "running", "final", "failed", "best")
"""The later ones lie above the others."""

_ORDER = {"done": 0, "running": 1, "waiting": 2, "failed": 3}

Thread = Sequence[Result]


def ordered(rung: Iterable[Result]) -> list[Result]:
    """The places of a rung from the best to the failed."""
    return sorted(rung, key=lambda one: (_ORDER[one.status], one.objective or 0, one.slot))


def _spacing(n: int) -> float:
    return min(TALLEST / n, 13.0, max(4.0, 4.0 * math.sqrt(60 / n)))


def draw(
    threads: Sequence[Thread],
    x: Mapping[int, float],
    top: float,
    best: Result | None,
    called: Callable[[str], str],
) -> tuple[float, list[Mark]]:
    """How high the band of these threads is, and what is drawn; `x` is that of each budget.

    `called` is what a config is called.
    """
    rungs: dict[int, list[Result]] = defaultdict(list)
    for thread in threads:
        for one in thread:
            rungs[one.rung].append(one)
    places: dict[Result, tuple[float, float, int]] = {}
    for members in rungs.values():
        gap = _spacing(len(members))
        for rank, one in enumerate(ordered(members)):
            places[one] = x[one.epochs], top + 4 + gap * rank, rank + 1
    height = max(len(members) * _spacing(len(members)) for members in rungs.values())
    drawn = []
    for thread in threads:
        told = f"{called(thread[0].config_id)}: {_told(thread, places, rungs)}"
        drawn.append(_thread(thread, places, rungs, best, told))
    return height, sorted(drawn, key=lambda group: _DRAWN.index(group.kind.split()[1]))


def _thread(
    thread: Thread,
    places: Mapping[Result, tuple[float, float, int]],
    rungs: Mapping[int, Sequence[Result]],
    best: Result | None,
    told: str,
) -> Group:
    fate = "best" if best in thread else fate_of(thread[-1])
    points = [places[one][:2] for one in thread]
    start = (points[0][0] - STUB, points[0][1])
    dense = len(rungs[0]) > 120
    marks: list[Mark] = [Path(flowing([start, *points]), "line")]
    for one, (x, y) in zip(thread, points, strict=True):
        marks += _end(one, x, y, fate, dense=dense, is_best=one is best)
    return Group(f"thread {fate}", told, tuple(marks))


def fate_of(last: Result) -> str:
    """What has become of a config, by the last place that it came to."""
    if last.status != "done":
        return last.status
    if last.rung == last.bracket:
        return "final"
    return "waiting" if last.promoted is None else "stopped"


def _end(one: Result, x: float, y: float, fate: str, *, dense: bool, is_best: bool) -> list[Mark]:
    if is_best:
        return [Path(star(x, y, 8), "star")]
    if one.status == "failed":
        return [Path(cross(x, y, 2 if dense else 3), "cross")]
    if one.status in ("running", "waiting"):
        return [Dot(x, y, 2.6, one.status)]
    on = one.promoted or (fate == "final" and one.rung == one.bracket) or fate == "best"
    radius = 2.8 if fate == "best" else 1.2 if dense else 1.8
    return [Dot(x, y, radius, "on" if on else "off")]


def _told(
    thread: Thread,
    places: Mapping[Result, tuple[float, float, int]],
    rungs: Mapping[int, Sequence[Result]],
) -> str:
    """The thread in words."""
    parts = []
    for one in thread:
        if one.status == "done":
            rank, of = places[one][2], len(rungs[one.rung])
            parts.append(f"{number(one.loss)} at {one.epochs:,} ({ordinal(rank)} of {of:,})")
        else:
            parts.append(f"{one.status} at {one.epochs:,}")
    return ", ".join(parts)
