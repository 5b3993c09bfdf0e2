"""The leaderboard with parameters and metrics as columns: in SQL, and as dicts in Python."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Hbtrack, Row

import hbtrack as package
from hbtrack.errors import HbtrackError, NotFound, UsageError
from hbtrack.report.columns import column_of, distinct
from hbtrack.report.queries import WIDE
from hbtrack.report.wide import OWN

JSON_IDS = """
import json, sys
KINDS = [
    dict(opt="adam", bias=True, wd=0, mixed=1),
    dict(opt="sgd", bias=False, wd=0.5, note=None, mixed="none"),
]
def run_identity(argv): return "json"
def get_random_config_id(rng):
    made = dict(lr=rng.randint(1, 1000) / 1000, layers=int(rng.randint(9)))
    kind = KINDS[rng.randint(2)]
    return json.dumps({**made, **kind, "sizes": [1, 2], "loss": "mse", "LR": 3, "text": "0.10"})
if __name__ == "__main__":
    config = json.loads(sys.argv[1])
    epochs = int(sys.argv[sys.argv.index("--epochs") + 1])
    print(f"acc={config['lr']}\\nloss=7\\nlr: 8\\nval/f1: {epochs}")
    print(config["lr"] + 1 / epochs)
"""

PAIRS = """
import sys
def run_identity(argv): return "pairs"
def get_random_config_id(rng): return f"lr:{rng.randint(1, 1000) / 1000}.units:{rng.randint(99)}"
if __name__ == "__main__":
    print(float(sys.argv[1][3:].partition(".units")[0]))
"""

OPAQUE = """
import sys
def run_identity(argv): return "opaque"
def get_random_config_id(rng): return str(rng.randint(10**9))
if __name__ == "__main__":
    print(int(sys.argv[1]) % 97)
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Searches with ids of JSON, of pairs, and such as say nothing."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("wide"))
    for name, text in (("json", JSON_IDS), ("pairs", PAIRS), ("opaque", OPAQUE)):
        (hbtrack.folder / f"{name}_ids.py").write_text(text)
        hbtrack("run", "--max-epochs", 9 if name == "json" else 3, "--workers", 2, f"{name}_ids.py")
    return hbtrack


def wide(hbtrack: Hbtrack, *words: object) -> list[Row]:
    return hbtrack.json("sql", "@wide", *words)["rows"]  # type: ignore[return-value]


def expected(hbtrack: Hbtrack, identity: str, columns: dict[str, tuple[str, str]]) -> list[Row]:
    """The rows put together by hand; `columns` are where each column's value comes from."""
    looked_up = {
        (kind, *row[:-1]): row[-1]
        for kind, select in (
            ("params", "SELECT config_id, name, value FROM params WHERE run_identity = ?"),
            (
                "metrics",
                "SELECT config_id, epochs, name, value FROM metrics WHERE run_identity = ?",
            ),
        )
        for row in hbtrack.rows(select, [identity])
    }
    found = []
    for row in hbtrack.records(
        "SELECT * FROM leaderboard WHERE run_identity = ? ORDER BY rank", [identity]
    ):
        keys = {"params": (row["config_id"],), "metrics": (row["config_id"], row["epochs"])}
        values = {
            column: looked_up.get((kind, *keys[kind], name))
            for column, (kind, name) in columns.items()
        }
        if values.get("mixed") is not None:
            values["mixed"] = str(values["mixed"])  # which is a text in another config
        found.append({name: row[name] for name in OWN} | values)
    return found


OF_JSON = {
    **{name: ("params", name) for name in ("lr", "layers", "opt", "bias", "wd", "sizes", "text")},
    "mixed": ("params", "mixed"),
    **{"note": ("params", "note"), "param:loss": ("params", "loss"), "param:LR": ("params", "LR")},
    **{"acc": ("metrics", "acc"), "val/f1": ("metrics", "val/f1")},
    **{"metric:loss": ("metrics", "loss"), "metric:lr": ("metrics", "lr")},
}


def test_each_config_has_its_parameters_and_the_metrics_of_its_best_budget(
    searched: Hbtrack,
) -> None:
    found = wide(searched, "--identity", "json")
    assert found == expected(searched, "json", OF_JSON)
    assert {row["note"] for row in found} == {None, "null"}


def test_columns_come_as_the_best_id_has_them_between_ours(searched: Hbtrack) -> None:
    [best, *_] = wide(searched, "--identity", "pairs")
    assert list(best) == [*OWN[:3], "lr", "units", *OWN[3:]]


def test_a_column_has_one_type(searched: Hbtrack) -> None:
    text = searched("sql", "@wide", "--print", "--identity", "json").stdout
    types = "SELECT DISTINCT typeof(wd), typeof(layers), typeof(opt), typeof(mixed)"
    assert searched.rows(f"{types} FROM ({text})") == [("real", "integer", "text", "text")]
    found = package.read("leaderboard", "json", searched.database, params=True)
    assert {type(row["mixed"]) for row in found} == {int, str}


