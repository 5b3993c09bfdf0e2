"""What --help says is true: its examples run. And what all commands have in common."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import DUMMY, REFUSAL, Hbtrack

from hbtrack.cli.parser import make_parser, nearest

Parsers = dict[tuple[str, ...], argparse.ArgumentParser]


def parsers_of(
    parser: argparse.ArgumentParser, *words: str
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command with its parser: `()` is hbtrack itself."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from parsers_of(inner, *words, name)


COMMANDS: Parsers = dict(parsers_of(make_parser()[0]))


def example_of(command: tuple[str, ...]) -> list[str]:
    """The words of the example after `hbtrack`."""
    found = re.findall(r"^Example: hbtrack (.+)$", COMMANDS[command].epilog or "", re.MULTILINE)
    assert len(found) == 1, f"--help of {command} must have one example"
    return shlex.split(found[0])


def options_of(command: tuple[str, ...]) -> set[str]:
    return {name for action in COMMANDS[command]._actions for name in action.option_strings}


BROKEN = ("retry",)  # their examples need a search that failed, all others one that has ended


def searched(factory: pytest.TempPathFactory, *words: object) -> Hbtrack:
    hbtrack = Hbtrack(factory.mktemp("searched"))
    shutil.copy(DUMMY, hbtrack.folder)
    hbtrack("run", "-q", "--max-epochs", 3, "--workers", 2, "dummy.py", *words, code=None)
    return hbtrack


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    return searched(tmp_path_factory, "--model", "resnet")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    return searched(tmp_path_factory, "--fail", 1)


@pytest.fixture
def folder(ended: Hbtrack, broken: Hbtrack, tmp_path: Path) -> Callable[[tuple[str, ...]], Hbtrack]:
    """A folder in which the example of a command can be tried."""

    def make(command: tuple[str, ...]) -> Hbtrack:
        if command == ("run",):
            shutil.copy(DUMMY, tmp_path)
        else:
            source = broken if command[0] in BROKEN else ended
            shutil.copytree(source.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
        return Hbtrack(tmp_path)

    return make


@pytest.mark.parametrize("command", [each for each in COMMANDS if each], ids=" ".join)
def test_the_example_of_every_help_is_one_that_works(
    folder: Callable[[tuple[str, ...]], Hbtrack], command: tuple[str, ...]
) -> None:
    words = example_of(command)
    assert tuple(words[: len(command)]) == command
    folder(command)(*words)


def test_the_first_example_is_that_of_run() -> None:
    assert example_of(()) == example_of(("run",))


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if "--format" in options_of(each)], ids=" ".join
)
def test_every_json_document_names_its_schema_with_its_version(
    folder: Callable[[tuple[str, ...]], Hbtrack], command: tuple[str, ...]
) -> None:
    words = example_of(command)
    words[len(command) : len(command)] = ["--format", "json"]
    text = folder(command)(*words).stdout
    assert json.loads(text)["schema"] == f"hbtrack.{command[0]}/1"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_readable_in_any_locale(command: tuple[str, ...]) -> None:
    assert COMMANDS[command].format_help().isascii()


def test_help_shows_every_command_under_a_heading(tmp_path: Path) -> None:
    text = Hbtrack(tmp_path)("--help").stdout
    headings = [line for line in text.splitlines() if re.fullmatch(r"  [a-z ]+:", line)]
    assert len(headings) == 3
    for command in COMMANDS:
        if len(command) == 1:
            assert re.search(rf"^    {command[0]} +\S", text, re.MULTILINE), command


# --- what is mistyped ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("resme", "`hbtrack resume`"),
        ("LIST", "`hbtrack status`"),
        ("best", "`hbtrack show best`"),
        ("db upgrad", "`hbtrack db upgrade`"),
        ("myexp.py", "`hbtrack run myexp.py`"),
        ("report --ide model:resnet", "--identity."),
        ("run --max-epoch 9 dummy.py", "--max-epochs."),
        ("extend --identiy=model:resnet", "--identity."),  # which is also missing
        ("--db other.db status", "those of a command stand after it"),
        ("report model:resnet", "--identity model:resnet"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(
    hbtrack: Hbtrack, words: str, meant: str
) -> None:
    refusal = hbtrack(*words.split(), code=2).stderr
    assert re.fullmatch(REFUSAL, refusal)
    assert meant in refusal
    assert not hbtrack.database.exists()


@pytest.mark.parametrize("verb", ["run", "check"])
def test_without_a_script_it_says_where_one_comes_from(hbtrack: Hbtrack, verb: str) -> None:
    refusal = hbtrack(verb, "--max-epochs", 9, code=2).stderr
    assert f"`hbtrack {verb} myexp.py`" in refusal
    assert "`hbtrack init myexp`" in refusal


def test_what_is_near_nothing_gets_no_guess(hbtrack: Hbtrack) -> None:
    assert "nearest" not in hbtrack("xyzzy", code=2).stderr


def test_a_query_that_begins_as_an_option_does_is_one(ended: Hbtrack) -> None:
    ended("sql", "-- the names\nSELECT run_identity FROM searches")
    ended("sql", "--print", "--", "--all")


def test_the_words_of_other_tools_mean_commands_and_are_none() -> None:
    for meant in nearest.MEANT:
        words = [word for word in meant.split() if word != "best"]
        command = tuple(word for word in words if not word.startswith("-"))
        assert command in COMMANDS
        assert {*words} - {*command} <= options_of(command)
    words = " ".join(nearest.MEANT.values()).split()
    assert len(words) == len({*words} - {command[0] for command in COMMANDS if command})


# --- completion ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def completion(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def write(shell: str) -> Path:
        hbtrack = Hbtrack(tmp_path_factory.mktemp("completion"))
        script = hbtrack.folder / f"hbtrack.{shell}"
        script.write_text(hbtrack("completion", shell).stdout)
        return script

    return write


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; '
        '_shtab_hbtrack hbtrack "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        ["bash", "--norc", "-c", code, "bash", script, "hbtrack", *words],
        cwd=script.parent,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    return set(result.stdout.split())


bash = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


@bash
def test_bash_completes_commands_options_and_values(completion: Callable[[str], Path]) -> None:
    script = completion("bash")
    verbs = {command[0] for command in COMMANDS if len(command) == 1}
    assert completed(script, "re") == {verb for verb in verbs if verb.startswith("re")}
    assert completed(script, "sql", "--id") == {"--identity"}
    assert completed(script, "report", "--format", "j") == {"json"}
    assert completed(script, "db", "ba") == {"backup"}
    assert completed(script, "help", "st") == {"status", "stop", "stopped-by-failures"}


@bash
def test_bash_completes_files_where_a_file_is_meant(completion: Callable[[str], Path]) -> None:
    script = completion("bash")
    (script.parent / "myexp.py").touch()
    assert completed(script, "run", "mye") == {"myexp.py"}
    assert completed(script, "status", "--db", "mye") == {"myexp.py"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_the_script_is_one_that_its_shell_can_read(
    completion: Callable[[str], Path], shell: str
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    script = completion(shell)
    subprocess.run([shell, "-n", script], check=True)


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_takes_the_line_that_help_names(completion: Callable[[str], Path]) -> None:
    script = completion("zsh")
    code = 'autoload -Uz compinit; compinit -u -D; eval "$(<$1)"; print ${_comps[hbtrack]}'
    result = subprocess.run(
        ["zsh", "-f", "-c", code, "zsh", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "_shtab_hbtrack"
