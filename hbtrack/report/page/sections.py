"""The figures of the page in their order, and the ranked table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from statistics import median

from hbtrack.report.page import brackets, comparisons, curves, gather, workers
from hbtrack.report.page.early_stopping import parameters, stopping
from hbtrack.report.page.facts import Curve, Facts
from hbtrack.report.page.headline import loss
from hbtrack.report.page.section import ROWS, Section, Table, make_table
from hbtrack.report.page.svg.drawing import Group, Mark
from hbtrack.report.page.wording import are, count, percent, short, span, stamp


def sections(facts: Facts) -> list[Section]:
    """All figures, in the order of the page; without a loss only those that need none."""
    of_losses = (_incumbents, _curves, stopping, parameters) if facts.leaders else ()
    made: Sequence[Callable[[Facts], Section]] = (_flow, *of_losses, _workers)
    return [_with_its_legend(make(facts)) for make in made]


def _with_its_legend(section: Section) -> Section:
    """The same; its legend names only what is drawn."""
    drawn = {word for drawing in section.drawings for word in _kinds(drawing.marks)}
    legend = tuple(entry for entry in section.legend if entry[0].split("-")[-1] in drawn)
    return replace(section, legend=legend)


def _kinds(marks: Iterable[Mark]) -> Iterator[str]:
    for mark in marks:
        yield from mark.kind.split()
        if isinstance(mark, Group):
            yield from _kinds(mark.marks)


# --- bracket flow --------------------------------------------------------------------------------


def _flow(facts: Facts) -> Section:
    detailed = bool(facts.results) and brackets.is_detailed(facts)
    threads = (
        ("best", "the best"),
        ("final", "reached its bracket's last rung"),
        ("stopped", "stopped"),
        ("failed", "failed"),
        ("running", "running"),
        ("waiting", "not decided yet"),
    )
    bars = (
        ("ribbon", "promoted"),
        ("bar-final", "in the last rung"),
        ("bar-stopped", "stopped"),
        ("bar-failed", "failed"),
        ("bar-undecided", "not decided yet"),
    )
    rows = [
        tuple(
            row[name]
            for name in (
                *("pass", "bracket", "rung", "epochs", "configs_entered", "promoted"),
                *("failed", "best_loss", "cutoff_loss"),
            )
        )
        for row in facts.rungs
    ]
    drawing = brackets.draw(facts)
    return Section(
        "flow",
        "How the brackets went",
        _flow_sentences(facts, detailed=detailed),
        (drawing,) if drawing else (),
        threads if detailed else bars,
        make_table(
            "pass, bracket, rung, epochs, entered, promoted, failed, best loss, cutoff loss", rows
        ),
        gather.RUNGS if not detailed else gather.RESULTS,
    )


def _flow_sentences(facts: Facts, *, detailed: bool) -> tuple[str, ...]:
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


# --- best so far ---------------------------------------------------------------------------------


def _incumbents(facts: Facts) -> Section:
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
        (_improvements(facts),),
        tuple(curves.incumbents(facts)),
        (("step", "best loss"), ("star", "the best")),
        make_table("when, epochs spent, loss, at epochs, config", rows),
        gather.INCUMBENTS,
    )


def _improvements(facts: Facts) -> str:
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


# --- learning curves -----------------------------------------------------------------------------


def _curves(facts: Facts) -> Section:
    found = facts.curves
    reach = facts.reached
    rungs = max((row["rung"] for row in facts.rungs), default=0) + 1
    legend = curves.legend(reach.values(), rungs)
    drawing = curves.curves(facts)
    best = facts.best_config_id
    points = (
        (short(one), reach[one], epochs, value)
        for one in sorted(found, key=lambda one: (one != best, one))
        for epochs, value in found[one]
    )
    size = sum(map(len, found.values()))
    return Section(
        "curves",
        "Learning curves",
        _curve_sentences(facts, found),
        (drawing,) if drawing else (),
        (*legend, ("best", "the best")) if drawing else (),
        make_table("config, rung reached, epochs, loss", list(islice(points, ROWS)), size),
        gather.CURVES,
    )


def _curve_sentences(facts: Facts, found: dict[str, Curve]) -> tuple[str, ...]:
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
    if len(found) <= curves.CURVES:
        return (text,)
    return text, "They are too many to draw: lines are medians, areas the middle 80 %."


# --- workers -------------------------------------------------------------------------------------


def _workers(facts: Facts) -> Section:
    lanes = workers.lanes(facts)
    rows = [(one.worker, len(one.attempts), one.busy, one.idle) for one in lanes]
    drawing = workers.draw(facts, lanes)
    return Section(
        "workers",
        "What the workers did",
        (_busy(facts, lanes),),
        (drawing,) if drawing else (),
        (
            ("attempt-done", "done"),
            ("attempt-failed", "failed"),
            ("attempt-lost", "lost, interrupted or not settled"),
            ("attempt-running", "running"),
            ("gap", "no hbtrack alive"),
        ),
        make_table("worker, attempts, busy seconds, idle share", rows),
        gather.ATTEMPTS,
    )


def _busy(facts: Facts, lanes: Sequence[workers.Lane]) -> str:
    if not lanes:
        return "Nothing has run yet."
    whole = sum(lane.busy for lane in lanes)
    known = workers.workers(facts) or len(lanes)
    text = f"{count(known, 'worker')} ran {count(len(facts.attempts), 'attempt')} in "
    text += f"{span(whole)} of work"
    idle = workers.idle(facts)
    if idle is not None:
        text += f", idle {percent(idle)} of the time that hbtrack was alive"
    ended = [one.end - one.start for one in facts.attempts if not one.is_open]
    text += f"; half of them took less than {span(median(ended))}." if ended else "."
    gaps = workers.gaps(facts)
    if gaps:
        gone = span(sum(end - start for start, end in gaps))
        text += f" For {gone} in {count(len(gaps), 'gap')} no hbtrack was alive."
    shared = sum(one.gpus > 1 for one in facts.attempts)
    if shared:
        text += f" {count(shared, 'attempt')} had several GPUs, each in place of a worker."
    if len(lanes) > known:
        text += f" Numbers from {known:,} on stood in where a worker was not yet free."
    if len(lanes) > workers.LANES:
        text += f" The first {workers.LANES} are drawn."
    return text


# --- the ranked table ----------------------------------------------------------------------------


def ranked(facts: Facts) -> Section | None:
    """The leaderboard with the parameters as columns; None without a loss."""
    if not facts.leaders:
        return None
    names = facts.names[: comparisons.PARAMETERS]
    most = 36 if names else 80  # where its parameters stand beside it, less of an id will do
    fixed = ("rank", "config_id", "loss", "epochs", "epochs_reached", "bracket", "seconds")
    rows = tuple(
        (
            *(short(row[name], most) if name == "config_id" else row[name] for name in fixed),
            *(facts.params.get(row["config_id"], {}).get(name) for name in names),
        )
        for row in facts.leaders
    )
    text = f"{count(facts.ranked, 'config')}, ranked by the smallest loss at any budget."
    if facts.ranked > len(rows):
        text = f"The {len(rows):,} best of {text}"
    titles = ("rank", "config", "loss", "at epochs", "reached", "bracket", "seconds")
    columns = (*titles, *(short(name, 40) for name in names))
    return Section(
        "ranked",
        "All configs, ranked",
        (text,),
        (),
        (),
        Table(columns, rows, facts.ranked),
        gather.LEADERBOARD,
    )