def test_a_whole_number_keeps_all_its_digits(copied: Hbtrack) -> None:
    with closing(sqlite3.connect(copied.database)) as connection:
        connection.execute(f"INSERT INTO _param SELECT pk, 'seed', {2**63 - 1} FROM _config")
        connection.commit()
    assert {row["seed"] for row in wide(copied)} == {2**63 - 1}


def test_one_search_has_its_own_columns_and_several_have_those_of_all(searched: Hbtrack) -> None:
    assert list(wide(searched, "--identity", "opaque")[0]) == list(OWN)
    all_of_them = wide(searched)
    assert len(all_of_them) == searched.rows("SELECT count(*) FROM leaderboard")[0][0]
    assert {"units", "opt", "acc"} < set(all_of_them[0])
    both = wide(searched, "--identity", "[!j]*")
    assert {row["run_identity"] for row in both} == {"pairs", "opaque"}
    assert set(both[0]) == {*OWN, "lr", "units"}


@pytest.mark.parametrize("words", [(), ("--identity", "json"), ("--identity", "[!j]*")])
def test_the_query_that_is_printed_gives_the_same_anywhere(
    searched: Hbtrack, words: tuple[str, ...]
) -> None:
    text = searched("sql", "@wide", "--print", *words).stdout
    given = {} if words else {"identity": None}
    assert searched.records(text, given) == wide(searched, *words)


def test_an_identity_is_filled_into_any_query_that_is_printed(searched: Hbtrack) -> None:
    text = searched("sql", "@best", "--print", "--identity", "pairs").stdout
    assert ":identity" not in text
    assert {row["run_identity"] for row in searched.records(text)} == {"pairs"}
    searched("sql", "SELECT 1", "--print", "--identity", "pairs", code=2)


def test_the_file_of_the_query_has_our_columns_alone(searched: Hbtrack) -> None:
    rows = searched.records(WIDE.read_text(), {"identity": None})
    assert tuple(rows[0]) == OWN


def test_a_query_of_ones_own_called_wide_is_meant(copied: Hbtrack) -> None:
    (copied.folder / "hbtrack-queries").mkdir()
    (copied.folder / "hbtrack-queries" / "wide.sql").write_text("SELECT 'mine' AS whose")
    assert wide(copied) == [{"whose": "mine"}]
    assert package.read("@wide", path=copied.database) == [{"whose": "mine"}]
    assert package.read("leaderboard", params=True, path=copied.database)[0]["rank"] == 1


HOSTILE = ['a"b', "it's", "two\nlines", "nul\0inside", ":identity", "-- columns", "rank", "Rank"]


def test_hostile_names_are_columns_like_others(copied: Hbtrack) -> None:
    with closing(sqlite3.connect(copied.database)) as connection:
        for number, name in enumerate(HOSTILE):
            connection.execute(
                "INSERT INTO _param SELECT c.pk, ?, ? FROM _config c JOIN _search s "
                "ON s.pk = c.search_pk WHERE run_identity = 'opaque'",
                [name, number],
            )
        connection.commit()
    [best, *_] = wide(copied, "--identity", "opaque")
    names = ['a"b', "it's", r"two\nlines", r"nul\x00inside", ":identity", "-- columns"]
    assert [best[name] for name in names] == [0, 1, 2, 3, 4, 5]
    assert (best["param:param:rank"], best["param:Rank"]) == (6, 7)
    assert len(best) == len(OWN) + len(HOSTILE)


def test_more_columns_than_a_query_may_have_are_refused(copied: Hbtrack) -> None:
    with closing(sqlite3.connect(copied.database)) as connection:
        connection.execute(
            "INSERT INTO _metric SELECT (SELECT max(pk) FROM _attempt), 'm' || value, 1 "
            "FROM (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n "
            "LIMIT 2000) SELECT value FROM n)"
        )
        connection.commit()
    error = copied("sql", "@wide", code=2).stderr
    assert "metrics" in error
    assert wide(copied, "--identity", "pairs")


def test_an_empty_answer_has_its_columns(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "fails.py").write_text(OPAQUE.replace("print(", "sys.exit("))
    hbtrack("run", "--max-epochs", 1, "fails.py")
    shown = hbtrack("sql", "@wide", "--format", "csv").stdout
    assert shown.splitlines() == [",".join(OWN)]


# --- the rule of names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "taken", "column"),
    [
        ("lr", [], "lr"),
        ("loss", ["loss"], "param:loss"),
        ("Loss", ["loss"], "param:Loss"),
        ("loss", ["loss", "param:loss"], "param:param:loss"),
    ],
)
def test_a_name_that_is_taken_says_whose_it_is(name: str, taken: list[str], column: str) -> None:
    assert column_of(name, taken) == column


