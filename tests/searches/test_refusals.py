"""What hbtrack refuses, through the real command line: what it says, and that nothing was done."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MAIN, ROOT, SAMPLER, SYSTEMS, Hbtrack, wait_for

Write = Callable[[str], Path]

IDENTITY = """
def run_identity(argv):
    return "mine"
"""
GOOD = IDENTITY + SAMPLER + MAIN
WAITS = "import time\nif __name__ == '__main__': time.sleep(1000)\n"

has_real_time_signals = pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="has none")

OWN = str(ROOT / "hbtrack")  # the folder that no traceback may speak of


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*hbtrack.db*"))


def typed(hbtrack: Hbtrack, *words: object, code: int) -> str:
    """Type a command; what it says on stderr."""
    result = hbtrack(*words, code=code)
    assert result.stdout == ""
    assert OWN not in result.stderr
    return result.stderr


def refused(hbtrack: Hbtrack, *words: object, code: int = 2, says: tuple[str, ...] = ()) -> str:
    """Type what must be refused without a trace; what it says."""
    text = typed(hbtrack, *words, code=code)
    for word in says:
        assert word in text
    assert "hbtrack: " in text
    assert written(hbtrack.folder) == []
    return text


# --- the script and its interpreter --------------------------------------------------------------


def test_fault_47_a_script_that_is_not_there_is_refused(hbtrack: Hbtrack) -> None:
    refused(hbtrack, "run", "nowhere.py", says=("nowhere.py", "No such file", "Nothing was"))


def test_a_folder_is_no_script(hbtrack: Hbtrack) -> None:
    refused(
        hbtrack, "run", hbtrack.folder, says=(str(hbtrack.folder), "is a folder", "nothing was")
    )


@pytest.mark.parametrize(
    ("text", "function"),
    [
        (SAMPLER, "run_identity"),
        (IDENTITY + "get_random_config_id = 'no function'", "get_random_config_id"),
    ],
)
def test_a_missing_function_is_named_with_an_example(
    hbtrack: Hbtrack, script: Write, text: str, function: str
) -> None:
    path = script(text)
    says = (str(path), f"no function {function}", f"def {function}(", "Nothing was started")
    refused(hbtrack, "run", path, says=says)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without numpy."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


@pytest.mark.parametrize("text", [GOOD, "import numpy as np\n" + GOOD])
def test_an_interpreter_without_numpy_is_named(
    hbtrack: Hbtrack, script: Write, bare_python: Path, text: str
) -> None:
    says = (f"{bare_python} has no numpy", "--python", "Nothing was started")
    refused(hbtrack, "run", "--python", bare_python, script(text), says=says)


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("/no/such/python", ("/no/such/python", "--python")),
        ("./data.txt", ("data.txt", "--python")),
        ("true", ("exit code 0",)),  # a program, but no Python
    ],
)
def test_fault_48_what_cannot_be_started_or_is_no_interpreter_is_named(
    hbtrack: Hbtrack, script: Write, python: str, says: tuple[str, ...]
) -> None:
    data = hbtrack.folder / "data.txt"
    data.write_bytes(b"\x7f")
    data.chmod(0o755)
    says = (*says, "Nothing was started")
    refused(hbtrack, "run", "--python", python, script(GOOD), says=says)


# --- importing it --------------------------------------------------------------------------------


def test_fault_47_a_syntax_error_is_shown_with_its_line(hbtrack: Hbtrack, script: Write) -> None:
    path = script("x = 1\nif x\n    pass\n" + GOOD)
    says = (f'File "{path}", line 2', "if x", "SyntaxError", "Nothing was started")
    refused(hbtrack, "run", path, says=says)


def test_an_exception_at_import_is_shown_with_the_scripts_frames_alone(
    hbtrack: Hbtrack, script: Write
) -> None:
    sibling = hbtrack.folder / "layers.py"
    sibling.write_text("def build():\n    raise LookupError('no such layer')\n")
    path = script("import layers\nlayers.build()\n" + GOOD)
    text = refused(hbtrack, "run", path, says=("LookupError: no such layer", "Nothing was started"))
    assert re.findall(r'File "([^"]*)"', text) == [str(path), str(sibling)]


def test_a_failing_hook_is_shown_with_the_scripts_frames_alone(
    hbtrack: Hbtrack, script: Write
) -> None:
    path = script("def run_identity(argv):\n    return argv[99]\n" + SAMPLER)
    text = refused(hbtrack, "run", path, says=("run_identity", "IndexError"))
    assert re.findall(r'File "([^"]*)"', text) == [str(path)]


@pytest.mark.parametrize("code", ["2", "'please give --model'"])
def test_fault_53_leaving_at_import_is_refused_with_the_way_out(
    hbtrack: Hbtrack, script: Write, code: str
) -> None:
    path = script(f"import sys\nsys.exit({code})\n" + GOOD)
    says = (f"sys.exit({code})", "__main__", str(path), "Nothing was started")
    refused(hbtrack, "run", path, says=says)


@SYSTEMS
@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        pytest.param("os.kill(os.getpid(), 40)", "signal 40", marks=has_real_time_signals),
    ],
)
def test_fault_53_a_process_that_dies_at_import_is_told_with_how(
    hbtrack: Hbtrack, script: Write, end: str, says: str
) -> None:
    path = script(f"import os, signal\n{end}\n" + GOOD)
    refused(hbtrack, "run", path, says=(f"Importing {path}", says, "Nothing was started"))


def test_a_child_left_at_import_does_not_hide_the_death_of_its_parent(
    hbtrack: Hbtrack, script: Write
) -> None:
    path = script("import os, signal\nif not os.fork(): signal.pause()\nos._exit(7)\n" + GOOD)
    refused(hbtrack, "run", "--import-timeout", 100, path, says=("exit code 7",))


HANG = "    import time; time.sleep(1000)\n"


@pytest.mark.parametrize(
    ("text", "step", "seconds"),
    [
        (f"if True:\n{HANG}" + GOOD, "Importing ", 1),
        pytest.param(
            f"def get_random_config_id(rng):\n{HANG}" + IDENTITY,
            "get_random_config_id of ",
            15,  # the import must not take so long, on any machine
            marks=pytest.mark.slow,
        ),
        (f"import os\nos.closerange(3, 256)\nif True:\n{HANG}" + GOOD, "Importing ", 1),
    ],
)
def test_fault_54_what_hangs_is_named_and_ended_at_the_time_limit(
    hbtrack: Hbtrack, script: Write, text: str, step: str, seconds: int
) -> None:
    path = script(text)
    says = (f"{step}{path} took longer than {seconds} s", "--import-timeout", "Nothing was started")
    refused(hbtrack, "run", "--import-timeout", seconds, path, says=says)


def test_what_a_broken_script_had_printed_is_shown(hbtrack: Hbtrack, script: Write) -> None:
    text = "print('GPU 0 is busy')\nimport sys\nprint('so is 1', file=sys.stderr)\n1/0\n"
    result = hbtrack("run", script(text + GOOD), code=2)
    assert "GPU 0 is busy" in result.stderr
    assert "so is 1" in result.stderr
    assert result.stdout == ""


def test_asking_a_script_leaves_nothing_beside_it(hbtrack: Hbtrack, script: Write) -> None:
    path = script(SAMPLER)
    env = {"PYTHONPYCACHEPREFIX": ""}
    hbtrack("run", path, code=2, env=env)
    assert list(hbtrack.folder.iterdir()) == [path]


def test_an_edited_script_is_read_anew_even_within_one_second(
    hbtrack: Hbtrack, script: Write
) -> None:
    for name in ("one", "two"):
        path = script(f"def run_identity(argv):\n    raise ValueError('{name}')\n" + SAMPLER)
        os.utime(path, (1_600_000_000, 1_600_000_000))
        result = hbtrack("run", path, code=2)
        assert f"ValueError: {name}" in result.stderr


# --- what its functions return -------------------------------------------------------------------

BAD_NAMES = [
    ("None", ("None", "NoneType", "return a str")),
    ("3", ("3", "int", "return a str")),
    ("b'x'", ("b'x'", "bytes", "return a str")),
    ("type('Name', (str,), {})('x')", ("'x'", "Name", "return a str")),
    ("''", ("''", "empty")),
    (r"'a\0b'", (r"'a\x00b'", "NUL")),
    (r"'a\ud800'", (r"'a\ud800'", "lone surrogate")),
    ("'x' * 4097", ("'xxxx", "4097 bytes", "4096")),
]


@pytest.mark.parametrize(("value", "says"), BAD_NAMES)
def test_fault_56_58_a_bad_identity_is_refused(
    hbtrack: Hbtrack, script: Write, value: str, says: tuple[str, ...]
) -> None:
    path = script(f"def run_identity(argv): return {value}\n" + SAMPLER)
    refused(hbtrack, "run", path, says=("run_identity", "Nothing was started", *says))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        *BAD_NAMES,
        ("rng.choice(['x', 'y'])", ("str_", "return a str")),
        ("'-x'", ("'-x'", "begins with '-'", "option")),
    ],
)
def test_fault_56_60_61_62_a_bad_config_id_is_refused(
    hbtrack: Hbtrack, script: Write, value: str, says: tuple[str, ...]
) -> None:
    path = script(f"def get_random_config_id(rng): return {value}\n" + IDENTITY)
    refused(hbtrack, "run", path, says=("get_random_config_id", "Nothing was started", *says))


def test_a_bad_config_id_is_named_although_get_config_chokes_on_it(
    hbtrack: Hbtrack, script: Write
) -> None:
    path = script(
        "def get_random_config_id(rng): return ''\n"
        "def get_config(config_id): return {'x': int(config_id)}\n" + IDENTITY
    )
    refused(hbtrack, "run", path, says=("get_random_config_id returned ''", "empty"))


def test_fault_57_an_identity_that_differs_between_two_calls_is_refused(
    hbtrack: Hbtrack, script: Write
) -> None:
    path = script(
        "calls = []\n"
        "def run_identity(argv):\n    calls.append(1)\n    return f'call {len(calls)}'\n" + SAMPLER
    )
    refused(hbtrack, "run", path, says=("run_identity", "'call 1'", "'call 2'", "Nothing was"))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise LookupError('what is that')", ("LookupError: what is that",)),
        ("return 3", ("3", "int", "return a dict or a sequence")),
    ],
)
def test_a_bad_get_config_is_refused(
    hbtrack: Hbtrack, script: Write, body: str, says: tuple[str, ...]
) -> None:
    path = script(f"def get_config(config_id):\n    {body}\n" + GOOD)
    refused(hbtrack, "run", path, says=("get_config", "Nothing was started", *says))


def test_a_parameter_that_is_no_text_is_refused_or_made_visible(
    hbtrack: Hbtrack, script: Write
) -> None:
    path = script(r"def get_config(config_id): return {'a\ud800': 'b\ud800'}" + GOOD)
    result = hbtrack("run", "--max-epochs", 1, path, code=None)
    assert result.returncode in (0, 2)
    assert OWN not in result.stderr


# --- a script that breaks later ------------------------------------------------------------------

BREAKS = f"""
import os
BROKEN = os.path.exists("broken")
{IDENTITY}
{SAMPLER}
if __name__ == "__main__":
    if not os.path.exists("mended"):
        open("broken", "w").close()
    print(0.5)
