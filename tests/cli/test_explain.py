"""Every error says where it is explained, and is."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import CONTRACT, ROOT, Hbtrack

from hbtrack.cli.explain import page, sections
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


def named() -> set[str]:
    """The names that errors are raised with, and the error types of evaluations."""
    calls = [node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call)]
    words = [keyword for call in calls for keyword in call.keywords if keyword.arg == "see"]
    found = [word.value.value for word in words if isinstance(word.value, ast.Constant)]
    failures = [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id in ("_failed", "_printed", "LossRefused")
        if isinstance(call.args[0], ast.Constant)
    ]
    return {str(name) for name in [*found, *failures]}


STRINGS = {text for tree in TREES for text in strings(tree)}


def test_every_error_has_a_section_and_every_section_an_error() -> None:
    assert set(SECTIONS) == named()


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
    for words, name in ((("status",), "no-database"), (("nonsense",), "usage")):
        assert hbtrack(*words, code=None).stderr.splitlines()[-1] == (
            f"More: hbtrack --explain {name}"
        )


def test_explain_prints_the_section_in_lines_that_fit(hbtrack: Hbtrack) -> None:
    text = hbtrack("--explain", "another-driver").stdout
    assert text.startswith("another-driver\n")
    assert " ".join(text.split("- Do: ")[1].split()).startswith("`hbtrack status` shows how far")
    assert max(map(len, text.splitlines())) <= 80


def test_explain_lists_all_names_and_refuses_others(hbtrack: Hbtrack) -> None:
    assert hbtrack("--explain").stdout.split() == list(SECTIONS)
    assert "another-driver" in hbtrack("--explain", "other-driver", code=3).stderr


def test_the_failures_of_evaluations_are_explained_where_they_are_shown(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "--max-epochs", 1, script(CONTRACT))
    assert "more:  hbtrack --explain no_output" in hbtrack("errors").stdout


def test_the_page_is_ascii_and_goes_into_the_wheel() -> None:
    assert page() == ROOT / "docs" / "troubleshooting.md"
    assert page().read_bytes().isascii()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packaged = settings["targets"]["wheel"]["force-include"]["docs/troubleshooting.md"]
    assert packaged == f"hbtrack/{page().name}"
