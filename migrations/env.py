"""Runs the revisions: all in one immediate transaction, views dropped before and made after.

hbtrack hands its own connection in; `alembic` on the command line gets one on HBTRACK_DB or
./hbtrack.db.
"""

from alembic import context
from sqlalchemy import Connection, event

from hbtrack.database import tables, views
from hbtrack.database.location import create_private, database_path
from hbtrack.database.revision import REVISION, peek
from hbtrack.database.upgrade import finishing_statements, open_engine
from hbtrack.faults import fault_point


def migrate(connection: Connection) -> None:
    """Upgrade (or whatever Alembic was asked for) all or nothing."""
    # batch_alter_table with foreign keys on would delete the rows that refer to the table, and
    # they can only be switched off outside a transaction.
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.rollback()
    context.configure(
        connection=connection,
        target_metadata=tables.metadata,
        transactional_ddl=True,
        transaction_per_migration=False,
        render_as_batch=True,
        include_name=lambda name, kind, _parents: kind != "table" or name in tables.metadata.tables,
    )
    event.listen(connection, "before_cursor_execute", lambda *_: fault_point("migration.step"))
    with connection.begin() as transaction:
        before = context.get_context().get_current_heads()
        if "keep" in context.config.attributes and before != (REVISION,):
            context.config.attributes["keep"](*before)
        for statement in views.drop_statements():
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


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    migrate(handed_in)
elif context.is_offline_mode():
    raise SystemExit("hbtrack's revisions need the database; --sql is not supported.")
else:
    path = database_path(None)
    create_private(path)
    peek(path)  # raises Conflict for another program's file
    with open_engine(path) as engine, engine.connect() as own:
        migrate(own)
