"""What README and docs say is what happens."""

import importlib.util
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from itertools import takewhile, zip_longest
from pathlib import Path
from urllib.parse import urlencode

import pytest
from conftest import DUMMY, ROOT, Hbtrack
from test_help import COMMANDS, options_of

import hbtrack
from hbtrack.core.schedule import make_schedule
from hbtrack.database.dictionary import DICTIONARY
from hbtrack.report.queries import named_queries

PAGES = sorted(
    [
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
        *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    ]
)


def fences(page: str | Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page, in order: the language of each, and its text."""
    text = (ROOT / page).read_text()
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def blocks(page: str | Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [text for found, text in fences(page) if found == language]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("docs"))
    hbtrack("run", "--max-epochs", 9, "--workers", 2, DUMMY, "--model", "resnet", "--fail", 0.2)
    return hbtrack


def test_no_text_holds_what_a_merge_left_undecided() -> None:
    names = ["*.md", "docs/**/*.md", "examples/**/*.md"]
    pages = [page for name in names for page in ROOT.glob(name)]
    assert len(pages) > 20
    undecided = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
    assert [page.name for page in pages if undecided.search(page.read_text())] == []


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


def test_the_sql_page_names_every_view_and_every_query_with_what_it_answers() -> None:
    text = (ROOT / "docs" / "sql.md").read_text()
    assert not [view for view in DICTIONARY if f"| `{view}` |" not in text]
    for query in named_queries(Path("/nowhere/hbtrack.db")).values():
        assert f"| `@{query.name}` | {query.description} |" in text


# --- every block of every page -------------------------------------------------------------------
#
# A block in `sh` or `python` is run, those of a page in order in one folder; one in `sql` is run by
# the tests above; one in `text` is no command, but something that is printed.

NOT_RUN = {
    "python3 -m pip install . && python3 -m hbtrack run": ".ci/run types it, in a fresh clone",
    "python3 -m pip install -e '.[test]'": ".ci/run types it, in a fresh clone",
    "python3 -m pip install .": "the same, but for what the README's does afterwards",
    "python3 -m pip install -e '.[docs]'": ".ci/run builds the site",
    "python3 -m pip install -e '.[dev]'": ".ci/run installs it and runs the hooks and the tests",
    "python tests/kill_loop.py": ".ci/run does, with fewer kills",
    "HBTRACK_DB=/tmp/new.db alembic": "would add a migration to the checkout",
    "import argparse, json, os": "the README's script, which has a test of its own",
    "import json, subprocess, sys": "tests/cli/test_not_python.py searches with it",
    "import json, runpy, sys": "tests/cli/test_not_python.py searches with it",
    "hbtrack run --maximize myexp.py": "tests/searches/test_maximize.py searches so",
    "# from tests/recipes/": "a part of a script that tests/test_recipes.py runs",
}
"""How blocks begin that are not run here, each with a reason."""

NEEDS = ("sqlite3", "datasette", "pandas", "polars", "duckdb")
"""Programs and packages without which a block is left out; CI has them all."""

FOLDERS = {
    "docs/sql.md": "searched",
    "docs/clients.md": "searched",
    "docs/seeing.md": "searched",
    "docs/running.md": "mended",
}
"""The fixture whose folder a page's blocks find; an empty one if none."""

SLOW = ["docs/contract.md", "docs/quickstart.md", "docs/resume.md", "docs/running.md"]

MYEXP = """
import pathlib
import sys


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(argv):
    return ":".join(word.strip("-") for word in argv)


if __name__ == "__main__":
    assert not pathlib.Path("broken").exists()
    print(sys.argv[1].removeprefix("x:"))
"""

COMMAND = re.compile(
    r"^(\$ |[A-Z_]+=\S+ )?(hbtrack|python3?|pip|git|cd|export|sqlite3|datasette|sphinx-build) ",
    re.M,
)


@pytest.fixture
def mended(hbtrack: Hbtrack, script: Callable[..., Path]) -> Hbtrack:
    """A search whose script was broken at first."""
    (hbtrack.folder / "broken").touch()
    words = ("run", "--max-epochs", 3, script(MYEXP, "myexp.py"), "--model", "resnet")
    assert not hbtrack(*words).stdout
    (hbtrack.folder / "broken").unlink()
    return hbtrack


def is_left_out(block: str) -> bool:
    """Whether it needs what is not installed."""
    needed = [name for name in NEEDS if re.search(rf"^(import )?{name}\b", block, re.MULTILINE)]
    return not all(shutil.which(name) or importlib.util.find_spec(name) for name in needed)


def run_block(folder: Path, language: str, block: str) -> subprocess.CompletedProcess[str]:
    environment = {**Hbtrack(folder).environment(), "PYTHON": sys.executable}
    shell = 'hbtrack() { "$PYTHON" -m hbtrack "$@"; }; python() { "$PYTHON" "$@"; }\n' + block
    words = ["bash", "-euc", shell] if language == "sh" else [sys.executable, "-c", block]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in PAGES]
)
def test_every_block_of_a_page_runs(
    page: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if page in FOLDERS:
        source = request.getfixturevalue(FOLDERS[page]).folder
        if source != tmp_path:
            shutil.copytree(source, tmp_path, dirs_exist_ok=True, symlinks=True)
    shutil.copy(DUMMY, tmp_path)
    (tmp_path / "myexp.py").write_text(MYEXP)
    for language, block in fences(page):
        if language in ("sh", "python") and not block.startswith(tuple(NOT_RUN)):
            result = None if is_left_out(block) else run_block(tmp_path, language, block)
            assert result is None or result.returncode == 0, f"{block}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_says_what_it_is(page: str) -> None:
    for language, block in fences(page):
        assert language in ("sh", "python", "text") or (page, language) == ("docs/sql.md", "sql")
        assert language != "text" or not COMMAND.search(block), "a command that is not run"
    outside = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.M)
    assert not re.search(r"\n\n    \S", outside), "a block without a fence"


