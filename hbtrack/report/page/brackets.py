"""The bracket flow: every config a thread through the rungs of its bracket."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from hbtrack.report.page import gather
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.section import Section, View, make_table
from hbtrack.report.page.svg.drawing import Box, Drawing, Label, Mark, Path, line, ribbon
from hbtrack.report.page.svg.scales import number
from hbtrack.report.page.threads import STUB, Thread
from hbtrack.report.page.threads import draw as draw_threads
from hbtrack.report.page.wording import are, count
from hbtrack.report.snapshot import RESULTS, Result
from hbtrack.store.reading import Row

THREADS = 1500
"""With more threads in all, or BAND of them in one band, ribbons are drawn instead."""
BAND = 400
BANDS = 16
"""With more bands than that the passes are drawn together."""

LEFT, RIGHT, WIDTH = 118.0, 148.0, 920.0
HEAD, GAP = 44.0, 40.0
BAR = 12.0

_THREADS = {
    "best": "the best",
    "final": "reached its bracket's last rung",
    "stopped": "stopped",
    "failed": "failed",
    "running": "running",
    "waiting": "not decided yet",
}
_BARS = {
    "ribbon": "promoted",
    "bar-final": "in the last rung",
    "bar-stopped": "stopped",
    "bar-failed": "failed",
    "bar-undecided": "not decided yet",
}

Band = tuple[int | None, int]  # pass (None: all of them) and bracket


Columns = Mapping[int, float]
"""Where each budget has its column."""

ROOMY = 7
"""Above so many columns more than a number fits."""


def figure(facts: PageFacts) -> Section:
    """Every bracket, from its first rung to its last."""
    detailed = bool(facts.results) and is_detailed(facts)
    columns = ("pass", "bracket", "rung", "epochs", "configs_entered", "promoted", "failed")
    rows = list(map(itemgetter(*columns, "best_loss", "cutoff_loss"), facts.rungs))
    return Section(
        "flow",
        "How the brackets went",
        _sentences(facts, detailed=detailed),
        [View("", draw(facts), _THREADS if detailed else _BARS)],
        make_table(
            "pass, bracket, rung, epochs, entered, promoted, failed, best loss, cutoff loss", rows
        ),
        RESULTS if detailed else gather.RUNGS,
    )


def _sentences(facts: PageFacts, *, detailed: bool) -> tuple[str, ...]:
    first = [row["configs_entered"] for row in facts.rungs if row["rung"] == 0]
    entered = sum(first)
    if not entered:
        return ("Nothing has been sampled yet.",)
    promoted = sum(row["promoted"] or 0 for row in facts.rungs)
    largest = max(row["epochs"] for row in facts.rungs)
    ended = sum(row["done"] for row in facts.rungs if row["epochs"] == largest)
    measured = f"{are(ended, 'config')} measured" if ended else "none is measured yet"
    text = (
        f"{count(entered, 'config')} entered {count(sum(map(bool, first)), 'bracket')}, "
        f"{count(promoted, 'promotion')} followed, and {measured} at {count(largest, 'epoch')}."
    )
    how = (
        "In each column the best stands on top; a line that goes on was promoted."
        if detailed
        else "There are too many for a line each, so bars count them (as high as the square root "
        "of the count), and ribbons are those who were promoted."
    )
    return text, how


def columns(budgets: Iterable[int]) -> Columns:
    """A column for each budget, evenly spread: each is about eta times the one before."""
    ordered = sorted(set(budgets))
    first = LEFT + STUB
    step = (_width(len(ordered)) - first - RIGHT) / max(1, len(ordered) - 1)
    return {epochs: first + step * i for i, epochs in enumerate(ordered)}


def _width(columns: int) -> float:
    return max(WIDTH, LEFT + STUB + RIGHT + 62 * (columns - 1))


def is_detailed(facts: PageFacts) -> bool:
    """Whether every config has a thread of its own."""
    entered = [row["configs_entered"] for row in facts.rungs if row["rung"] == 0]
    return len(entered) <= BANDS and sum(entered) <= THREADS and max(entered) <= BAND


def draw(facts: PageFacts) -> list[Drawing]:
    """The drawing; none while nothing has been sampled."""
    if not facts.results:
        return []
    across = columns(row["epochs"] for row in facts.rungs)
    rungs = _banded(facts)
    threads = _threads(facts) if is_detailed(facts) else {}
    best = facts.winner
    marks: list[Mark] = []
    top, several = HEAD, facts.search["passes"] > 1
    for band, rows in rungs.items():
        if not rows[0]["configs_entered"]:
            continue
        marks += _heads(band, rows, across, top, several=several)
        if threads:
            height, drawn = draw_threads(threads[band], across, top, best, facts.called)
        else:
            height, drawn = _ribbon_band(rows, across, top)
        marks += [*drawn, *_outcome(rows, across, top, is_best=_holds(band, best))]
        top += max(height, 34.0 + 17 * several) + GAP
    bottom = top - GAP
    heads = [
        Label(x, 14, count(e, "epoch") if len(across) <= ROOMY else f"{e:,}", "column", "middle")
        for e, x in across.items()
    ]
    if len(across) > ROOMY:
        heads.append(Label(0, 14, "epochs", "column"))
    grid = [Path(line([(x, 22), (x, bottom)]), "grid") for x in across.values()]
    label = "Every config of every bracket, from its first budget to where it stopped."
    return [Drawing(_width(len(across)), bottom + 12, label, (*grid, *heads, *marks))]


def _banded(facts: PageFacts) -> dict[Band, list[Row]]:
    """The rungs of each band; over all passes where there are too many bands."""
    bands = sum(row["rung"] == 0 for row in facts.rungs)
    found: dict[Band, dict[int, Row]] = defaultdict(dict)
    for row in facts.rungs:
        rungs = found[None if bands > BANDS else row["pass"], row["bracket"]]
        rungs[row["rung"]] = _sum(rungs.get(row["rung"]), {**row, "parts": _parts(row)})
    ordered = sorted(found.items(), key=lambda item: (item[0][0] or 0, -item[0][1]))
    return {band: list(rungs.values()) for band, rungs in ordered}


def _sum(one: Row | None, other: Row) -> Row:
    if one is None:
        return other
    counts = ("configs_entered", "failed")
    return {
        **one,
        **_best((one, other)),
        **{name: one[name] + other[name] for name in counts},
        "parts": {name: n + other["parts"][name] for name, n in one["parts"].items()},
    }


def _best(rows: Iterable[Row]) -> Row:
    """The best loss of several rungs, and its objective; None where no rung has one."""
    names = ("best_objective", "best_loss")
    found = [tuple(row[name] for name in names) for row in rows if row["best_loss"] is not None]
    return dict(zip(names, min(found, default=(None, None)), strict=True))


def _heads(
    band: Band, rows: Sequence[Row], across: Columns, top: float, *, several: bool
) -> list[Mark]:
    """What stands to the left of a band and above its columns."""
    pass_, bracket = band
    lines = [f"bracket {bracket}", count(rows[0]["configs_entered"], "config")]
    if several:
        lines.insert(1, f"pass {pass_}" if pass_ else "all passes")
    marks: list[Mark] = [
        Label(0, top + 8 + 17 * i, text, "strong" if i == 0 else "label")
        for i, text in enumerate(lines)
    ]
    for row in rows:
        if row["configs_entered"]:
            text = f"{row['configs_entered']:,}"
            text += f" · {row['failed']:,} ✕" if row["failed"] and len(across) <= ROOMY else ""
            marks.append(Label(across[row["epochs"]], top - 8, text, "halo", "middle"))
    return marks


def _holds(band: Band, one: Result | None) -> bool:
    return one is not None and band in ((one.pass_, one.bracket), (None, one.bracket))


def _outcome(rows: Sequence[Row], across: Columns, top: float, *, is_best: bool) -> list[Mark]:
    """The best loss of a band, to its right."""
    loss = _best(rows)["best_loss"]
    if loss is None:
        return []
    x = max(across.values()) + 16
    return [
        Label(x, top + 8, f"best {number(loss)}", "strong" if is_best else "label"),
        *([Label(x, top + 25, "best of all", "label")] if is_best else []),
    ]


def _threads(facts: PageFacts) -> dict[Band, list[Thread]]:
    slots: dict[Band, dict[int, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for one in facts.results:
        slots[one.pass_, one.bracket][one.slot].append(one)
    return {band: list(threads.values()) for band, threads in slots.items()}


def _ribbon_band(rows: Sequence[Row], across: Columns, top: float) -> tuple[float, list[Mark]]:
    """Bars as high as the square root of their configs, joined by those who went on."""
    tallest = 26 + 2.0 * rows[0]["configs_entered"] ** 0.5
    height = min(150.0, tallest)
    unit = height / rows[0]["configs_entered"] ** 0.5
    marks: list[Mark] = []
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        if not row["configs_entered"]:
            continue
        tall = max(3.0, unit * row["configs_entered"] ** 0.5)
        x = across[row["epochs"]]
        y = top
        for kind, n in row["parts"].items():
            if not n:
                continue
            part = tall * n / row["configs_entered"]
            marks.append(Box(x - BAR / 2, y, BAR, part, f"bar {kind}", f"{n:,} {kind}"))
            if kind == "promoted" and after and after["configs_entered"]:
                to = across[after["epochs"]] - BAR / 2
                there = top + max(3.0, unit * after["configs_entered"] ** 0.5)
                title = f"{n:,} of {row['configs_entered']:,} promoted"
                d = ribbon(x + BAR / 2, y, y + part, (to, top, there))
                marks.append(Path(d, "ribbon", title))
            y += part
    return height, marks


def _parts(row: Row) -> dict[str, int]:
    """What became of the configs of a rung: together they are all that entered."""
    is_last = row["rung"] == row["bracket"]
    settled = is_last or row["promoted"] is not None
    onward = row["done"] if is_last else row["promoted"] or 0
    stopped = row["done"] - onward if settled else 0
    return {
        "final" if is_last else "promoted": onward,
        "stopped": stopped,
        "undecided": row["configs_entered"] - row["failed"] - onward - stopped,
        "failed": row["failed"],
    }
