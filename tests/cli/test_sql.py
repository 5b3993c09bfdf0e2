"""Named queries, and `hbtrack sql` around them: what they answer, where they lie, how they look."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT, Hbtrack, Row, make
from terminal import on_terminal

import hbtrack as package
from hbtrack.errors import Conflict, NotFound
from hbtrack.report.queries import named_queries

NAMES = sorted(path.stem for path in (ROOT / "hbtrack" / "report" / "queries").glob("*.sql"))
ASKED_FOR = {
    *("best", "brackets", "failures", "incumbents", "curves", "late-risers", "cost-per-bracket"),
    *("slowest", "worker-busy", "interruptions", "params-vs-loss", "compare-searches"),
    "wide",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Two searches, one of which has many failures."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("made"))
    make(hbtrack, "--max-epochs", 81, "--passes", 1, "--identity", "model:one")
    make(hbtrack, "--max-epochs", 27, "--passes", 2, "--identity", "model:two", "--fail", 0.2)
    return hbtrack


@pytest.fixture(scope="module")
def shuffled(made: Hbtrack, tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """The same with losses that have nothing to do with each other: ranks change at every rung."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("shuffled"))
    shutil.copyfile(made.database, hbtrack.database)
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        connection.execute(
            "UPDATE _attempt SET loss = pk % 1009 * 619 % 1009 / 1009.0 WHERE loss NOT NULL"
        )
        connection.commit()
    return hbtrack


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A stored search with attempts that were interrupted, and others that were run again."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("interrupted"))
    shutil.copyfile(sorted((ROOT / "tests" / "databases").glob("*.db"))[-1], hbtrack.database)
    return hbtrack


def ask(hbtrack: Hbtrack, name: str, identity: str | None = "*") -> list[Row]:
    """The rows of a named query, as the file itself gives them."""
    sql = (ROOT / "hbtrack" / "report" / "queries" / f"{name}.sql").read_text()
    return hbtrack.records(sql, {"identity": identity})


# --- what they answer, against a plain recomputation ---------------------------------------------


def test_every_query_that_was_promised_is_there() -> None:
    assert set(NAMES) == ASKED_FOR


@pytest.mark.parametrize("name", NAMES)
def test_a_named_query_says_what_it_answers_in_a_line_that_fits_a_terminal(name: str) -> None:
    query = named_queries(Path("/nowhere/hbtrack.db"))[name]
    assert query.description
    assert max(map(len, NAMES)) + 3 + len(query.description) <= 80


def test_best_is_the_top_of_each_leaderboard(made: Hbtrack) -> None:
    answer = [(row["run_identity"], row["config_id"], row["loss"]) for row in ask(made, "best")]
    expected = made.rows(
        "SELECT run_identity, config_id, loss FROM leaderboard WHERE rank <= 10 ORDER BY 1, rank"
    )
    assert answer == expected


def test_brackets_show_every_rung_the_most_aggressive_bracket_first(made: Hbtrack) -> None:
    answer = ask(made, "brackets", "model:one")
    assert (
        len(answer) == made.rows("SELECT count(*) FROM rungs WHERE run_identity GLOB '*one'")[0][0]
    )
    assert [row["bracket"] for row in answer if row["rung"] == 0] == [4, 3, 2, 1, 0]


def test_failures_are_counted_by_their_fingerprint(made: Hbtrack) -> None:
    counted = Counter(made.rows("SELECT run_identity, fingerprint, error_type FROM failures"))
    answer = ask(made, "failures")
    expected = sorted((identity, -count, kind) for (identity, _, kind), count in counted.items())
    assert (
        sorted((row["run_identity"], -row["failures"], row["error_type"]) for row in answer)
        == expected
    )
    [[lost]] = made.rows(
        "SELECT sum(a.seconds) FROM attempts AS a "
        "JOIN failures USING (run_identity, config_id, epochs)"
    )
    assert sum(row["seconds"] for row in answer) == pytest.approx(lost, abs=0.01)


def test_curves_are_what_each_promoted_config_measured(made: Hbtrack) -> None:
    curves = defaultdict(list)
    for identity, config_id, epochs, loss in made.rows(
        "SELECT run_identity, config_id, epochs, loss FROM attempts WHERE status = 'done' "
        "ORDER BY epochs"
    ):
        curves[identity, config_id].append((epochs, loss))
    answer = defaultdict(list)
    for row in ask(made, "curves"):
        answer[row["run_identity"], row["config_id"]].append((row["epochs"], row["loss"]))
    assert answer == {key: curve for key, curve in curves.items() if len(curve) > 1}