def test_repeated_columns_are_numbered() -> None:
    assert distinct(["a", "b", "a", "a", "a_2"]) == ["a", "b", "a_2", "a_3", "a_2_2"]


# --- in Python -----------------------------------------------------------------------------------


def test_read_gives_parameters_as_the_ids_have_them(searched: Hbtrack) -> None:
    found = package.read("leaderboard", "json", searched.database, params=True)
    columns = {"param:loss": "loss", "param:LR": "LR"}
    for row in found:
        own: dict[str, Any] = json.loads(row["config_id"])
        for name, value in own.items():
            column = {theirs: ours for ours, theirs in columns.items()}.get(name, name)
            wanted = "[1, 2]" if name == "sizes" else value
            assert (row[column], type(row[column])) == (wanted, type(wanted)), name
        assert type(row["acc"]) is float
    assert {row["bias"] for row in found} == {True, False}
    assert [list(row) for row in found] == [
        list(row) for row in wide(searched, "--identity", "json")
    ]


def test_read_gives_numbers_of_pairs_as_numbers(searched: Hbtrack) -> None:
    for row in package.read("leaderboard", "pairs", searched.database, params=True):
        assert (type(row["lr"]), type(row["units"])) == (float, int)
        assert row["config_id"] == f"lr:{row['lr']}.units:{row['units']}"


def test_read_answers_named_queries_and_files(searched: Hbtrack, tmp_path: Path) -> None:
    assert package.read("@wide", "json", searched.database) == wide(searched, "--identity", "json")
    best = package.read("@best", "pairs", searched.database)
    assert best == searched.json("sql", "@best", "--identity", "pairs")["rows"]
    (tmp_path / "own.sql").write_text("SELECT 1 AS a, 2 AS a")
    own = f"@{tmp_path / 'own.sql'}"
    assert package.read(own, path=searched.database) == [{"a": 1, "a_2": 2}]


def _older(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
        connection.commit()
    return path


REFUSED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no database": ("path=", lambda folder: package.connect(folder / "none.db")),
    "a folder": ("path=", lambda folder: package.read("results", path=folder)),
    "no SQLite": ("path=", lambda folder: package.connect(_written(folder / "text.db"))),
    "another's": ("path=", lambda folder: package.connect(_made(folder / "other.db"))),
    "older": ("in a shell: hbtrack db upgrade --db", lambda f: package.connect(_older(f / "a.db"))),
    "no view": ("leaderboard", lambda f: package.read("leaderbord", path=f / "a.db")),
    "no query": ("in a shell: hbtrack sql --list", lambda f: package.read("@bst", path=f / "a.db")),
    "no search": ("'json'", lambda f: package.read("results", "jsn", f / "a.db")),
    "no search of a query": ("'json'", lambda f: package.read("@best", "jsn", f / "a.db")),
    "no use for it": ("identity=", lambda f: package.read(_own(f, "SELECT 1"), "json", f / "a.db")),
    "no SQL": ("hbtrack.read(", lambda f: package.read(_own(f, "SELEKT"), path=f / "a.db")),
    "no such column": (
        "hbtrack.read(",
        lambda f: package.read(_own(f, "SELECT x"), path=f / "a.db"),
    ),
    "two": (
        "hbtrack.read(",
        lambda f: package.read(_own(f, "SELECT 1; SELECT 2"), path=f / "a.db"),
    ),
    "none": ("one SELECT", lambda f: package.read(_own(f, ""), path=f / "a.db")),
    "a change": (
        "readonly",
        lambda f: package.read(_own(f, "DELETE FROM _param"), path=f / "a.db"),
    ),
    "of another view": (
        'hbtrack.read("leaderboard", params=True)',
        lambda f: package.read("results", path=f / "a.db", params=True),
    ),
}


def _written(path: Path) -> Path:
    path.write_text("no database " * 100)
    return path


def _made(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    return path


def _own(folder: Path, query: str) -> str:
    (folder / "own.sql").write_text(query)
    return f"@{folder / 'own.sql'}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_python_says_what_to_write_in_python(
    searched: Hbtrack, tmp_path: Path, name: str
) -> None:
    shutil.copyfile(searched.database, tmp_path / "a.db")
    told, refused = REFUSED[name]
    with pytest.raises(HbtrackError) as caught:
        refused(tmp_path)
    text = str(caught.value)
    assert told in text
    assert "--identity" not in text
    assert "--db PATH" not in text
    assert caught.value.see


def test_kinds_of_refusals_are_those_of_the_commands(searched: Hbtrack) -> None:
    with pytest.raises(NotFound):
        package.read("@nothing", path=searched.database)
    with pytest.raises(UsageError):
        package.read("params", path=searched.database, params=True)
