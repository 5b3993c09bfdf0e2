"""`hbtrack init`: a script whose name does no harm, and that can be searched at once."""

import importlib.util
import os
import shlex
from pathlib import Path

import pytest
from conftest import Hbtrack

from hbtrack.cli.init import LIBRARIES, PACKAGES


@pytest.mark.parametrize("name", ["myexp", "myexp.py"])
def test_a_script_is_written_and_the_next_two_commands_are_said(
    hbtrack: Hbtrack, name: str
) -> None:
    said = hbtrack("init", name).stdout
    assert "hbtrack check myexp.py" in said
    assert "hbtrack run myexp.py" in said
    assert os.listdir(hbtrack.folder) == ["myexp.py"]


def test_what_was_written_can_be_searched_by_the_command_that_is_said(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "a b").mkdir()
    said = hbtrack("init", "a b/line-1").stdout
    (script,) = [
        words[2]
        for line in said.splitlines()
        if (words := shlex.split(line))[:2] == ["hbtrack", "run"]
    ]
    hbtrack("run", "--max-epochs", 3, script)
    searches = hbtrack.rows("SELECT run_identity, status, evaluations_failed FROM searches")
    assert searches == [("line-1.seed:0", "finished", 0)]


@pytest.mark.parametrize("kind", ["plain", *LIBRARIES])
def test_each_kind_is_its_template_with_the_name_filled_in(hbtrack: Hbtrack, kind: str) -> None:
    hbtrack("init", "digits", f"--{kind}")
    text = (hbtrack.folder / "digits.py").read_text()
    assert "myexp" not in text
    assert 'return f"digits.' in text
    assert kind == "plain" or f"{kind}" in text
    assert compile(text, "digits.py", "exec")


@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_library_that_is_missing_is_said_with_what_installs_it(
    hbtrack: Hbtrack, kind: str
) -> None:
    said = hbtrack("init", "digits", f"--{kind}").stderr
    installed = importlib.util.find_spec(kind) is not None
    assert (f"-m pip install {PACKAGES.get(kind, kind)}" in said) is not installed


def test_a_file_that_exists_is_never_touched(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "mine.py").write_text("mine")
    (hbtrack.folder / "link.py").symlink_to("nowhere")
    for name in ("mine", "link.py"):
        assert "exists already" in hbtrack("init", name, code=2).stderr
    assert (hbtrack.folder / "mine.py").read_text() == "mine"
    assert not (hbtrack.folder / "nowhere.py").exists()


@pytest.mark.parametrize("name", ["torch", "sklearn.py", "random", "numpy", "pytest"])
def test_a_name_that_would_hide_a_module_is_refused_with_one_that_would_not(
    hbtrack: Hbtrack, name: str
) -> None:
    said = hbtrack("init", name, "--torch", code=2).stderr
    assert f"would hide the module {name.removesuffix('.py')}" in said
    assert not list(hbtrack.folder.iterdir())
    hbtrack(*shlex.split(said.split("`hbtrack ")[1].split("`")[0]))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "x/", "a.b", "a b", 'a"b', "x{y}", "__main__", "n" * 101]
)
def test_a_name_that_could_not_stand_in_the_script_is_refused(hbtrack: Hbtrack, name: str) -> None:
    assert "A script cannot be named" in hbtrack("init", name, code=2).stderr
    assert not list(hbtrack.folder.iterdir())


def test_a_folder_that_is_missing_is_not_made(hbtrack: Hbtrack) -> None:
    assert "There is no folder sub" in hbtrack("init", "sub/x", code=2).stderr
    assert not list(hbtrack.folder.iterdir())


def test_a_script_that_does_not_fit_on_the_disk_is_not_left_half(tmp_path: Path) -> None:
    limit, hbtrack = 'ulimit -f 1; trap "" XFSZ; exec "$@"', Hbtrack(tmp_path)
    result = hbtrack.process(["sh", "-c", limit, "sh", *hbtrack.command("init", "myexp")])
    assert result.returncode == 1
    assert "cannot be written" in result.stderr
    assert not list(tmp_path.iterdir())
