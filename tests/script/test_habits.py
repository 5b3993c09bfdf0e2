"""Scripts written by others to the same contract, with habits of their own, run unchanged."""

import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SCRIPTS, Hbtrack, is_alive, wait_for
from mutants import BREAKS

HABITS = SCRIPTS / "habits"

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def finishes(
    hbtrack: Hbtrack, script: Path, *words: str, env: dict[str, str] | None = None
) -> None:
    """Run a search of `script` from another folder; every evaluation must give a loss."""
    result = hbtrack("run", "--max-epochs", 3, script, *words, env=env)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert hbtrack.rows("SELECT DISTINCT status, error FROM results") == [("done", None)]
    assert hbtrack.rows("SELECT count(*) FROM results") == [(6,)]


@pytest.mark.parametrize(
    ("name", "words", "identity"),
    [
        ("module_parser.py", ["--model", "resnet"], "model:resnet"),
        ("module_known_args.py", ["--fast", "a b"], "known --fast a b"),
        ("sibling_import.py", [], "sibling"),
        ("host_in_identity.py", ["a", "b"], f"{platform.node()}/a/b"),
        ("underscore_floats.py", ["1e-05"], "underscores_1e-05"),
        ("json_ids.py", ['{"a": "it\'s"}\n'], json.dumps({"args": ['{"a": "it\'s"}\n']})),
        ("reads_stdin.py", [], "overwrite: no"),
        ("moves_about.py", [], "moves"),
    ],
)
def test_a_script_with_habits_of_its_own_runs_unchanged(
    hbtrack: Hbtrack, name: str, words: list[str], identity: str
) -> None:
    finishes(hbtrack, HABITS / name, *words)
    assert hbtrack.rows("SELECT run_identity FROM searches") == [(identity,)]


