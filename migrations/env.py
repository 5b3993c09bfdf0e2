"""Runs the revisions: all in one immediate transaction, views dropped before and made after.

hbtrack hands the file's path in, and what keeps a copy of it; `alembic` on the command line works
on HBTRACK_DB or ./hbtrack.db.
"""

from contextlib import closing

from alembic import context
from sqlalchemy import Connection, MetaData, create_engine, event, pool

from hbtrack.database.connection import Database
from hbtrack.database.ddl import create_statements, drop_statements, finishing_statements
from hbtrack.database.location import create_private, database_path
from hbtrack.database.revision import REVISION, peek
from hbtrack.database.schema import TABLES
from hbtrack.faults import fault_point

HANDED_IN = context.config.attributes


def migrate(connection: Connection) -> None:
    """Upgrade (or whatever Alembic was asked for) all or nothing."""
    context.configure(
        connection=connection,
        target_metadata=None if HANDED_IN else described(),
        transactional_ddl=True,
        transaction_per_migration=False,
        render_as_batch=True,
    )
    event.listen(connection, "before_cursor_execute", lambda *_: fault_point("migration.step"))
    with connection.begin() as transaction:
        before = context.get_context().get_current_heads()
        if HANDED_IN and before != (REVISION,):
            HANDED_IN["keep"](*before)
        for statement in drop_statements():
            connection.exec_driver_sql(statement)
        context.run_migrations()
        after = context.get_context().get_current_heads()
        if after == before:  # alembic current, check, revision: the views stay as they were
            transaction.rollback()
        elif after == (REVISION,):
            finish(connection)


def finish(connection: Connection) -> None:
    """At this version's schema: its views, and the file's own marks."""
    for statement in finishing_statements():
        connection.exec_driver_sql(statement)
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise RuntimeError(f"the upgrade would break references: {broken[:5]}")


def described() -> MetaData:
    """The tables of a new database, for Alembic to compare with."""
    metadata = MetaData()
    engine = create_engine("sqlite://", poolclass=pool.NullPool)  # which closes what it opened
    with engine.connect() as connection:
        for statement in create_statements():
            connection.exec_driver_sql(statement)
        metadata.reflect(connection, only=[table.name for table in TABLES])
    for table in metadata.tables.values():
        for reference in table.foreign_key_constraints:
            reference.use_alter = True  # else those that refer to each other have no order
    return metadata


if context.is_offline_mode():
    raise SystemExit("hbtrack's revisions need the database; --sql is not supported.")
path = HANDED_IN.get("path") or database_path(None)
create_private(path)
peek(path)  # raises Conflict for another program's file
# batch_alter_table with foreign keys on would delete the rows that refer to the table.
with closing(Database(path, foreign_keys=False)) as database:
    engine = create_engine(
        "sqlite://", creator=lambda: database.connection, poolclass=pool.StaticPool
    )
    event.listen(engine, "begin", lambda _: database.begin())
    with engine.connect() as connected:
        migrate(connected)