"""


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("if BROKEN: raise LookupError('no more')", "LookupError: no more"),
        (
            "if BROKEN:\n    def run_identity(argv): return 'yours'",
            "says 'yours' now, but the search is 'mine'",
        ),
    ],
)
def test_a_script_that_breaks_in_mid_search_ends_it_with_all_it_did(
    hbtrack: Hbtrack, script: Write, broken: str, says: str
) -> None:
    path = script(BREAKS.replace("if __name__", broken + "\nif __name__"))
    result = hbtrack("run", "--max-epochs", 1, "--passes", 2, path, code=2)
    assert says in result.stderr
    assert "all that is finished is kept" in result.stderr
    assert OWN not in result.stderr
    assert hbtrack.rows("SELECT pass, status FROM results") == [(1, "done")]
    assert hbtrack.rows("SELECT status FROM searches") == [("unfinished",)]
    (hbtrack.folder / "mended").touch()
    (hbtrack.folder / "broken").unlink()
    hbtrack("resume")
    assert hbtrack.rows("SELECT pass, status FROM results") == [(1, "done"), (2, "done")]


# --- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--max-epochs", "0"),
        ("run", "--max-epochs", "3.5"),
        ("run", "--max-epochs", "2000000000"),
        ("run", "--eta", "1.99"),
        ("run", "--eta", "-3"),
        ("run", "--seed", "-1"),
        ("run", "--seed", "4294967296"),
        ("run", "--passes", "0"),
        ("run", "--failure-loss", "nan"),
        ("run", "--failure-loss", "high"),
        ("run", "--workers", "0"),
        ("run", "--workers", "two"),
        ("run", "--workers", "1025"),
        ("resume", "--per-gpu", "99999999999"),
        ("run", "--gpus", "some"),
        ("run", "--grace", "nan"),
        ("run", "--import-timeout", "-5"),
        ("run", "--max-log", "much"),
        ("run", "--max-log", "-1"),
        ("run", "--timeout", "0"),
        ("run", "--timeout", "5x"),
        ("run", "--timeout", "1h30"),
        ("run", "--max-time", "-5"),
        ("run", "--max-failures", "101%"),
        ("run", "--max-failures", "many"),
        ("run", "--target-loss", "nan"),
        ("run", "--retries", "-1"),
        ("run", "--multi-gpu", "always"),
        ("run", "--per-gpu", "0"),
        ("run", "--config", ""),
        ("run", "--config", "-h"),
        ("resume", "--max-log", "1.5GB"),
        ("stop", "--grace", "soon"),
        ("resume", "--workers", "0"),
        ("resume", "--gpus", "some"),
        ("plan", "--eta", "1"),
        ("plan", "--workers", "0"),
        ("status", "--format", "yaml"),
        ("report", "--top", "0"),
        ("sql", "--time-limit", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_its_option_and_itself(
    hbtrack: Hbtrack, script: Write, words: tuple[str, str, str]
) -> None:
    verb, option, value = words
    rest = [script(GOOD)] if verb == "run" else ["SELECT 1"] if verb == "sql" else []
    text = refused(hbtrack, verb, option, value, *rest)
    assert value in text
    assert option.removeprefix("--") in text.replace("_", "-")


def test_a_wrong_environment_variable_is_refused(hbtrack: Hbtrack, script: Write) -> None:
    result = hbtrack("run", script(GOOD), code=2, env={"HBTRACK_MAX_LOST": "often"})
    assert "HBTRACK_MAX_LOST" in result.stderr
    assert "often" in result.stderr
    assert written(hbtrack.folder) == []


def test_no_time_limit_is_too_long(hbtrack: Hbtrack, script: Write) -> None:
    limits = ("--import-timeout", 3_000_000, "--grace", 3_000_000)
    assert "Traceback" not in hbtrack("run", "--max-epochs", 1, *limits, script(GOOD)).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("search",),
        ("--db", "x.db", "status"),
        ("status", "more"),
        ("sql",),
        ("db",),
        ("db", "repair"),
        ("db", "backup"),
        ("run", "--workers"),
        ("run", "--fast", "script.py"),
        # options are not abbreviated
        ("run", "--max-epoch", "3", "script.py"),
        ("run", "--max-epoch=3", "script.py"),
        ("run", "--work", "3", "script.py"),
        ("run", "--quie", "script.py"),
        ("resume", "--ident", "x"),
        ("plan", "--max", "9"),
        ("status", "--form", "json"),
        ("report", "--to", "3"),
        ("sql", "--time", "3", "SELECT 1"),
        ("db", "check", "--ident", "x"),
        ("db", "path", "--d", "x"),
        ("--vers",),
    ],
)
def test_what_cannot_be_meant_is_refused_with_where_to_look(
    hbtrack: Hbtrack, words: tuple[str, ...]
) -> None:
    refused(hbtrack, *words, says=("--help",))


# --- options after the script --------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("--workers", "3"),
        ("--workers=3",),
        ("-q",),
        ("--quiet",),
        ("--db", "x"),
        ("--max-epochs=9",),
        ("--python", "x"),
        ("--gpus", "none"),
        ("--model", "resnet", "--seed", "1"),
    ],
)
def test_an_option_after_the_script_is_refused_with_both_ways_to_write_it(
    hbtrack: Hbtrack, script: Write, words: tuple[str, ...]
) -> None:
    word = words[-2] if words[0] == "--model" else words[0]
    text = refused(hbtrack, "run", script(GOOD), *words)
    assert f"hbtrack run {word} ... SCRIPT" in text
    assert f"SCRIPT -- {word}" in text


@pytest.mark.parametrize("word", ["--epochs", "--epochs=3", "--gpu", "--gpu=0", "--multi_gpu"])
def test_what_hbtrack_passes_itself_is_refused_after_the_script(
    hbtrack: Hbtrack, script: Write, word: str
) -> None:
    text = refused(hbtrack, "run", script(GOOD), word, "3")
    assert f"hbtrack passes {word.partition('=')[0]}" in text
    assert f"SCRIPT -- {word}" in text


SHOWS_ARGUMENTS = f"""
import json, sys