def test_a_slow_import_is_waited_for(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--max-epochs", 1, HABITS / "slow_import.py")
    assert hbtrack.rows("SELECT status FROM results") == [("done",)]


def test_spaces_and_quotes_in_the_path_and_the_arguments_are_no_trouble(hbtrack: Hbtrack) -> None:
    folder = hbtrack.folder / "it's a folder"
    folder.mkdir()
    script = folder / "my $HOME script;.txt"
    shutil.copy(HABITS / "module_parser.py", script)
    model = "res net; $HOME 'x' \"y\" *"
    finishes(hbtrack, script, "--model", model)
    assert hbtrack.rows("SELECT script, script_args FROM searches") == [
        (str(script), json.dumps(["--model", model]))
    ]
    commands = [str(row[0]) for row in hbtrack.rows("SELECT command FROM attempts")]
    assert all(shlex.split(command)[-2:] == ["--model", model] for command in commands)


def test_fault_61_any_other_id_arrives_byte_for_byte(hbtrack: Hbtrack) -> None:
    sys.path.insert(0, str(HABITS))
    try:
        from odd_ids import IDS
    finally:
        sys.path.remove(str(HABITS))
    hbtrack("run", "--max-epochs", 9, HABITS / "odd_ids.py", env={"LC_ALL": "C"})
    arrived = (hbtrack.folder / "argv.log").read_bytes().split(b"\0")[:-1]
    assert {name.encode() for name in IDS} == set(arrived)
    assert hbtrack.rows("SELECT DISTINCT status FROM results") == [("done",)]
    commands = [str(row[0]) for row in hbtrack.rows("SELECT command FROM attempts")]
    assert {shlex.split(command)[2] for command in commands} == set(IDS)
    best = hbtrack.json("report", "--top", len(IDS))["searches"][0]["leaderboard"]  # type: ignore[index]
    assert {row["config_id"] for row in best} == set(IDS)
    for form in ("simple", "csv", "html"):
        assert "\x1b" not in hbtrack("report", "--format", form, env={"LC_ALL": "C"}).stderr
    assert not (hbtrack.folder / "pwned").exists()


def test_fault_55_what_a_script_prints_stays_out_of_results(hbtrack: Hbtrack) -> None:
    script = HABITS / "chatty.py"
    started = hbtrack("run", "--max-epochs", 3, script)
    assert started.stdout == ""
    assert "Welcome to chatty 1.0\n" in started.stderr
    assert hbtrack.rows("SELECT DISTINCT status, loss FROM results") == [("done", 0.125)]
    for words in (["status"], ["report"], ["sql", "SELECT * FROM attempts"]):
        assert str(hbtrack.json(*words)["schema"]).startswith("hbtrack.")
    assert hbtrack("run", script).stdout == ""
    assert hbtrack("resume").stdout == ""


def test_a_quiet_run_prints_nothing(hbtrack: Hbtrack) -> None:
    env = {"PYTHONUNBUFFERED": "1"}
    result = hbtrack("run", "-q", "--max-epochs", 1, HABITS / "chatty.py", env=env)
    assert (result.stdout, result.stderr) == ("", "")


def test_a_script_called_main_is_imported_under_another_name(
    hbtrack: Hbtrack, script: Callable[[str, str], Path]
) -> None:
    text = (HABITS / "imports_counted.py").read_text()
    hbtrack("run", "--max-epochs", 1, script(text, "__main__.py"))
    assert imports(hbtrack) == 1


@linux
def test_what_a_script_leaves_behind_is_gone_before_the_next_one_starts(hbtrack: Hbtrack) -> None:
    finishes(hbtrack, HABITS / "leaves_children.py")
    pids = [int(line) for line in (hbtrack.folder / "pids").read_text().split()]
    assert len(pids) == 2 * 6 + 2  # the identity is asked twice
    assert [pid for pid in pids if is_alive(pid)] == []


# --- what a script finds around itself -----------------------------------------------------------


def test_a_script_finds_what_it_would_find_without_hbtrack(hbtrack: Hbtrack) -> None:
    env = {"WEIRD-NAME": "a b", "EMPTY": "", "LINES": "a\nb=c", "BYTES": os.fsdecode(b"\xff\xfe")}
    script = os.path.relpath(HABITS / "surroundings.py", hbtrack.folder)
    before = os.umask(0o027)
    try:
        subprocess.run(
            [sys.executable, script, "x:1", "--epochs", "1", "--gpu", "0", "--model", "a b"],
            cwd=hbtrack.folder,
            env=hbtrack.environment(env),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )
        hbtrack("run", "--max-epochs", 1, script, "--model", "a b", env=env)
    finally:
        os.umask(before)
    bare, found = map(json.loads, (hbtrack.folder / "surroundings").read_text().splitlines())
    for name in ("ATTEMPT", "IDENTITY", "CHECKPOINT", "MAX_EPOCHS", "EPOCHS_DONE"):
        assert found["environment"].pop(f"HBTRACK_{name}")
    assert found["environment"].pop("PYTHONUNBUFFERED") == "1"
    assert found["argv"][1].startswith("x:")
    found["argv"][:2], bare["argv"][:2] = [], []
    assert found == bare
    assert found["folder"] == str(hbtrack.folder.resolve())
    assert found["umask"] == 0o027
    assert found["leads_its_session"]


@linux
def test_a_script_inherits_no_signal_that_is_ignored_or_blocked(hbtrack: Hbtrack) -> None:
    python = hbtrack.folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        "while read name mask; do\n"
        '    case $name in Sig[BI]*) echo "$name" "$mask";; esac\n'
        "done < /proc/$$/status >> signals\n"
        f'exec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)
    hbtrack("run", "--max-epochs", 1, "--python", python, HABITS / "surroundings.py")
    found = [line.split() for line in (hbtrack.folder / "signals").read_text().splitlines()]
    assert len(found) == 2 * 2  # blocked and ignored, of the import and the evaluation
    of_libc = 0b11 << 31  # 32 and 33: glibc's own, set to ignored by its posix_spawn
    assert not [mask for _, mask in found if int(mask, 16) & ~of_libc]


# --- imports -------------------------------------------------------------------------------------


def imports(hbtrack: Hbtrack) -> int:
    return len((hbtrack.folder / "imports").read_text().splitlines())


def test_a_start_imports_once_a_later_pass_once_more_and_reading_never(hbtrack: Hbtrack) -> None:
    script = HABITS / "imports_counted.py"
    hbtrack("run", "--max-epochs", 1, "--passes", 3, script)
    assert imports(hbtrack) == 3
    for words in (["status"], ["report"], ["sql", "SELECT 1"], ["db", "check"], ["db", "path"]):
        hbtrack(*words)
    hbtrack("resume")
    assert imports(hbtrack) == 3
    hbtrack("run", script)
    assert imports(hbtrack) == 4


def test_going_on_imports_once_and_samples_the_next_pass_with_it(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "hold").touch()
    driver = hbtrack.start("run", "--max-epochs", 1, "--passes", 2, HABITS / "imports_counted.py")
    wait_for(lambda: "event=start" in hbtrack.log())
    driver.send_signal(signal.SIGINT)
    driver.communicate()
    assert driver.returncode == 75
    assert imports(hbtrack) == 1
    (hbtrack.folder / "hold").unlink()
    hbtrack("resume")
    assert imports(hbtrack) == 2
    assert hbtrack.rows("SELECT pass, status FROM results") == [(1, "done"), (2, "done")]


# --- ours ----------------------------------------------------------------------------------------


def test_every_break_that_mutants_py_plants_has_its_place() -> None:
    for one in BREAKS:
        text = (ROOT / "hbtrack" / one.file).read_text()
        assert one.planted(text) != text
        files = [ROOT / "tests" / name.partition("::")[0] for name in one.tests.split()]
        assert all(file.is_file() for file in files)
