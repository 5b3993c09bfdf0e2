"""What the figures let one conclude: whether stopping early was right, which parameters matter."""

from collections.abc import Sequence

from hbtrack.page import comparisons, flow, gather
from hbtrack.page.analysis import Transition, agreement, numeric, spearman, transitions
from hbtrack.page.facts import Facts
from hbtrack.page.section import Cells, Section, make_table
from hbtrack.page.words import count, listed, ordinal, short

PANELS = 12
"""At most so many steps from rung to rung are drawn."""


# --- was early stopping right? -------------------------------------------------------------------


def stopping(facts: Facts) -> Section:
    """Rank at a rung against rank at the next, and what follows from it."""
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
        make_table("bracket, from epochs, to epochs, n, Spearman ρ, late risers", rows),
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


def parameters(facts: Facts) -> Section:
    """Each parameter against the loss."""
    rows = _correlations(facts)
    drawings = comparisons.parameter_panels(facts)
    dense = len(facts.last_losses) > comparisons.DOTS
    dots = (("full", "at the largest budget"), ("part", "stopped before"), ("star", "the best"))
    cells = (("heat2", "some configs"), ("heat5", "many"), ("star", "the best"))
    return Section(
        "parameters",
        "Parameters and loss",
        _parameter_sentences(facts, rows),
        tuple(drawings),
        (cells if dense else dots) if drawings else (),
        make_table("parameter, of the best, lowest, highest, at epochs, n, Spearman ρ", rows),
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
    for name in facts.names:
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
    if facts.sampled:
        how += f" Looked at are the {len(facts.params):,} configs sampled first or ranked best."
    varying = len(facts.varying)
    if varying < len(rows):
        how += f" {count(len(rows) - varying, 'parameter')} without a second value are left out."
    if varying > comparisons.PARAMETERS:
        how += f" {comparisons.PARAMETERS} of {varying:,} parameters are drawn."
    return found, how