def run_identity(argv):
    return json.dumps(argv)
{SAMPLER}
if __name__ == "__main__":
    print(json.dumps(sys.argv[6:]), file=open("argv", "w"))
    print(0.5)
"""


@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        (
            ["a", "--", "--workers", "3", "--gpu=1", "--", "-q"],
            ["a", "--workers", "3", "--gpu=1", "--", "-q"],
        ),
        (
            ["--epoch", "3", "--workers2", "--m=--db", ""],
            ["--epoch", "3", "--workers2", "--m=--db", ""],
        ),
    ],
)
def test_everything_else_after_the_script_goes_to_it_unread(
    hbtrack: Hbtrack, script: Write, typed: list[str], passed: list[str]
) -> None:
    hbtrack("run", "--max-epochs", 1, script(SHOWS_ARGUMENTS), *typed)
    assert hbtrack.rows("SELECT run_identity FROM searches") == [(json.dumps(passed),)]
    assert json.loads((hbtrack.folder / "argv").read_text()) == passed


def test_an_argument_need_not_be_utf_8(hbtrack: Hbtrack, script: Write) -> None:
    argument = os.fsdecode(b"--data=caf\xe9")
    result = hbtrack("run", "--max-epochs", 1, script(SHOWS_ARGUMENTS), argument, code=None)
    assert OWN not in result.stderr
    assert result.returncode in (0, 2)


# --- other terms than a search was started with --------------------------------------------------

TERMS = ("--max-epochs", 3, "--eta", 3, "--seed", 1, "--passes", 1, "--failure-loss", 50)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search of script.py --model resnet, and its twin by another name."""
    search = Hbtrack(tmp_path_factory.mktemp("stored"))
    for name in ("script.py", "twin.py"):
        (search.folder / name).write_text(GOOD)
    search("run", *TERMS, "script.py", "--model", "resnet")
    return search


