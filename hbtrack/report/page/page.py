"""Put the page together: the only place that knows the templates."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from hbtrack.report.page import (
    attention,
    best_so_far,
    brackets,
    commands,
    curves,
    early_stopping,
    gather,
    headline,
    leaderboard,
    parameters,
    workers,
)
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.section import Section
from hbtrack.report.page.svg.drawing import coordinate
from hbtrack.report.page.wording import moment, short
from hbtrack.report.snapshot import RUNNING, SEARCH
from hbtrack.text import printable
from hbtrack.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment


def render(facts: PageFacts) -> str:
    """The page as HTML."""
    style, script = _text("page.css"), _text("page.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            facts=facts,
            search=facts.search,
            name=short(facts.identity, 300),
            style=style,
            script=script,
            policy=_policy(style, script),
            written=moment(facts.written_at),
            headline=headline.headline(facts),
            tiles=headline.tiles(facts),
            best=headline.best(facts),
            running=headline.running(facts),
            go_on=commands.go_on(facts),
            attention=attention.attention(facts),
            errors=commands.hbtrack(facts, "errors"),
            mend=commands.mend(facts),
            figures=figures(facts),
            ranked=leaderboard.figure(facts),
            reproduce=commands.reproduce(facts),
            again=commands.again(facts),
            queries={
                "search": SEARCH,
                "running": RUNNING,
                "best": headline.BEST,
                "failures": attention.FAILURES,
                "scripts": commands.SCRIPTS,
            },
            version=__version__,
        )
    )


def figures(facts: PageFacts) -> list[Section]:
    """All figures, in the order of the page; without a loss only those that need none."""
    of_losses = (best_so_far.figure, curves.figure, early_stopping.figure, parameters.figure)
    made = (brackets.figure, *(of_losses if facts.leaders else ()), workers.figure)
    return [make(facts) for make in made]


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere; only this very style and script are taken."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(name: str) -> str:
    return files("hbtrack.report.page").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 - only here

    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "xy": coordinate}
    environment.filters |= {"shown": gather.shown, "visible": printable}
    return environment


def _cell(value: object) -> str:
    """A cell of a table, as it is read."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10000 else short(value)
