"""The best configs as a table, in every format but json: numbers and parameters first, ids last."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from hbtrack.cli.fitting import Elastic, fitted_table, left_out
from hbtrack.cli.tables import rounded, table
from hbtrack.report.columns import column_of
from hbtrack.report.ranking import COLUMNS, metrics_of, names_of
from hbtrack.store.reading import Row

FIRST = ("rank", "config", "loss", "epochs")

MORE = ("epochs_reached", "bracket", "seconds")
"""Columns that a narrow terminal does without."""


class Headings(NamedTuple):
    """The columns of parameters and of metrics, which may have the name of one of ours."""

    params: Mapping[str, str]
    metrics: Mapping[str, str]

    @classmethod
    def of(cls, params: Iterable[str], metrics: Iterable[str]) -> Self:
        """The columns of those of these names."""
        ours = {"run_identity", *COLUMNS}
        shown = {name: column_of(name, ours) for name in params}
        taken = ours | {*shown.values()}
        return cls(shown, {name: column_of(name, taken, "metric") for name in metrics})

    def line(self, row: Row) -> Row:
        """A ranked config by its columns."""
        return {
            **{column: row["params"].get(name) for name, column in self.params.items()},
            **{column: row["metrics"].get(name) for name, column in self.metrics.items()},
            **{name: row[name] for name in COLUMNS},
        }


def separated(ranked: Mapping[str, Sequence[Row]], form: str) -> str:
    """The ranked configs of these searches as csv or tsv, a line each."""
    params = dict.fromkeys(name for rows in ranked.values() for name in names_of(rows))
    metrics = dict.fromkeys(name for rows in ranked.values() for name in metrics_of(rows))
    headings = Headings.of(params, metrics)
    *first, last = COLUMNS
    named = (*headings.params.values(), *headings.metrics.values())
    lines = [
        {"run_identity": search, **headings.line(row)}
        for search, rows in ranked.items()
        for row in rows
    ]
    return table(lines, form, ["run_identity", *first, *named, last])


def leaderboard(ranked: Sequence[Row], form: str) -> str:
    """The ranked table of one search, for people; as much of it as the terminal has room for.

    The id is in it where a config has no parameters, or the format is html.
    """
    headings = Headings.of(names_of(ranked), metrics_of(ranked))
    lines = [_for_the_eye(headings.line(row)) for row in ranked]
    params = headings.params.items()
    flat = [column for name, column in params if not _nested(ranked, name)]
    nested = [column for name, column in params if _nested(ranked, name)]
    spare = [*flat, *headings.metrics.values(), *MORE, *nested]
    columns = [*FIRST, *spare]
    if form == "html" or any(not row["params"] for row in ranked):
        columns.append("config_id")
    if form != "simple":
        return table(lines, form, columns)
    text, shown = fitted_table(
        lines, columns, spare, Elastic("config_id") if "config_id" in columns else None
    )
    return text + left_out(columns, shown)


def _for_the_eye(line: Row) -> Row:
    shown = {name: rounded(value) for name, value in line.items()}
    number = None if line["config"] is None else f"#{line['config']}"
    return {**shown, "config": number, "seconds": round(line["seconds"], 1)}


def _nested(ranked: Sequence[Row], name: str) -> bool:
    """Whether a parameter is a list or a mapping, which JSON text stands for."""
    return any(str(row["params"].get(name)).startswith(("[", "{")) for row in ranked)
