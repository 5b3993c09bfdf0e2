"""`hbtrack` alone: the searches of this folder, or how to start one."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CONTRACT, ROOT, SAMPLER, TOY, Hbtrack, wait_for

from hbtrack.cli.parser import parse

FAILS = (
    SAMPLER
    + """
def run_identity(argv):
    return "fails"
"""
)

WAITS = """
if __name__ == "__main__":
    wait_for("gate")
"""


def next_words(hbtrack: Hbtrack) -> str:
    """What it says to type next."""
    return hbtrack().stdout.splitlines()[-1].removeprefix("Next: ")


def test_where_there_is_no_search_it_says_in_six_lines_how_to_start(hbtrack: Hbtrack) -> None:
    first, *commands = hbtrack().stdout.splitlines()
    assert first.startswith(f"There is no search in {hbtrack.database} yet.")
    typed = [shlex.split(line.strip().partition("  ")[0]) for line in commands]
    assert [words[1] for words in typed] == ["init", "check", "run", "resume", "report"]
    assert [parse(words[1:]).verb for words in typed] == [words[1] for words in typed]
    assert list(hbtrack.folder.iterdir()) == []


def test_an_empty_file_holds_no_search(hbtrack: Hbtrack) -> None:
    hbtrack.database.touch()
    assert hbtrack().stdout.startswith("There is no search in ")


def test_it_shows_what_status_shows_and_a_line_more(hbtrack: Hbtrack) -> None:
    hbtrack("run", "-q", "--max-epochs", 1, TOY)
    assert hbtrack().stdout == (
        hbtrack("status").stdout + "\nNext: hbtrack report (the best), hbtrack help\n"
    )


def test_it_shows_the_searches_of_the_file_that_the_environment_names(hbtrack: Hbtrack) -> None:
    hbtrack("run", "-q", "--max-epochs", 1, "--db", "other.db", TOY)
    assert hbtrack(env={"HBTRACK_DB": "other.db"}).stdout.startswith("run_identity")


def test_of_a_search_that_was_stopped_it_says_where_its_failures_are_and_how_to_go_on(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "-q", "--max-epochs", 3, "--max-failures", 0, script(FAILS), code=1)
    words = next_words(hbtrack).split(", ")
    assert words == ["hbtrack errors (why it stopped)", "hbtrack resume (go on)", "hbtrack help"]


def test_of_a_search_that_runs_it_says_how_to_watch_it(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    started = hbtrack.start(
        "run", script(f"{CONTRACT}\nif __name__ == '__main__': wait_for('gate')")
    )
    wait_for(lambda: hbtrack.database.exists() and "running" in hbtrack().stdout)
    assert next_words(hbtrack).startswith("hbtrack status --watch (live)")
    assert started.poll() is None


@pytest.mark.parametrize("content", ["an older schema", "no database"])
def test_a_file_that_status_refuses_it_refuses_alike(hbtrack: Hbtrack, content: str) -> None:
    if content == "an older schema":
        shutil.copyfile(ROOT / "tests" / "databases" / "0002.db", hbtrack.database)
    else:
        hbtrack.database.write_text("something else, and long enough to be read as a header" * 9)
    alone, status = hbtrack(code=None), hbtrack("status", code=None)
    assert alone.returncode == status.returncode != 0
    assert alone.stderr == status.stderr
    hbtrack.database.unlink()
