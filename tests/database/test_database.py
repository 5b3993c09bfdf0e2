"""The file itself: its schema and views, how it is opened, upgraded, copied, refused, checked."""

import hashlib
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from conftest import REFUSAL, ROOT, TOY, Hbtrack, tear, wait_for

from hbtrack.core.derived import DERIVED_TABLES
from hbtrack.core.schedule import make_schedule
from hbtrack.database.connection import Database
from hbtrack.database.revision import APPLICATION_ID, REVISION, revision_of
from hbtrack.database.schema import TABLES
from hbtrack.database.upgrade import prepare_for_writing
from hbtrack.driver.rederive import rederive

SEARCH = ("run", "--max-epochs", 9, "--passes", 2, TOY, "--space", 12, "--fail", 0.2)

VIEWS = {
    "searches": "run_identity, status, script, script_args, max_epochs, eta, seed, passes, "
    "failure_loss, evaluations_planned, evaluations_done, evaluations_failed, epochs_planned, "
    "epochs_done, best_loss, best_config_id, best_epochs, created_at, finished_at, stop_reason, "
    "timeout, retries, max_failures, max_time, target_loss, max_streak, max_rest, checkpoints, "
    "script_changes, maximize, min_epochs, best_objective",
    "brackets": "run_identity, pass, bracket, status, configs, rungs, evaluations_planned, "
    "evaluations_done, best_loss, best_objective",
    "rungs": "run_identity, pass, bracket, rung, epochs, configs_planned, configs_entered, done, "
    "failed, running, promoted, best_loss, cutoff_loss, best_objective, cutoff_objective",
    "results": "run_identity, pass, bracket, rung, slot, config_id, epochs, status, loss, "
    "promoted, reused, attempts, gpu, host, started_at, finished_at, seconds, error, objective, "
    "config",
    "attempts": "run_identity, config_id, epochs, attempt, status, loss, exit_code, signal, gpu, "
    "host, pid, command, script_sha256, started_at, finished_at, seconds, error, stdout_tail, "
    "stderr_tail, retried, worker, max_epochs, objective, config, peak_memory, cpu_seconds",
    "failures": "run_identity, config_id, epochs, bracket, rung, error_type, error_message, "
    "error, attempts, finished_at, fingerprint, config",
    "leaderboard": "run_identity, rank, config_id, loss, epochs, epochs_reached, bracket, seconds, "
    "used, objective, config",
    "incumbents": "run_identity, finished_at, epochs_spent, config_id, epochs, loss, objective, "
    "config",
    "params": "run_identity, config_id, name, value, number, text, config",
    "metrics": "run_identity, config_id, epochs, name, value, config",
    "drivers": "run_identity, driver, host, pid, workers, started_at, seen_at, ended_at, "
    "rests_until, rests_because",
}


Answer = subprocess.CompletedProcess[str]
Ask = Callable[..., Answer]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Runs a command in the test's folder, whatever it comes to."""
    return partial(Hbtrack(tmp_path), code=None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search with failures and with ids that stand in several places."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("finished"))
    hbtrack(*SEARCH)
    return hbtrack


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hbtrack]:
    """A search with two scripts in the midst of their first epoch, started under umask 000."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("running"))
    run = ("run", "--gpus", "none", "--workers", 2, "--max-epochs", 9)
    words = (*run, TOY, "--epoch_seconds", 1000)
    driver = subprocess.Popen(
        hbtrack.command(*words),
        cwd=hbtrack.folder,
        env=hbtrack.environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        umask=0,
    )
    wait_for(lambda: hbtrack.log().count("event=start") >= 2 or driver.poll() is not None)
    yield hbtrack
    driver.send_signal(signal.SIGINT)
    driver.communicate()
    assert driver.returncode == 75


def copy(source: Path, target: Path) -> Path:
    """A copy of a database that nobody writes to."""
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
    return target


def content(path: Path) -> list[str]:
    """All that a database says, schema and marks included."""
    with closing(sqlite3.connect(path)) as connection:
        marks = [
            str(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("application_id", "user_version")
        ]
        return [*marks, *connection.iterdump()]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_one_sentence(answer: Answer) -> bool:
    """Whether a refusal is one sentence of hbtrack's on stderr, and nothing on stdout."""
    return not answer.stdout and re.fullmatch(REFUSAL, answer.stderr) is not None


# --- the schema ----------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_its_columns_in_the_documented_order(finished: Hbtrack, view: str) -> None:
    columns = [row[1] for row in finished.rows(f"PRAGMA table_info({view})")]
    assert columns == VIEWS[view].split(", ")


def test_there_are_no_other_views(finished: Hbtrack) -> None:
    views = {row[0] for row in finished.rows("SELECT name FROM sqlite_master WHERE type = 'view'")}
    assert views == {*VIEWS, "data_dictionary"}


def test_the_data_dictionary_documents_exactly_every_column(finished: Hbtrack) -> None:
    documented = finished.rows('SELECT "view", "column", meaning FROM data_dictionary')
    columns = finished.rows(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'view' ORDER BY m.name, c.cid"
    )
    assert sorted(row[:2] for row in documented) == sorted(columns)
    assert all(meaning for *_, meaning in documented)


def test_every_view_has_rows_after_a_search_with_failures(finished: Hbtrack) -> None:
    for view in VIEWS:
        assert finished.rows(f"SELECT count(*) FROM {view}")[0][0]


