"""What needs attention: failures, interruptions, a changed script, a best at the edge."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from hbtrack.report.comparability import mixture_sentence
from hbtrack.report.direction import direction
from hbtrack.report.page.facts import CAUSES, PageFacts, numeric
from hbtrack.report.page.svg.scales import number
from hbtrack.report.page.wording import are, count, listed, percent, short, span, stamp
from hbtrack.report.script_changes import ScriptChange
from hbtrack.text import printable

FAILURES = """
SELECT fingerprint, error_type, count(*) AS failed, min(config_id) AS for_example
FROM failures WHERE run_identity = :identity GROUP BY fingerprint, error_type
ORDER BY failed DESC"""

EDITS = 5
"""So many edits of the script are shown."""

EDGE_SHARE = 0.02
"""A value is at the edge when less than that share of the sampled ones lies beyond it."""
EDGE_CONFIGS = 10
"""With fewer configs nothing is said of edges."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that needs attention."""

    title: str
    sentences: tuple[str, ...]
    error: str = ""
    is_failure: bool = False


def attention(facts: PageFacts) -> list[Item]:
    """What somebody should look at; empty where there is nothing."""
    return [
        *_failures(facts),
        *_interruptions(facts),
        *_changed(facts),
        *_found(facts),
        *_rising(facts),
        *_mixed(facts),
        *_edges(facts),
    ]


def _failures(facts: PageFacts) -> Iterator[Item]:
    for group in facts.failures[:CAUSES]:
        where = f"e.g. {facts.called(group.example)} at {count(group.epochs, 'epoch')}"
        cost = f"{span(group.seconds)}, {percent(group.share)} of the time of all attempts"
        kind = short(group.error_type, 80)
        yield Item(
            f"{count(group.count, 'evaluation')} failed: {kind}",
            (
                short(group.error_message, 300),
                f"{count(group.configs, 'config')} ({where}), {cost}; "
                f"the last one at {stamp(group.last_at)}.",
                *(f"In common: {short(text, 200)}." for text in group.common),
            ),
            "" if group.error.strip() == group.error_message else _lines(group.error[-6000:]),
            is_failure=True,
        )
    if len(facts.failures) > CAUSES:
        yield Item("There are more causes", ("The rarer ones are left out here.",))


def _lines(text: str) -> str:
    """A traceback with its lines kept and everything else made visible."""
    return "\n".join(printable(line.expandtabs(4)) for line in text.split("\n"))


def _interruptions(facts: PageFacts) -> Iterator[Item]:
    ended = [one for one in facts.attempts if one.status in ("lost", "interrupted")]
    lost = sum(one.status == "lost" for one in ended)
    interrupted = len(ended) - lost
    silent = sum(driver.silent for driver in facts.drivers)
    parts = []
    if lost:
        parts.append(f"{are(lost, 'attempt')} lost (ended without a word, or by a signal)")
    if interrupted:
        parts.append(f"{are(interrupted, 'attempt')} interrupted when hbtrack was stopped")
    if silent:
        noun = "process" if silent == 1 else "processes"
        parts.append(f"{silent:,} hbtrack {noun} died without a word")
    if parts:
        ran = sum(one.end - one.start for one in ended)
        worked = f" In all they had run for {span(ran)}." if ended else ""
        after = "What was under way runs again from the script's checkpoints: nothing is missing."
        yield Item("Interruptions", (f"{listed(parts)}.{worked}", after))


def _changed(facts: PageFacts) -> Iterator[Item]:
    if facts.edits:
        yield Item(
            "The script changed during the search",
            (
                *(_edit(facts, edit) for edit in facts.edits[:EDITS]),
                *([f"And {len(facts.edits) - EDITS:,} more."] if len(facts.edits) > EDITS else []),
                "Losses of different texts may not be comparable.",
            ),
        )


def _edit(facts: PageFacts, edit: ScriptChange) -> str:
    names = listed([short(PurePath(path).name, 80) for path in edit.files])
    where = f"{facts.called(edit.config_id)} at {count(edit.epochs, 'epoch')}"
    return f"{names} was edited: other text from {where} on ({stamp(edit.started_at)})."


def _found(facts: PageFacts) -> Iterator[Item]:
    if facts.found_checkpoints:
        title = "It may have begun on checkpoints of another search"
        yield Item(title, (printable(facts.found_checkpoints),))


def _rising(facts: PageFacts) -> Iterator[Item]:
    found = direction(facts.results, maximize=bool(facts.search["maximize"]))
    if found.is_doubtful:
        yield Item("Is it a loss?", (found.sentence,))


def _mixed(facts: PageFacts) -> Iterator[Item]:
    if facts.told:
        yield Item("The search was extended", (mixture_sentence(facts.told),))


def _edges(facts: PageFacts) -> Iterator[Item]:
    if facts.best_config_id is None or facts.ranked < EDGE_CONFIGS:
        return
    found = edges(facts.params.get(facts.best_config_id, {}), facts.params.values())
    if found:
        told = [
            f"{short(edge.name, 60)} = {number(edge.value)} is among the {edge.side} sampled "
            f"({number(edge.low)} to {number(edge.high)})"
            for edge in found
        ]
        yield Item(
            "The best is at the edge of what was sampled",
            (
                f"{'; '.join(told)}. The optimum may lie beyond: widen the range in "
                "get_random_config_id.",
            ),
        )


@dataclass(frozen=True, slots=True)
class Edge:
    """A numeric parameter of the best config that lies at the edge of what was sampled."""

    name: str
    value: float
    side: str  # smallest or largest
    low: float
    high: float


def edges(best: Mapping[str, object], sampled: Iterable[Mapping[str, object]]) -> list[Edge]:
    """The parameters of the best config with almost no sampled value beyond them."""
    columns: dict[str, list[float]] = defaultdict(list)
    for params in sampled:
        for name, value in params.items():
            if numeric(value):
                columns[name].append(value)
    found = (_edge(name, value, columns[name]) for name, value in best.items() if numeric(value))
    return [edge for edge in found if edge]


def _edge(name: str, value: float, values: Sequence[float]) -> Edge | None:
    if len(values) < EDGE_CONFIGS or len(set(values)) < 3:
        return None
    least = EDGE_SHARE * len(values)
    if sum(other < value for other in values) < least:
        return Edge(name, value, "smallest", min(values), max(values))
    if sum(other > value for other in values) < least:
        return Edge(name, value, "largest", min(values), max(values))
    return None
