"""The statements that make a database of this version, for SQLite.

All that is SQLite's own about the tables is said here.
"""

from collections.abc import Iterator

from hbtrack.database.dictionary import DICTIONARY
from hbtrack.database.revision import APPLICATION_ID, REVISION
from hbtrack.database.schema import TABLES, TRIGGERS, Column, Index, Table, Trigger
from hbtrack.database.views import definitions

_TYPES = {"integer": "INTEGER", "double": "FLOAT", "text": "TEXT", "scalar": "BLOB"}

_PK = Column("pk", "integer")

_ALEMBIC = """CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""

# What SQLite is told of our tables, as rows of an index per key: a search has many configs, a rung
# far fewer places, a config very few, and few attempts are open. Without it a view finds one config
# by way of all places, or one bracket by way of all configs.
_STATISTICS = (
    ("_attempt", "uq_attempt_open", "8 1"),
    ("_evaluation", "sqlite_autoindex__evaluation_1", "100000 2 1"),
    ("_config", "sqlite_autoindex__config_1", "100000 10000 1"),
    ("_place", "sqlite_autoindex__place_1", "150000 50 1"),
    ("_place", "ix_place_config_pk", "150000 2"),
)


def create_statements() -> list[str]:
    """What makes an empty file one of this version."""
    return [
        _ALEMBIC,
        f"INSERT INTO alembic_version VALUES ('{REVISION}')",
        *(statement for table in TABLES for statement in _table(table)),
        *finishing_statements(),
    ]


def finishing_statements() -> list[str]:
    """What every file has whose tables are of this version: its views, and its own marks."""
    return [
        *(f"CREATE VIEW {name} AS {body.strip()}" for name, body in definitions().items()),
        *map(_trigger, TRIGGERS),
        "ANALYZE sqlite_master",  # makes the table of statistics
        "DELETE FROM sqlite_stat1",
        *(f"INSERT INTO sqlite_stat1 VALUES {row}" for row in _STATISTICS),
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {int(REVISION)}",
    ]


def drop_statements() -> list[str]:
    """What removes the views and triggers that a file of any version has, before it is upgraded."""
    return [
        *(f"DROP VIEW IF EXISTS {name}" for name in DICTIONARY),
        *(f"DROP TRIGGER IF EXISTS {trigger.name}" for trigger in TRIGGERS),
    ]


def _table(table: Table) -> Iterator[str]:
    columns = map(_column, table.columns if table.key else (_PK, *table.columns))
    key = f"PRIMARY KEY ({', '.join(table.key or ['pk'])})"
    constraints = [(f"pk_{_plain(table.name)}", key), *sorted(_constraints(table))]
    lines = [*columns, *(f"CONSTRAINT {name} {rule}" for name, rule in constraints)]
    inside = ",\n    ".join(lines)
    # Rows that are found by several columns lie in their order.
    ending = " WITHOUT ROWID" if len(table.key) > 1 else ""
    yield f"CREATE TABLE {table.name} (\n    {inside}\n){ending}"
    yield from (_index(index, table) for index in table.indexes)


def _column(column: Column) -> str:
    default = "" if column.default is None else f" DEFAULT '{column.default}'"
    return f"{column.name} {_TYPES[column.type]}{default}{'' if column.null else ' NOT NULL'}"


def _constraints(table: Table) -> Iterator[tuple[str, str]]:
    """The names and texts of all but the key."""
    plain = _plain(table.name)
    for name, rule in table.checks.items():
        yield f"ck_{plain}_{name}", f"CHECK ({rule})"
    for column in table.columns:
        if other := column.references:
            rule = f"FOREIGN KEY({column.name}) REFERENCES {other} (pk)"
            yield f"fk_{plain}_{column.name}_{_plain(other)}", rule
    for columns in table.unique:
        yield f"uq_{plain}_{'_'.join(columns)}", f"UNIQUE ({', '.join(columns)})"


def _plain(table: str) -> str:
    """A table's name as it stands in those of its constraints."""
    return table.removeprefix("_")


def _index(index: Index, table: Table) -> str:
    kind = "UNIQUE INDEX" if index.unique else "INDEX"
    where = f" WHERE {index.where}" if index.where else ""
    return f"CREATE {kind} {index.name} ON {table.name} ({', '.join(index.columns)}){where}"


def _trigger(trigger: Trigger) -> str:
    changed = " OR ".join(f"old.{name} IS NOT new.{name}" for name in trigger.columns)
    return (
        f"CREATE TRIGGER {trigger.name} AFTER UPDATE OF {', '.join(trigger.columns)} "
        f"ON {trigger.table}\nWHEN {changed}\nBEGIN\n    {trigger.statement};\nEND"
    )
