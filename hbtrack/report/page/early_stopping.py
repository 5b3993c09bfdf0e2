"""Was early stopping right? Ranks at a rung against ranks at the next."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from hbtrack.report.agreement import (
    FAIR,
    FEW,
    GOOD,
    Move,
    Transition,
    comparable,
    mean_agreement,
    transitions,
)
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.section import Section, View, make_table
from hbtrack.report.page.svg.drawing import (
    DOTS,
    FEW_DOTS,
    PANEL_BOTTOM,
    PANEL_LEFT,
    PANEL_RIGHT,
    PANEL_TOP,
    Dot,
    Drawing,
    Label,
    Mark,
    Path,
    line,
    panel,
)
from hbtrack.report.page.svg.scales import Scale
from hbtrack.report.page.threads import ordered
from hbtrack.report.page.wording import count, listed, ordinal, rho

RANKS = """
SELECT pass, bracket, rung, now.config_id, count(*) OVER (PARTITION BY pass, bracket, rung) AS n,
    rank() OVER (PARTITION BY pass, bracket, rung ORDER BY now.objective)
        + (count(*) OVER (PARTITION BY pass, bracket, rung, now.objective) - 1) / 2.0 AS rank,
    rank() OVER (PARTITION BY pass, bracket, rung ORDER BY later.objective)
        + (count(*) OVER (PARTITION BY pass, bracket, rung, later.objective) - 1) / 2.0 AS next_rank
FROM (SELECT * FROM results WHERE promoted = 1) AS now
JOIN (SELECT pass, bracket, rung - 1 AS rung, slot, objective FROM results
    WHERE run_identity = :identity AND status = 'done') AS later
    USING (pass, bracket, rung, slot)
