"""What each worker did, and when no hbtrack was there to give it anything."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from hbtrack.report.page.facts import DriverRun, PageFacts, Used
from hbtrack.report.page.section import Section, View, make_table
from hbtrack.report.page.svg.drawing import Box, Drawing, Label, Mark, Path, line
from hbtrack.report.page.svg.scales import Scale, named, time_unit
from hbtrack.report.page.wording import count, percent, span
from hbtrack.report.snapshot import ATTEMPTS, Attempt
from hbtrack.text import data_size

LANES = 40
"""At most so many workers are drawn."""

LEFT, WIDTH, LANE = 84.0, 920.0, 22.0
RIGHT = 118.0

_KINDS = {"done": "done", "failed": "failed", "timeout": "failed", "running": "running"}

Span = tuple[float, float]
"""From when to when, in Unix seconds."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker: seconds it was busy, what share of the time it was idle."""

    worker: int
    attempts: Sequence[Attempt]
    busy: float
    idle: float | None


def figure(facts: PageFacts) -> Section:
    """The figure of what the workers did."""
    found = lanes(facts)
    rows = [
        (one.worker, len(one.attempts), one.busy, one.idle, *_used(facts.used.get(one.worker)))
        for one in found
    ]
    return Section(
        "workers",
        "What the workers did",
        [_sentence(facts, found)],
        [
            View(
                "",
                draw(facts, found),
                {
                    "attempt-done": "done",
                    "attempt-failed": "failed",
                    "attempt-lost": "lost, interrupted or not settled",
                    "attempt-running": "running",
                    "gap": "no hbtrack alive",
                },
            )
        ],
        make_table(
            "worker, attempts, busy seconds, idle share, processor seconds, peak memory MiB", rows
        ),
        ATTEMPTS,
    )


def _used(used: Used | None) -> tuple[float | None, float | None]:
    """Seconds of processors, and the MiB of the largest attempt."""
    if used is None:
        return None, None
    memory = None if used.peak_memory is None else round(used.peak_memory / 2**20, 1)
    return used.cpu_seconds, memory


def _most(facts: PageFacts) -> str:
    """What the attempts used, where the kernel told."""
    memory = [one.peak_memory for one in facts.used.values() if one.peak_memory is not None]
    worked = [one.cpu_seconds for one in facts.used.values() if one.cpu_seconds is not None]
    if not memory or not worked:
        return ""
    took = f"{span(sum(worked))} of processor time"
    return f" They took {took}, and at most {data_size(max(memory))} of memory each."


def _sentence(facts: PageFacts, found: Sequence[Lane]) -> str:
    if not found:
        return "Nothing has run yet."
    whole = sum(lane.busy for lane in found)
    known = workers(facts) or len(found)
    text = f"{count(known, 'worker')} ran {count(len(facts.attempts), 'attempt')} in "
    text += f"{span(whole)} of work"
    unused = idle(facts)
    if unused is not None:
        text += f", idle {percent(unused)} of the time that hbtrack was alive"
    ended = [one.end - one.start for one in facts.attempts if not one.is_open]
    text += f"; half of them took less than {span(median(ended))}." if ended else "."
    text += _most(facts)
    alone = gaps(facts)
    if alone:
        gone = span(sum(end - start for start, end in alone))
        text += f" For {gone} in {count(len(alone), 'gap')} no hbtrack was alive."
    shared = sum(one.gpus > 1 for one in facts.attempts)
    if shared:
        text += f" {count(shared, 'attempt')} had several GPUs, each in place of a worker."
    if len(found) > known:
        text += f" Numbers from {known:,} on stood in where a worker was not yet free."
    if len(found) > LANES:
        text += f" The first {LANES} are drawn."
    return text


def lanes(facts: PageFacts) -> list[Lane]:
    """The workers, by number."""
    by_worker: dict[int, list[Attempt]] = defaultdict(list)
    for one in facts.attempts:
        by_worker[one.worker].append(one)
    found = []
    for worker, attempts in sorted(by_worker.items()):
        # Of drivers with fewer workers this one had no part.
        alive = [(d.start, d.end) for d in facts.drivers if d.workers is None or worker < d.workers]
        spans = united((one.start, one.end) for one in attempts)
        busy = sum(end - start for start, end in spans)
        found.append(Lane(worker, attempts, busy, idle_share(spans, alive)))
    return found


def workers(facts: PageFacts) -> int:
    """How many there were at once, at most."""
    return max((driver.workers or 0 for driver in facts.drivers), default=0)


def idle(facts: PageFacts) -> float | None:
    """The share of all workers' time, while an hbtrack had them, in which nothing ran."""
    alive = united((d.start, d.end) for d in facts.drivers if d.workers)
    whole = sum((d.workers or 0) * (d.end - d.start) for d in facts.drivers)
    spans: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for one in facts.attempts:
        spans[one.worker, one.gpus].append((one.start, one.end))
    busy = sum(gpus * overlap(united(some), alive) for (_, gpus), some in spans.items())
    return max(0.0, 1 - busy / whole) if whole else None


