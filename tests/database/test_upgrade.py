"""Databases of every released schema are upgraded in mid-search and go on to the same end.

Beside each NNNN.db lies NNNN.json, what an undisturbed search comes to; its script, which it knows
by its hash, is that of the first release that was stored with it. A new one is made in a folder
that is then removed:

    hbtrack run --max-epochs 9 --passes 2 --workers 2 NNNN.py --space 20 ...   # Ctrl-C half-way
    hbtrack db backup NNNN.db

That of 0005 is maximised, with --max-epochs 18 --min-epochs 2.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from conftest import REFUSAL, ROOT, Hbtrack

from hbtrack.core.streams import stream_of
from hbtrack.database.location import make_search_folder
from hbtrack.database.revision import REVISION
from hbtrack.database.upgrade import prepare_for_writing
from hbtrack.driver.lock import DriverLock
from hbtrack.script.command import sha256_of
from hbtrack.script.probe import ScriptProbe
from hbtrack.store.catalogue import load_search

DATABASES = sorted((ROOT / "tests" / "databases").glob("*.db"))
RELEASED = [file.stem for file in DATABASES]
FIRST_AND_LAST = [
    pytest.param(each, marks=[] if each in (RELEASED[0], RELEASED[-1]) else pytest.mark.slow)
    for each in RELEASED
]

# What must not depend on the upgrade, the interruption or the workers.
GOLDEN = {
    "results": "SELECT pass, bracket, rung, slot, config_id, epochs, status, loss, promoted, reused"
    " FROM results ORDER BY pass, bracket DESC, rung, slot",
    "rungs": "SELECT pass, bracket, rung, epochs, configs_planned, configs_entered, done, failed,"
    " running, promoted, best_loss, cutoff_loss FROM rungs ORDER BY pass, bracket DESC, rung",
    "brackets": "SELECT pass, bracket, status, configs, rungs, evaluations_planned,"
    " evaluations_done, best_loss FROM brackets ORDER BY pass, bracket DESC",
    "leaderboard": "SELECT rank, config_id, loss, epochs, epochs_reached, bracket"
    " FROM leaderboard ORDER BY rank",
    "searches": "SELECT run_identity, status, max_epochs, eta, seed, passes, failure_loss,"
    " evaluations_planned, evaluations_done, evaluations_failed, epochs_planned, epochs_done,"
    " best_loss, best_config_id, best_epochs FROM searches",
}

GOLDEN_SINCE_0005 = {
    "directions": "SELECT maximize, min_epochs, best_objective FROM searches",
    "numbers": "SELECT DISTINCT config, config_id FROM results ORDER BY config",
    "objectives": "SELECT config, epochs, objective FROM leaderboard ORDER BY rank",
    "metrics": "SELECT config, epochs, name, value FROM metrics ORDER BY config, epochs, name",
}


def golden_dump(hbtrack: Hbtrack, release: str) -> dict[str, list[list[object]]]:
    asked = GOLDEN | (GOLDEN_SINCE_0005 if release >= "0005" else {})
    return {name: [list(row) for row in hbtrack.rows(sql)] for name, sql in asked.items()}


@pytest.fixture
def stored(hbtrack: Hbtrack) -> Callable[[str], list[object]]:
    """Puts a stored database in place; the command that goes on with its search."""

    def place(release: str) -> list[object]:
        source = next(file for file in DATABASES if file.stem == release)
        shutil.copyfile(source, hbtrack.database)
        [[sha256, args]] = hbtrack.rows(
            "SELECT DISTINCT a.script_sha256, s.script_args FROM attempts a JOIN searches s"
        )
        script = next(file for file in source.parent.glob("*.py") if sha256_of(file) == sha256)
        moved = shutil.copy(script, hbtrack.folder / "moved.py")
        return ["run", moved, *json.loads(str(args))]

    return place


def parts_of(statement: str) -> list[str]:
    """What a table, index, view or trigger is made of.

    Without white space and quotes, and without the order of a table's constraints: a revision that
    makes a table anew changes those.
    """
    text = " ".join(statement.replace('"', "").split())
    return sorted(re.split(r",? CONSTRAINT | \)(?= WITHOUT|$)", text))


def schema_of(path: Path) -> list[object]:
    """What makes all that a file has, and its marks."""
    with closing(sqlite3.connect(path)) as connection:
        statements = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        return [
            *(parts_of(statement) for [statement] in connection.execute(statements)),
            *connection.execute("SELECT * FROM sqlite_stat1 ORDER BY tbl, idx"),
            *connection.execute("PRAGMA application_id"),
            *connection.execute("PRAGMA user_version"),
            *connection.execute("SELECT version_num FROM alembic_version"),
        ]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The schema of a new database, which is made of the description alone."""
    path = tmp_path_factory.mktemp("new") / "new.db"
    prepare_for_writing(path)
    return schema_of(path)


