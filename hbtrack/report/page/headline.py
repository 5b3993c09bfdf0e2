"""What the page says before its figures: how far the search is, what runs, what is best."""

from dataclasses import dataclass

from hbtrack.report.described import params_text
from hbtrack.report.page.facts import CAUSES, METRICS, PageFacts
from hbtrack.report.page.section import Table, make_table
from hbtrack.report.page.svg.scales import number
from hbtrack.report.page.wording import count, loss, percent, short, span
from hbtrack.report.snapshot import told_apart_by_gpu
from hbtrack.text import printable

RUNNING = 5
"""At most so many running evaluations are listed."""

BEST = """
SELECT a.config_id, a.epochs, a.attempt, a.status, a.loss, a.gpu, a.host, a.seconds, a.command
FROM attempts a JOIN searches s USING (run_identity)
WHERE a.run_identity = :identity AND a.config_id = s.best_config_id AND a.epochs = s.best_epochs
ORDER BY a.status = 'done', a.attempt"""
"""How the attempts of the best are asked for: the page names its queries."""


Tile = tuple[str, str, str]
"""What a figure of the headline is, the figure, and a note."""


def headline(facts: PageFacts) -> str:
    """The search in two sentences."""
    search, failed = facts.search, facts.failed
    if facts.only_failed:
        return f"{_all_failed(facts)}{_stopped(facts)}"
    text = f"{facts.ended:,} of {count(search['evaluations_planned'], 'evaluation')} ended"
    text += f", {failed:,} of them failed." if failed else ", none failed."
    text += _stopped(facts)
    if search["best_loss"] is None:
        return f"{text} {facts.no_loss}"
    at = count(search["best_epochs"], "epoch")
    way = "largest" if facts.maximize else "smallest"
    return f"{text} The best loss, the {way}, is {loss(search['best_loss'])}, at {at}."


def _all_failed(facts: PageFacts) -> str:
    far = " so far" if facts.state in ("running", "orphaned") else ""
    whole = facts.search["evaluations_planned"]
    which = (
        f"all {facts.failed:,} evaluations that ended" if facts.failed > 1 else "the one that ended"
    )
    return f"Everything has failed{far}: {which}, of {whole:,} planned."


def _stopped(facts: PageFacts) -> str:
    reason = facts.search["stop_reason"]
    return f" It was stopped: {short(reason, 300)}." if reason else ""


def running(facts: PageFacts) -> tuple[str, Table] | None:
    """What runs at this moment; None where no script does or could."""
    if facts.state not in ("running", "orphaned"):
        return None
    now = facts.running
    text = f"{count(len(now), 'evaluation')} at this moment." if now else "Nothing at this moment."
    if facts.state == "orphaned":
        text += " Their hbtrack has died, they go on; hbtrack resume takes them over."
    brackets = {
        (one.config_id, one.epochs): one.bracket for one in facts.results if one.status == "running"
    }
    by_gpu = told_apart_by_gpu(now)
    rows = [
        (
            *(facts.called(one.config_id), brackets.get((one.config_id, one.epochs)), one.epochs),
            *(span(one.end - one.start), one.gpu if by_gpu else one.worker),
        )
        for one in now[:RUNNING]
    ]
    where = "GPU" if by_gpu else "worker"
    return text, make_table(f"config, bracket, epochs, for, {where}", rows, len(now))


def tiles(facts: PageFacts) -> list[Tile]:
    """The figures of the headline."""
    search = facts.search
    best, at = "none yet", ""
    if search["best_loss"] is not None:
        best, at = loss(search["best_loss"]), f"at {count(search['best_epochs'], 'epoch')}"
    trained = f"{search['epochs_done']:,} of {search['epochs_planned']:,}"
    return [
        ("best loss", best, at),
        ("epochs", percent(facts.trained), trained),
        ("evaluations", f"{facts.ended:,}", f"of {search['evaluations_planned']:,}"),
        ("failed", f"{facts.failed:,}", _causes(facts)),
        _time_tile(facts),
    ]


def _causes(facts: PageFacts) -> str:
    if len(facts.failures) > CAUSES:
        return f"more than {count(CAUSES, 'cause')}"
    return count(len(facts.failures), "cause") if facts.failures else ""


def _time_tile(facts: PageFacts) -> Tile:
    worked = span(sum(driver.end - driver.start for driver in facts.drivers))
    if facts.state == "running":
        return "time left", str(facts.left or "not known yet"), f"after {worked}"
    return "time taken", worked, count(len(facts.drivers), "start")


@dataclass(frozen=True, slots=True)
class Best:
    """The best config: its parameters, how to run it, how far ahead it is."""

    name: str  # #3
    config_id: str
    sentence: str
    params: tuple[tuple[str, object], ...]
    metrics: str  # what was measured beside its loss; empty where nothing was
    command: str | None


def best(facts: PageFacts) -> Best | None:
    """The best config; None while no evaluation has a loss."""
    search, config_id = facts.search, facts.best_config_id
    if config_id is None:
        return None
    params = facts.params.get(config_id, {})
    sentence = (
        f"Its loss is {loss(search['best_loss'])} at {count(search['best_epochs'], 'epoch')}, "
        f"from bracket {facts.leaders[0]['bracket']}."
    )
    if len(facts.leaders) > 1:
        sentence += " " + _runner_up(facts)
    named = tuple((name, params[name]) for name in facts.names if name in params)
    metrics = params_text(dict(list(facts.metrics.get(config_id, {}).items())[:METRICS]))
    number = facts.numbers.get(config_id)
    name = "" if number is None else f"#{number}"
    return Best(name, printable(config_id), sentence, named, metrics, facts.best_command)


def _runner_up(facts: PageFacts) -> str:
    second, apart = facts.leaders[1], facts.leaders[1]["objective"] - facts.search["best_objective"]
    name, at = facts.called(second["config_id"]), count(second["epochs"], "epoch")
    if not apart:
        return f"The runner-up, {name}, has the same loss, at {at}."
    return f"The runner-up, {name}, is worse by {number(apart)}: {loss(second['loss'])} at {at}."
