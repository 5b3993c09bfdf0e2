"""How often a command opens the database file for writing: once, whatever it asks and drives."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack

NOTES_OPENINGS = """
import sys
def look(event, arguments):
    if event == "sqlite3.connect" and not str(arguments[0]).endswith("?mode=ro"):
        with open("openings", "a") as file:
            file.write(f"{arguments[0]}\\n")
sys.addaudithook(look)
"""
RUN = ("run", "--max-epochs", 3, TOY, "--fail", 0.5)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search with failures that was stopped."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("interrupted"))
    hbtrack(*RUN, env={"HBTRACK_FAULT": "commit.after:3:stop"}, code=75)
    (hbtrack.folder / "sitecustomize.py").write_text(NOTES_OPENINGS)
    return hbtrack.folder


def openings(hbtrack: Hbtrack, watcher: Path, *words: object) -> list[str]:
    hbtrack(*words, env={"PYTHONPATH": f"{watcher}{os.pathsep}{ROOT}"})
    return (hbtrack.folder / "openings").read_text().splitlines()


@pytest.mark.parametrize(
    "words",
    [
        RUN,
        ("resume",),
        ("extend", "--identity", "toy", "--passes", 2),
        ("retry",),
        ("stop",),
        ("rm", "--identity", "toy", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_on_a_stored_search_opens_the_file_once(
    interrupted: Path, hbtrack: Hbtrack, words: tuple[object, ...]
) -> None:
    shutil.copytree(interrupted, hbtrack.folder, dirs_exist_ok=True)
    assert openings(hbtrack, interrupted, *words) == [str(hbtrack.database)]


def test_a_new_search_opens_the_file_once_after_its_tables_were_made(
    interrupted: Path, hbtrack: Hbtrack
) -> None:
    assert openings(hbtrack, interrupted, *RUN) == [str(hbtrack.database)] * 2