@pytest.mark.parametrize(
    "view", [view for view, columns in VIEWS.items() if "objective" in columns]
)
def test_losses_and_objectives_compare_as_numbers_also_with_a_text(
    finished: Hbtrack, view: str
) -> None:
    columns = [name for name in VIEWS[view].split(", ") if name.endswith(("loss", "objective"))]
    for column in columns:
        counted = (
            f"SELECT count({column}), total({column} < '1e9'), total(typeof({column}) = 'real')"
        )
        [(there, compared, real)] = finished.rows(f"{counted} FROM {view}")
        assert there == compared == real, column


# --- the leaderboard: stored ranks, or counted ones -----------------------------------------------

RANKED = "SELECT * FROM leaderboard WHERE run_identity = 'toy' ORDER BY rank"


def plan_of(connection: sqlite3.Connection, query: str) -> str:
    return "\n".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))


def test_the_leaderboard_is_the_same_whether_its_ranks_are_stored_or_counted(
    finished: Hbtrack, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(copy(finished.database, tmp_path / "copy.db"))) as connection:
        assert connection.execute("SELECT ranked FROM _search").fetchall() == [(1,)]
        stored = connection.execute(RANKED).fetchall()
        connection.execute("UPDATE _search SET ranked = 0")
        assert connection.execute(RANKED).fetchall() == stored
        assert [row[1] for row in stored] == list(range(1, len(stored) + 1))


def test_a_better_loss_makes_stored_ranks_out_of_date_and_counted_ones_take_their_place(
    finished: Hbtrack, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(copy(finished.database, tmp_path / "copy.db"))) as connection:
        *_, last = connection.execute(RANKED).fetchall()
        better = "UPDATE _config SET best_objective = -1 WHERE config_id = ?"
        connection.execute(better, [last[2]])
        first, *_ = connection.execute(RANKED).fetchall()
        assert (first[1], first[2], first[3]) == (1, last[2], -1)


def test_the_first_of_the_leaderboard_are_read_in_order_and_nothing_is_sorted(
    finished: Hbtrack,
) -> None:
    with closing(sqlite3.connect(finished.database)) as connection:
        stored, _, counted = plan_of(connection, RANKED).partition("RIGHT")
    assert "USING INDEX ix_config_rank" in stored
    assert "ORDER BY" not in stored
    assert "USING COVERING INDEX ix_config_leaderboard" in counted


@pytest.mark.parametrize(
    ("view", "where", "index"),
    [
        ("results", "config_id = 'x'", "ix_place_config_pk"),
        ("results", "pass = 1 AND bracket = 0", "sqlite_autoindex__place_1"),
        (
            "failures",
            "config_id = 'x'",
            "sqlite_autoindex__config_1 (search_pk=? AND config_id=?)",
        ),
        ("results", "config = 3", "uq_config_number (number=? AND search_pk=?)"),
        ("attempts", "config = 3", "uq_config_number (number=? AND search_pk=?)"),
        ("attempts", "finished_at IS NULL", "uq_attempt_open"),
        ("rungs", "pass = 1 AND bracket = 0", "uq_attempt_open"),
    ],
)
def test_a_usual_filter_finds_its_rows_by_an_index(
    finished: Hbtrack, view: str, where: str, index: str
) -> None:
    query = f"SELECT * FROM {view} WHERE run_identity = 'toy' AND {where}"
    with closing(sqlite3.connect(finished.database)) as connection:
        assert index in plan_of(connection, query)


# --- the file -------------------------------------------------------------------------------------


def test_the_file_says_whose_it_is_and_which_version(finished: Hbtrack) -> None:
    assert finished.rows("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert finished.rows("PRAGMA user_version") == [(int(REVISION),)]


def test_the_revision_that_hbtrack_asks_for_is_the_head_of_the_migrations() -> None:
    script = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert script.get_heads() == [REVISION]


# --- keys and checks -----------------------------------------------------------------------------

_ATTEMPT = (
    "INSERT INTO _attempt (evaluation_pk, attempt, driver_pk, worker, gpu, status, loss, watched, "
    "started_at, finished_at) SELECT evaluation_pk, 100 + n.column1, driver_pk, worker, gpu, {}, 0,"
    " started_at, {} FROM (SELECT * FROM _attempt WHERE status = {} LIMIT 1), (VALUES (1), (2)) n"
)


def copied(table: str) -> str:
    """The statement that puts a copy of each row beside it, under another key."""
    [columns] = [found.columns for found in TABLES if found.name == table]
    names = ", ".join(column.name for column in columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(_ATTEMPT.format("'running', NULL", "NULL", "'failed'"), id="two-open"),
        pytest.param(_ATTEMPT.format("'done', 1.0", "started_at", "'failed'"), id="two-results"),
        pytest.param(_ATTEMPT.format("'done', NULL", "started_at", "'failed'"), id="no-loss"),
        pytest.param(
            f"{copied('_attempt')} WHERE status = 'failed' LIMIT 1", id="same-attempt-number"
        ),
        "UPDATE _attempt SET status = 'ended'",
        "UPDATE _attempt SET status = NULL",
        "UPDATE _attempt SET status = 'done', loss = NULL WHERE status = 'done'",
        "UPDATE _attempt SET loss = NULL WHERE status = 'done'",
        "UPDATE _attempt SET loss = 0.5 WHERE status = 'failed'",
        "UPDATE _attempt SET status = 'failed' WHERE status = 'done'",
        "UPDATE _attempt SET status = NULL, loss = NULL WHERE status = 'done'",
        "UPDATE _search SET status = 'paused'",
        "UPDATE _search SET status = NULL",
        "UPDATE _bracket SET status = 'finished'",
        "UPDATE _bracket SET status = NULL",
        "UPDATE _place SET promoted = 2",
        "UPDATE _place SET slot = 0",
        "UPDATE _place SET config_pk = 100000",
        "UPDATE _evaluation SET config_pk = (SELECT min(pk) FROM _config), epochs = 3",
        "UPDATE _config SET config_id = 'x:1'",
        "UPDATE _config SET number = 1",
        "UPDATE _rung SET rung = 0",
        "UPDATE _bracket SET first_epochs = 1",
        pytest.param(copied("_search"), id="same-identity"),
        pytest.param(copied("_driver"), id="same-fence"),
        "DELETE FROM _evaluation",
    ],
)
def test_the_schema_refuses_what_cannot_be(
    finished: Hbtrack, tmp_path: Path, statement: str
) -> None:
    with closing(sqlite3.connect(copy(finished.database, tmp_path / "copy.db"))) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)


