"""The figures of the page, each with a sentence, a table and the SQL behind it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median

from hbtrack.page import charts, comparisons, flow, gather, timeline
from hbtrack.page.analysis import Transition, agreement, mean_idle, numeric, spearman, transitions
from hbtrack.page.drawing import Drawing, Group, Mark
from hbtrack.page.facts import Curve, Facts
from hbtrack.page.lead import loss
from hbtrack.page.words import are, count, listed, ordinal, percent, short, span, stamp

PANELS = 12
"""At most so many steps from rung to rung are drawn."""
ROWS = 200
"""At most so many rows of a figure's table are in the page."""

Cells = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows beside a figure; `all_rows` is how many there would be."""

    columns: tuple[str, ...]
    rows: tuple[Cells, ...]
    all_rows: int


@dataclass(frozen=True, slots=True)
class Section:
    """A figure with all that belongs to it."""

    id: str
    title: str
    sentences: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    legend: tuple[tuple[str, str], ...]  # what is drawn, and what it means
    table: Table
    sql: str


def sections(facts: Facts) -> list[Section]:
    """All figures, in the order of the page."""
    made: Sequence[Callable[[Facts], Section]] = (
        _flow,
        _incumbents,
        _curves,
        _stopping,
        _parameters,
        _workers,
    )
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


def _table(columns: str, rows: Sequence[Cells], size: int | None = None) -> Table:
    return Table(tuple(columns.split(", ")), tuple(rows[:ROWS]), size or len(rows))


# --- bracket flow --------------------------------------------------------------------------------


def _flow(facts: Facts) -> Section:
    detailed = bool(facts.results) and flow.is_detailed(facts)
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
    drawing = flow.draw(facts)
    return Section(
        "flow",
        "How the brackets went",
        _flow_sentences(facts, detailed=detailed),
        (drawing,) if drawing else (),
        threads if detailed else bars,
        _table(
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
        tuple(charts.incumbents(facts)),
        (("step", "best loss"), ("star", "the best")),
        _table("when, epochs spent, loss, at epochs, config", rows),
        gather.INCUMBENTS,
    )


def _improvements(facts: Facts) -> str:
    if not facts.incumbents:
        return facts.no_loss
    first, last = facts.incumbents[0], facts.incumbents[-1]
    if first is last:
        return f"There has been one best so far, {loss(last['loss'])}."
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
    present = sorted(set(reach.values()))
    legend = tuple((f"rung{charts.shade(r, rungs)}", f"reached rung {r}") for r in present)
    drawing = charts.curves(facts)
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
        _table("config, rung reached, epochs, loss", list(islice(points, ROWS)), size),
        gather.CURVES,
    )


def _curve_sentences(facts: Facts, found: dict[str, Curve]) -> tuple[str, ...]:
    if not found:
        return (facts.no_loss,)
    once = sum(len(curve) == 1 for curve in found.values())
    text = f"{count(len(found), 'config')} have a loss" if len(found) > 1 else "1 config has a loss"
    text += f", {once:,} of them at one budget only."
    best = found.get(facts.best_config_id or "", [])
    if len(best) > 1:
        (first, was), (last, became) = best[0], best[-1]
        text += f" The best went from {loss(was)} at {count(first, 'epoch')} to {loss(became)} "
        text += f"at {count(last, 'epoch')}."
    if len(found) <= charts.CURVES:
        return (text,)
    return text, "They are too many to draw: lines are medians, areas the middle 80 %."


# --- was early stopping right? -------------------------------------------------------------------


def _stopping(facts: Facts) -> Section:
    found = transitions(facts.results)
    rows = [
        (
            *(one.bracket, one.epochs, one.next_epochs, one.n, one.rho),
            listed([short(move.config_id, 60) for move in one.moves if move.rose_late][:3]),
        )
        for one in found
    ]
    shown = [one for one in found if one.n >= 3][:PANELS]
    return Section(
        "stopping",
        "Was early stopping right?",
        _verdict(facts, found),
        tuple(comparisons.rank_panel(one) for one in shown),
        (("on", "promoted config"), ("late", "late riser"), ("diagonal", "same rank")),
        _table("bracket, from epochs, to epochs, n, Spearman ρ, late risers", rows),
        gather.RANKS,
    )


def _verdict(facts: Facts, found: Sequence[Transition]) -> tuple[str, ...]:
    known = agreement(found)
    if known is None:
        return (
            "Too few configs were promoted and measured again to compare their ranks "
            "(three at one rung are the least).",
        )
    rho, n = known
    if rho >= 0.7:
        verdict = "Yes, as far as this shows: small budgets told good configs from bad ones."
    elif rho >= 0.4:
        verdict = "Mostly: small budgets told much about larger ones, but not all."
    else:
        verdict = (
            "Doubtful: ranks changed a lot from rung to rung, so good configs may have been "
            "stopped. Trust the brackets that stop later."
        )
    text = f"{verdict} Ranks at a rung and at the next agree with ρ = {rho:.2f} on average"
    text += f" (Spearman, n = {n:,} over {count(len(found), 'step')} between rungs)."
    caveat = "Only promoted configs can be compared; what the others would have become, nobody saw."
    if n < 30:
        caveat = f"So few configs give a hint only. {caveat}"
    shown = sum(one.n >= 3 for one in found)
    drawn = f"The first {PANELS} of {shown} steps are drawn." if shown > PANELS else ""
    parts = [text, caveat, _late(found), _narrow_escape(facts), drawn]
    return tuple(part for part in parts if part)


def _late(found: Sequence[Transition]) -> str:
    late = [(one, move) for one in found for move in one.moves if move.rose_late]
    names = [
        f"{short(move.config_id, 60)} ({ordinal(move.before)} of {move.of} at "
        f"{count(one.epochs, 'epoch')}, then {ordinal(move.after)})"
        for one, move in late[:4]
    ]
    more = f", and {len(late) - 4:,} more" if len(late) > 4 else ""
    return f"Late risers: {'; '.join(names)}{more}." if late else ""


def _narrow_escape(facts: Facts) -> str:
    """Where the best config came nearest to being stopped."""
    best = flow.winner(facts)
    if best is None or not best.rung:
        return ""
    cuts = []
    for row in facts.rungs:
        if (row["pass"], row["bracket"]) == (best.pass_, best.bracket) and row["rung"] < best.rung:
            key = best.pass_, best.bracket, row["rung"]
            rung = [r for r in facts.results if (r.pass_, r.bracket, r.rung) == key]
            slots = [one.slot for one in flow.ordered(rung)]
            rank = slots.index(best.slot) + 1
            cuts.append((rank / max(1, row["promoted"] or 0), rank, row))
    if all(rank == 1 for _, rank, _ in cuts):
        return "The best was first in its bracket at every rung."
    _, rank, row = max(cuts, key=lambda cut: cut[0])
    return (
        f"The best was nearest to being stopped at {count(row['epochs'], 'epoch')}: it was "
        f"{ordinal(rank)} of {row['configs_entered']:,}, and {row['promoted']:,} went on."
    )


# --- parameters ----------------------------------------------------------------------------------


def _parameters(facts: Facts) -> Section:
    rows = _correlations(facts)
    drawings = comparisons.parameter_panels(facts)
    dense = len(comparisons.last_losses(facts)) > comparisons.DOTS
    dots = (("full", "at the largest budget"), ("part", "stopped before"), ("star", "the best"))
    cells = (("heat2", "some configs"), ("heat5", "many"), ("star", "the best"))
    return Section(
        "parameters",
        "Parameters and loss",
        _parameter_sentences(facts, rows),
        tuple(drawings),
        (cells if dense else dots) if drawings else (),
        _table("parameter, of the best, lowest, highest, at epochs, n, Spearman ρ", rows),
        gather.PARAMS_LOSS,
    )


def _correlations(facts: Facts) -> list[Cells]:
    """Each parameter's rank correlation with the loss, at the budget with the most losses."""
    losses: dict[int, dict[str, float]] = {}
    for config_id, curve in facts.curves.items():
        for epochs, value in curve:
            losses.setdefault(epochs, {})[config_id] = value
    epochs = max(losses, key=lambda budget: (len(losses[budget]), budget), default=0)
    best = facts.params.get(facts.best_config_id or "", {})
    rows: list[Cells] = []
    for name in comparisons.parameter_names(facts):
        pairs = [
            (facts.params[one][name], value)
            for one, value in losses.get(epochs, {}).items()
            if name in facts.params.get(one, {})
        ]
        numbers = [(x, y) for x, y in pairs if numeric(x)]
        if len(numbers) == len(pairs) and pairs:
            xs = [x for x, _ in numbers]
            rho = spearman(xs, [y for _, y in numbers])  # type: ignore[arg-type]
            rows.append((short(name), best.get(name), min(xs), max(xs), epochs, len(xs), rho))  # type: ignore[type-var]
        else:
            rows.append((short(name), best.get(name), None, None, epochs, len(pairs), None))
    return rows


