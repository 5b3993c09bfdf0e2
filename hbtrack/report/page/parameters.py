"""Parameters and loss at one budget: what each explains, and a panel of it. The reader chooses.

Losses of different budgets share an axis only where the reader asks for all of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hbtrack.report.page.curves import shade
from hbtrack.report.page.effects import Effect, effects
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.panels import OF_EACH, Column, at_all, at_one, columns
from hbtrack.report.page.section import Section, View, make_table
from hbtrack.report.page.svg.drawing import DOTS, Box, Drawing, Label, Mark, Path, line
from hbtrack.report.page.wording import count, cut, percent, rho, short

PARAMS_LOSS = """
SELECT DISTINCT p.name, p.value, r.epochs, r.loss, r.objective, r.config
FROM results r JOIN params p USING (run_identity, config_id)
WHERE r.run_identity = :identity AND r.status = 'done'
ORDER BY r.epochs DESC, p.name, r.objective"""

PARAMETERS = 12
"""At most so many are shown."""
BARS = 24
"""At most so many are compared as bars."""
TELLING = 20
"""The largest budget with so many losses is shown first."""


def figure(facts: PageFacts) -> Section:
    """Each parameter against the loss, those that it follows most clearly first."""
    budgets = list(facts.losses_at)
    first = first_budget(facts)
    found = {
        epochs: effects(facts.names, epochs, facts.params, losses)
        for epochs, losses in facts.losses_at.items()
    }
    across = columns(facts)
    views = [_view(facts, epochs, found[epochs], across) for epochs in budgets]
    if len(views) > 1:
        views.append(_all(facts, found[first], across))
    best = facts.params.get(facts.best_config_id or "", {})
    rows = [
        (
            *(short(one.name), best.get(one.name), one.low, one.high, one.epochs, one.n, one.rho),
            "" if one.share is None else percent(one.explains),
        )
        for epochs in sorted(budgets, key=lambda epochs: (epochs != first, epochs))
        for one in found[epochs]
    ]
    titles = "parameter, of the best, lowest, highest, at epochs, n, Spearman ρ, explains"
    return Section(
        "parameters",
        "Parameters and loss",
        _sentences(facts),
        views if facts.names else [],
        make_table(titles, rows),
        PARAMS_LOSS,
        "Losses at",
        budgets.index(first),
    )


def first_budget(facts: PageFacts) -> int:
    """The largest budget with enough losses to tell something; else that with most."""
    n = {epochs: len(losses) for epochs, losses in facts.losses_at.items()}
    telling = [epochs for epochs in n if n[epochs] >= TELLING]
    return max(telling) if telling else max(n, key=lambda epochs: (n[epochs], epochs))


def _sentences(facts: PageFacts) -> tuple[str, ...]:
    if not facts.names:
        return ("No config's id or get_config gave parameters.",)
    told = ["Losses are compared at one budget: more epochs alone may make them better."]
    if facts.sampled:
        told.append(
            f"Looked at are the {len(facts.params):,} configs sampled first or ranked best."
        )
    constant = len(facts.names) - len(facts.varying)
    if constant:
        verb = "is" if constant == 1 else "are"
        told.append(f"{count(constant, 'parameter')} without a second value {verb} left out.")
    if len(facts.varying) > PARAMETERS:
        told.append(f"{PARAMETERS} of {len(facts.varying):,} parameters are drawn.")
    return (" ".join(told),)


def _shown(found: Sequence[Effect], across: Mapping[str, Column]) -> list[Column]:
    """The parameters that have panels, the clearest first."""
    return [across[one.name] for one in found if one.name in across][:PARAMETERS]


def _view(
    facts: PageFacts, epochs: int, found: Sequence[Effect], across: Mapping[str, Column]
) -> View:
    """One budget: what each parameter explains there, and the panels."""
    n = len(facts.losses_at[epochs])
    full = "measured there" if epochs == max(facts.losses_at) else "went on from there"
    meanings = {
        "explains-clear": "clearer than chance",
        "explains-chance": "no clearer than chance lets expect",
        **({"full": full, "part": "stopped there"} if n <= DOTS else {}),
        **({"heat2": "some configs", "heat5": "many"} if n > DOTS else {}),
        "star": "the best",
    }
    drawings = [*bars(found), *at_one(facts, _shown(found, across), epochs)]
    name = f"{count(epochs, 'epoch')} (n\u00a0=\u00a0{n:,})"
    return View(name, drawings, meanings, (_clearest(facts, epochs, found),))


def _all(facts: PageFacts, found: Sequence[Effect], across: Mapping[str, Column]) -> View:
    """Every budget at once, each in its colour; budgets beyond the colours share them."""
    budgets = list(facts.losses_at)
    colours = {epochs: f"rung{shade(i, len(budgets))}" for i, epochs in enumerate(budgets)}
    shared: dict[str, list[int]] = defaultdict(list)
    for epochs, colour in colours.items():
        shared[colour].append(epochs)
    meanings = {
        f"dots-{colour}": " and ".join([*(f"{e:,}" for e in some), count(last, "epoch")])
        for colour, (*some, last) in shared.items()
    }
    text = "Here the losses of all budgets share their charts, a colour each."
    if any(len(losses) > OF_EACH for losses in facts.losses_at.values()):
        text += f" Of each budget {OF_EACH} are drawn at most."
    return View("all", at_all(facts, _shown(found, across), colours), meanings, (text,))


def bars(found: Sequence[Effect]) -> list[Drawing]:
    """How much of the order of the losses each parameter explains, the largest first."""
    told = [one for one in found if one.share is not None]
    if not told:
        return []
    shown = told[:BARS]
    left, room, step = 146.0, 115.0, 22.0
    bottom = 26 + step * len(shown)
    marks: list[Mark] = [Label(0, 14, "Share of the losses' order that is explained", "strong")]
    for i, one in enumerate(shown):
        top = 26 + step * i
        kind = "clear" if one.is_beyond_chance(len(told)) else "chance"
        text = percent(one.explains) + ("" if one.rho is None else f" · {rho(one.rho)}")
        marks.append(Label(left - 8, top + 13, short(one.name, 17), "label", "end"))
        marks.append(Box(left, top + 2, max(1.0, room * one.explains), 15, f"explains {kind}"))
        marks.append(Label(left + room * one.explains + 8, top + 13, text, "label"))
    marks.append(Path(line([(left, 24), (left, bottom)]), "axis"))
    label = "How much of the order of the losses each parameter explains."
    return [Drawing(400.0, bottom + 6, label, tuple(marks), "bars")]


def _clearest(facts: PageFacts, epochs: int, found: Sequence[Effect]) -> str:
    """What the loss follows most clearly, if it is more than chance gives."""
    told = [one for one in found if one.share is not None]
    if not told:
        return "Nothing to compare: no parameter varies there, or no loss does."
    first, at = told[0], count(epochs, "epoch")
    where = f"At {at} (n\u00a0=\u00a0{first.n:,}) "
    if not first.is_beyond_chance(len(told)):
        return f"{where}no parameter goes with the loss more clearly than chance lets expect."
    text = f"{where}the loss goes most clearly with {cut(short(first.name), 60)}, which explains "
    text += f"{percent(first.explains)} of the order of the losses"
    if first.rho is not None:
        way = "grows with it" if first.rho > 0 else "falls as it grows"
        text += f", and {way} ({rho(first.rho)})"
    if facts.maximize:
        text += "; the larger the loss, the better"
    if epochs < facts.search["max_epochs"]:
        most = count(facts.search["max_epochs"], "epoch")
        text += f". What helps after {at} need not help after {most}"
    return f"{text}."
