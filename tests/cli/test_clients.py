"""What people read a database with: the views as sqlite3 has them, finished and being written."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import Hbtrack, Row, wait_for

import hbtrack as package

pytestmark = [
    pytest.mark.slow,
    # Of the libraries themselves, which are none of ours to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

SCRIPT = """
import json, os, sys, time
def run_identity(argv): return "read"
def get_random_config_id(rng):
    kind = ["adam", "sgd"][rng.randint(2)]
    return json.dumps({"lr": rng.rand(), "layers": int(rng.randint(9)), "opt": kind,
        "wd": [0, 0.5][rng.randint(2)], "loss": "mse", "large": 2**53 + int(rng.randint(9))})
if __name__ == "__main__":
    config, epochs = json.loads(sys.argv[1]), int(sys.argv[sys.argv.index("--epochs") + 1])
    ends = time.monotonic() + 300
    while epochs == 9 and not os.path.exists("gate") and time.monotonic() < ends:
        time.sleep(0.01)
    print(f"acc={config['lr'] / 3}\\nval/f1: {epochs}")
    print(config["lr"] + 1 / epochs)
"""

QUESTIONS = {
    "leaderboard": "SELECT * FROM leaderboard ORDER BY rank",
    # `value` is what the id has, of several types, which no column of a frame can be. How many
    # digits `text` has of a number is another version of SQLite's own affair.
    "params": "SELECT run_identity, config_id, name, number, config FROM params "
    "WHERE number IS NOT NULL ORDER BY config, name",
    "params that are texts": "SELECT run_identity, config_id, name, text, config FROM params "
    "WHERE number IS NULL ORDER BY config, name",
    "metrics": "SELECT * FROM metrics ORDER BY config, epochs, name",
    "wide": "@wide",
}


class Asked:
    """A question to a database, and what sqlite3 answers."""

    def __init__(self, hbtrack: Hbtrack, name: str) -> None:
        self.hbtrack, self.name, self.database = hbtrack, name, hbtrack.database
        self.sql = QUESTIONS[name]
        if self.sql.startswith("@"):
            self.sql = hbtrack("sql", self.sql, "--print", "--identity", "read").stdout
        self.rows = hbtrack.records(self.sql)


def with_pandas(asked: Asked) -> list[Row]:
    pandas = pytest.importorskip("pandas")
    with closing(package.connect(asked.database)) as connection:
        frame = pandas.read_sql_query(asked.sql, connection)
    numbers = frame.select_dtypes("number").columns
    assert {*numbers} == {name for name, value in asked.rows[0].items() if type(value) is not str}
    return [
        {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124
        for row in frame.to_dict("records")
    ]


def with_polars(asked: Asked) -> list[Row]:
    polars = pytest.importorskip("polars")
    with closing(package.connect(asked.database)) as connection:
        frame = polars.read_database(asked.sql, connection, infer_schema_length=None)
    return frame.to_dicts()  # type: ignore[no-any-return]


def with_connectorx(asked: Asked) -> list[Row]:
    pytest.importorskip("pyarrow")
    connectorx = pytest.importorskip("connectorx")
    table = connectorx.read_sql(f"sqlite://{asked.database}", asked.sql, return_type="arrow")
    return table.to_pylist()  # type: ignore[no-any-return]


def with_adbc(asked: Asked) -> list[Row]:
    pytest.importorskip("pyarrow")
    adbc = pytest.importorskip("adbc_driver_sqlite.dbapi")
    uri = f"file:{asked.database}?mode=ro"
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(asked.sql)
        return cursor.fetch_arrow_table().to_pylist()  # type: ignore[no-any-return]


def with_duckdb(asked: Asked) -> list[Row]:
    """Attached, where the views' own types tell DuckDB all; else what hbtrack writes."""
    duckdb = pytest.importorskip("duckdb")
    folder = asked.hbtrack.folder / f"duckdb-{asked.name.replace(' ', '-')}"
    sql = asked.sql
    with duckdb.connect() as connection:
        if asked.name == "wide":
            text = asked.hbtrack("sql", "@wide", "--format", "csv").stdout
            folder.with_suffix(".csv").write_text(text)
            sql = f"FROM '{folder}.csv'"
        elif "params" in asked.name:
            asked.hbtrack("export", "jsonl", folder)
            connection.execute(f"CREATE VIEW params AS FROM '{folder}/params.jsonl'")
        else:
            scanner = pytest.importorskip("duckdb_extension_sqlite_scanner")
            version = f"extensions/v{duckdb.__version__}/sqlite_scanner.duckdb_extension"
            extension = Path(scanner.__file__).parent / version
            if not extension.exists():
                pytest.skip("the extension is for another version of DuckDB")
            connection.execute(f"LOAD '{extension}'")
            connection.execute(f"ATTACH '{asked.database}' AS h (TYPE sqlite, READ_ONLY)")
            connection.execute("USE h")
        answer = connection.execute(sql)
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def with_datasette(asked: Asked) -> list[Row]:
    address = f"/hbtrack.json?{urlencode({'sql': asked.sql, '_shape': 'array'})}"
    return json.loads(_said("datasette", asked.database, "--get", address))  # type: ignore[no-any-return]


