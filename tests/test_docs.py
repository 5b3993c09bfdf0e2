"""What README and docs say is what happens."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from conftest import DUMMY, ROOT, Hbtrack

import hbtrack
from hbtrack.database.dictionary import DICTIONARY
from hbtrack.queries import named_queries


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of a page."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("docs"))
    hbtrack("run", "--max-epochs", 9, "--workers", 2, DUMMY, "--model", "resnet", "--fail", 0.2)
    return hbtrack


def test_the_readme_has_one_command_to_try_it_and_one_to_test_it() -> None:
    commands = [block.strip() for block in blocks("README.md", "sh")]
    assert [command.split(" && ")[0] for command in commands] == [
        "python3 -m pip install .",
        "python3 -m pip install -e '.[test]'",
    ]


def test_the_smallest_script_of_the_readme_fits(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    (text,) = blocks("README.md", "python")
    hbtrack("run", "--max-epochs", 9, script(text))
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]
    calls = hbtrack.rows("SELECT count(*), count(DISTINCT config_id) FROM attempts")
    assert calls == [(22, 17)]


# --- the page about SQL --------------------------------------------------------------------------

SQL = blocks("docs/sql.md", "sql")


def answer(searched: Hbtrack, query: str) -> list[dict[str, object]]:
    with closing(hbtrack.connect(searched.database)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


@pytest.mark.parametrize("query", SQL)
def test_every_query_of_the_sql_page_gives_rows(searched: Hbtrack, query: str) -> None:
    assert searched.json("sql", query)["rows"]


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs the sqlite3 program")
@pytest.mark.parametrize("query", SQL)
def test_every_query_of_the_sql_page_runs_in_sqlite3(searched: Hbtrack, query: str) -> None:
    words = ["sqlite3", "-readonly", "-json", searched.database, query]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == answer(searched, query)


@pytest.fixture(scope="module")
def exported(searched: Hbtrack) -> Path:
    searched("export", "jsonl", "all")
    return searched.folder / "all"


@pytest.mark.parametrize("query", SQL)
def test_every_query_of_the_sql_page_runs_in_duckdb_over_an_export(
    searched: Hbtrack, exported: Path, query: str
) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        for file in exported.iterdir():
            connection.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM '{file}'")
        rows = connection.execute(query).fetchall()
    assert len(rows) == len(answer(searched, query))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("datasette"), reason="needs datasette")
@pytest.mark.parametrize("query", SQL)
def test_every_query_of_the_sql_page_runs_in_datasette(searched: Hbtrack, query: str) -> None:
    address = f"/hbtrack.json?{urlencode({'sql': query, '_shape': 'array'})}"
    words = ["datasette", searched.database, "--get", address]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == answer(searched, query)


@pytest.mark.parametrize("block", blocks("docs/sql.md", "python"))
def test_every_python_block_of_the_sql_page_runs(
    searched: Hbtrack, exported: Path, block: str
) -> None:
    for package in re.findall(r"^import (\w+)$", block, re.MULTILINE):
        pytest.importorskip(package)
    (searched.folder / "exported").unlink(missing_ok=True)
    (searched.folder / "exported").symlink_to(exported)
    command = [sys.executable, "-c", block]
    result = subprocess.run(
        command, cwd=searched.folder, env=searched.environment(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("block", [*blocks("docs/sql.md", "sh"), *blocks("docs/seeing.md", "sh")])
def test_every_command_of_the_pages_about_what_was_found_runs(
    searched: Hbtrack, tmp_path: Path, block: str
) -> None:
    for program in ("sqlite3", "datasette"):
        if re.search(rf"^{program} ", block, re.MULTILINE) and not shutil.which(program):
            pytest.skip(f"needs {program}")
    shutil.copyfile(searched.database, tmp_path / "hbtrack.db")
    command = 'hbtrack() { "$PYTHON" -m hbtrack "$@"; }\n' + block
    environment = {**searched.environment(), "PYTHON": sys.executable}
    result = subprocess.run(
        ["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout or (tmp_path / "exported").is_dir() or (tmp_path / "page.html").exists()


def test_the_sql_page_names_every_view_and_every_query_with_what_it_answers() -> None:
    text = (ROOT / "docs" / "sql.md").read_text()
    assert not [view for view in DICTIONARY if f"| `{view}` |" not in text]
    for query in named_queries(Path("/nowhere/hbtrack.db")).values():
        assert f"| `@{query.name}` | {query.description} |" in text


# --- the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        command
        for command in re.findall(
            r"^\| `hbtrack ([^`]+)` \|", (ROOT / "README.md").read_text(), re.M
        )
        if "SCRIPT" not in command
    ],
)
def test_every_command_of_the_readme_works(searched: Hbtrack, tmp_path: Path, command: str) -> None:
    words = shlex.split(re.sub(r"\[(.*?)\]", r"\1", command))
    shutil.copytree(searched.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    code = Hbtrack(tmp_path)(*words, code=None).returncode
    assert code == 0 or (words[0] == "retry" and code == 4)  # all of its rungs have promoted


def test_every_relative_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_readme_names_every_module() -> None:
    text = (ROOT / "README.md").read_text()
    modules = {path.stem for path in (ROOT / "hbtrack").rglob("*.py")} - {"__init__", "__main__"}
    cli = {path.stem for path in (ROOT / "hbtrack" / "cli").rglob("*.py")}
    assert not [
        name for name in modules - cli if f"`{name}" not in text and f"{name}.py" not in text
    ]


def test_every_fault_has_a_test_named_after_it_or_says_why_not() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    rows = {
        int(number): text
        for number, text in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    }
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"def test_fault((?:_\d+)+)_", tests)
    tested = {int(number) for name in names for number in name.split("_")[1:]}
    excused = {number for number, text in rows.items() if re.search("Not (tested|promised):", text)}
    assert tested <= set(rows), "a test of a fault that the page does not know"
    assert set(rows) <= tested | excused
