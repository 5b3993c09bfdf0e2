"""A search as the lines of a terminal: whatever its size, never wider and never higher."""

from collections.abc import Callable, Iterable, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from hbtrack.report.described import directed
from hbtrack.report.live.canvas import Canvas, aligned, flow
from hbtrack.report.live.overview import BracketProgress, Overview, RungProgress
from hbtrack.report.snapshot import told_apart_by_gpu
from hbtrack.text import budget, duration

BAR, SHORTEST_BAR = 30, 6  # cells
NARROW = 60  # cells
LEAST = 6
"""Lines that brackets and workers have before parameters and further causes are shown,"""
FEWEST = 3
"""and before more than one fact about the whole is."""
LABEL = 8  # cells
MOST_OF_BEST = 3
"""At most so many lines say what is best."""
CAUSES = 5
"""At most so many causes of failures are shown."""
STATES = {
    "running": "bold green",
    "finished": "bold green",
    "stopping": "bold yellow",
    "stopped": "bold yellow",
    "interrupted": "bold yellow",
    "orphaned": "bold red",
}


def draw(overview: Overview, canvas: Canvas, hint: str = "") -> list[Text]:
    """The picture of one search; `hint` is what Ctrl-C does."""
    head = _headline(overview, canvas)
    best = _best(overview, canvas)
    failed = _failures(overview, canvas)
    foot = _hint(hint, canvas)
    if canvas.height < len(head) + len(best) + len(failed) + len(foot) + LEAST:
        best, failed = best[:1], failed[:1]
    if canvas.height < len(head) + len(best) + len(failed) + len(foot) + FEWEST:
        head, foot = _short_headline(overview, canvas), []
    room = canvas.height - len(head) - len(best) - len(failed) - len(foot)
    brackets, workers = _under_way(overview, canvas, room)
    sections = [section for section in (head, brackets, workers, best, failed, foot) if section]
    return _stacked(sections, canvas)


def draw_several(overviews: Sequence[Overview], canvas: Canvas, hint: str = "") -> list[Text]:
    """A line for each of several searches, those that run first."""
    first = sorted(overviews, key=lambda overview: overview.state != "running")
    lines = aligned([_summary(overview, canvas) for overview in first])
    foot = _hint(hint, canvas)
    sections = [_folded(lines, canvas.height - len(foot), canvas, "searches"), foot]
    return _stacked([section for section in sections if section], canvas)


def _hint(hint: str, canvas: Canvas) -> list[Text]:
    return [Text(line, "dim") for line in wrap(hint, canvas.width)]


def _stacked(sections: Sequence[list[Text]], canvas: Canvas) -> list[Text]:
    """The sections below each other, with air between them where there is room for it."""
    spare = canvas.height - sum(map(len, sections))
    air = [Text()] if spare >= len(sections) - 1 else []
    lines = [line for section in sections for line in (*air, *section)][len(air) :]
    return [canvas.cut(line) for line in lines[: canvas.height]]


# --- how far it is -------------------------------------------------------------------------------


def _headline(overview: Overview, canvas: Canvas) -> list[Text]:
    facts = [*_named(overview, canvas), Text(f"{overview.evaluations} evaluations")]
    if overview.failed:
        facts.append(Text(f"{overview.failed} failed", "red"))
    lines = flow([*facts, *_busy(overview)], canvas.width)
    progress = [_trained(overview), Text(f"{overview.epochs} epochs"), *_time_left(overview)]
    lines += flow([*_bar(overview, canvas, progress), *progress], canvas.width)
    if reason := overview.search["stop_reason"]:
        lines.append(Text(f"stopped: {canvas.shown(reason)}", "yellow"))
    if overview.rest:
        lines += [Text(line, "yellow") for line in wrap(canvas.shown(overview.rest), canvas.width)]
    return lines


def _short_headline(overview: Overview, canvas: Canvas) -> list[Text]:
    """The headline of a very small terminal."""
    facts = [*_named(overview, canvas), _trained(overview), *_time_left(overview)]
    return flow(facts, canvas.width)


def _named(overview: Overview, canvas: Canvas) -> list[Text]:
    state = Text(overview.state, STATES.get(overview.state, "bold"))
    name = Text(canvas.shown(overview.identity), "bold")
    room = max(1, canvas.width - cell_len(state.plain) - 2)
    return [Canvas(room, 1, canvas.encoding).cut(name), state]


def _trained(overview: Overview) -> Text:
    return Text(f"{_share(overview):4.0%}", "bold")


def _time_left(overview: Overview) -> list[Text]:
    if overview.state == "running" and overview.left:
        return [Text(f"{overview.left} left")]
    return []


def _busy(overview: Overview) -> list[Text]:
    if not overview.workers:
        return []
    return [Text(f"{overview.busy} workers busy")]


