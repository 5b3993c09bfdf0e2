"""What a new database is made of. Standard library only: no migration has to run for it."""

from pathlib import Path

from hbtrack.database import views
from hbtrack.database.revision import APPLICATION_ID, REVISION

_TABLES = Path(__file__).with_suffix(".sql")  # what the migrations come to, word for word


def statements() -> list[str]:
    """What makes an empty file one of this version."""
    return [
        *_TABLES.read_text().removesuffix(";\n").split(";\n"),
        f"INSERT INTO alembic_version VALUES ('{REVISION}')",
        *finishing_statements(),
    ]


def finishing_statements() -> list[str]:
    """What every file has whose tables are of this version: its views, and its own marks."""
    return [
        *views.create_statements(),
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {int(REVISION)}",
    ]