@pytest.mark.parametrize(
    ("options", "words", "says"),
    [
        (["--max-epochs=9"], [], ["--max-epochs: stored 3, given 9"]),
        (
            ["--seed", "0", "--eta", "2.5"],
            [],
            ["--seed: stored 1, given 0", "--eta: stored 3, given 2.5"],
        ),
        (["--passes", "2"], [], ["--passes: stored 1, given 2"]),
        (["--failure-loss", "100"], [], ["--failure-loss: stored 50.0, given 100.0"]),
        ([], ["twin.py", "--model", "resnet"], ["script: stored ", "script.py", "twin.py"]),
        ([], ["script.py"], ["arguments: stored --model resnet, given none"]),
    ],
)
def test_fault_100_other_terms_are_refused_with_stored_and_given_values(
    stored: Hbtrack, options: list[str], words: list[str], says: list[str]
) -> None:
    before = stored.dump()
    words = words or ["script.py", "--model", "resnet"]
    text = typed(stored, "run", *options, *words, code=4)
    for word in [*says, "Nothing was changed", "hbtrack resume --identity", "--db"]:
        assert word in text
    assert stored.dump() == before


@pytest.mark.parametrize(
    ("options", "larger"),
    [
        (["--max-epochs=9", "--passes=2"], "--max-epochs 9 --passes 2"),
        (["--max-epochs=2"], None),
        (["--max-epochs=9", "--seed=7"], None),
    ],
)
def test_extend_is_named_where_only_more_is_asked_for(
    stored: Hbtrack, options: list[str], larger: str | None
) -> None:
    text = typed(stored, "run", *options, "script.py", "--model", "resnet", code=4)
    said = f"make it larger by `hbtrack extend --identity mine {larger}`"
    assert (said in text) if larger else ("hbtrack extend" not in text)


