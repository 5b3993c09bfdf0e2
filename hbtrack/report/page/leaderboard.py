"""The table of configs: those with a loss, ranked, then the others; parameters before ids."""

from collections.abc import Iterator, Sequence

from hbtrack.report.page import gather
from hbtrack.report.page.facts import METRICS, PageFacts
from hbtrack.report.page.parameters import PARAMETERS
from hbtrack.report.page.section import Cells, Section, Table
from hbtrack.report.page.threads import fate_of
from hbtrack.report.page.wording import count, short
from hbtrack.report.ranking import unused_sentence
from hbtrack.report.snapshot import Result
from hbtrack.store.reading import Row

OTHERS = 50
"""At most so many configs without a loss."""
SHORT, LONG = 24, 80
"""Characters of an id: beside its parameters, and where it has none."""

_FIXED = "loss, epochs"
_LAST = "status, reached, bracket, seconds, config_id"


def figure(facts: PageFacts) -> Section | None:
    """All configs with their parameters and metrics as columns; None without any loss."""
    if not facts.leaders:
        return None
    names, metrics = facts.names[:PARAMETERS], _metrics(facts)
    last = _last_places(facts.results)
    ranked = [_ranked(facts, row, names, metrics, last) for row in facts.leaders]
    others = [_other(facts, one, names, metrics) for one in _without_loss(facts, last)]
    titles = (*names, *metrics)
    columns = ("rank", "config", *_FIXED.split(", "), *(short(name, 40) for name in titles))
    return Section(
        "ranked",
        "All configs",
        _sentences(facts, ranked, others),
        [],
        Table((*columns, *_LAST.split(", ")), (*ranked, *others), facts.ranked + len(others)),
        gather.LEADERBOARD,
    )


def _sentences(
    facts: PageFacts, ranked: Sequence[Cells], others: Sequence[Cells]
) -> tuple[str, ...]:
    way = "the largest" if facts.maximize else "the smallest"
    text = f"{count(facts.ranked, 'config')}, ranked by the best loss at any budget, {way} first."
    if facts.ranked > len(ranked):
        text = f"The {len(ranked):,} best of {text}"
    if others:
        text += f" Below them {count(len(others), 'config')} without a loss."
    unused = unused_sentence(facts.leaders)
    return (text, unused) if unused else (text,)


def _metrics(facts: PageFacts) -> list[str]:
    """The names of the metrics, as the best has them, then all others."""
    named = (name for row in facts.leaders for name in facts.metrics.get(row["config_id"], {}))
    return list(dict.fromkeys(named))[:METRICS]


def _last_places(results: Sequence[Result]) -> dict[str, Result]:
    """The last place that each config came to, in canonical order."""
    found: dict[str, Result] = {}
    for one in results:
        before = found.get(one.config_id)
        if before is None or one.epochs >= before.epochs:
            found[one.config_id] = one
    return found


def _status(one: Result | None) -> str:
    """What has become of a config, in a word; nothing where no place uses it any more."""
    if one is None:
        return ""
    fate = fate_of(one)
    return f"{fate} at {one.epochs:,}" if one.status == "failed" else fate


def _ranked(
    facts: PageFacts,
    row: Row,
    names: Sequence[str],
    metrics: Sequence[str],
    last: dict[str, Result],
) -> Cells:
    one = row["config_id"]
    beside = (row["epochs_reached"], row["bracket"], row["seconds"])
    status = _status(last.get(one))
    measured = (row["rank"], facts.brief(one), row["loss"], row["epochs"])
    return (*measured, *_named(facts, one, names, metrics), status, *beside, _id(facts, one))


def _other(facts: PageFacts, place: Result, names: Sequence[str], metrics: Sequence[str]) -> Cells:
    one = place.config_id
    beside = (None, place.bracket, None)
    named = _named(facts, one, names, metrics)
    unknown = (None, facts.brief(one), None, None)
    return (*unknown, *named, _status(place), *beside, _id(facts, one))


def _without_loss(facts: PageFacts, last: dict[str, Result]) -> list[Result]:
    """Configs that have been tried, or are being tried, and have no loss."""

    def tried() -> Iterator[Result]:
        for one, place in last.items():
            if one not in facts.curves and place.status in ("failed", "running"):
                yield place

    return list(tried())[:OTHERS]


def _named(
    facts: PageFacts, one: str, names: Sequence[str], metrics: Sequence[str]
) -> Iterator[object]:
    params, measured = facts.params.get(one, {}), facts.metrics.get(one, {})
    yield from map(params.get, names)
    yield from map(measured.get, metrics)


def _id(facts: PageFacts, one: str) -> str:
    return short(one, SHORT if facts.params.get(one) else LONG)
