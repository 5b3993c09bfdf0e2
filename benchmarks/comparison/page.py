"""The page of the results: every figure on it comes from the JSON files beside it."""

import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import jinja2

from comparison.selection import Results, Row, Selection, quartiles


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """The median, and the quartiles."""
    if not values:
        return "-"
    low, middle, high = quartiles(values)
    return f"{middle:{form}} [{low:{form}}, {high:{form}}]"


def figure(value: object, form: str = ".3g") -> str:
    """A number with three digits, or the words that stand for it."""
    if isinstance(value, (int, float)):
        return f"{value:{form}}" if value < 1000 else f"{value:,.0f}"
    return "-" if value is None else str(value)


def where(row: Row) -> str:
    """What was tried, of a row that failed."""
    facts = {"workers": "{} workers", "block": "block {}", "after": "after {}", "results": "{:,}"}
    told = [form.format(row[key]) for key, form in facts.items() if key in row]
    return ", ".join([str(row["of"]), *told])


def same_best(row: Row, undisturbed: Sequence[str]) -> str:
    """Whether a search that was killed found what undisturbed ones found."""
    if not undisturbed:
        return "-"
    if len(set(undisturbed)) > 1:
        return "undisturbed runs differ, too"
    return "yes" if row["best"] == undisturbed[0] else "no"


def render(results: Results, scale: Results | None, stem: str) -> str:
    """The page; `scale` is what a large search costs, if that was measured."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"spread": spread, "figure": figure, "where": where}
    page = environment.get_template("page.md.j2").render(
        select=Selection(results),
        machine=results["machine"],
        peers=results["peers"],
        scale=scale,
        stem=stem,
        same_best=same_best,
    )
    return page.rstrip() + "\n"


def page_of(path: Path) -> str:
    """The page of the results in this file, and of what scale.py has measured beside it."""
    beside = path.with_name(f"{path.stem}-scale.json")
    scale = json.loads(beside.read_text()) if beside.exists() else None
    return render(json.loads(path.read_text()), scale, path.stem)


def write_page(path: Path) -> None:
    """Write the page and its pictures beside the results."""
    path.with_suffix(".md").write_text(page_of(path))
    if find_spec("matplotlib") is None:
        print(
            "against: no pictures: matplotlib is not installed; pip install -e '.[bench]'",
            file=sys.stderr,
        )
        return
    from comparison.plots import draw_all  # noqa: PLC0415 - heavy, and not needed for the text

    draw_all(Selection(json.loads(path.read_text())), path)
