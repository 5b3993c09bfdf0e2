"""Every error says where it is explained, and is."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import CONTRACT, ROOT, Hbtrack

from hbtrack.cli.help import page, sections
from hbtrack.cli.parser import make_parser
from hbtrack.errors import HbtrackError

TREES = [ast.parse(path.read_text()) for path in sorted((ROOT / "hbtrack").rglob("*.py"))]
SECTIONS = sections()
FAILURES = re.findall(
    "^### (.*)$", page().read_text().partition("\n## Failures of evaluations\n")[2], re.MULTILINE
)


def strings(node: ast.AST) -> Iterator[str]:
    """The texts of the source; what is filled in is `...`."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
        yield " ".join("".join(map(str, parts)).split())
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield " ".join(node.value.split())
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings(child)


CALLS = [node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call)]


def errors() -> set[str]:
    """The names that errors are raised with."""
    words = [keyword for call in CALLS for keyword in call.keywords if keyword.arg == "see"]
    return {str(word.value.value) for word in words if isinstance(word.value, ast.Constant)}


def error_types() -> set[str]:
    """The error types of evaluations that are no exception's."""
    return {
        str(call.args[0].value)
        for call in CALLS
        if isinstance(call.func, ast.Name)
        and call.func.id in ("_failed", "_printed", "LossRefused")
        if isinstance(call.args[0], ast.Constant)
    }


STRINGS = {text for tree in TREES for text in strings(tree)}


def test_every_error_has_a_section_and_every_section_an_error() -> None:
    assert set(SECTIONS) == errors() | error_types()


def test_no_two_of_what_help_explains_have_one_name() -> None:
    headings = re.findall("^### (.*)$", page().read_text(), re.MULTILINE)
    names = [*headings, *make_parser()[1]]
    assert {name for name in names if names.count(name) > 1} == set()
    assert errors() & error_types() == set()


def test_an_error_without_a_section_cannot_be_raised() -> None:
    with pytest.raises(TypeError):
        HbtrackError("nothing")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", SECTIONS)
def test_what_a_section_quotes_is_how_a_message_begins(name: str) -> None:
    _, quote, rest = SECTIONS[name].split("\n\n", 2)
    begins = " ".join(line.removeprefix("> ") for line in quote.splitlines())
    assert [text for text in STRINGS if text.startswith(begins)], begins
    bold = re.findall(r"^- \*\*(.*?):\*\* ", rest, re.MULTILINE)
    assert bold == (["Why", "Do"] if name in FAILURES else ["Why", "Still holds", "Do"])


def test_the_command_line_ends_an_error_with_its_name(hbtrack: Hbtrack) -> None:
    for words, name in ((("status",), "no-database"), (("nonsense",), "command-line")):
        assert hbtrack(*words, code=None).stderr.splitlines()[-1] == f"More: hbtrack help {name}"


def test_help_prints_the_section_in_lines_that_fit(hbtrack: Hbtrack) -> None:
    text = hbtrack("help", "another-driver").stdout
    assert text.startswith("another-driver\n")
    assert " ".join(text.split("- Do: ")[1].split()).startswith("`hbtrack status` shows how far")
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("words", [(), ("run",), ("db",), ("db", "check"), ("help",)], ids=" ".join)
def test_help_of_a_command_is_what_it_says_with_help_as_an_option(
    hbtrack: Hbtrack, words: tuple[str, ...]
) -> None:
    assert hbtrack("help", *words).stdout == hbtrack(*words, "--help").stdout


@pytest.mark.parametrize("name", ["another-driver", "run"])
def test_explain_is_help_by_another_name(hbtrack: Hbtrack, name: str) -> None:
    assert hbtrack("--explain", name).stdout == hbtrack("help", name).stdout


def test_explain_without_a_name_lists_those_of_the_errors(hbtrack: Hbtrack) -> None:
    assert hbtrack("--explain").stdout.split() == list(SECTIONS)


@pytest.mark.parametrize("word", ["help", "--explain"])
@pytest.mark.parametrize(
    ("name", "near"), [("other-driver", "another-driver"), ("resme", "resume")]
)
def test_an_unknown_name_is_answered_with_the_nearest(
    hbtrack: Hbtrack, word: str, name: str, near: str
) -> None:
    assert f"The nearest: {near}" in hbtrack(word, name, code=3).stderr


def test_the_failures_of_evaluations_are_explained_where_they_are_shown(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "--max-epochs", 1, script(CONTRACT))
    assert "more:  hbtrack help no_output" in hbtrack("errors").stdout


def test_the_page_is_ascii_and_goes_into_the_wheel() -> None:
    assert page() == ROOT / "docs" / "troubleshooting.md"
    assert page().read_bytes().isascii()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packaged = settings["targets"]["wheel"]["force-include"]["docs/troubleshooting.md"]
    assert packaged == f"hbtrack/{page().name}"
