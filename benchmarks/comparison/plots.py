"""The pictures of the page, of the same figures as its tables."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparison.selection import Selection, quartiles

mpl.rcParams |= {
    "svg.hashsalt": "hbtrack",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
OWN, OTHER = "#d1495b", "#5b7c99"
COLOURS = (OWN, "#00798c", "#8d6a9f", "#edae49", "#30638e", "#6a994e")


def draw_all(select: Selection, path: Path) -> None:
    """Those whose measures were made."""
    pictures = {"overhead": overhead, "utilisation": utilisation, "storage": storage}
    source = hashlib.sha256(path.read_bytes()).hexdigest()
    for name, draw in pictures.items():
        if select.rows(name):
            picture = draw(select)
            metadata = {"Date": None, "Description": f"sha256 of the results: {source}"}
            picture.savefig(path.with_name(f"{path.stem}-{name}.svg"), metadata=metadata)


def bars(
    axes: Axes, select: Selection, found: Iterable[tuple[str, list[float]]], form: str
) -> None:
    """A bar per peer from the top, with its quartiles and its figure."""
    rows = [(name, quartiles(values)) for name, values in found if values]
    for at, (name, (low, middle, high)) in enumerate(rows):
        axes.barh(at, middle, 0.62, color=OWN if name == "ours" else OTHER)
        axes.plot([low, high], [at, at], color="black", linewidth=1)
        axes.annotate(
            f"{middle:{form}}",
            (max(middle, high, 0), at),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(rows)), [select.peers[name]["title"] for name, _ in rows])
    axes.invert_yaxis()
    axes.margins(x=0.15)


def side_by_side(
    select: Selection, workers: tuple[int, int], values, label: str, form: str
) -> Figure:  # type: ignore[no-untyped-def]
    """Two numbers of workers."""
    picture = Figure(figsize=(8, 2.6), layout="constrained")
    for axes, count in zip(picture.subplots(1, 2), workers, strict=True):
        bars(axes, select, ((name, values(name, count)) for name in select.peers), form)
        axes.set_title(f"{count} worker{'s' if count > 1 else ''}", loc="left")
        axes.set_xlabel(label)
    return picture


def overhead(select: Selection) -> Figure:
    """Milliseconds per call beyond the bare script."""
    return side_by_side(
        select, (1, 2), select.over_bare, "ms per call over bare: median, quartiles", ".1f"
    )


def utilisation(select: Selection) -> Figure:
    """How busy workers are."""

    def values(name: str, workers: int) -> list[float]:
        return select.values("utilisation", "utilisation", peer=name, workers=workers)

    return side_by_side(select, (2, 8), values, "busy share of the workers' time", ".2f")


def storage(select: Selection) -> Figure:
    """Writes, and the first decision, against the size."""
    picture = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = picture.subplots(1, 2)
    for axes, key, title in (
        (left, "write_ms", "one write, ms"),
        (right, "next_s", "the next decision of a new process, s"),
    ):
        for colour, (name, peer) in zip(COLOURS, select.peers.items(), strict=False):
            rows = select.rows("storage", peer=name)
            points = [(row["results"], row[key]) for row in rows if isinstance(row[key], float)]
            if points:
                axes.loglog(
                    *zip(*points, strict=True),
                    marker="o",
                    markersize=4,
                    color=colour,
                    label=peer["title"],
                )
        axes.set_title(title, loc="left")
        axes.set_xlabel("results")
        axes.grid(visible=True, alpha=0.25)
    picture.legend(
        *right.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    return picture
