"""Columns with the names of parameters and metrics, beside ours: each has a name of its own."""

from collections.abc import Collection, Iterable


def column_of(name: str, taken: Collection[str], kind: str = "param") -> str:
    """The column of a parameter or metric: by its name, or `param:NAME` where that is taken.

    Columns whose names differ only in capitals are one to SQL.
    """
    lower = {column.lower() for column in taken}
    while name.lower() in lower:
        name = f"{kind}:{name}"
    return name


def distinct(columns: Iterable[str]) -> list[str]:
    """Column names without repeats, as a dict or a JSON object needs them."""
    names: list[str] = []
    for column in columns:
        name, number = column, 2
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names.append(name)
    return names