def _parameter_sentences(facts: Facts, rows: Sequence[Cells]) -> tuple[str, ...]:
    if not rows:
        return ("No config's id or get_config gave parameters.",)
    if not facts.leaders:
        return (facts.no_loss,)
    told = [row for row in rows if isinstance(row[6], float) and isinstance(row[5], int)]
    found = "No parameter is a number that varies, so there is nothing to correlate."
    if told:
        name, *_, epochs, n, rho = max(told, key=lambda row: abs(float(str(row[6]))))
        way = "grows" if isinstance(rho, float) and rho > 0 else "falls"
        found = (
            f"At {count(int(str(epochs)), 'epoch')}, where most configs were measured "
            f"(n = {n:,}), the loss {way} most clearly with {name} (ρ = {rho:.2f})."
        )
    how = "Drawn is the loss at the largest budget that a config reached."
    varying = len(comparisons.varying(facts))
    if varying < len(rows):
        how += f" {count(len(rows) - varying, 'parameter')} without a second value are left out."
    if varying > comparisons.PARAMETERS:
        how += f" {comparisons.PARAMETERS} of {varying:,} parameters are drawn."
    return found, how


# --- workers -------------------------------------------------------------------------------------


def _workers(facts: Facts) -> Section:
    lanes = timeline.lanes(facts)
    rows = [(one.worker, len(one.attempts), one.busy, one.idle) for one in lanes]
    drawing = timeline.draw(facts, lanes)
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
        _table("worker, attempts, busy seconds, idle share", rows),
        gather.ATTEMPTS,
    )