@pytest.mark.parametrize(
    ("one", "other"), [("a", "A"), ("\u00e9", "e\u0301"), ("1", "1.0"), ("a", "a ")]
)
def test_ids_that_differ_in_a_byte_are_different_configs(
    finished: Hbtrack, tmp_path: Path, one: str, other: str
) -> None:
    with closing(sqlite3.connect(copy(finished.database, tmp_path / "copy.db"))) as connection:
        insert = "INSERT INTO _config (search_pk, config_id, seconds) VALUES (1, ?, 0)"
        connection.executemany(insert, [(one,), (other,)])
        found = "SELECT count(*) FROM _config WHERE config_id = ?"
        assert connection.execute(found, [other]).fetchone() == (1,)


# --- how it is opened ----------------------------------------------------------------------------


def test_fault_15_99_hbtrack_writes_with_wal_full_sync_and_foreign_keys(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "some.db")) as database:
        found = {
            name: database.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }


def test_no_concurrent_read_modify_write_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("CREATE TABLE counter (n); INSERT INTO counter VALUES (0)")

    def count(_: int) -> None:
        with closing(Database(path, busy_seconds=600)) as database:
            for _ in range(30):
                with database.transaction() as connection:
                    (n,) = connection.execute("SELECT n FROM counter").fetchone()
                    connection.execute("UPDATE counter SET n = ?", (n + 1,))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT n FROM counter").fetchone() == (240,)


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "some.db")) as database:
        with suppress(KeyboardInterrupt), database.transaction() as connection:
            connection.execute("CREATE TABLE counter (n)")
            raise KeyboardInterrupt
        assert database.connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_opening_waits_for_one_who_writes_before_the_file_is_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, check_same_thread=False)) as writer:
        writer.execute("CREATE TABLE counter (n)")
        writer.execute("BEGIN IMMEDIATE")
        ends = threading.Timer(0.2, writer.rollback)
        ends.start()
        try:
            with closing(Database(path)) as database:
                mode = database.connection.execute("PRAGMA journal_mode").fetchone()[0]
        finally:
            ends.join()
    assert mode == "wal"


_STAMPEDE = """
import os, sys, traceback
from pathlib import Path
import alembic.command, sqlalchemy
from hbtrack.database.upgrade import prepare_for_writing

gate, starter = os.pipe()
children = []
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(starter)
            os.read(gate, 1)
            prepare_for_writing(Path(sys.argv[1]))
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    children.append(child)
os.close(starter)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def stampede(hbtrack: Hbtrack, processes: int, env: dict[str, str] | None = None) -> None:
    """That many processes prepare the database at once; all must succeed."""
    words = [sys.executable, "-c", _STAMPEDE, str(hbtrack.database), str(processes)]
    result = subprocess.run(
        words,
        cwd=hbtrack.folder,
        env=hbtrack.environment(env),
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("question", [1, 2, 3])
def test_fault_80_a_file_that_another_process_makes_between_two_questions_is_not_foreign(
    tmp_path: Path, question: int
) -> None:
    path = tmp_path / "new.db"
    path.touch(mode=0o600)
    asked: list[str] = []

    def made_by_another(statement: str) -> None:
        asked.append(statement)
        if len(asked) == question:
            prepare_for_writing(path)

    with closing(sqlite3.connect(path)) as connection:
        connection.set_trace_callback(made_by_another)
        assert revision_of(connection, path) in (None, REVISION)
        assert revision_of(connection, path) == REVISION


def test_fault_80_twenty_processes_at_once_on_an_empty_path_make_one_sound_schema(
    hbtrack: Hbtrack, finished: Hbtrack
) -> None:
    stampede(hbtrack, 20)
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert hbtrack.rows(schema) == finished.rows(schema)
    assert hbtrack.rows("SELECT * FROM alembic_version") == [(REVISION,)]
    assert [file.name for file in hbtrack.folder.glob("*backup*")] == []


# --- the next version ----------------------------------------------------------------------------

NEXT = "9999"

_NEXT_REVISION = """
import os, signal
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {next!r}, {this!r}, None, None


