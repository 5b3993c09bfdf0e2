"""All that follows from the facts of a search, as the rows that its database must have: pure.

While results are only added, each is written together with what follows from it. Where facts have
changed, the whole set is made to hold (`driver/rederive.py`), and `hbtrack db check` compares it
with what is stored (`searches/verify.py`).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hbtrack.core.records import Place, SearchSummary, facts_of, position
from hbtrack.core.summary import summarise

if TYPE_CHECKING:  # the store knows the tables, but not the plan
    from hbtrack.core.plan import Plan


class Table(NamedTuple):
    """What is derived of a table: the key of a row within its search, and the columns."""

    key: tuple[str, ...]
    columns: tuple[str, ...]


TABLES = {
    "search": Table((), tuple(SearchSummary.__dataclass_fields__)),
    "bracket": Table(
        ("pass", "first_epochs"),
        ("configs", "rungs", "status", "evaluations_planned", "evaluations_done", "best_loss"),
    ),
    "rung": Table(
        ("pass", "first_epochs", "rung"),
        (
            *("epochs", "configs_planned", "configs_entered", "done", "failed", "promoted"),
            *("best_loss", "cutoff_loss"),
        ),
    ),
    # The evaluation whose result counts at a place, or that the script is called for there.
    "place": Table(
        ("pass", "first_epochs", "rung", "slot"),
        ("config_id", "position", "promoted", "source_epochs"),
    ),
    # The place that the script was called for; all others reuse the result.
    "evaluation": Table(("config_id", "epochs"), ("pass", "first_epochs", "rung", "slot")),
    "config": Table(
        ("config_id",), ("best_loss", "best_epochs", "best_position", "epochs_reached")
    ),
}
"""What follows from the facts, in an order in which no row needs a later one."""

Key = tuple[Any, ...]
Row = tuple[Any, ...]
Derived = dict[str, dict[Key, Row]]
"""The rows of each table, by their keys."""

Evaluation = tuple[str, int]
"""A config_id and its epochs."""

ORPHAN = 2**62
"""The position of an evaluation that no place uses: after every real one."""


def derive(plan: "Plan", begun: Mapping[Evaluation, Place | None]) -> Derived:
    """The rows that follow from the facts of a plan.

    `begun` are the evaluations without a result, with the place that each was called for: it
    keeps that as long as the script is to be called for it there.
    """
    callable_ = plan.callable()
    owners: dict[Evaluation, Place | None] = {one[:2]: None for one in plan.recorded()}
    owners |= {one: place if place in callable_ else None for one, place in begun.items()}
    sources = {place: epochs for (_, epochs), place in owners.items() if place}
    for place, config_id, source, reused in plan.settled():
        sources[place] = source
        if not reused:
            owners[config_id, source] = place
    order = {bracket.first_epochs: number for number, bracket in enumerate(plan.schedule.brackets)}
    places = {
        place: (config_id, position(place, order[place.first_epochs]), promoted, sources.get(place))
        for place, config_id, promoted in _places(plan)
    }
    positions = {one: places[place][1] if place else ORPHAN for one, place in owners.items()}
    return {
        **_summaries(plan),
        "place": places,  # type: ignore[dict-item] # a Place is a Key, but keys are invariant
        "evaluation": {one: place or (None,) * 4 for one, place in owners.items()},
        "config": _configs(plan, positions),
    }


def _summaries(plan: "Plan") -> Derived:
    """The search, its brackets and its rungs."""
    summary = summarise(plan, plan.rungs)
    brackets = {bracket.first_epochs: bracket for bracket in plan.schedule.brackets}
    found: Derived = {"search": {(): _row("search", summary.search)}, "bracket": {}, "rung": {}}
    for one in summary.brackets:
        planned = brackets[one.first_epochs]
        row = _row("bracket", one, configs=planned.configs, rungs=len(planned.rungs))
        found["bracket"][one.pass_, one.first_epochs] = row
    for rung in summary.rungs:
        level = brackets[rung.key.first_epochs].rungs[rung.key.rung]
        row = _row("rung", rung, epochs=level.epochs, configs_planned=level.configs)
        found["rung"][rung.key] = row
    return found


def _row(table: str, record: object, **more: int) -> Row:
    facts = facts_of(record) | more
    return tuple(facts[name] for name in TABLES[table].columns)


def _places(plan: "Plan") -> Iterator[tuple[Place, str, int | None]]:
    """Every place with its config_id and, where the rung is settled, whether it is promoted."""
    for key, rung in plan.rungs.items():
        promoted = frozenset(rung.closed.promoted if rung.closed else ())
        for slot, config_id in rung.members.items():
            yield Place(*key, slot), config_id, int(slot in promoted) if rung.closed else None


def _configs(plan: "Plan", positions: Mapping[Evaluation, int]) -> dict[Key, Row]:
    """The best of each config, the canonically first of equals, and how far it came."""
    best: dict[str, tuple[float, int, int]] = {}
    reached: dict[str, int] = {}
    for config_id, epochs, loss in plan.recorded():  # epochs ascend
        if loss is not None:
            measured = (loss, positions[config_id, epochs], epochs)
            best[config_id] = min(best.get(config_id, measured), measured)
            reached[config_id] = epochs
    rows: dict[Key, Row] = {(config_id,): (None,) * 4 for config_id in plan.config_ids()}
    for config_id, (loss, at, epochs) in best.items():
        rows[config_id,] = (loss, epochs, at, reached[config_id])
    return rows