def _busy(facts: Facts, lanes: Sequence[timeline.Lane]) -> str:
    if not lanes:
        return "Nothing has run yet."
    whole = sum(lane.busy for lane in lanes)
    text = f"{count(len(lanes), 'worker')} ran {count(len(facts.attempts), 'attempt')} in "
    text += f"{span(whole)} of work"
    idle = mean_idle(lane.idle for lane in lanes)
    if idle is not None:
        text += f", idle {percent(idle)} of the time that hbtrack was alive"
    middle = median(one.end - one.start for one in facts.attempts)
    text += f"; half of the attempts took less than {span(middle)}."
    gaps = timeline.gaps(facts)
    if gaps:
        gone = span(sum(end - start for start, end in gaps))
        text += f" For {gone} in {count(len(gaps), 'gap')} no hbtrack was alive."
    if len(lanes) > timeline.LANES:
        text += f" The first {timeline.LANES} are drawn."
    return text


# --- the ranked table ----------------------------------------------------------------------------


def ranked(facts: Facts) -> Section:
    """The leaderboard with the parameters as columns."""
    names = comparisons.parameter_names(facts)[: comparisons.PARAMETERS]
    fixed = ("rank", "config_id", "loss", "epochs", "epochs_reached", "bracket", "seconds")
    rows = tuple(
        (
            *(short(row[name]) if name == "config_id" else row[name] for name in fixed),
            *(facts.params.get(row["config_id"], {}).get(name) for name in names),
        )
        for row in facts.leaders
    )
    text = f"{count(facts.ranked, 'config')}, ranked by the smallest loss at any budget."
    if facts.ranked > len(rows):
        text = f"The {len(rows):,} best of {text}"
    if not rows:
        text = facts.no_loss
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