def upgrade():
    op.create_table("extra", sa.Column("pk", sa.Integer(), primary_key=True))
    with op.batch_alter_table("_config", recreate="always") as batch:
        batch.add_column(sa.Column("colour", sa.Text()))
    {step}


def downgrade():
    pass
"""


def make_checkout(folder: Path, *, step: str | None = None) -> Path:
    """A copy of this checkout; with a `step`, a version whose next migration ends with that."""
    ignored = shutil.ignore_patterns("*.pyc.*")  # a cache that is just being written
    for name in ("hbtrack", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "alembic.ini", folder)
    if step is not None:
        text = _NEXT_REVISION.format(next=NEXT, this=REVISION, step=step)
        (folder / "migrations" / "versions" / f"{NEXT}_next.py").write_text(text)
        known = folder / "hbtrack" / "database" / "revision.py"
        own, new = f'REVISION = "{REVISION}"', f'REVISION = "{NEXT}"'
        assert own in known.read_text()
        known.write_text(known.read_text().replace(own, new))
    return folder


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which `hbtrack` is a later version with another schema."""
    return {"PYTHONPATH": str(make_checkout(tmp_path_factory.mktemp("next"), step="pass"))}


@pytest.fixture
def older(finished: Hbtrack, tmp_path: Path) -> Hbtrack:
    """A folder with a database of this version, which the next one finds old."""
    hbtrack = Hbtrack(tmp_path)
    copy(finished.database, hbtrack.database)
    return hbtrack


READING = [
    ("report",),
    ("status",),
    ("sql", "SELECT 1"),
    ("db", "check"),
    ("db", "backup", "other.db"),
]
WRITING = [SEARCH, ("resume",), ("db", "upgrade")]

WORDS = [*READING, *WRITING]


def name_of(words: tuple[object, ...]) -> str:
    return "-".join(map(str, words[:2] if words[0] == "db" else words[:1]))


@pytest.mark.parametrize("words", READING, ids=name_of)
def test_reading_an_older_database_is_refused_and_changes_nothing(
    older: Hbtrack, next_version: dict[str, str], words: tuple[str, ...]
) -> None:
    before = sha256(older.database)
    result = older(*words, env=next_version, code=4)
    assert "hbtrack db upgrade" in result.stderr
    assert sha256(older.database) == before
    assert not [file for file in older.folder.iterdir() if not file.match("hbtrack.db*")]


@pytest.mark.parametrize("words", WRITING, ids=name_of)
def test_writing_commands_upgrade_an_older_database_and_keep_a_private_backup(
    older: Hbtrack, next_version: dict[str, str], words: tuple[str, ...]
) -> None:
    before, rows = content(older.database), older.rows("SELECT * FROM results")
    result = subprocess.run(
        older.command(*words),
        cwd=older.folder,
        env=older.environment(next_version),
        capture_output=True,
        text=True,
        umask=0,
    )
    backup = older.folder / f"hbtrack.db.backup-{REVISION}"
    assert result.returncode == 0
    assert str(backup) in result.stderr
    assert content(backup) == before
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert older.rows("SELECT version_num FROM alembic_version") == [(NEXT,)]
    assert older.rows("SELECT * FROM results") == rows
    older("db", "check", env=next_version)


def test_an_upgrade_keeps_every_earlier_backup(
    older: Hbtrack, next_version: dict[str, str]
) -> None:
    earlier = older.folder / f"hbtrack.db.backup-{REVISION}"
    earlier.write_text("precious")
    older("db", "upgrade", env=next_version)
    assert earlier.read_text() == "precious"
    assert len(list(older.folder.glob("*backup*"))) == 2


def test_eight_processes_at_once_upgrade_an_older_database_once(
    older: Hbtrack, next_version: dict[str, str]
) -> None:
    before, rows = content(older.database), older.rows("SELECT * FROM results")
    stampede(older, 8, next_version)
    assert older.rows("SELECT * FROM results") == rows
    assert [content(file) for file in older.folder.glob("*backup*")] == [before]


def test_upgrading_twice_says_that_it_is_up_to_date(older: Hbtrack) -> None:
    assert "up to date" in older("db", "upgrade").stderr
    assert not list(older.folder.glob("*backup*"))


BROKEN = {
    "sql-error": 'op.execute("INSERT INTO nowhere VALUES (1)")',
    "exception": 'raise ValueError("half-way")',
    "broken-reference": 'op.execute("UPDATE _place SET config_pk = 100000")',
}
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    "step",
    [
        *(pytest.param(step, id=name, marks=pytest.mark.slow) for name, step in BROKEN.items()),
        pytest.param(KILLED, id="killed"),
    ],
)
def test_a_migration_that_fails_half_way_is_told_changes_nothing_and_can_be_tried_again(
    older: Hbtrack, next_version: dict[str, str], tmp_path: Path, ask: Ask, step: str
) -> None:
    before, rows = content(older.database), older.rows("SELECT * FROM results")
    broken = make_checkout(tmp_path / "broken", step=step)
    code = -9 if step == KILLED else 1
    result = older("db", "upgrade", env={"PYTHONPATH": str(broken)}, code=code)
    assert is_one_sentence(result) or step == KILLED
    assert content(older.database) == before
    assert ask("report").returncode == 0
    older("db", "upgrade", env=next_version)
    assert older.rows("SELECT * FROM results") == rows


