"""Best so far: the best loss over the epochs spent, and over time."""

from collections.abc import Sequence

from hbtrack.core.times import unix
from hbtrack.report.page import gather
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.section import Section, View, make_table
from hbtrack.report.page.svg.drawing import Dot, Drawing, Label, Path, frame, margin, star, steps
from hbtrack.report.page.svg.scales import Extent, Scale, number, time_unit, ways
from hbtrack.report.page.wording import count, loss, percent, stamp


def figure(facts: PageFacts) -> Section:
    """Each improvement of the best loss."""
    rows = [
        (
            stamp(row["finished_at"]),
            *(row[name] for name in ("epochs_spent", "loss", "epochs")),
            facts.called(row["config_id"]),
        )
        for row in facts.incumbents
    ]
    return Section(
        "best-so-far",
        "Best so far",
        [_sentence(facts)],
        _views(facts),
        make_table("when, epochs spent, loss, at epochs, config", rows),
        gather.INCUMBENTS,
        "Losses",
    )


def _sentence(facts: PageFacts) -> str:
    first, last = facts.incumbents[0], facts.incumbents[-1]
    if first is last:
        return f"There has been one best so far, {loss(last['loss'])}; nothing was better."
    done = facts.search["epochs_done"]
    return (
        f"The best loss improved {count(len(facts.incumbents) - 1, 'time')}, from "
        f"{loss(first['loss'])} to {loss(last['loss'])}; the last time after "
        f"{last['epochs_spent']:,} of {count(done, 'epoch')} "
        f"({percent(last['epochs_spent'] / max(1, done))})."
    )


def _views(facts: PageFacts) -> list[View]:
    """In every way in which the losses can be drawn; none before the best has improved."""
    if len(facts.incumbents) < 2:
        return []
    meanings = {"step": "best loss", "star": "the best"}
    losses = ways(row["loss"] for row in facts.incumbents)
    return [View(name, draw(facts, one), meanings) for name, one in losses.items()]


def draw(facts: PageFacts, losses: Extent) -> list[Drawing]:
    """The best loss against epochs spent, and against time."""
    spent = [float(row["epochs_spent"]) for row in facts.incumbents]
    began = unix(facts.search["created_at"])
    ended = unix(facts.search["finished_at"]) if facts.search["finished_at"] else facts.until
    waited = [max(0.0, unix(row["finished_at"]) - began) for row in facts.incumbents]
    whole = max(ended - began, waited[-1])
    size, unit = time_unit(whole)
    epochs = max(float(facts.search["epochs_done"]), spent[-1])
    return [
        _half(facts, spent, losses, epochs, "epochs trained"),
        _half(facts, [w / size for w in waited], losses, whole / size, f"{unit} since the start"),
    ]


def _half(facts: PageFacts, xs: Sequence[float], losses: Extent, end: float, name: str) -> Drawing:
    width, height = 400.0, 250.0
    y = losses.scale(height - 44, 26)
    x = Scale(0, end or 1, margin(y, 56), width - 12)
    points = [(x(at), y(row["loss"])) for at, row in zip(xs, facts.incumbents, strict=True)]
    told = [f"{number(row['loss'])} at {count(row['epochs'], 'epoch')}" for row in facts.incumbents]
    last, best = points[-1], number(facts.incumbents[-1]["loss"])
    marks = [
        *frame(x, y, name, "best loss"),
        Path(steps(points, x.end), "step"),
        *(Dot(*point, 2.5, "on", text) for point, text in zip(points[:-1], told, strict=False)),
        Path(star(*last, 7), "star", told[-1]),
        Label(x.end, last[1] + (24 if facts.maximize else -12), best, "halo strong", "end"),
    ]
    return Drawing(width, height, f"Best loss so far against {name}.", tuple(marks), "half")
