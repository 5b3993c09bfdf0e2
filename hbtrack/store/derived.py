"""The rows that follow from a search's facts: as they are stored, and how they come to hold.

A driver writes what follows from one more fact with that fact. This is for all of it at once: when
a search is created, when its facts change, when a file is checked. Nothing is decided here, and in
the caller's transaction only what differs is written: a search may have a million places.
"""

from collections.abc import Iterable, Iterator
from sqlite3 import Connection
from typing import NamedTuple

from hbtrack.core.attempt_states import RESULTS
from hbtrack.core.derived import DERIVED_TABLES, Derived, Evaluation, Key, Row
from hbtrack.core.records import Place
from hbtrack.store.durations import Rows
from hbtrack.store.statements import CONFIG, EVALUATION, SQL, assign
from hbtrack.store.states import is_in

# The rows of a search.
_STORED = {
    "search": "SELECT * FROM _search WHERE pk = ?",
    "bracket": "SELECT * FROM _bracket WHERE search_pk = ?",
    "rung": "SELECT b.pass, b.first_epochs, r.* FROM _bracket b "
    "JOIN _rung r ON r.bracket_pk = b.pk WHERE b.search_pk = ?",
    # 0: it has the result of another config.
    "place": "SELECT b.pass, b.first_epochs, r.rung, p.slot, c.config_id, p.position, p.promoted, "
    "CASE WHEN e.config_pk <> p.config_pk THEN 0 ELSE e.epochs END AS source_epochs "
    "FROM _bracket b JOIN _rung r ON r.bracket_pk = b.pk JOIN _place p ON p.rung_pk = r.pk "
    "JOIN _config c ON c.pk = p.config_pk LEFT JOIN _evaluation e ON e.pk = p.evaluation_pk "
    "WHERE b.search_pk = ?",
    "evaluation": "SELECT c.config_id, e.epochs, b.pass, b.first_epochs, r.rung, p.slot "
    "FROM _config c JOIN _evaluation e ON e.config_pk = c.pk "
    "LEFT JOIN _place p ON p.pk = e.place_pk LEFT JOIN _rung r ON r.pk = p.rung_pk "
    "LEFT JOIN _bracket b ON b.pk = r.bracket_pk WHERE c.search_pk = ?",
    "config": "SELECT * FROM _config WHERE search_pk = ?",
}

_BEGUN = f"""{_STORED["evaluation"]} AND
(SELECT {is_in(RESULTS, "a.")} FROM _attempt a WHERE a.pk = e.attempt_pk) IS NOT TRUE"""


def _put(table: str, key: dict[str, str], columns: dict[str, str]) -> str:
    """A statement that inserts a row, or updates the one that has this key."""
    values = key | columns
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    return (
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


def _named(table: str) -> dict[str, str]:
    return {name: f":{name}" for name in DERIVED_TABLES[table].columns}


_BRACKET = (
    "(SELECT pk FROM _bracket "
    "WHERE search_pk = :search AND pass = :pass AND first_epochs = :first_epochs)"
)
_RUNG = f"(SELECT pk FROM _rung WHERE bracket_pk = {_BRACKET} AND rung = :rung)"
_PLACE = f"(SELECT pk FROM _place WHERE rung_pk = {_RUNG} AND slot = :slot)"

_PUT = {
    "search": SQL["search_summary"],
    "bracket": _put(
        "_bracket",
        {"search_pk": ":search", "pass": ":pass", "first_epochs": ":first_epochs"},
        _named("bracket"),
    ),
    "rung": _put("_rung", {"bracket_pk": _BRACKET, "rung": ":rung"}, _named("rung")),
    "place": _put(
        "_place",
        {"rung_pk": _RUNG, "slot": ":slot"},
        {
            "config_pk": CONFIG,
            "position": ":position",
            "promoted": ":promoted",
            "evaluation_pk": "(SELECT pk FROM _evaluation "
            f"WHERE config_pk = {CONFIG} AND epochs = :source_epochs)",
        },
    ),
    "evaluation": f"UPDATE _evaluation SET place_pk = {_PLACE} WHERE pk = {EVALUATION}",
    "config": f"UPDATE _config SET {assign(*DERIVED_TABLES['config'].columns)} WHERE pk = {CONFIG}",
}

_REMOVE_PLACE = f"DELETE FROM _place WHERE pk = {_PLACE}"


class Difference(NamedTuple):
    """A row that is not what follows: as it is stored, and as it must be; None: not at all."""

    table: str
    key: Key
    stored: Row | None
    must: Row | None


def begun(query: Rows, search_pk: int) -> dict[Evaluation, Place | None]:
    """The evaluations without a result, and the place that each was called for last."""
    return {
        (config_id, epochs): None if place[0] is None else Place(*place)
        for config_id, epochs, *place in query(_BEGUN, (search_pk,))
    }


def differences(query: Rows, search_pk: int, derived: Derived) -> Iterator[Difference]:
    """Where the stored rows of a search are not those that follow."""
    for name, rows in derived.items():
        table, missing = DERIVED_TABLES[name], dict(rows)
        columns, width = ", ".join(table.key + table.columns), len(table.key)
        for found in query(f"SELECT {columns} FROM ({_STORED[name]})", (search_pk,)):
            key, stored = tuple(found[:width]), tuple(found[width:])
            must = missing.pop(key, None)
            if stored != must:
                yield Difference(name, key, stored, must)
        yield from (Difference(name, key, None, must) for key, must in missing.items())


def write(connection: Connection, search_pk: int, derived: Derived) -> None:
    """Make every row that follows from the facts what `derived` says.

    The facts must be there: the search, configs, evaluations and attempts. Incumbents are history,
    and the search's status is the caller's.
    """
    found = list(differences(connection.execute, search_pk, derived))

    def run(sql: str, which: Iterable[Difference]) -> None:
        if rows := [_values(search_pk, one) for one in which]:
            connection.executemany(sql, rows)

    for table in derived:
        run(_PUT[table], (one for one in found if one.table == table and one.must))
    if gone := [one for one in found if one.table == "place" and not one.must]:
        # Else all evaluations would be looked through for one that refers to a place that goes.
        connection.execute("CREATE INDEX aid_evaluation_place ON _evaluation (place_pk)")
        run(_REMOVE_PLACE, gone)
        connection.execute("DROP INDEX aid_evaluation_place")


def _values(search_pk: int, one: Difference) -> dict[str, object]:
    table = DERIVED_TABLES[one.table]
    names, values = table.key + table.columns, one.key + (one.must or ())
    return {"search": search_pk, **dict(zip(names, values, strict=False))}
