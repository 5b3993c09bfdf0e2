"""What a large search costs does not grow with it: counted in steps, never timed."""

import sqlite3
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import ROOT

from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Terms
from hbtrack.core.schedule import schedule_of
from hbtrack.database.connection import Database
from hbtrack.report.agreement import agreement, compared
from hbtrack.store.facts import load_facts
from hbtrack.store.reading import connected

sys.path.insert(0, str(ROOT / "benchmarks"))

import made
import reading

FEW, MANY = 2, 20
"""Passes of a small and of a large search; of max_epochs 81, 206 evaluations each."""


class Counter:
    """Steps of SQLite's machine, in hundreds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.steps = 0
        connection.set_progress_handler(self._on_progress, 100)

    def _on_progress(self) -> int:
        self.steps += 1
        return 0


def search_of(passes: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Make a search; the steps of the database."""
    counters = []

    @contextmanager
    def counted(*args: object, **options: object) -> Iterator[Database]:
        with real(*args, **options) as database:  # type: ignore[arg-type]
            counters.append(Counter(database.connection))
            yield database

    real = made.writable
    with monkeypatch.context() as patched:
        patched.setattr(made, "writable", counted)
        made.make(path, passes=passes)
    return counters[0].steps


@pytest.mark.slow
def test_ten_times_the_evaluations_cost_ten_times_the_steps_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = search_of(FEW, tmp_path / "few.db", monkeypatch)
    many = search_of(MANY, tmp_path / "many.db", monkeypatch)
    assert many < 1.3 * few * MANY / FEW


_METRICS = """
INSERT INTO _metric (attempt_pk, name, value)
SELECT pk, 'accuracy', 1 - loss FROM _attempt WHERE status = 'done'"""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A small and a large search, by their passes."""
    folder = tmp_path_factory.mktemp("scale")
    paths = {passes: folder / f"{passes}.db" for passes in (FEW, MANY)}
    for passes, path in paths.items():
        made.make(path, passes=passes)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(_METRICS)
    return paths


def cost_of(path: Path) -> dict[str, float]:
    """Steps of each view with its usual filters, for a row of the answer."""
    costs = {}
    with closing(sqlite3.connect(path)) as connection:
        for query, values in reading.queries(connection):
            counter = Counter(connection)
            found = connection.execute(query, values).fetchall()
            costs[query] = counter.steps / max(1, len(found))
    return costs


@pytest.mark.slow
def test_no_view_looks_at_more_for_a_row_where_there_are_ten_times_as_many(
    databases: dict[int, Path],
) -> None:
    few, many = cost_of(databases[FEW]), cost_of(databases[MANY])
    # Which failures are the newest is known when all have been looked at, and nothing else.
    dearer = [query for query in few if many[query] > few[query] + 2 and "DESC" not in query]
    assert not dearer


@pytest.mark.slow
def test_the_plan_of_a_large_search_keeps_less_than_a_kilobyte_of_a_config(
    databases: dict[int, Path],
) -> None:
    with closing(sqlite3.connect(databases[MANY])) as connection:
        facts = load_facts(connection.execute, 1)
    schedule = schedule_of(Terms(81, "3", 0, MANY, 100.0))
    tracemalloc.start()
    plan = rebuild(schedule, MANY, facts)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1000 * len(plan.config_ids())


@pytest.mark.slow
def test_of_a_search_with_many_evaluations_only_some_slots_say_whether_rungs_agree(
    databases: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(str(databases[MANY])) as connection:
        whole = agreement(compared(connection, "model:made"))
        monkeypatch.setattr("hbtrack.report.agreement.COMPARED", 1000)
        some = agreement(compared(connection, "model:made"))
    assert whole
    assert some
    assert whole.n / 8 < some.n < whole.n / 3
    assert some.rho == pytest.approx(whole.rho, abs=0.1)
