"""The searches of a database: create one, find them, load the facts of one."""

import json
import secrets
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from hbtrack.database import tables
from hbtrack.records import (
    BracketStatus,
    Launch,
    Resources,
    Sampled,
    Search,
    SearchStatus,
    SearchSummary,
    Terms,
    iso,
)
from hbtrack.schedule import Schedule


def create_search(
    connection: Connection,
    run_identity: str,
    *,
    terms: Terms,
    launch: Launch,
    resources: Resources,
    schedule: Schedule,
    summary: SearchSummary,
    now: float,
) -> int:
    """Write a new search with its whole schedule; its private key.

    Raises sqlalchemy's IntegrityError when a search of that identity was created meanwhile.
    """
    row = {
        "run_identity": run_identity,
        "token": secrets.token_hex(6),
        **asdict(terms),
        **asdict(launch),
        **asdict(resources),
        **asdict(summary),
        "script_args": json.dumps(launch.script_args),
        "status": SearchStatus.UNFINISHED,
        "fence": 0,
        "created_at": iso(now),
    }
    search_pk = connection.execute(
        insert(tables.search).values(row).returning(tables.search.c.pk)
    ).scalar_one()
    _create_schedule(connection, search_pk, schedule, terms.passes)
    return int(search_pk)


def _create_schedule(
    connection: Connection, search_pk: int, schedule: Schedule, passes: int
) -> None:
    for pass_ in range(1, passes + 1):
        for bracket in schedule.brackets:
            row = {
                "search_pk": search_pk,
                "pass": pass_,
                "first_epochs": bracket.first_epochs,
                "configs": bracket.configs,
                "rungs": len(bracket.rungs),
                "status": BracketStatus.WAITING,
                "evaluations_planned": sum(rung.configs for rung in bracket.rungs),
                "evaluations_done": 0,
            }
            added = insert(tables.bracket).values(row).returning(tables.bracket.c.pk)
            bracket_pk = connection.execute(added).scalar_one()
            rungs = [
                {
                    "bracket_pk": bracket_pk,
                    "rung": number,
                    "epochs": rung.epochs,
                    "configs_planned": rung.configs,
                    "configs_entered": 0,
                    "done": 0,
                    "failed": 0,
                }
                for number, rung in enumerate(bracket.rungs)
            ]
            connection.execute(insert(tables.rung), rungs)


def add_configs(connection: Connection, search_pk: int, sampled: Sampled) -> None:
    """Write the configs of a pass that are new to the search, with their parameters."""
    for config_id, params in sampled.params.items():
        row = {"search_pk": search_pk, "config_id": config_id, "seconds": 0.0}
        added = insert(tables.config).values(row).returning(tables.config.c.pk)
        config_pk = connection.execute(added).scalar_one()
        # Driver-level: the column has no type, so that numbers stay numbers.
        for name, value in params.items():
            connection.exec_driver_sql(
                "INSERT INTO param (config_pk, name, value) VALUES (?, ?, ?)",
                (config_pk, name, value),
            )


def load_searches(connection: Connection) -> list[Search]:
    """All searches, the oldest first."""
    rows = connection.execute(select(tables.search).order_by(tables.search.c.pk)).mappings()
    return [_search(row) for row in rows]


def load_search(connection: Connection, run_identity: str) -> Search | None:
    """The search of exactly that identity, if there is one."""
    query = select(tables.search).where(tables.search.c.run_identity == run_identity)
    row = connection.execute(query).mappings().one_or_none()
    return _search(row) if row else None


def read_searches(engine: Engine) -> list[Search]:
    """All searches, the oldest first, in a transaction of its own."""
    with engine.begin() as connection:
        return load_searches(connection)


def _search(row: Any) -> Search:
    return Search(
        pk=row["pk"],
        run_identity=row["run_identity"],
        token=row["token"],
        terms=Terms(**{name: row[name] for name in Terms.__dataclass_fields__}),
        launch=Launch(
            **{name: row[name] for name in Launch.__dataclass_fields__ if name != "script_args"},
            script_args=tuple(json.loads(row["script_args"])),
        ),
        resources=Resources(row["workers"], row["gpus"]),
        status=SearchStatus(row["status"]),
        stop_reason=row["stop_reason"],
        fence=row["fence"],
    )
