"""The searches of a database: create one, find them, load the facts of one."""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from hbtrack.database import tables
from hbtrack.records import (
    AttemptStatus,
    BracketStatus,
    Facts,
    Launch,
    OpenAttempt,
    Place,
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
    search_pk = connection.execute(insert(tables.search).values(row)).inserted_primary_key[0]
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
            result = connection.execute(insert(tables.bracket).values(row))
            rungs = [
                {
                    "bracket_pk": result.inserted_primary_key[0],
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
        config_pk = connection.execute(insert(tables.config).values(row)).inserted_primary_key[0]
        # Driver-level: the column has no type, so that numbers stay numbers.
        connection.exec_driver_sql(
            "INSERT INTO param (config_pk, name, value) VALUES (?, ?, ?)",
            [(config_pk, name, value) for name, value in params.items()],
        ) if params else None


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


# --- facts ---------------------------------------------------------------------------------------

_PLACES = """
SELECT b.pass, b.first_epochs, r.rung, p.slot, c.config_id
FROM bracket b
    JOIN rung r ON r.bracket_pk = b.pk
    JOIN place p ON p.rung_pk = r.pk
    JOIN config c ON c.pk = p.config_pk
WHERE b.search_pk = ?"""

_RESULTS = """
SELECT c.config_id, e.epochs, a.loss
FROM config c
    JOIN evaluation e ON e.config_pk = c.pk
    JOIN attempt a ON a.pk = e.attempt_pk
WHERE c.search_pk = ? AND a.status IN ('done', 'failed', 'timeout')"""

_OPEN_ATTEMPTS = """
SELECT a.pk, c.config_id, e.epochs, a.status, a.worker, a.gpu, d.host
FROM attempt a
    JOIN evaluation e ON e.pk = a.evaluation_pk
    JOIN config c ON c.pk = e.config_pk
    JOIN driver d ON d.pk = a.driver_pk
WHERE a.finished_at IS NULL AND c.search_pk = ?
ORDER BY a.pk"""


def load_facts(connection: Connection, search_pk: int) -> Facts:
    """All that is recorded of a search and bears on what it does next."""

    def rows(sql: str) -> Sequence[Any]:
        return connection.exec_driver_sql(sql, (search_pk,)).fetchall()

    places = [(Place(*row[:4]), row[4]) for row in rows(_PLACES)]
    return Facts(
        passes=tuple(_passes(places)),
        results=tuple((row[0], row[1], row[2]) for row in rows(_RESULTS)),
        entered=frozenset(places),
        open_attempts=tuple(
            OpenAttempt(*row[:3], AttemptStatus(row[3]), *row[4:]) for row in rows(_OPEN_ATTEMPTS)
        ),
    )


def _passes(places: Iterable[tuple[Place, str]]) -> list[tuple[str, ...]]:
    """What was sampled is what stands in the first rungs."""
    sampled: dict[int, list[tuple[Place, str]]] = {}
    for place, config_id in places:
        if place.rung == 0:
            sampled.setdefault(place.pass_, []).append((place, config_id))
    return [
        tuple(config_id for _, config_id in sorted(sampled[pass_])) for pass_ in sorted(sampled)
    ]
