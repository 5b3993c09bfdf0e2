"""What is no Python script is refused before anything is written, with a script that starts it."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from conftest import REFUSAL, Hbtrack

TRAIN = """#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in --lr) lr=$2 ;; --layers) layers=$2 ;; --epochs) epochs=$2 ;; esac
    shift 2
done
[ -n "$lr" ] || exit 3
echo "training for $epochs epochs"
echo "final loss: 0.$layers$epochs"
"""

CELLS = ["lr, layers, epochs = 0.01, 2, 1", "loss = lr * layers / epochs\n", "print('loss:', loss)"]

SHOWN = re.compile(r"\n\n(import .*?)\n\n?More: hbtrack help ([\w-]+)\n", re.DOTALL)


def write_notebook(path: Path) -> None:
    empty = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**empty, "source": cell} for cell in CELLS]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    )


def save_wrapper(hbtrack: Hbtrack, script: str) -> str:
    """Copy the lines that the refusal of a script shows into the file that it names."""
    refusal = hbtrack("run", script, code=2).stderr
    ((code, _),) = SHOWN.findall(refusal)
    name = refusal.split("hbtrack check ")[1].split()[0]
    (hbtrack.folder / name).write_text(code + "\n")
    return name


@pytest.mark.parametrize("verb", ["run", "check"])
@pytest.mark.parametrize("name", ["train.sh", "notebook.ipynb"])
def test_nothing_is_written_and_the_lines_to_copy_are_those_of_its_section(
    hbtrack: Hbtrack, verb: str, name: str
) -> None:
    (hbtrack.folder / name).write_text("{}")
    refusal = hbtrack(verb, name, code=2).stderr
    ((code, see),) = SHOWN.findall(refusal)
    assert hbtrack("help", see).stdout.rstrip().endswith(code.rstrip())
    assert [path.name for path in hbtrack.folder.iterdir()] == [name]


def test_the_wrapper_of_a_shell_script_searches_it(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "train.sh").write_text(TRAIN)
    hbtrack("run", "-q", "--max-epochs", 3, save_wrapper(hbtrack, "train.sh"))
    found = hbtrack.records("SELECT run_identity, evaluations_failed FROM searches")
    assert found == [{"run_identity": "train.sh", "evaluations_failed": 0}]
    for row in hbtrack.records("SELECT config_id, epochs, loss FROM results"):
        layers = json.loads(row["config_id"])["layers"]
        assert row["loss"] == float(f"0.{layers}{row['epochs']}")


def test_what_a_shell_script_ends_with_is_what_its_wrapper_ends_with(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "train.sh").write_text("echo 0.5\nexit 3\n")
    hbtrack("run", "-q", "--max-epochs", 1, save_wrapper(hbtrack, "train.sh"), code=None)
    assert {row["exit_code"] for row in hbtrack.records("SELECT exit_code FROM attempts")} == {3}


@pytest.mark.parametrize("by", ["nbconvert", "hand"])
def test_the_wrapper_of_a_notebook_searches_what_was_exported_of_it(
    hbtrack: Hbtrack, by: str
) -> None:
    write_notebook(hbtrack.folder / "notebook.ipynb")
    wrapper, exported = save_wrapper(hbtrack, "notebook.ipynb"), hbtrack.folder / "notebook.py"
    if by == "hand":
        exported.write_text("\n\n".join(["#!/usr/bin/env python", *CELLS]))
    elif importlib.util.find_spec("nbconvert"):
        hbtrack.process([sys.executable, "-m", "nbconvert", "--to", "python", "notebook.ipynb"])
    else:
        pytest.skip("needs nbconvert")
    exported.write_text(exported.read_text().replace(CELLS[0], ""))
    hbtrack("run", "-q", "--max-epochs", 3, wrapper)
    for row in hbtrack.records("SELECT config_id, epochs, loss FROM results"):
        config = json.loads(row["config_id"])
        assert row["loss"] == config["lr"] * config["layers"] / row["epochs"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.sh", b"echo 0.5", ["sh", "train.sh"]),
        ("train.sh", b"#!/usr/bin/env -S bash -e\necho 0.5", ["bash", "train.sh"]),
        ("train", b"#!/bin/bash\necho 0.5", ["bash", "train"]),
        ("train.R", b"cat(0.5)", ["Rscript", "train.R"]),
        ("train.jl", b"println(0.5)", ["julia", "train.jl"]),
        ("train", b"\x7fELF\x02\x01", ["./train"]),
        ('a "b".sh', b"echo 0.5", ["sh", 'a "b".sh']),
    ],
)
def test_the_wrapper_starts_the_file_that_was_typed_by_what_runs_it(
    hbtrack: Hbtrack, name: str, content: bytes, words: list[str]
) -> None:
    (hbtrack.folder / name).write_bytes(content)
    text = (hbtrack.folder / save_wrapper(hbtrack, name)).read_text()
    line = next(line for line in text.splitlines() if line.startswith("COMMAND = "))
    assert json.loads(line.removeprefix("COMMAND = ").partition("  #")[0]) == words


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("myexp", b"print(0.5)"),
        ("myexp.txt", b"#!/usr/bin/env python3\n"),
        ("myexp", b"#!/usr/bin/env -S uv run --script\n"),
        ("myexp.py", b"#!/bin/sh\n'''exec' python3 \"$0\" \"$@\"\n' '''\n"),
    ],
)
def test_what_may_be_python_is_asked_as_such(hbtrack: Hbtrack, name: str, content: bytes) -> None:
    (hbtrack.folder / name).write_bytes(content)
    assert "More: hbtrack help no-function" in hbtrack("run", name, code=2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["folder"], "is a folder"),
        (["myexp.pyc"], "is not text, but compiled or packed"),
        (["https://example.org/myexp.py"], "is an address"),
        (["python3", "myexp.py"], "name the script alone: myexp.py"),
        (["myxep.py"], "The nearest there is myexp.py."),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_typed_instead_of_a_script_is_named(
    hbtrack: Hbtrack, words: list[str], said: str
) -> None:
    (hbtrack.folder / "folder").mkdir()
    (hbtrack.folder / "myexp.py").touch()
    (hbtrack.folder / "myexp.pyc").write_bytes(b"\xa7\r\r\n\0\0\0\0")
    refusal = hbtrack("run", *words, code=2).stderr
    assert re.fullmatch(REFUSAL, refusal)
    assert said in refusal
    assert not hbtrack.database.exists()
