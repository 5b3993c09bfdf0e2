"""The searches of a database: create one, find them, load the facts of one."""

import json
import secrets
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from hbtrack.database import tables
from hbtrack.records import (
    Launch,
    Limits,
    Resources,
    Sampled,
    Search,
    SearchStatus,
    SearchSummary,
    Terms,
    iso,
)
from hbtrack.schedule import Schedule

# Many rows at once, handed to the database driver as they are: a pass may have a million configs.
_ADD_BRACKET = """
INSERT INTO bracket (search_pk, pass, first_epochs, configs, rungs, status,
    evaluations_planned, evaluations_done)
VALUES (?, ?, ?, ?, ?, 'waiting', ?, 0)"""

_ADD_RUNG = """
INSERT INTO rung (bracket_pk, rung, epochs, configs_planned, configs_entered, done, failed)
SELECT pk, ?4, ?5, ?6, 0, 0, 0 FROM bracket
WHERE search_pk = ?1 AND pass = ?2 AND first_epochs = ?3"""

_ADD_CONFIG = "INSERT INTO config (search_pk, config_id, seconds) VALUES (?, ?, 0)"

_ADD_PARAM = """
INSERT INTO param (config_pk, name, value)
SELECT pk, ?3, ?4 FROM config WHERE search_pk = ?1 AND config_id = ?2"""

_FAILURES = """
SELECT c.config_id, e.epochs,
    coalesce(a.error_type, '') || ': ' || coalesce(a.error_message, '') || char(10)
        || coalesce(a.error, '')
FROM config c
    JOIN evaluation e ON e.config_pk = c.pk
    JOIN attempt a ON a.pk = e.attempt_pk
WHERE c.search_pk = ? AND a.status IN ('failed', 'timeout') AND a.finished_at IS NOT NULL
    AND a.retried IS NULL
ORDER BY a.pk"""


def create_search(
    connection: Connection,
    run_identity: str,
    *,
    terms: Terms,
    launch: Launch,
    resources: Resources,
    limits: Limits,
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
        **asdict(limits),
        **asdict(summary),
        "configs": json.dumps(terms.configs),
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


def reopen(connection: Connection, search_pk: int) -> None:
    """A search that was finished or stopped has more to do."""
    connection.execute(
        update(tables.search)
        .where(tables.search.c.pk == search_pk)
        .values(status=SearchStatus.UNFINISHED, finished_at=None, stop_reason=None)
    )


def failures(connection: Connection, search_pk: int) -> list[tuple[str, int, str]]:
    """The failed evaluations, in the order of their attempts: config_id, epochs, error."""
    rows = connection.exec_driver_sql(_FAILURES, (search_pk,))
    return [(config_id, epochs, error) for config_id, epochs, error in rows]


def _create_schedule(
    connection: Connection, search_pk: int, schedule: Schedule, passes: int
) -> None:
    brackets, rungs = [], []
    for pass_ in range(1, passes + 1):
        for bracket in schedule.brackets:
            key = (search_pk, pass_, bracket.first_epochs)
            planned = sum(rung.configs for rung in bracket.rungs)
            brackets.append((*key, bracket.configs, len(bracket.rungs), planned))
            rungs += [
                (*key, number, rung.epochs, rung.configs)
                for number, rung in enumerate(bracket.rungs)
            ]
    connection.exec_driver_sql(_ADD_BRACKET, brackets)
    connection.exec_driver_sql(_ADD_RUNG, rungs)


def add_configs(connection: Connection, search_pk: int, sampled: Sampled) -> None:
    """Write the configs of a pass that are new to the search, with their parameters."""
    configs = [(search_pk, config_id) for config_id in sampled.params]
    params = [
        (search_pk, config_id, name, value)
        for config_id, found in sampled.params.items()
        for name, value in found.items()
    ]
    if configs:
        connection.exec_driver_sql(_ADD_CONFIG, configs)
    if params:
        connection.exec_driver_sql(_ADD_PARAM, params)


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
    def of(kind: type[Any], **read: object) -> Any:
        names = kind.__dataclass_fields__.keys() - read.keys()
        return kind(**{name: row[name] for name in names}, **read)

    return Search(
        pk=row["pk"],
        run_identity=row["run_identity"],
        token=row["token"],
        terms=of(Terms, configs=tuple(json.loads(row["configs"]))),
        launch=of(Launch, script_args=tuple(json.loads(row["script_args"]))),
        resources=of(Resources, isolate_gpus=bool(row["isolate_gpus"])),
        limits=of(Limits, retry_timeouts=bool(row["retry_timeouts"])),
        status=SearchStatus(row["status"]),
        stop_reason=row["stop_reason"],
        fence=row["fence"],
        judged=bool(row["judged"]),
    )