def test_the_migrations_make_of_an_empty_file_what_the_schema_describes(
    hbtrack: Hbtrack, described: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HBTRACK_DB", str(hbtrack.database))
    command.upgrade(Config(ROOT / "alembic.ini"), "head")
    assert schema_of(hbtrack.database) == described


@pytest.mark.parametrize("release", RELEASED)
def test_a_stored_database_is_upgraded_to_what_the_schema_describes(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], described: list[object], release: str
) -> None:
    stored(release)
    prepare_for_writing(hbtrack.database)
    assert schema_of(hbtrack.database) == described


def answers(path: Path) -> dict[str, list[dict[str, str]]]:
    """All that the views say, row by row, with floats as they are to the last bit."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        views = connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall()
        return {
            view: [
                {key: repr(row[key]) for key in row.keys()}  # noqa: SIM118 - of the row, not of it
                for row in connection.execute(f"SELECT * FROM {view}")
            ]
            for [view] in views
            if view != "data_dictionary"
        }


def in_order(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: list(row.values()))


LOSSES = (
    *((table, "best_loss") for table in ("search", "bracket", "rung", "config")),
    *(("rung", "cutoff_loss"), ("incumbent", "loss"), ("attempt", "loss")),
)


def private(release: str, table: str) -> str:
    """The name of a table then."""
    return f"_{table}" if release >= "0004" else table


@pytest.mark.parametrize("release", [one for one in RELEASED if one < "0005"])
def test_the_views_of_a_stored_database_say_to_the_last_bit_what_they_said_before_its_upgrade(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    stored(release)
    with closing(sqlite3.connect(hbtrack.database)) as connection, connection:
        for name, column in LOSSES:  # as a script may have printed it
            table = private(release, name)
            first = f"(SELECT min(pk) FROM {table} WHERE {column} IS NOT NULL)"
            connection.execute(f"UPDATE {table} SET {column} = -0.0 WHERE pk = {first}")
    before = answers(hbtrack.database)
    prepare_for_writing(hbtrack.database)
    after = answers(hbtrack.database)
    for view, rows in before.items():
        assert in_order({key: row[key] for key in rows[0]} for row in after[view]) == in_order(rows)
        for loss in ("loss", "best_loss", "cutoff_loss"):
            objective = loss.replace("loss", "objective")
            assert all(row.get(loss) == row.get(objective) for row in after[view]), view
    hbtrack.database.unlink()  # with its made-up losses


@pytest.mark.parametrize("release", [one for one in RELEASED if one < "0005"])
def test_the_configs_of_a_stored_database_are_numbered_in_the_order_of_their_sampling(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    stored(release)
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        created = connection.execute(
            f"SELECT config_id FROM {private(release, 'config')} ORDER BY pk"
        ).fetchall()
    prepare_for_writing(hbtrack.database)
    sampled = hbtrack.rows("SELECT config_id FROM results GROUP BY config ORDER BY config")
    assert sampled == created
    positions = "SELECT min(_place.position) FROM _place GROUP BY config_pk ORDER BY config_pk"
    assert (found := hbtrack.rows(positions)) == sorted(found)


def test_an_upgrade_for_which_there_is_no_room_is_told_in_a_sentence(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]]
) -> None:
    stored(RELEASED[0])
    before = dump(hbtrack.database)
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *hbtrack.command("db", "upgrade")]
    result = subprocess.run(
        limited, cwd=hbtrack.folder, env=hbtrack.environment(), capture_output=True, text=True
    )
    assert result.returncode == 1
    assert re.fullmatch(REFUSAL, result.stderr)
    assert dump(hbtrack.database) == before
    hbtrack("db", "upgrade")


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


OLDER = max(release for release in RELEASED if release < REVISION)


@pytest.mark.parametrize(
    "words", [("db", "upgrade"), ("resume",), ("extend", "--passes", 3, "--identity", "*")]
)
def test_a_file_is_not_upgraded_under_a_driver_of_an_older_version(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], words: tuple[object, ...]
) -> None:
    stored(OLDER)
    before, folder = dump(hbtrack.database), make_search_folder(hbtrack.database, 7)
    lock = DriverLock(folder, "another")  # held since before as it is now
    try:
        said = hbtrack(*words, code=4).stderr
    finally:
        lock.release()
    assert (
        f"Another hbtrack, of an older version, is running a search of {hbtrack.database}" in said
    )
    assert f"pid {os.getpid()} on " in said
    assert dump(hbtrack.database) == before
    assert not list(hbtrack.folder.glob("*backup*"))
    assert "Upgraded" in hbtrack("db", "upgrade").stderr, "now that it has ended"


def test_the_schema_of_this_version_has_a_stored_database() -> None:
    assert REVISION in RELEASED


@pytest.mark.parametrize("release", RELEASED)
def test_a_stored_database_is_in_mid_search(release: str) -> None:
    path = next(file for file in DATABASES if file.stem == release)
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        [revision] = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        done, planned = connection.execute(
            "SELECT epochs_done, epochs_planned FROM searches"
        ).fetchone()
    assert revision == release
    assert 0 < done < planned


@pytest.mark.parametrize("release", RELEASED)
def test_fault_93_a_stored_search_goes_on_to_the_end_it_would_have_had(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    hbtrack(*stored(release))
    golden = json.loads((ROOT / "tests" / "databases" / f"{release}.json").read_text())
    # An attempt that is lost runs again, where a failure of the script's own does not come again.
    assert "event=lost" not in hbtrack.log(), hbtrack.log()
    assert golden_dump(hbtrack, release) == golden


@pytest.mark.parametrize("release", FIRST_AND_LAST)
def test_a_stored_search_that_is_extended_draws_by_the_rule_that_it_began_with(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    hbtrack(*stored(release))
    used = [str(config_id) for [config_id] in hbtrack.rows("SELECT config_id FROM leaderboard")]
    used += [str(config_id) for [config_id] in hbtrack.rows("SELECT config_id FROM failures")]
    hbtrack("extend", "--identity", "toy", "--passes", 3)
    first = "SELECT config_id FROM results WHERE pass = 3 AND rung = 0 ORDER BY bracket DESC, slot"
    drawn = tuple(config_id for [config_id] in hbtrack.rows(first))
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        search = load_search(connection, "toy")
    assert search is not None
    assert search.streams == ("seed" if release < "0004" else "seed+identity")
    with ScriptProbe(search.command, 60) as probe:
        probe.identity()
        stream = stream_of(search.streams, "toy")
        assert probe.sample(search.terms, 3, used, stream).config_ids == drawn


@pytest.mark.parametrize("release", FIRST_AND_LAST)
def test_results_recorded_before_an_upgrade_are_kept_and_not_measured_again(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    command = stored(release)
    [[last]] = hbtrack.rows("SELECT max(finished_at) FROM attempts")
    recorded = (
        "SELECT config_id, epochs, attempt, status, loss, finished_at FROM attempts "
        "WHERE (config_id, epochs) IN (SELECT config_id, epochs FROM attempts "
        "WHERE status IN ('done', 'failed') AND finished_at <= ?) ORDER BY 1, 2, 3"
    )
    before = hbtrack.rows(recorded, [last])
    hbtrack(*command)
    assert before
    assert hbtrack.rows(recorded, [last]) == before


@pytest.mark.parametrize("release", RELEASED)
def test_resume_says_where_a_stored_script_was_and_how_to_go_on(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    stored(release)
    refused = hbtrack("resume", code=2).stderr
    [[script]] = hbtrack.rows("SELECT script FROM searches")
    assert str(script) in refused
    assert "hbtrack run --db" in refused


@pytest.mark.parametrize("release", RELEASED)
def test_a_script_with_another_hash_does_not_go_on_with_a_stored_search(
    hbtrack: Hbtrack, stored: Callable[[str], list[object]], release: str
) -> None:
    command = stored(release)
    with Path(str(command[1])).open("a") as script:
        script.write("# edited\n")
    before = golden_dump(hbtrack, release)
    assert "script: stored" in hbtrack(*command, code=4).stderr
    assert golden_dump(hbtrack, release) == before