WHERE run_identity = :identity ORDER BY pass, bracket DESC, rung, rank"""

MEANINGS = {"on": "promoted config", "late": "late riser", "diagonal": "same rank"}

PANELS = 12
"""At most so many steps from rung to rung are drawn."""


def figure(facts: PageFacts) -> Section:
    """Rank at a rung against rank at the next, and what follows from it."""
    found = transitions(facts.results)
    rows = [
        (
            *(one.bracket, one.epochs, one.next_epochs, one.n, one.rho),
            listed([facts.called(move.config_id) for move in one.moves if move.rose_late][:3]),
        )
        for one in found
    ]
    shown = comparable(found)[:PANELS]
    return Section(
        "stopping",
        "Was early stopping right?",
        _verdict(facts, found),
        [View("", [_panel(one, facts.brief) for one in shown], MEANINGS)],
        make_table("bracket, from epochs, to epochs, n, Spearman ρ, late risers", rows),
        RANKS,
    )


def _verdict(facts: PageFacts, found: Sequence[Transition]) -> tuple[str, ...]:
    known = comparable(found)
    if not known:
        equal = any(one.n >= 3 for one in found)
        return (
            "The promoted configs have equal losses, so there are no ranks to compare."
            if equal
            else "Too few configs were promoted and measured again to compare their ranks "
            "(three at one rung are the least).",
        )
    agreement = mean_agreement(known)
    if agreement.rho >= GOOD:
        verdict = "Yes, as far as this shows: small budgets told good configs from bad ones."
    elif agreement.rho >= FAIR:
        verdict = "Mostly: small budgets told much about larger ones, but not all."
    else:
        verdict = (
            "Doubtful: ranks changed a lot from rung to rung, so good configs may have been "
            "stopped. Trust the brackets that stop later."
        )
    text = f"{verdict} Ranks at a rung and at the next agree with {rho(agreement.rho)} on average"
    text += f" (Spearman, n\u00a0=\u00a0{agreement.n:,} over "
    text += f"{count(len(known), 'step')} between rungs)."
    caveat = "Only promoted configs can be compared; what the others would have become, nobody saw."
    if agreement.n < FEW:
        caveat = f"So few configs give a hint only. {caveat}"
    drawn = f"The first {PANELS} of {len(known)} steps are drawn." if len(known) > PANELS else ""
    parts = [text, caveat, _late(facts, found), _narrow_escape(facts), drawn]
    return tuple(part for part in parts if part)


def _late(facts: PageFacts, found: Sequence[Transition]) -> str:
    late = [(one, move) for one in found for move in one.moves if move.rose_late]
    names = [
        f"{facts.called(move.config_id)} ({ordinal(int(move.before))} of {move.of:,} at "
        f"{count(one.epochs, 'epoch')}, then {ordinal(int(move.after))})"
        for one, move in late[:4]
    ]
    more = f", and {len(late) - 4:,} more" if len(late) > 4 else ""
    return f"Late risers: {'; '.join(names)}{more}." if late else ""


def _narrow_escape(facts: PageFacts) -> str:
    """Where the best config came nearest to being stopped."""
    best = facts.winner
    if best is None or not best.rung:
        return ""
    cuts = []
    for row in facts.rungs:
        if (row["pass"], row["bracket"]) == (best.pass_, best.bracket) and row["rung"] < best.rung:
            key = best.pass_, best.bracket, row["rung"]
            rung = [r for r in facts.results if (r.pass_, r.bracket, r.rung) == key]
            slots = [one.slot for one in ordered(rung)]
            rank = slots.index(best.slot) + 1
            cuts.append((rank / max(1, row["promoted"] or 0), rank, row))
    if all(rank == 1 for _, rank, _ in cuts):
        return "The best was first in its bracket at every rung."
    _, rank, row = max(cuts, key=lambda cut: cut[0])
    return (
        f"The best was nearest to being stopped at {count(row['epochs'], 'epoch')}: it was "
        f"{ordinal(rank)} of {row['configs_entered']:,}, and {row['promoted']:,} went on."
    )


def _panel(one: Transition, brief: Callable[[str], str]) -> Drawing:
    """The promoted configs of a rung: their rank there, and at the next rung; 1 is on top."""
    most = max(move.of for move in one.moves)
    x = Scale(0.5, most + 0.5, PANEL_LEFT, PANEL_RIGHT - 2)
    y = Scale(0.5, most + 0.5, PANEL_TOP, PANEL_BOTTOM)
    names = count(one.epochs, "epoch"), count(one.next_epochs, "epoch")
    agree = "" if one.rho is None else f" · {rho(one.rho)}"
    marks: list[Mark] = [
        Path(line([(x.start, y.start), (x.end, y.end)]), "diagonal"),
        Path(line([(x.start, y.start), (x.start, y.end), (x.end, y.end)]), "axis"),
        Label(x.end, y.end + 36, f"rank at {names[0]}", "name", "end"),
        Label(0, y.start - 12, f"rank at {names[1]}", "name"),
    ]
    for rank in (1, most):
        marks.append(Label(x(rank), y.end + 18, f"{rank:,}", "tick", "middle"))
        marks.append(Label(x.start - 8, y(rank) + 4, f"{rank:,}", "tick", "end"))
    marks += _dots(one, x, y, brief)
    label = f"Rank at {names[0]} against rank at {names[1]}, bracket {one.bracket}."
    title = f"bracket {one.bracket}{agree} · n = {one.n:,}"
    return panel(label, title, marks)


def _dots(one: Transition, x: Scale, y: Scale, brief: Callable[[str], str]) -> list[Mark]:
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
        title = f"{brief(move.config_id)}: {move.before:g}, then {move.after:g} of {move.of:,}"
        if len(moves) > 1:
            title = f"{before:g}, then {after:g}: {count(len(moves), 'config')}"
        kind = "late" if any(move.rose_late for move in moves) else "on"
        radius = size if most == 1 else size * (0.5 + math.sqrt(len(moves) / most))
        marks.append(Dot(x(max(1, before)), y(max(1, after)), radius, kind, title))
    return marks
