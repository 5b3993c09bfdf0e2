"""The same connection as Alembic needs it: an SQLAlchemy engine. Only upgrades load this."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, pool

from hbtrack.database.connection import Database


@contextmanager
def open_engine(path: Path) -> Iterator[Engine]:
    """An engine on the one connection to the file at `path`; its transactions begin as ours do."""
    database = Database(path, foreign_keys=False)
    engine = create_engine(
        "sqlite://", creator=lambda: database.connection, poolclass=pool.StaticPool
    )
    event.listen(engine, "begin", lambda _connection: database.begin())
    try:
        yield engine
    finally:
        engine.dispose()