def test_late_risers_are_those_that_rose_by_half_the_field(shuffled: Hbtrack) -> None:
    places = {
        (row["run_identity"], row["pass"], row["bracket"], row["rung"], row["slot"]): row
        for row in shuffled.records("SELECT * FROM results WHERE status = 'done'")
    }
    fields = defaultdict(list)
    for (*bracket, rung, slot), row in places.items():
        above = places.get((*bracket, rung + 1, slot))  # type: ignore[arg-type]
        if above:
            fields[(*bracket, rung)].append((row, above))
    expected = set()
    for key, field in fields.items():
        before = sorted(field, key=lambda pair: (pair[0]["loss"], pair[0]["slot"]))
        after = sorted(field, key=lambda pair: (pair[1]["loss"], pair[1]["slot"]))
        for pair in field:
            rise = before.index(pair) - after.index(pair)
            if len(field) > 2 and 2 * rise >= len(field):
                expected.add((*key, pair[0]["config_id"]))
    answer = ask(shuffled, "late-risers")
    keys = ("run_identity", "pass", "bracket", "rung", "config_id")
    assert {tuple(row[key] for key in keys) for row in answer} == expected
    assert expected


@pytest.mark.parametrize("which", ["made", "interrupted"])
def test_the_costs_of_all_brackets_are_the_cost_of_the_search(
    which: str, request: pytest.FixtureRequest
) -> None:
    hbtrack: Hbtrack = request.getfixturevalue(which)
    costs = ask(hbtrack, "cost-per-bracket")
    for identity, spent in hbtrack.rows(
        "SELECT run_identity, sum(seconds) FROM attempts GROUP BY 1"
    ):
        own = [row for row in costs if row["run_identity"] == identity]
        assert sum(row["seconds"] for row in own) == pytest.approx(spent, abs=0.01)
        assert sum(row["percent"] for row in own) == pytest.approx(100, abs=1)
        [[trained]] = hbtrack.rows(
            "SELECT epochs_done FROM searches WHERE run_identity = ?", [identity]
        )
        assert sum(row["epochs"] for row in own) == trained


def test_slowest_are_the_longest_attempts(made: Hbtrack) -> None:
    longest = made.rows("SELECT seconds FROM attempts ORDER BY seconds DESC LIMIT 20")
    assert [(row["seconds"],) for row in ask(made, "slowest")] == longest


def test_workers_are_busy_for_the_seconds_of_their_attempts(made: Hbtrack) -> None:
    answer = ask(made, "worker-busy", "model:one")
    assert [row["worker"] for row in answer] == list(range(8))
    [[spent]] = made.rows("SELECT sum(seconds) FROM attempts WHERE run_identity = 'model:one'")
    assert sum(row["busy_seconds"] for row in answer) == pytest.approx(spent, abs=0.01)
    for row in answer:
        assert row["busy_percent"] == pytest.approx(
            100 * row["busy_seconds"] / row["seconds"], abs=0.1
        )
        assert 0 < row["busy_percent"] <= 100


def test_interruptions_are_all_attempts_that_did_not_count(interrupted: Hbtrack) -> None:
    expected = interrupted.rows(
        "SELECT config_id, epochs, attempt FROM attempts "
        "WHERE status IN ('interrupted', 'lost') OR retried NOT NULL ORDER BY 1, 2, 3"
    )
    answer = ask(interrupted, "interruptions")
    assert sorted((row["config_id"], row["epochs"], row["attempt"]) for row in answer) == expected
    assert {row["what"] for row in answer} >= {"attempt interrupted"}


def test_the_bands_of_a_parameter_hold_every_config_once(made: Hbtrack) -> None:
    bands = defaultdict(list)
    for row in ask(made, "params-vs-loss", "model:one"):
        bands[row["name"]].append(row)
    [[configs, best]] = made.rows(
        "SELECT count(*), min(loss) FROM leaderboard WHERE run_identity = 'model:one'"
    )
    for rows_of_name in bands.values():
        assert sum(row["configs"] for row in rows_of_name) == configs
        assert min(row["best_loss"] for row in rows_of_name) == best
        for low, high in pairwise(rows_of_name):
            assert low["to"] < high["from"]
    assert len(bands["lr"]) == 8
    assert all(row["from"] == row["to"] for row in bands["optimiser"])


def test_searches_are_compared_after_equally_many_epochs(made: Hbtrack) -> None:
    answer = {row["run_identity"]: row for row in ask(made, "compare-searches")}
    least = min(row["epochs_done"] for row in answer.values())
    for identity, row in answer.items():
        [[best]] = made.rows(
            "SELECT min(loss) FROM incumbents WHERE run_identity = ? AND epochs_spent <= ?",
            [identity, least],
        )
        assert row["best_at_equal_epochs"] == best