def test_every_block_that_is_not_run_is_there() -> None:
    found = [text for page in PAGES for _, text in fences(page)]
    assert not [begin for begin in NOT_RUN if not any(text.startswith(begin) for text in found)]


def test_what_plan_prints_is_as_the_quick_start_shows_it(hbtrack: Hbtrack) -> None:
    (command, *_), (shown, *_) = (
        [text for text in blocks("docs/quickstart.md", language) if begin in text]
        for language, begin in (("sh", "hbtrack plan"), ("text", "bracket  rung"))
    )
    assert hbtrack(*shlex.split(command)[1:]).stdout == shown


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_has_these_options(page: str) -> None:
    for span in re.findall(r"`hbtrack ([^`]+)`", (ROOT / page).read_text()):
        words = re.sub(r"[][]", "", span).split()
        command = tuple(words[:2]) if tuple(words[:2]) in COMMANDS else tuple(words[:1])
        command = command if command in COMMANDS else ()
        assert command or words[0].startswith("--") or words[0] == "COMMAND", span
        own = takewhile(lambda word: word != "SCRIPT" and not word.endswith(".py"), words)
        typed = {word.split("=")[0] for word in own if word.startswith("--")} - {"--"}
        assert typed <= options_of(command) | {"--help"}, span


# --- the page about Hyperband --------------------------------------------------------------------


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    text = (ROOT / page).read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    _, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_algorithm_1_is_the_schedule() -> None:
    brackets = make_schedule(81, Fraction(3)).brackets
    columns = [
        [f"{rung.configs} \N{MULTIPLICATION SIGN} {rung.epochs}" for rung in b.rungs]
        for b in brackets
    ]
    rows = [list(row) for row in zip_longest(*columns, fillvalue="")]
    found = table("docs/hyperband.md", "The table of Algorithm 1")
    assert found == [[str(number), *row] for number, row in enumerate(rows)]


def test_the_table_of_costs_is_what_the_schedules_cost() -> None:
    for row in table("docs/hyperband.md", "What it costs"):
        schedule = make_schedule(int(row[0]), Fraction(row[1]))
        assert row[2:] == [
            str(len(schedule.brackets)),
            "/".join(str(bracket.configs) for bracket in schedule.brackets),
            str(schedule.configs),
            str(schedule.evaluations),
            str(schedule.epochs),
            f"{schedule.epochs / schedule.max_epochs:.1f}",
            str(schedule.brackets[0].first_epochs),
        ]


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


def anchors(page: Path) -> set[str]:
    """What a repository's browser and the built site call the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_somewhere() -> None:
    for page in [*(ROOT / name for name in PAGES), *(ROOT / "examples").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert name.startswith("https://") or target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


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
