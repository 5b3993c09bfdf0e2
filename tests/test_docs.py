"""What README and docs say is what happens."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DUMMY, ROOT, Hbtrack


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of a page."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("docs"))
    hbtrack("run", "--max-epochs", 9, DUMMY, "--model", "resnet")
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


@pytest.mark.parametrize("query", blocks("docs/sql.md", "sql"))
def test_every_query_of_the_sql_page_gives_rows(searched: Hbtrack, query: str) -> None:
    rows = searched.json("sql", query)["rows"]
    assert rows or "failures" in query


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
def test_every_command_of_the_readme_works(searched: Hbtrack, command: str) -> None:
    words = shlex.split(re.sub(r"\[(.*?)\]", r"\1", command))
    code = searched(*words, code=None).returncode
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