def test_extend_does_not_make_a_search_smaller(hbtrack: Hbtrack, script: Write) -> None:
    hbtrack("run", "--max-epochs", 1, "--passes", 2, script(GOOD))
    before = hbtrack.dump()
    text = typed(hbtrack, "extend", "--identity", "mine", "--passes", 1, code=2)
    assert "mine has 2 passes, and --passes is the new total: 1 would be fewer" in text
    assert hbtrack.dump() == before


@pytest.mark.parametrize(
    "options", [(), (*TERMS[:2], "--eta", "3.0", "--seed=1", "--failure-loss=5e1")]
)
def test_what_was_not_typed_or_is_equal_is_no_other_term(
    stored: Hbtrack, options: tuple[object, ...]
) -> None:
    before = stored.dump()
    text = typed(stored, "run", *options, "./script.py", "--model", "resnet", code=0)
    assert "mine is finished" in text
    assert stored.dump() == before


def test_a_moved_script_goes_on_if_it_is_the_same_and_is_found_again(
    hbtrack: Hbtrack, script: Write
) -> None:
    path = script(GOOD)
    hbtrack("run", "--max-epochs", 3, path, env={"HBTRACK_FAULT": "commit.after:3:stop"}, code=75)
    moved = path.rename(hbtrack.folder / "moved.py")
    moved.write_text(GOOD + "# edited\n")
    result = hbtrack("run", moved, code=4)
    assert f"script: stored {path}, given {moved}" in result.stderr
    lost = hbtrack("resume", code=2).stderr
    assert str(path) in lost
    assert "hbtrack run" in lost
    moved.write_text(GOOD)
    hbtrack("run", moved)
    assert hbtrack.rows("SELECT status, script FROM searches") == [("finished", str(moved))]


