"""Best so far: the best loss over the epochs spent, and over time."""

from collections.abc import Sequence

from hbtrack.core.times import unix
from hbtrack.report.page import gather
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.section import Section, make_table
from hbtrack.report.page.svg.drawing import Dot, Drawing, Label, Path, frame, margin, star, steps
from hbtrack.report.page.svg.scales import Scale, extent, number, time_unit
from hbtrack.report.page.wording import count, loss, percent, short, stamp


def figure(facts: PageFacts) -> Section:
    """Each improvement of the best loss."""
    rows = [
        (
            stamp(row["finished_at"]),
            *(row[name] for name in ("epochs_spent", "loss", "epochs")),
            short(row["config_id"]),
        )
        for row in facts.incumbents
    ]
    return Section(
        "best-so-far",
        "Best so far",
        [_sentence(facts)],
        draw(facts),
        {"step": "best loss", "star": "the best"},
        make_table("when, epochs spent, loss, at epochs, config", rows),
        gather.INCUMBENTS,
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


def draw(facts: PageFacts) -> list[Drawing]:
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
        _half(spent, losses, epochs, "epochs trained"),
        _half([w / size for w in waited], losses, whole / size, f"{unit} since the start"),
    ]


def _half(xs: Sequence[float], losses: Sequence[float], end: float, name: str) -> Drawing:
    width, height = 400.0, 250.0
    y = extent(losses).scale(height - 44, 26)
    x = Scale(0, end or 1, margin(y, 56), width - 12)
    points = [(x(at), y(loss)) for at, loss in zip(xs, losses, strict=True)]
    last = points[-1]
    marks = [
        *frame(x, y, name, "best loss"),
        Path(steps(points, x.end), "step"),
        *(Dot(*p, 2.5, "on", number(v)) for p, v in zip(points[:-1], losses, strict=False)),
        Path(star(*last, 7), "star", number(losses[-1])),
        Label(x.end, last[1] - 12, number(losses[-1]), "halo strong", "end"),
    ]
    return Drawing(width, height, f"Best loss so far against {name}.", tuple(marks), "half")
