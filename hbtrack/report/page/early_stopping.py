"""What the figures let one conclude: whether stopping early was right, which parameters matter."""

from collections.abc import Sequence

from hbtrack.report.page import brackets, comparisons, gather
from hbtrack.report.page.facts import Facts
from hbtrack.report.page.parameters import Effect, effect, strongest_first
from hbtrack.report.page.ranks import (
    Transition,
    agreement,
    comparable,
    transitions,
)
from hbtrack.report.page.section import Section, make_table
from hbtrack.report.page.wording import count, listed, ordinal, percent, rho, short

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
    shown = comparable(found)[:PANELS]
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
    known = comparable(found)
    if not known:
        equal = any(one.n >= 3 for one in found)
        return (
            "The promoted configs have equal losses, so there are no ranks to compare."
            if equal
            else "Too few configs were promoted and measured again to compare their ranks "
            "(three at one rung are the least).",
        )
    mean, n = agreement(known)
    if mean >= 0.7:
        verdict = "Yes, as far as this shows: small budgets told good configs from bad ones."
    elif mean >= 0.4:
        verdict = "Mostly: small budgets told much about larger ones, but not all."
    else:
        verdict = (
            "Doubtful: ranks changed a lot from rung to rung, so good configs may have been "
            "stopped. Trust the brackets that stop later."
        )
    text = f"{verdict} Ranks at a rung and at the next agree with {rho(mean)} on average"
    text += f" (Spearman, n\u00a0=\u00a0{n:,} over {count(len(known), 'step')} between rungs)."
    caveat = "Only promoted configs can be compared; what the others would have become, nobody saw."
    if n < 30:
        caveat = f"So few configs give a hint only. {caveat}"
    drawn = f"The first {PANELS} of {len(known)} steps are drawn." if len(known) > PANELS else ""
    parts = [text, caveat, _late(found), _narrow_escape(facts), drawn]
    return tuple(part for part in parts if part)


def _late(found: Sequence[Transition]) -> str:
    late = [(one, move) for one in found for move in one.moves if move.rose_late]
    names = [
        f"{short(move.config_id, 60)} ({ordinal(int(move.before))} of {move.of:,} at "
        f"{count(one.epochs, 'epoch')}, then {ordinal(int(move.after))})"
        for one, move in late[:4]
    ]
    more = f", and {len(late) - 4:,} more" if len(late) > 4 else ""
    return f"Late risers: {'; '.join(names)}{more}." if late else ""


def _narrow_escape(facts: Facts) -> str:
    """Where the best config came nearest to being stopped."""
    best = brackets.winner(facts)
    if best is None or not best.rung:
        return ""
    cuts = []
    for row in facts.rungs:
        if (row["pass"], row["bracket"]) == (best.pass_, best.bracket) and row["rung"] < best.rung:
            key = best.pass_, best.bracket, row["rung"]
            rung = [r for r in facts.results if (r.pass_, r.bracket, r.rung) == key]
            slots = [one.slot for one in brackets.ordered(rung)]
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
    drawings = comparisons.parameter_panels(
        facts, [one.name for one in found if one.name in varying]
    )
    dense = len(facts.last_losses) > comparisons.DOTS
    dots = (("full", "at the largest budget"), ("part", "stopped before"), ("star", "the best"))
    cells = (("heat2", "some configs"), ("heat5", "many"), ("star", "the best"))
    return Section(
        "parameters",
        "Parameters and loss",
        _parameter_sentences(facts, found),
        tuple(drawings),
        (cells if dense else dots) if drawings else (),
        make_table(
            "parameter, of the best, lowest, highest, at epochs, n, Spearman ρ, explains", rows
        ),
        gather.PARAMS_LOSS,
    )


def _effects(facts: Facts) -> list[Effect]:
    """Each parameter's effect on the loss, at the budget with the most losses."""
    losses: dict[int, dict[str, float]] = {}
    for config_id, curve in facts.curves.items():
        for epochs, value in curve:
            losses.setdefault(epochs, {})[config_id] = value
    epochs = max(losses, key=lambda budget: (len(losses[budget]), budget), default=0)
    here = losses.get(epochs, {})
    return strongest_first(effect(name, epochs, facts.params, here) for name in facts.names)


def _parameter_sentences(facts: Facts, found: Sequence[Effect]) -> tuple[str, ...]:
    if not found:
        return ("No config's id or get_config gave parameters.",)
    how = "Drawn is the loss at the largest budget that a config reached."
    if facts.sampled:
        how += f" Looked at are the {len(facts.params):,} configs sampled first or ranked best."
    constant = len(found) - len(facts.varying)
    if constant:
        how += f" {count(constant, 'parameter')} without a second value "
        how += f"{'is' if constant == 1 else 'are'} left out."
    if len(facts.varying) > comparisons.PARAMETERS:
        how += f" {comparisons.PARAMETERS} of {len(facts.varying):,} parameters are drawn."
    return _clearest(facts, found), how


def _clearest(facts: Facts, found: Sequence[Effect]) -> str:
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
