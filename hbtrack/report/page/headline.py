"""What the page says before its figures: the headline, the best, what needs attention."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from hbtrack.report.page.facts import CAUSES, Facts
from hbtrack.report.page.ranks import EDGE_CONFIGS, edges
from hbtrack.report.page.section import Table, make_table
from hbtrack.report.page.svg.scales import number
from hbtrack.report.page.wording import are, count, listed, moment, percent, short, span, stamp
from hbtrack.text import in_folder, option, printable

RUNNING = 5
"""At most so many running evaluations are listed."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure of the headline, and what it is."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Command:
    """What can be typed. One with characters that cannot be seen is shown, but not to be copied."""

    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that needs attention."""

    title: str
    sentences: tuple[str, ...]
    error: str = ""


def command(text: str) -> Command:
    """The command as it can be shown."""
    return Command(printable(text), plain=printable(text) == text)


def hbtrack(facts: Facts, *words: str) -> Command:
    """A command of hbtrack for this search, whatever folder it is typed in."""
    options = [*option("--identity", facts.identity), *option("--db", facts.database)]
    return command(shlex.join(["hbtrack", *words, *options]))


def loss(value: float) -> str:
    """A loss for the eye."""
    return f"{value:.6g}"


# --- headline ------------------------------------------------------------------------------------


def headline(facts: Facts) -> str:
    """The search in two sentences."""
    search = facts.search
    ended = search["evaluations_done"] + search["evaluations_failed"]
    text = f"{ended:,} of {count(search['evaluations_planned'], 'evaluation')} ended"
    failed = search["evaluations_failed"]
    text += f", {failed:,} of them failed." if failed else ", none failed."
    if search["stop_reason"]:
        text += f" It was stopped: {short(search['stop_reason'], 300)}."
    if search["best_loss"] is None:
        return f"{text} {facts.no_loss}"
    at = count(search["best_epochs"], "epoch")
    return f"{text} The best loss is {loss(search['best_loss'])}, at {at}."


def go_on(facts: Facts) -> Command | None:
    """What to type where the search could go on and no hbtrack works on it."""
    over = facts.state in ("running", "finished")
    return None if over else hbtrack(facts, "resume")


def running(facts: Facts) -> tuple[str, Table] | None:
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
    # Without GPUs scripts are told --gpu 0, all of them: then workers are told apart by number.
    by_gpu = any(one.gpu not in ("", "0") for one in now)
    rows = [
        (
            *(short(one.config_id, 60), brackets.get((one.config_id, one.epochs)), one.epochs),
            *(span(one.end - one.start), one.gpu if by_gpu else one.worker),
        )
        for one in now[:RUNNING]
    ]
    where = "GPU" if by_gpu else "worker"
    return text, make_table(f"config, bracket, to epochs, for, {where}", rows, len(now))


def tiles(facts: Facts) -> list[Tile]:
    """The figures of the headline."""
    search = facts.search
    ended = search["evaluations_done"] + search["evaluations_failed"]
    share = search["epochs_done"] / (search["epochs_planned"] or 1)
    best = search["best_loss"]
    return [
        Tile("best loss", "none yet", "")
        if best is None
        else Tile("best loss", loss(best), f"at {count(search['best_epochs'], 'epoch')}"),
        Tile(
            "epochs",
            percent(share),
            f"{search['epochs_done']:,} of {search['epochs_planned']:,}",
        ),
        Tile("evaluations", f"{ended:,}", f"of {search['evaluations_planned']:,}"),
        Tile(
            "failed",
            f"{search['evaluations_failed']:,}",
            _causes(facts),
        ),
        _time_tile(facts),
    ]


def _causes(facts: Facts) -> str:
    if len(facts.failures) > CAUSES:
        return f"more than {count(CAUSES, 'cause')}"
    return count(len(facts.failures), "cause") if facts.failures else ""


def _time_tile(facts: Facts) -> Tile:
    worked = span(sum(driver.end - driver.start for driver in facts.drivers))
    if facts.state == "running":
        return Tile("time left", facts.left or "not known yet", f"after {worked}")
    return Tile("time taken", worked, count(len(facts.drivers), "start"))


# --- the best ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Best:
    """The best config: its parameters, how to run it, how far ahead it is."""

    config_id: str
    sentence: str
    params: tuple[tuple[str, object], ...]
    command: Command | None


def best(facts: Facts) -> Best | None:
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
    return Best(
        printable(config_id),
        sentence,
        tuple((name, params[name]) for name in facts.names if name in params),
        command(in_folder(facts.cwd, facts.best_attempt["command"]))
        if facts.best_attempt
        else None,
    )


def _runner_up(facts: Facts) -> str:
    second, apart = facts.leaders[1], facts.leaders[1]["loss"] - facts.search["best_loss"]
    name, at = short(second["config_id"], 80), count(second["epochs"], "epoch")
    if not apart:
        return f"The runner-up, {name}, has the same loss, at {at}."
    return f"The runner-up, {name}, is worse by {number(apart)}: {loss(second['loss'])} at {at}."


# --- attention -----------------------------------------------------------------------------------


def attention(facts: Facts) -> list[Item]:
    """What somebody should look at; empty where there is nothing."""
    return [*_failures(facts), *_interruptions(facts), *_changed(facts), *_edges(facts)]


def _failures(facts: Facts) -> Iterator[Item]:
    for group in facts.failures[:CAUSES]:
        where = f"e.g. {short(group.example, 80)} at {count(group.epochs, 'epoch')}"
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
        )
    if len(facts.failures) > CAUSES:
        yield Item("There are more causes", ("The rarer ones are left out here.",))


def _lines(text: str) -> str:
    """A traceback with its lines kept and everything else made visible."""
    return "\n".join(printable(line.expandtabs(4)) for line in text.split("\n"))


def _interruptions(facts: Facts) -> Iterator[Item]:
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


def _changed(facts: Facts) -> Iterator[Item]:
    if len(facts.scripts) > 1:
        since = [moment(first_at) for first_at in facts.scripts.values()][1:]
        yield Item(
            "The script changed during the search",
            (
                f"{count(len(facts.scripts), 'version')} of it ran; new ones since "
                f"{listed(since[:5])}. Losses of different versions may not be comparable.",
            ),
        )


def _edges(facts: Facts) -> Iterator[Item]:
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


# --- how to reproduce ----------------------------------------------------------------------------


def reproduce(facts: Facts) -> list[tuple[str, str]]:
    """The search's parameters, a name and a value each."""
    search = facts.search
    hosts = sorted({driver.host for driver in facts.drivers})
    return [
        ("script", printable(search["script"])),
        ("working directory", printable(facts.cwd)),
        ("its arguments", printable(shlex.join(json.loads(search["script_args"]))) or "none"),
        ("sha256 of the script", ", ".join(facts.scripts) or "not known yet"),
        ("seed", str(search["seed"])),
        ("max_epochs", f"{search['max_epochs']:,}"),
        ("eta", number(search["eta"])),
        ("passes", f"{search['passes']:,}"),
        ("failure loss", number(search["failure_loss"])),
        ("started", stamp(search["created_at"])),
        ("finished", stamp(search["finished_at"]) or "not yet"),
        ("machines", ", ".join(map(short, hosts))),
        ("hbtrack", facts.version),
    ]


def again(facts: Facts) -> Command:
    """The command that runs the same search, in a database of its own."""
    search = facts.search
    words = ["hbtrack", "run", "--db", "again.db", "--max-epochs", str(search["max_epochs"])]
    words += ["--eta", number(search["eta"]), "--seed", str(search["seed"])]
    words += ["--passes", str(search["passes"])]
    if search["failure_loss"] != 100:
        words += option("--failure-loss", repr(search["failure_loss"]))
    args = json.loads(search["script_args"])
    # Words of the script's that hbtrack would take for its own stand after a --.
    words += [search["script"], *(["--", *args] if args else [])]
    return command(in_folder(facts.cwd, shlex.join(words)))