# --- which searches are meant --------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name != "interruptions"])
def test_a_named_query_answers_for_the_searches_of_its_identity(made: Hbtrack, name: str) -> None:
    found = {row["run_identity"] for row in ask(made, name, "model:t*")}
    assert found <= {"model:two"}
    assert found == {row["run_identity"] for row in ask(made, name)} & {"model:two"}


@pytest.mark.parametrize("name", NAMES)
def test_a_named_query_runs_in_other_programs_without_a_parameter(made: Hbtrack, name: str) -> None:
    assert ask(made, name, None) == ask(made, name)


def test_identity_is_exact_or_a_pattern_or_all(made: Hbtrack) -> None:
    query = "SELECT run_identity FROM searches WHERE run_identity GLOB :identity"

    def found(*words: str) -> list[str]:
        return [row["run_identity"] for row in made.json("sql", query, *words)["rows"]]  # type: ignore[attr-defined]

    assert found() == ["model:one", "model:two"]
    assert found("--identity", "model:one") == ["model:one"]
    assert found("--identity", "model:[!o]*") == ["model:two"]


def test_an_identity_that_looks_like_a_pattern_means_itself(home: Hbtrack) -> None:
    with closing(sqlite3.connect(home.database)) as connection:
        for old, new in (("model:one", "a[1]*?"), ("model:two", "a11b")):
            connection.execute(
                "UPDATE _search SET run_identity = ? WHERE run_identity = ?", [new, old]
            )
        connection.commit()
    answer = home.json("sql", "@best", "--identity", "a[1]*?")
    assert {row["run_identity"] for row in answer["rows"]} == {"a[1]*?"}  # type: ignore[attr-defined]


def test_a_query_that_ignores_identity_is_refused(made: Hbtrack) -> None:
    result = made("sql", "SELECT 1", "--identity", "model:one", code=2)
    assert "WHERE run_identity GLOB :identity" in result.stderr


# --- where queries lie ---------------------------------------------------------------------------


@pytest.fixture
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries of the user would lie in a folder that is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def home(made: Hbtrack, tmp_path: Path, no_configuration: None) -> Hbtrack:  # noqa: ARG001
    """The same database in a folder to which queries can be added."""
    shutil.copyfile(made.database, tmp_path / "hbtrack.db")
    return Hbtrack(tmp_path)


