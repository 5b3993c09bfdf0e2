"""All that follows from the facts of a search, as the rows that its database must have: pure.

While results are only added, each is written together with what follows from it. Where facts have
changed, the whole set is made to hold (`driver/rederive.py`), and `hbtrack db check` compares it
with what is stored (`searches/verify.py`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hbtrack.core import known
from hbtrack.core.consequences import BracketSummary, RungSummary, SearchSummary
from hbtrack.core.records import Place, position
from hbtrack.core.summary import summarise

if TYPE_CHECKING:  # the store knows the tables, but not the plan
    from hbtrack.core.plan import Plan


class Table(NamedTuple):
    """What is derived of a table: the key of a row within its search, and the columns."""

    key: tuple[str, ...]
    columns: tuple[str, ...]


def _fields(record: type[Any]) -> tuple[str, ...]:
    keys = ("key", "pass_", "first_epochs")
    return tuple(name for name in record.__dataclass_fields__ if name not in keys)


DERIVED_TABLES = {
    "search": Table((), _fields(SearchSummary)),
    "bracket": Table(("pass", "first_epochs"), _fields(BracketSummary)),
    "rung": Table(("pass", "first_epochs", "rung"), _fields(RungSummary)),
    # The evaluation whose result counts at a place, or that the script is called for there.
    "place": Table(
        ("pass", "first_epochs", "rung", "slot"),
        ("config_id", "position", "promoted", "source_epochs"),
    ),
    # The place that the script was called for; all others reuse the result.
    "evaluation": Table(("config_id", "epochs"), ("pass", "first_epochs", "rung", "slot")),
    "config": Table(
        ("config_id",), ("best_objective", "best_epochs", "best_position", "epochs_reached")
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
    called = {place: plan.start_of(place).epochs for place in plan.callable()}
    owners: dict[Evaluation, Place | None] = {one[:2]: None for one in known.recorded(plan)}
    for one, place in begun.items():
        owners[one] = place if place and called.get(place) == one[1] else None
    sources = {place: epochs for (_, epochs), place in owners.items() if place}
    for place, config_id, source, reused in known.settled(plan):
        sources[place] = source
        if not reused:
            owners[config_id, source] = place
    places = _places(plan, sources)
    positions = {one: places[place][1] if place else ORPHAN for one, place in owners.items()}
    summary = summarise(plan, plan.rungs)
    return {
        "search": {(): _row("search", summary.search)},
        "bracket": {
            (one.pass_, one.first_epochs): _row("bracket", one) for one in summary.brackets
        },
        "rung": {one.key: _row("rung", one) for one in summary.rungs},
        "place": places,
        "evaluation": {one: place or (None,) * 4 for one, place in owners.items()},
        "config": _configs(plan, positions),
    }


def _row(table: str, record: object) -> Row:
    return tuple(getattr(record, name) for name in DERIVED_TABLES[table].columns)


def _places(plan: "Plan", sources: Mapping[Place, int]) -> dict[Key, Row]:
    """Who stands where, who goes on, and with the result of which budget."""
    order = {bracket.first_epochs: number for number, bracket in enumerate(plan.schedule.brackets)}
    rows: dict[Key, Row] = {}
    for key, rung in plan.rungs.items():
        promoted = frozenset(rung.closed.promoted if rung.closed else ())
        for slot, config_id in rung.members.items():
            place = Place(*key, slot)
            at = position(place, order[key.first_epochs])
            goes_on = int(slot in promoted) if rung.closed else None
            rows[place] = (config_id, at, goes_on, sources.get(place))
    return rows


def _configs(plan: "Plan", positions: Mapping[Evaluation, int]) -> dict[Key, Row]:
    """The best of each config, the canonically first of equals, and how far it came."""
    best: dict[str, tuple[float, int, int]] = {}
    reached: dict[str, int] = {}
    for config_id, epochs, objective in known.recorded(plan):  # epochs ascend
        if objective is not None:
            measured = (objective, positions[config_id, epochs], epochs)
            best[config_id] = min(best.get(config_id, measured), measured)
            reached[config_id] = epochs
    rows: dict[Key, Row] = {(config_id,): (None,) * 4 for config_id in plan.config_ids()}
    for config_id, (objective, at, epochs) in best.items():
        rows[config_id,] = (objective, epochs, at, reached[config_id])
    return rows