@pytest.mark.parametrize("words", WORDS, ids=name_of)
def test_fault_92_a_database_of_a_newer_version_is_refused_and_not_touched(
    older: Hbtrack, ask: Ask, words: tuple[str, ...]
) -> None:
    with closing(sqlite3.connect(older.database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [NEXT])
    before = sha256(older.database)
    answer = ask(*words)
    assert answer.returncode == 4
    assert is_one_sentence(answer)
    assert "newer" in answer.stderr
    assert sha256(older.database) == before


def test_a_database_that_a_newer_version_upgraded_is_refused(
    older: Hbtrack, next_version: dict[str, str], ask: Ask
) -> None:
    older("db", "upgrade", env=next_version)
    assert ask("report").returncode == 4
    assert ask(*SEARCH).returncode == 4


# --- alembic in a checkout -----------------------------------------------------------------------


def alembic(
    checkout: Path, *words: str, database: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "HBTRACK_DB")}
    if database:
        env["HBTRACK_DB"] = str(database)
    command = [sys.executable, "-m", "alembic", *words]
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


def test_alembic_works_on_hbtrack_db_in_the_working_directory_by_default(checkout: Path) -> None:
    assert alembic(checkout, "upgrade", "head").returncode == 0
    assert (checkout / "hbtrack.db").stat().st_size
    assert f"{REVISION} (head)" in alembic(checkout, "current").stdout


@pytest.mark.parametrize(("step", "head"), [(None, ["(head)"]), ("pass", [])], ids=["same", "old"])
def test_alembic_current_names_the_revision_and_changes_nothing(
    older: Hbtrack, tmp_path: Path, step: str | None, head: list[str]
) -> None:
    before = content(older.database)
    checkout = make_checkout(tmp_path / "checkout", step=step)
    result = alembic(checkout, "current", database=older.database)
    assert result.stdout.split() == [REVISION, *head]
    assert content(older.database) == before


