"""A search for the made-up machine, in the real store; for tests and benchmarks."""

import sqlite3
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from hbtrack.core.derived import derive
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Command, Facts, Limits, Resources, Terms
from hbtrack.core.schedule import make_schedule, schedule_of
from hbtrack.store.catalogue import create_search
from hbtrack.store.durations import Rows
from hbtrack.store.facts import load_facts
from hbtrack.store.ledger import Ledger

Row = tuple[Any, ...]

COMMAND = Command("/home/me/train.py", "0" * 64, ("--model", "made"), "python", "/home/me")
RESOURCES = Resources(None, "none", multi_gpu="never")

DUMP = {
    "results": "pass, bracket, rung, slot, config_id, epochs, status, loss, promoted, reused",
    "rungs": "pass, bracket, rung, configs_entered, done, failed, promoted, best_loss, cutoff_loss",
    "brackets": "pass, bracket, status, evaluations_planned, evaluations_done, best_loss",
    "searches": "status, evaluations_planned, evaluations_done, evaluations_failed, epochs_planned,"
    " epochs_done, best_loss, best_config_id, best_epochs",
    "leaderboard": "rank, config_id, loss, epochs, epochs_reached, bracket",
}


def create(
    connection: Connection,
    terms: Terms,
    *,
    now: float,
    identity: str = "model:made",
    resources: Resources = RESOURCES,
    limits: Limits = Limits(),  # noqa: B008
) -> int:
    """Write a search of which nothing has started; its private key."""
    return create_search(
        connection,
        identity,
        terms=terms,
        command=COMMAND,
        resources=resources,
        limits=limits,
        derived=derive(Plan(schedule_of(terms), terms.passes), {}),
        now=now,
    )


def own(ledger: Ledger, *, now: float, resources: Resources = RESOURCES) -> Facts:
    """Become the driver of a search; its facts."""
    return ledger.own(
        None,
        host="made-up",
        pid=1,
        command=COMMAND,
        resources=resources,
        limits=Limits(),
        workers=resources.workers or 1,
        isolated=False,
        command_text=("python /home/me/train.py", " --model made"),
        now=now,
    )


def plan_now(query: Rows, search_pk: int) -> Plan:
    """The plan that a driver would have that came now."""
    sql = "SELECT max_epochs, eta, min_epochs, passes FROM _search WHERE pk = ?"
    [(max_epochs, eta, min_epochs, passes)] = query(sql, (search_pk,))
    facts = load_facts(query, search_pk)
    plan = rebuild(make_schedule(max_epochs, Fraction(eta), min_epochs), passes, facts)
    for attempt in facts.open_attempts:
        plan.start(plan.place_of(attempt.config_id, attempt.epochs))
    return plan


def query(path: Path, sql: str, *values: object) -> list[Row]:
    """The rows of a query."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def everything(path: Path) -> list[str]:
    """All that a file says."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def dump(path: Path) -> dict[str, list[Row]]:
    """All that must not depend on workers, order or kills."""
    return {view: sorted(query(path, f"SELECT {what} FROM {view}")) for view, what in DUMP.items()}


def turned_round(found: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """A dump with the negative of every loss: what a search the other way must say."""
    return {view: [_negated(row, DUMP[view].split(", ")) for row in found[view]] for view in found}


def _negated(row: Row, columns: list[str]) -> Row:
    return tuple(
        -value if column.endswith("loss") and value is not None else value
        for column, value in zip(columns, row, strict=True)
    )