def _share(overview: Overview) -> float:
    """How much is trained; 100 % only when nothing is left."""
    share = overview.trained
    return share if share >= 1 else min(share, 0.99)


def _bar(overview: Overview, canvas: Canvas, beside: Sequence[Text]) -> list[Text]:
    """A bar as long as there is room for it beside these facts; none where that is too short."""
    width = min(BAR, canvas.width - sum(2 + cell_len(fact.plain) for fact in beside))
    if width < SHORTEST_BAR:
        return []
    full = round(_share(overview) * width)
    bar = Text(canvas.sign("━") * full, "green")
    return [bar.append(canvas.sign("─") * (width - full), "dim")]


def _summary(overview: Overview, canvas: Canvas) -> list[Text]:
    failed, best = overview.failed, overview.search
    return [
        _trained(overview),
        Text(overview.state, STATES.get(overview.state, "bold")),
        Canvas(max(12, canvas.width // 3), 1, canvas.encoding).cut(
            Text(canvas.shown(overview.identity), "bold")
        ),
        Text(f"{overview.epochs} epochs"),
        Text(
            f"best {best['best_loss']:.6g} at {budget(best['best_epochs'])}"
            if best["best_config_id"]
            else "no loss yet"
        ),
        Text(f"{failed} failed" if failed else "", "red"),
        *(_time_left(overview) or [Text()]),
    ]


# --- brackets and workers ------------------------------------------------------------------------


def _under_way(overview: Overview, canvas: Canvas, room: int) -> tuple[list[Text], list[Text]]:
    """Brackets and workers, which share the room that is left."""
    workers = _workers(overview, canvas)
    wanted = len(overview.brackets) + 1 + bool(_elsewhere(overview, overview.brackets))
    for_brackets = min(wanted, max(room // 2, room - len(workers)))
    brackets = _brackets(overview, canvas, for_brackets) if for_brackets > 0 else []
    return brackets, _folded(workers, room - len(brackets), canvas, "workers")


def _folded(lines: list[Text], room: int, canvas: Canvas, of_what: str) -> list[Text]:
    """The first lines, and how many more there are."""
    if len(lines) <= room:
        return lines
    if room <= 0:
        return []
    more = f"{canvas.sign('…')} {len(lines) - room + 1} more {of_what}"
    return [*lines[: room - 1], Text(more, "dim")]


def _brackets(overview: Overview, canvas: Canvas, room: int) -> list[Text]:
    """One line for each bracket, as far as there is room: those that are running come first."""
    shown = overview.brackets
    if len(shown) + 1 + bool(_elsewhere(overview, shown)) > room:
        nearest = sorted(shown, key=_nearness)[: max(0, room - 2)]
        shown = [bracket for bracket in shown if bracket in nearest]
    rest = _elsewhere(overview, shown)
    if not shown:
        return [Text(f"brackets: {rest}")]
    told = [Text(f"{canvas.sign('…')} brackets not shown: {rest}", "dim")] if rest else []
    label = _labelled(overview.search["passes"], short=canvas.width < NARROW)
    for words in (True, False):
        table = _flowing(shown, label, canvas, words=words)
        if max(cell_len(line.plain) for line in table) <= canvas.width:
            return [*table, *told]
    return [*_fronts(shown, label), *told][:room]


def _elsewhere(overview: Overview, shown: Iterable[BracketProgress]) -> str:
    """The brackets that are not among these, counted."""
    left = dict(overview.bracket_counts)
    for bracket in shown:
        left[bracket.status] -= 1
    words = ("done", "running", "waiting")
    return ", ".join(f"{left[word]} {word}" for word in words if left.get(word))


def _nearness(bracket: BracketProgress) -> tuple[int, int, int]:
    """Sorts what runs first, then what comes next, then what is done, the latest of it first."""
    if bracket.status == "done":
        return 2, -bracket.pass_, bracket.bracket
    return int(bracket.status == "waiting"), bracket.pass_, -bracket.bracket


def _labelled(passes: int, *, short: bool) -> Callable[[BracketProgress], str]:
    if passes == 1:
        return lambda bracket: f"s={bracket.bracket}"
    word = "" if short else "pass "
    return lambda bracket: f"{word}{bracket.pass_} s={bracket.bracket}"


def _flowing(
    brackets: Sequence[BracketProgress],
    label: Callable[[BracketProgress], str],
    canvas: Canvas,
    *,
    words: bool,
) -> list[Text]:
    """Brackets under each other, their rungs in columns of the same budget."""
    longest = max(brackets, key=lambda bracket: len(bracket.rungs))
    table = [[Text("epochs", "dim"), *(Text(str(rung.epochs), "dim") for rung in longest.rungs)]]
    for bracket in brackets:
        missing = len(longest.rungs) - len(bracket.rungs)
        name = Text(label(bracket), "bold" if bracket.status == "running" else "")
        cells = [
            _settled(rung, bracket, canvas) or _open(rung, canvas, words=words)
            for rung in bracket.rungs
        ]
        table.append([name, *[Text()] * missing, *cells])
    return aligned(table)


def _settled(rung: RungProgress, bracket: BracketProgress, canvas: Canvas) -> Text | None:
    """27→9 where so many of those that entered were promoted; None while that is not decided."""
    if not rung.entered:
        return Text("-", "dim") if bracket.status == "done" else None
    if rung.promoted is None:
        return None
    if rung is bracket.rungs[-1]:
        return Text(f"{rung.ended}/{rung.entered}", "green" if rung.done else "red")
    return Text(
        f"{rung.entered}{canvas.sign('→')}{rung.promoted}", "green" if rung.promoted else "red"
    )


def _open(rung: RungProgress, canvas: Canvas, *, words: bool) -> Text:
    """27 that are planned, or 12/27 that have come to their end of those that entered."""
    if not rung.entered:
        return Text(str(rung.planned), "dim")
    text = Text(f"{rung.ended}/{rung.entered}")
    if rung.running:
        text.append(
            f", {rung.running} running" if words else f" {canvas.sign('▶')}{rung.running}", "cyan"
        )
    return text


def _fronts(
    brackets: Sequence[BracketProgress], label: Callable[[BracketProgress], str]
) -> list[Text]:
    """Where there is no room for all rungs: how far the last one is that configs have entered."""
    table = []
    for bracket in brackets:
        entered = [rung for rung in bracket.rungs if rung.entered]
        front = (entered or bracket.rungs)[-1 if entered else 0]
        running = sum(rung.running for rung in bracket.rungs)
        table.append(
            [
                Text(label(bracket), "bold" if running else ""),
                Text(f"{front.ended}/{front.entered or front.planned}"),
                Text(f"at {budget(front.epochs)}"),
                Text(
                    f"{running} running" if running else bracket.status, "cyan" if running else ""
                ),
            ]
        )
    return [Text("brackets", "dim"), *aligned(table)]


def _workers(overview: Overview, canvas: Canvas) -> list[Text]:
    """One line for each worker that is busy, and one for all that are idle."""
    by_gpu = told_apart_by_gpu(attempt for attempt, *_ in overview.attempts)
    table = []
    for attempt, config, place in overview.attempts:
        name = f"GPU {canvas.shown(attempt.gpu)}" if by_gpu else f"worker {attempt.worker}"
        since = duration(max(0.0, overview.now - attempt.start))
        told = [name, str(attempt.epochs), since]
        if canvas.width >= NARROW:
            told = [
                name,
                f"s={place[0]} rung {place[1]}" if place else "",
                budget(attempt.epochs),
                since,
            ]
        table.append([*map(Text, told), Text(canvas.shown(str(config)), "cyan")])
    lines = aligned(table)
    if idle := overview.workers - len(overview.attempts):
        lines.append(Text(f"{idle} {'worker' if idle == 1 else 'workers'} idle", "dim"))
    return lines


# --- what it has found ---------------------------------------------------------------------------


def _best(overview: Overview, canvas: Canvas) -> list[Text]:
    """The best loss and its config; where that is long, as many lines as it may have."""
    search, config = overview.search, overview.best
    if config is None:
        return [Text("no evaluation has a loss yet", "dim")]
    loss = directed(f"{search['best_loss']:.6g}", search["maximize"])
    best = Text.assemble((loss, "bold green"), f" at {budget(search['best_epochs'])}:")
    words = [Text(canvas.shown(word), "cyan") for word in config.words()]
    lines = flow([best, *words], max(1, canvas.width - LABEL), gap=1)
    if len(lines) > MOST_OF_BEST:
        lines = lines[:MOST_OF_BEST]
        lines[-1].append(f" {canvas.sign('…')}")
    labels = ["best", *[""] * MOST_OF_BEST]
    return [Text(label.ljust(LABEL)) + line for label, line in zip(labels, lines, strict=False)]


def _failures(overview: Overview, canvas: Canvas) -> list[Text]:
    lines: list[Text] = []
    for cause in overview.causes[:CAUSES]:
        label = "        " if lines else "failed  "
        said = ": ".join(filter(None, (cause["error_type"], cause["error_message"])))
        line = Text.assemble(label, (f"{cause['count']}x ", "bold red"))
        lines.append(line.append(canvas.shown(said)))
    if more := len(overview.causes) - len(lines):
        lines.append(Text(f"        and {more} other {'cause' if more == 1 else 'causes'}", "dim"))
    return lines
