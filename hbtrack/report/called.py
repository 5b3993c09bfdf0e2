"""How configs are called, read for all of them at once."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from hbtrack.report.described import described, params_text
from hbtrack.report.ranking import in_order_of
from hbtrack.store.reading import Row

# From those asked for to what is known of them: the other way round all configs are read.
_CALLED = """
SELECT s.run_identity, c.config_id, c.number, m.name, m.value
FROM json_each(?) w
    CROSS JOIN _search s ON s.run_identity = json_extract(w.value, '$[0]')
    CROSS JOIN _config c ON c.search_pk = s.pk AND c.config_id = json_extract(w.value, '$[1]')
    LEFT JOIN _param m ON m.config_pk = c.pk"""

Key = tuple[str, str]
"""The name of a search, and the id of a config in it."""


@dataclass(frozen=True, slots=True)
class Called:
    """A config by what people call it; its parameters in the order in which its id has them."""

    config_id: str
    number: int | None = None
    params: Row = field(default_factory=dict)

    def __str__(self) -> str:
        return described(self.number, self.params, self.config_id)

    def words(self) -> list[str]:
        """The same in pieces between which a line may end."""
        pairs = [{name: value} for name, value in self.params.items()]
        number = [] if self.number is None else [f"#{self.number}"]
        return [*number, *(map(params_text, pairs) if pairs else [self.config_id])]

    @property
    def short(self) -> str:
        """The least that names it on a command line: `#3`, or its id where it has no number."""
        return self.config_id if self.number is None else f"#{self.number}"


def called(connection: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, Called]:
    """How these configs are called, by their keys; one that is not sampled has its id alone."""
    keys = list(dict.fromkeys(keys))
    numbers: dict[Key, int | None] = {}
    params: dict[Key, Row] = {key: {} for key in keys}
    for search, config_id, number, name, value in connection.execute(_CALLED, [json.dumps(keys)]):
        numbers[search, config_id] = number
        if name is not None:
            params[search, config_id][name] = value
    return {
        (search, one): Called(one, numbers.get((search, one)), _ordered(one, params[search, one]))
        for search, one in keys
    }


def called_one(connection: sqlite3.Connection, run_identity: str, config_id: str) -> Called:
    """How one config is called: a few microseconds, for every attempt."""
    return called(connection, [(run_identity, config_id)])[run_identity, config_id]


def _ordered(config_id: str, params: Row) -> Row:
    return {name: params[name] for name in in_order_of(config_id, params)}