def with_sqlite_utils(asked: Asked) -> list[Row]:
    return json.loads(_said("sqlite-utils", "query", asked.database, "--", asked.sql))  # type: ignore[no-any-return]


RSQLITE = r"""
if (!requireNamespace("RSQLite", quietly = TRUE)) quit(status = 77)
args <- commandArgs(trailingOnly = TRUE)
connection <- DBI::dbConnect(RSQLite::SQLite(), args[1], flags = RSQLite::SQLITE_RO)
rows <- DBI::dbGetQuery(connection, args[2])
DBI::dbDisconnect(connection)
cell <- function(x) {
  if (inherits(x, "integer64") || is.integer(x)) return(as.character(x))
  if (is.numeric(x)) return(ifelse(is.na(x), NA, paste0(sprintf("%.17g", x), "f")))
  paste0("'", x)
}
rows[] <- lapply(rows, cell)
write.table(rows, sep = "\t", quote = FALSE, row.names = FALSE, na = "")
"""


def with_rsqlite(asked: Asked) -> list[Row]:
    lines = _said("Rscript", "-e", RSQLITE, asked.database, asked.sql).splitlines()
    names, *rows = (line.split("\t") for line in lines)
    return [dict(zip(names, map(_of_r, row), strict=True)) for row in rows]


def _of_r(cell: str) -> object:
    if cell.startswith("'"):
        return cell[1:]
    if not cell:
        return None
    return float(cell[:-1]) if cell.endswith("f") else int(cell)


def _said(program: str, *words: object) -> str:
    """What a program prints, which lies beside this Python or on PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"needs {program}")
    result = subprocess.run([found, *map(str, words)], capture_output=True, text=True)
    if result.returncode == 77:
        pytest.skip(f"{program} lacks what it needs")
    assert result.returncode == 0, result.stderr
    return result.stdout


CLIENTS = [
    *(with_pandas, with_polars, with_connectorx, with_adbc),
    *(with_duckdb, with_datasette, with_sqlite_utils, with_rsqlite),
]


def kinds(rows: list[Row]) -> dict[str, set[type]]:
    """The types of the values that each column has, but for NULL."""
    return {name: {type(row[name]) for row in rows if row[name] is not None} for name in rows[0]}


def plain(rows: list[Row]) -> list[Row]:
    """Truth values as SQLite has them, in what DuckDB says of a comparison."""
    return [
        {
            name: int(value) if value is True or value is False else value
            for name, value in row.items()
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("finished"))
    (hbtrack.folder / "script.py").write_text(SCRIPT)
    (hbtrack.folder / "gate").touch()
    hbtrack("run", "--max-epochs", 9, "script.py")
    return hbtrack


@pytest.fixture(scope="module")
def being_written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hbtrack]:
    """A search that is at work on what takes longest; at the end it has lost nothing."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("being-written"))
    (hbtrack.folder / "script.py").write_text(SCRIPT)
    process = hbtrack.start("run", "--workers", 2, "--max-epochs", 9, "script.py")
    waiting = "SELECT count(*) FROM attempts WHERE status = 'running' AND epochs = 9"
    with closing(process.stderr):  # type: ignore[type-var]
        wait_for(lambda: hbtrack.database.exists() and _answers(hbtrack, waiting) == 2)
        yield hbtrack
        assert process.poll() is None
        (hbtrack.folder / "gate").touch()
        assert process.wait(120) == 0
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]
    hbtrack("db", "check")


def _answers(hbtrack: Hbtrack, query: str) -> object:
    try:
        return hbtrack.rows(query)[0][0]
    except sqlite3.OperationalError:  # there are no views yet
        return None


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("state", ["finished", "being_written"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_it_reads_what_sqlite3_reads_with_its_types(
    client: Callable[[Asked], list[Row]], state: str, name: str, request: pytest.FixtureRequest
) -> None:
    asked = Asked(request.getfixturevalue(state), name)
    found = plain(client(asked))
    assert asked.rows
    assert found == asked.rows
    assert kinds(found) == kinds(asked.rows)


def test_what_is_asked_for_has_all_that_frames_have_trouble_with(finished: Hbtrack) -> None:
    wide: dict[str, Any] = kinds(Asked(finished, "wide").rows)
    assert {name: wide[name] for name in ("lr", "layers", "opt", "wd", "large", "acc")} == {
        **{"lr": {float}, "layers": {int}, "opt": {str}},
        **{"wd": {float}, "large": {int}, "acc": {float}},
    }
    assert kinds(Asked(finished, "params").rows)["number"] == {float}
    assert kinds(Asked(finished, "params that are texts").rows)["text"] == {str}


def test_frames_of_what_read_gives_have_the_types_of_the_ids(finished: Hbtrack) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    rows = package.read("leaderboard", "read", finished.database, params=True)
    frame = pandas.DataFrame(rows)
    assert [frame[name].dtype.kind for name in ("lr", "layers", "wd", "large", "acc")] == [*"fifif"]
    schema = polars.DataFrame(rows, infer_schema_length=None, strict=False).schema
    numbers = [polars.Float64, polars.Int64, polars.Float64, polars.Int64, polars.Float64]
    assert [schema[name] for name in ("lr", "layers", "wd", "large", "acc")] == numbers
