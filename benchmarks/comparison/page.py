"""The page of the results: every figure on it comes from the JSON beside it."""

import json
import statistics
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import jinja2

Row = dict[str, object]
Results = dict[str, object]


class Selection:
    """The rows of one measure, by peer and by what else tells them apart."""

    def __init__(self, results: Results) -> None:
        self._rows: list[Row] = results["rows"]  # type: ignore[assignment]
        self.peers: dict[str, dict[str, str]] = results["peers"]  # type: ignore[assignment]

    def rows(self, measure: str, **facts: object) -> list[Row]:
        """Those with these facts."""
        wanted = {"measure": measure, **facts}
        return [row for row in self._rows if all(row.get(key) == wanted[key] for key in wanted)]

    def values(self, measure: str, key: str, **facts: object) -> list[float]:
        """One figure of each."""
        found = [row.get(key) for row in self.rows(measure, **facts)]
        return [value for value in found if isinstance(value, (int, float))]

    def over_bare(self, peer: str, workers: int) -> list[float]:
        """Milliseconds per call beyond the bare script of the same block."""
        return [own - bare for own, bare in self._pairs(peer, workers)]

    def ratios(self, peer: str, workers: int) -> list[float]:
        """Times the bare script of the same block."""
        return [own / bare for own, bare in self._pairs(peer, workers)]

    def _pairs(self, peer: str, workers: int) -> list[tuple[float, float]]:
        bare = {
            row["block"]: row["period_ms"]
            for row in self.rows("overhead", peer="bare", workers=workers)
        }
        own = self.rows("overhead", peer=peer, workers=workers)
        return [(row["period_ms"], bare[row["block"]]) for row in own]  # type: ignore[misc]

    def failures(self, of: str | None = None, peer: str | None = None) -> list[Row]:
        """What did not run, of a measure and peer or of all."""
        found = [row for row in self._rows if "failed" in row]
        return [row for row in found if of in (None, row["of"]) and peer in (None, row["peer"])]

    def sizes(self) -> list[int]:
        """Of stores."""
        return sorted({row["results"] for row in self.rows("storage")})  # type: ignore[type-var]

    def best(self, peer: str) -> list[str]:
        """The best configs of undisturbed runs with two workers."""
        return [str(row["best"]) for row in self.rows("utilisation", peer=peer, workers=2)]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


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


def render(results: Results, stem: str) -> str:
    """The page."""
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
        stem=stem,
        same_best=same_best,
    )
    return page.rstrip() + "\n"


def write_page(path: Path) -> None:
    """Write the page and its pictures beside the results."""
    results = json.loads(path.read_text())
    path.with_suffix(".md").write_text(render(results, path.stem))
    if find_spec("matplotlib") is None:
        print(
            "against: no pictures: matplotlib is not installed; pip install -e '.[bench]'",
            file=sys.stderr,
        )
        return
    from comparison.plots import draw_all  # noqa: PLC0415 - heavy, and not needed for the text

    draw_all(Selection(results), path)