def draw(facts: PageFacts, found: Sequence[Lane]) -> list[Drawing]:
    """A lane for each worker; nothing before anything has run."""
    if not found:
        return []
    lived: list[Attempt | DriverRun] = [*facts.attempts, *facts.drivers]
    began, ended = min(one.start for one in lived), max(one.end for one in lived)
    x = Scale(began, max(ended, began + 0.001), LEFT, WIDTH - RIGHT)
    shown = found[:LANES]
    bottom = 26 + LANE * len(shown)
    marks = [*_gaps(facts, x, bottom), *_axis(x, bottom)]
    finest = max(1.5, len(shown) / 6)  # many lanes are drawn coarser: a page has to stay small
    for i, lane in enumerate(shown):
        top = 26 + LANE * i
        marks.append(Label(0, top + 14, f"worker {lane.worker}", "label"))
        marks += bars(lane.attempts, x, top + 3, finest, facts.called)
        if lane.idle is not None:
            marks.append(Label(WIDTH - RIGHT + 12, top + 14, f"{percent(lane.idle)} idle", "label"))
    return [Drawing(WIDTH, bottom + 46, "What each worker ran, over time.", tuple(marks))]


def gaps(facts: PageFacts) -> list[Span]:
    """When no hbtrack was alive, between the first and the last."""
    alive = united((driver.start, driver.end) for driver in facts.drivers)
    return [(one[1], other[0]) for one, other in pairwise(alive)]


def _gaps(facts: PageFacts, x: Scale, bottom: float) -> list[Mark]:
    marks: list[Mark] = []
    for start, end in gaps(facts):
        left, right = x(start), x(end)
        title = f"no hbtrack was alive for {span(end - start)}"
        marks.append(Box(left, 22, max(1.0, right - left), bottom - 22, "gap", title))
        if right - left > 90:
            marks.append(Label((left + right) / 2, 14, "no hbtrack alive", "tick", "middle"))
    return marks


def _axis(x: Scale, bottom: float) -> list[Mark]:
    size, unit = time_unit(x.high - x.low)
    since = Scale(0, (x.high - x.low) / size, x.start, x.end)
    marks: list[Mark] = [Path(line([(x.start, bottom + 2), (x.end, bottom + 2)]), "axis")]
    for value, text in named(since.ticks(6)):
        marks.append(Path(line([(since(value), bottom + 2), (since(value), bottom + 6)]), "axis"))
        marks.append(Label(since(value), bottom + 20, text, "tick", "middle"))
    return [*marks, Label(x.end, bottom + 40, f"{unit} since the start", "name", "end")]


def bars(
    attempts: Iterable[Attempt], x: Scale, top: float, finest: float, called: Callable[[str], str]
) -> list[Mark]:
    """A bar for each attempt; those that together are narrower than `finest` are one."""
    groups: list[list[Attempt]] = []
    for one in attempts:
        if groups and x(one.end) - x(groups[-1][0].start) < finest:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [bar for group in groups for bar in _bar(group, x, top, called)]


def _bar(
    group: Sequence[Attempt], x: Scale, top: float, called: Callable[[str], str]
) -> Iterator[Box]:
    """One box; attempts that are drawn as one share its height by how many they are."""
    left, right = x(group[0].start), x(max(one.end for one in group))
    width = max(0.8, right - left - (0.6 if right - left > 3 else 0.0))
    kinds = Counter(map(_kind, group))
    for kind in sorted(kinds):
        height = (LANE - 6) * kinds[kind] / len(group)
        title = _several(group, kinds[kind], kind) if len(group) > 1 else _title(group[0], called)
        yield Box(left, top, width, height, f"attempt {kind}", title)
        top += height


def _several(group: Sequence[Attempt], n: int, kind: str) -> str:
    return f"{n:,} of {count(len(group), 'attempt')} here: {kind}"


def _title(one: Attempt, called: Callable[[str], str]) -> str:
    at = count(one.epochs, "epoch")
    on = f" on GPUs {one.gpu}" if one.gpus > 1 else ""
    return f"{called(one.config_id)} at {at}{on}: {one.status}, {span(one.end - one.start)}"


def _kind(one: Attempt) -> str:
    return _KINDS.get(one.status, "lost")


def united(spans: Iterable[Span]) -> list[Span]:
    """The same time as spans that do not overlap, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def overlap(one: Sequence[Span], other: Sequence[Span]) -> float:
    """Seconds that lie in both; each of them as `united` gives it."""
    total, i, j = 0.0, 0, 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        total += max(0.0, end - start)
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total


def idle_share(busy: Iterable[Span], alive: Iterable[Span]) -> float | None:
    """The share of the time an hbtrack was alive in which nothing ran; None if it never was."""
    lived = united(alive)
    whole = sum(end - start for start, end in lived)
    return 1 - overlap(united(busy), lived) / whole if whole > 0 else None