def add_query(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.sql"
    path.write_text(text)
    return path


def listed(hbtrack: Hbtrack) -> dict[str, Row]:
    document: Row = hbtrack.json("sql", "--list")
    assert document["schema"] == "hbtrack.queries/1"
    return {row["name"]: row for row in document["queries"]}


def value(hbtrack: Hbtrack, *words: str) -> object:
    answer: Row = hbtrack.json("sql", *words)
    [row] = answer["rows"]
    return next(iter(row.values()))


@pytest.mark.usefixtures("no_configuration")
def test_the_list_needs_no_database_and_names_every_query(tmp_path: Path) -> None:
    assert set(listed(Hbtrack(tmp_path))) == {f"@{name}" for name in NAMES}


def test_a_query_beside_the_database_is_found_by_its_name(home: Hbtrack) -> None:
    path = add_query(home.folder / "hbtrack-queries", "mine", "-- my own\nSELECT 'beside'")
    assert value(home, "@mine") == "beside"
    assert listed(home)["@mine"] == {"name": "@mine", "answers": "my own", "from": str(path)}


def test_the_nearest_query_of_a_name_wins_and_the_list_says_so(home: Hbtrack) -> None:
    of_user = add_query(home.folder / "config" / "hbtrack" / "queries", "best", "SELECT 'user'")
    assert value(home, "@best") == "user"
    beside = add_query(home.folder / "hbtrack-queries", "best", "SELECT 'beside'")
    assert value(home, "@best") == "beside"
    assert listed(home)["@best"]["from"] == f"{beside}, instead of {of_user}"


def test_a_path_after_the_at_sign_is_a_file(home: Hbtrack) -> None:
    add_query(home.folder / "elsewhere", "best", "SELECT 'a file'")
    assert value(home, "@elsewhere/best.sql") == "a file"
    assert value(home, f"@{home.folder}/elsewhere/best.sql") == "a file"


def test_a_query_is_read_from_stdin(home: Hbtrack) -> None:
    asking = home.command("sql", "-", "--format", "csv")
    result = home.process(asking, input="SELECT 7 AS seven")
    assert (result.returncode, result.stdout) == (0, "seven\n7\n")


def test_a_query_that_is_printed_and_saved_answers_the_same(home: Hbtrack) -> None:
    printed = home("sql", "--print", "@late-risers").stdout
    add_query(home.folder / "hbtrack-queries", "copy", printed)
    assert home("sql", "@copy").stdout == home("sql", "@late-risers").stdout


def test_an_unknown_name_is_exit_3_with_near_names_and_the_list(home: Hbtrack) -> None:
    error = home("sql", "@late-riser", code=3).stderr
    assert "late-risers" in error
    assert "hbtrack sql --list" in error
    assert "nothere.sql" in home("sql", "@nothere.sql", code=3).stderr


@pytest.mark.parametrize("content", [b"SELECT '\xff'", b"", b"DELETE FROM _param", b"SELECT \0"])
def test_a_query_file_that_is_no_select_is_a_sentence_and_exit_2(
    home: Hbtrack, content: bytes
) -> None:
    add_query(home.folder / "hbtrack-queries", "bad", "").write_bytes(content)
    assert home("sql", "@bad", code=2).stderr.startswith("hbtrack: ")
    assert "@bad" in listed(home)


def test_hostile_names_and_descriptions_of_queries_harm_nobody(home: Hbtrack) -> None:
    folder = home.folder / "hbtrack-queries"
    add_query(folder, "mine", "-- \x1b[2J\u202e hidden\nSELECT 1")
    add_query(folder, "\x1b[2Jx", "SELECT 1")
    (folder / "pipe.sql").unlink(missing_ok=True)
    os.mkfifo(folder / "pipe.sql")  # reading it would wait for ever
    out = home("sql", "--list").stdout
    assert not {"\x1b", "\u202e"} & set(out)
    assert "@pipe" not in out


# --- how answers look on a terminal --------------------------------------------------------------


def test_a_table_that_fits_the_terminal_is_as_in_a_pipe(made: Hbtrack) -> None:
    words = ("sql", "@best", "--identity", "model:one")
    assert on_terminal(made, 200, *words) == made(*words).stdout


def test_a_table_that_is_too_wide_has_rounded_numbers(made: Hbtrack) -> None:
    shown = on_terminal(made, 30, "sql", "SELECT 1 / 3.0 AS third, 2 / 3.0 AS thirds")
    assert shown.splitlines()[2].split() == ["0.333333", "0.666667"]


def test_a_table_that_is_still_too_wide_is_shown_record_by_record(made: Hbtrack) -> None:
    query = "SELECT 'a\nb' AS lines, '\x1b[2J' AS hostile, NULL AS empty, 'x' AS a_long_name"
    assert on_terminal(made, 30, "sql", query).splitlines() == [
        "--- 1 of 1 ---",
        "lines        a",
        "             b",
        r"hostile      \x1b[2J",
        "empty",
        "a_long_name  x",
    ]


@pytest.mark.parametrize("form", ["csv", "github"])
def test_other_formats_are_the_same_on_a_narrow_terminal(made: Hbtrack, form: str) -> None:
    words = ("sql", "@best", "--identity", "model:one", "--format", form)
    assert on_terminal(made, 30, *words) == made(*words).stdout


# --- in Python -----------------------------------------------------------------------------------


def test_read_gives_the_rows_of_a_view_as_dicts(made: Hbtrack) -> None:
    expected = made.records("SELECT * FROM rungs WHERE run_identity = 'model:two'")
    answer = package.read("rungs", identity="model:two", path=made.database)
    assert sorted(answer, key=str) == sorted(expected, key=str)
    assert answer[0]["bracket"] == 3
    assert package.read("leaderboard", "model:o*", made.database)[0]["rank"] == 1


def test_read_without_an_identity_gives_every_search(
    made: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HBTRACK_DB", str(made.database))
    found = {row["run_identity"] for row in package.read("searches")}
    assert found == {"model:one", "model:two"}


@pytest.mark.parametrize(
    "view", ["nothing", "search", "results; DROP TABLE _param", "sqlite_master"]
)
def test_read_knows_the_views_and_no_other_table(made: Hbtrack, view: str) -> None:
    with pytest.raises(NotFound, match="No view is called"):
        package.read(view, path=made.database)


def test_read_and_connect_refuse_what_commands_refuse(made: Hbtrack, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'model:one'"):
        package.read("results", identity="model:on", path=made.database)
    with pytest.raises(NotFound, match="nothing was created"):
        package.connect(tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(Conflict, match="another program"):
        package.connect(other)


def test_connect_gives_plain_rows_and_cannot_write(made: Hbtrack) -> None:
    with closing(package.connect(made.database)) as connection:
        [row] = connection.execute("SELECT count(*), 'x' FROM searches").fetchall()
        assert row == (2, "x")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM _param")


def test_importing_hbtrack_loads_no_database() -> None:
    code = (
        "import sys, hbtrack; print(sorted({'sqlite3', 'sqlalchemy', 'argparse'} & {*sys.modules}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_the_package_says_that_it_has_types() -> None:
    assert stat.S_ISREG((ROOT / "hbtrack" / "py.typed").stat().st_mode)