# --- nothing that matches ------------------------------------------------------------------------


def test_resume_of_what_is_finished_says_so(stored: Hbtrack) -> None:
    for words in (["resume"], ["resume", "--identity", "m*"]):
        assert "finished" in typed(stored, *words, code=0)


def test_the_command_that_is_suggested_can_be_typed(hbtrack: Hbtrack, script: Write) -> None:
    identity = "--model=it's [1]*"
    path = script(GOOD.replace('"mine"', "argv[0]"))
    hbtrack("run", "--max-epochs", 1, path, "other")  # or nothing would have to be named
    result = hbtrack("run", "--max-epochs", 1, path, identity)
    suggested = re.search(r"hbtrack (report .*)", result.stderr)
    assert suggested
    assert identity in hbtrack(*shlex.split(suggested[1])).stdout


def test_a_script_that_is_refused_makes_no_schema_in_an_empty_file(
    hbtrack: Hbtrack, script: Write
) -> None:
    hbtrack.database.touch()
    hbtrack("run", script("x = ("), code=2)
    assert hbtrack.database.stat().st_size == 0


def test_a_second_run_is_refused_before_its_script_is_imported(
    hbtrack: Hbtrack, script: Write
) -> None:
    noted = "open('imports', 'a').write('.')\n"
    path = script(noted + IDENTITY + SAMPLER + WAITS)
    driver = hbtrack.start("run", "--max-epochs", 1, path)
    imports = hbtrack.folder / "imports"
    wait_for(lambda: imports.exists() and imports.read_text() == "..")  # the driver's, the script's
    said = hbtrack("run", "--max-epochs", 1, path, code=4).stderr
    assert f"pid {driver.pid} on {os.uname().nodename}, for 0:0" in said
    assert imports.read_text() == ".."
    hbtrack("stop", "--grace", 0)
    driver.communicate()