@pytest.mark.parametrize("words", [("current",), ("upgrade", "head")], ids=" ".join)
def test_alembic_does_not_touch_another_programs_file(
    checkout: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = foreign(tmp_path / "other.db")
    before = sha256(path)
    alembic(checkout, *words, database=path)
    assert sha256(path) == before


@pytest.mark.parametrize("words", [(), ("--autogenerate",)], ids=["by hand", "autogenerate"])
def test_alembic_revision_makes_the_next_migration(
    checkout: Path, older: Hbtrack, words: tuple[str, ...]
) -> None:
    make = ("revision", "-m", "more of it", "--rev-id", NEXT, *words)
    result = alembic(checkout, *make, database=older.database)
    assert result.returncode == 0, result.stderr
    text = (checkout / "migrations" / "versions" / f"{NEXT}_more_of_it.py").read_text()
    assert f"down_revision = {REVISION!r}" in text
    assert "op." not in text  # nothing has drifted
    script = ScriptDirectory.from_config(Config(checkout / "alembic.ini"))
    assert script.get_heads() == [NEXT]


# --- files that are not ours ---------------------------------------------------------------------


def foreign(path: Path) -> Path:
    """Another program's SQLite file, which by chance has a view of one of our names."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE VIEW results AS SELECT a FROM t"
        )
    return path


def foreign_with_alembic(path: Path) -> Path:
    with closing(sqlite3.connect(foreign(path))) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", [REVISION])
    return path


def foreign_without_tables(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 1234")
    return path


def foreign_in_wal_mode(path: Path) -> Path:
    """Left by its program with commits that are only in its -wal file."""
    with closing(sqlite3.connect(path.with_name("origin"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        shutil.move(path.with_name("origin"), path)
        shutil.move(path.with_name("origin-wal"), path.with_name(path.name + "-wal"))
    path.with_name("origin-shm").unlink(missing_ok=True)
    return path


def text_file(path: Path) -> Path:
    path.write_text("lr,loss\n0.1,0.5\n" * 100)
    return path


FOREIGN = [foreign, foreign_with_alembic, foreign_without_tables, foreign_in_wal_mode]


@pytest.mark.parametrize("words", WORDS, ids=name_of)
@pytest.mark.parametrize("make", [*FOREIGN, text_file])
def test_fault_94_a_file_that_is_not_hbtracks_is_refused_and_not_touched(
    ask: Ask, tmp_path: Path, make: Callable[[Path], Path], words: tuple[str, ...]
) -> None:
    path = make(tmp_path / "hbtrack.db")
    before, files = sha256(path), set(tmp_path.iterdir())
    answer = ask(*words)
    assert answer.returncode == (1 if make is text_file else 4)
    assert is_one_sentence(answer)
    assert str(path) in answer.stderr
    assert sha256(path) == before
    assert {file for file in tmp_path.iterdir() if not file.name.endswith("-shm")} >= files
    assert not {file for file in tmp_path.iterdir() if not file.match("hbtrack.db*")}


@pytest.mark.parametrize("words", [*READING, *WRITING[1:]], ids=name_of)
def test_fault_84_a_file_of_no_bytes_is_no_database_yet(
    ask: Ask, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "hbtrack.db").touch()
    answer = ask(*words)
    assert answer.returncode == 3
    assert is_one_sentence(answer)
    assert [(file.name, file.stat().st_size) for file in tmp_path.iterdir()] == [("hbtrack.db", 0)]


def test_fault_84_run_takes_a_file_of_no_bytes_as_new(hbtrack: Hbtrack) -> None:
    hbtrack.database.touch()
    hbtrack("run", "--max-epochs", 1, TOY)
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


@pytest.mark.parametrize("words", [*READING, *WRITING[1:]], ids=name_of)
def test_where_there_is_no_database_none_is_made(
    ask: Ask, tmp_path: Path, words: tuple[str, ...]
) -> None:
    answer = ask(*words)
    assert answer.returncode == 3
    assert is_one_sentence(answer)
    for word in ("no hbtrack database", str(tmp_path / "hbtrack.db"), "--db", "hbtrack run"):
        assert word in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", READING, ids=name_of)
@pytest.mark.parametrize(
    "path", ["nowhere/some.db", ".", "x" * 300, "~nobody-of-that-name/x.db", "hbtrack.db/x.db"]
)
def test_a_database_path_that_cannot_be_is_refused_in_a_sentence(
    ask: Ask, older: Hbtrack, path: str, words: tuple[str, ...]
) -> None:
    assert older.database.exists()
    answer = ask(*words, "--db", path)
    assert answer.returncode in (1, 2, 3)
    assert is_one_sentence(answer)


@pytest.mark.parametrize("words", WORDS, ids=name_of)
def test_a_database_cut_short_is_refused_in_a_sentence(
    ask: Ask, older: Hbtrack, words: tuple[str, ...]
) -> None:
    os.truncate(older.database, 5000)
    before = sha256(older.database)
    answer = ask(*words)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert sha256(older.database) == before


# --- db path, db backup --------------------------------------------------------------------------


def test_the_database_is_db_else_hbtrack_db_else_the_one_here(ask: Ask, tmp_path: Path) -> None:
    for value, name in (("from_variable.db", "from_variable.db"), ("", "hbtrack.db")):
        env = {"HBTRACK_DB": value}
        assert ask("db", "path", env=env).stdout == f"{tmp_path / name}\n"
        typed = ask("db", "path", "--db", "typed.db", env=env).stdout
        assert typed == f"{tmp_path / 'typed.db'}\n"
    assert ask("db", "path").stdout == f"{tmp_path / 'hbtrack.db'}\n"
    assert list(tmp_path.iterdir()) == []


def test_fault_96_a_backup_of_a_database_in_use_is_whole_and_private(
    running: Hbtrack, tmp_path: Path, ask: Ask
) -> None:
    copied = tmp_path / "copied.db"
    before = os.umask(0)
    try:
        assert ask("db", "backup", copied, "--db", running.database).returncode == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert content(copied) == content(running.database)
    assert list(tmp_path.iterdir()) == [copied]
    assert ask("db", "check", "--db", copied).returncode == 0


def test_a_backup_overwrites_nothing(older: Hbtrack, ask: Ask) -> None:
    target = older.folder / "precious.db"
    target.write_text("precious")
    assert ask("db", "backup", target).returncode == 2
    assert target.read_text() == "precious"


def test_a_backup_to_a_place_that_is_not_there_leaves_nothing(older: Hbtrack, ask: Ask) -> None:
    answer = ask("db", "backup", "nowhere/copy.db")
    assert answer.returncode == 1
    assert is_one_sentence(answer)
    assert not [file for file in older.folder.iterdir() if not file.match("hbtrack.db*")]


def test_a_backup_that_runs_out_of_room_leaves_nothing(older: Hbtrack, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    limited = ["sh", "-c", 'ulimit -f 32; exec "$@"', "sh"]
    command = older.command("db", "backup", target / "copy.db")
    result = subprocess.run(
        [*limited, *command],
        cwd=older.folder,
        # Python may store a module cut off at the limit, and nothing can import it from then on.
        env=older.environment({"PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert is_one_sentence(result)
    assert list(target.iterdir()) == []


# --- privacy, and readers beside a writer --------------------------------------------------------


def test_nothing_beside_the_database_is_for_other_users_even_under_umask_000(
    running: Hbtrack,
) -> None:
    files = [*running.folder.glob("hbtrack.db*"), *running.folder.glob("hbtrack.db.d/**/*")]
    names = {file.name for file in files}
    assert names >= {"hbtrack.db", "hbtrack.db-wal", "hbtrack.db-shm", "hbtrack.db.d"}
    assert {
        str(file): oct(file.lstat().st_mode) for file in files if file.lstat().st_mode & 0o077
    } == {}


def test_the_sqlite3_program_reads_every_view_while_a_search_runs(running: Hbtrack) -> None:
    program = shutil.which("sqlite3")
    if not program:
        pytest.skip("there is no sqlite3 program here")
    counts = "".join(f"SELECT '{view}', count(*) FROM (SELECT * FROM {view});" for view in VIEWS)
    command = [program, str(running.database), counts]
    result = subprocess.run(command, capture_output=True, text=True)
    found = dict(line.split("|") for line in result.stdout.splitlines())
    assert (result.returncode, result.stderr) == (0, "")
    empty = ("failures", "leaderboard", "incumbents", "metrics")
    assert {view for view, count in found.items() if int(count)} == set(VIEWS) - set(empty)


def test_a_search_that_runs_passes_the_check(running: Hbtrack, ask: Ask) -> None:
    assert ask("db", "check", "--db", running.database).returncode == 0


# --- db check ------------------------------------------------------------------------------------


def test_the_untouched_database_passes_the_check(finished: Hbtrack, ask: Ask) -> None:
    assert ask("db", "check", "--db", finished.database).returncode == 0


def off_by(amount: float, table: str, *columns: str) -> list[str]:
    """For each of these columns, a statement that makes it wrong in the first row of the table."""
    first = f"pk = (SELECT min(pk) FROM _{table})"
    return [f"UPDATE _{table} SET {name} = {name} + {amount} WHERE {first}" for name in columns]


def other_value(table: str, column: str) -> str:
    """A statement that gives another value to a column that follows from the facts, in one row."""
    column = {"config_id": "config_pk", "source_epochs": "evaluation_pk"}.get(column, column)
    more = f"{column} + {'1e-9' if column.endswith('loss') else 1}"
    special = {"best_config_id": "'x:none'", "status": "'running'", "promoted": "NOT promoted"}
    value = special.get(column, more) if table != "rung" else more
    where = f"pk = (SELECT min(pk) FROM _{table} WHERE {column} IS NOT NULL)"
    return f"UPDATE _{table} SET {column} = {value} WHERE {where}"


OTHER_VALUES = [
    other_value(table, column)
    for table in ("search", "bracket", "rung", "place", "config")
    for column in DERIVED_TABLES[table].columns
]


@pytest.mark.parametrize(
    "statement",
    [
        *OTHER_VALUES,
        # places
        "UPDATE _place SET promoted = NULL WHERE pk = (SELECT min(pk) FROM _place)",
        "UPDATE _place SET evaluation_pk = NULL WHERE pk = (SELECT max(pk) FROM _place)",
        "UPDATE _place SET slot = 100 WHERE pk = (SELECT max(pk) FROM _place)",
        "DELETE FROM _place WHERE pk = (SELECT max(p.pk) FROM _place p JOIN _rung r "
        "ON r.pk = p.rung_pk WHERE r.rung > 0)",
        "DELETE FROM _place WHERE pk = (SELECT min(pk) FROM _place)",
        # evaluations and attempts
        "UPDATE _attempt SET loss = -1.0 "
        "WHERE pk = (SELECT max(pk) FROM _attempt WHERE status = 'done')",
        "UPDATE _attempt SET loss = loss + 1 "
        "WHERE pk = (SELECT min(pk) FROM _attempt WHERE status = 'done')",
        "UPDATE _attempt SET status = 'failed', loss = NULL "
        "WHERE pk = (SELECT min(pk) FROM _attempt WHERE status = 'done')",
        "UPDATE _attempt SET status = 'done', loss = 0.0 "
        "WHERE pk = (SELECT min(pk) FROM _attempt WHERE status = 'failed')",
        "UPDATE _attempt SET status = 'lost', loss = NULL "
        "WHERE pk = (SELECT min(pk) FROM _attempt WHERE status = 'done')",
        "UPDATE _attempt SET status = 'running', loss = NULL, finished_at = NULL "
        "WHERE pk = (SELECT max(pk) FROM _attempt WHERE status = 'done')",
        "UPDATE _attempt SET finished_at = NULL "
        "WHERE pk = (SELECT max(pk) FROM _attempt WHERE status = 'done')",
        "UPDATE _attempt SET attempt = 2 WHERE pk = (SELECT max(pk) FROM _attempt)",
        "INSERT INTO _attempt (evaluation_pk, attempt, driver_pk, worker, gpu, status, watched, "
        "started_at, finished_at) SELECT evaluation_pk, 2, driver_pk, 1, 0, 'failed', 1, "
        "started_at, finished_at FROM _attempt WHERE pk = (SELECT min(pk) FROM _attempt)",
        "DELETE FROM _attempt WHERE pk = (SELECT max(pk) FROM _attempt)",
        "UPDATE _evaluation SET attempt_pk = NULL WHERE pk = 1",
        "UPDATE _evaluation SET place_pk = NULL WHERE pk = 1",
        *off_by(1, "evaluation", "attempts", "attempt_pk", "place_pk", "epochs"),
        # the schedule
        "UPDATE _rung SET rung = 7 WHERE pk = 3",
        "DELETE FROM _rung WHERE pk = (SELECT max(pk) FROM _rung)",
        "UPDATE _bracket SET first_epochs = 2 WHERE pk = 1",
        "UPDATE _bracket SET pass = 3 WHERE pass = 2",
        "UPDATE _search SET max_epochs = 27",
        "UPDATE _search SET max_epochs = 0",
        "UPDATE _search SET passes = 1",
        "UPDATE _search SET eta = '4'",
        "UPDATE _search SET eta = 'three'",
        # summaries
        *off_by(1, "incumbent", "evaluation_pk"),
        *off_by(1e-9, "incumbent", "objective"),
        "UPDATE _search SET best_objective = NULL",
        "UPDATE _search SET status = 'unfinished'",
        "UPDATE _rung SET promoted = NULL WHERE pk = 2",
        "UPDATE _config SET best_objective = NULL WHERE best_objective IS NOT NULL",
        "UPDATE _config SET seconds = seconds + 1",
        "UPDATE _config SET rank = rank + 1 WHERE rank > 2",
        "UPDATE _config SET rank = NULL WHERE rank = 1",
        "UPDATE _config SET number = number + 1 WHERE number = (SELECT max(number) FROM _config)",
        "UPDATE _config SET number = NULL WHERE number = 2",
        "UPDATE _incumbent SET epochs_spent = 10000 WHERE pk = 1",
        "DELETE FROM _incumbent WHERE pk = (SELECT max(pk) FROM _incumbent)",
        "DELETE FROM _incumbent",
        "INSERT INTO _incumbent SELECT 100, search_pk, evaluation_pk, finished_at, epochs_spent, "
        "objective FROM _incumbent WHERE pk = 1",
    ],
)
def test_the_check_finds_what_does_not_follow_from_the_facts(
    older: Hbtrack, ask: Ask, statement: str
) -> None:
    with closing(sqlite3.connect(older.database)) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    answer = ask("db", "check")
    assert answer.returncode == 1
    assert answer.stdout.strip()


def test_all_that_follows_is_written_anew_as_it_was(older: Hbtrack, finished: Hbtrack) -> None:
    with closing(Database(older.database)) as database, database.transaction() as connection:
        for statement in OTHER_VALUES:
            if "config_pk" not in statement:  # what was sampled is a fact
                connection.execute(statement)
        rederive(connection, 1, make_schedule(9, Fraction(3)), 2)
        connection.execute("UPDATE _search SET ranked = 1")
    assert content(older.database) == content(finished.database)


def test_the_check_names_each_search_and_keeps_to_the_one_that_is_asked_for(
    older: Hbtrack, ask: Ask
) -> None:
    with closing(sqlite3.connect(older.database)) as connection, connection:
        connection.execute("UPDATE _search SET run_identity = 'other', epochs_done = 1")
    assert ask("db", "check").stdout.startswith("other: ")
    assert ask("db", "check", "--identity", "toy").returncode == 3


@pytest.fixture
def damaged(older: Hbtrack, finished: Hbtrack, ask: Ask) -> Callable[..., dict[int, Answer]]:
    """Asks once for each page of the file, with that page overwritten; the answers by page."""

    def every_page(*words: object) -> dict[int, Answer]:
        answers = {}
        for page in range(older.database.stat().st_size // 4096):
            older.database.unlink()
            with copy(finished.database, older.database).open("r+b") as file:
                file.seek(page * 4096)
                file.write(b"\xa5" * 4096)
            try:
                answers[page] = ask(*words)
            except Exception as error:
                answers[page] = Answer(words, -1, "", repr(error))
        return answers

    return every_page


def test_fault_91_the_check_finds_every_page_that_was_overwritten(
    damaged: Callable[..., dict[int, Answer]],
) -> None:
    answers = damaged("db", "check")
    assert {page: answer for page, answer in answers.items() if answer.returncode != 1} == {}


@pytest.mark.parametrize(
    "words", [("report",), ("status",), ("sql", "SELECT * FROM results"), ("resume",)], ids=name_of
)
def test_fault_91_a_damaged_database_gives_an_answer_or_a_sentence(
    damaged: Callable[..., dict[int, Answer]], words: tuple[str, ...]
) -> None:
    answers = damaged(*words)
    wrong = {
        page: answer
        for page, answer in answers.items()
        if answer.returncode != 0 and not (answer.returncode == 1 and is_one_sentence(answer))
    }
    assert wrong == {}


@pytest.mark.parametrize("words", WORDS, ids=name_of)
def test_a_commit_that_a_kill_interrupted_is_taken_back_by_every_command(
    older: Hbtrack, finished: Hbtrack, ask: Ask, words: tuple[str, ...]
) -> None:
    tear(older.database)
    assert ask(*words).returncode == 0
    assert older.dump() == finished.dump()


@pytest.mark.parametrize("words", WORDS, ids=name_of)
def test_a_file_whose_making_was_killed_is_empty_for_every_command(
    ask: Ask, tmp_path: Path, words: tuple[str, ...]
) -> None:
    tear(tmp_path / "hbtrack.db")
    answer = ask(*words)
    assert answer.returncode == (0 if words in (SEARCH, ("db", "upgrade")) else 3), answer.stderr


def test_a_file_that_is_no_database_is_not_left_open(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"no database at all " * 100)
    with pytest.raises(sqlite3.DatabaseError):  # whose traceback still knows the connection
        Database(path)
    assert path not in [file.resolve() for file in Path("/proc/self/fd").iterdir()]


@pytest.mark.parametrize("words", [("run", TOY), ("resume",), ("status",), ("db", "check")])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link to a fifo"])
def test_what_is_no_file_is_refused_and_never_opened(
    hbtrack: Hbtrack, words: tuple[object, ...], kind: str
) -> None:
    path = Path("/dev/null") if kind == "device" else hbtrack.folder / "x.db"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a fifo":
        os.mkfifo(hbtrack.folder / "fifo")
        path.symlink_to("fifo")
    db = ("--db", path)
    command = (*words, *db) if words[0] != "run" else ("run", *db, *words[1:])
    result = hbtrack.process(hbtrack.command(*command), timeout=60)  # in a process that may hang
    assert result.returncode == 2
    assert "no-file" in result.stderr
