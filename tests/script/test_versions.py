"""Which text of the script ran is known, an edit is told, and half of one fails nothing."""

import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from conftest import Hbtrack, wait_for

from hbtrack.core.records import Limits, Resources, Search
from hbtrack.core.script_text import Imported, Look
from hbtrack.core.streak import Failure, Streak
from hbtrack.driver.interfaces import Edges, Observer, StopRequest
from hbtrack.driver.outage import LOOK_SECONDS
from hbtrack.driver.rest import FIRST_SECONDS, Rest
from hbtrack.driver.versions import QUIET_SECONDS, Versions
from hbtrack.errors import HbtrackError
from hbtrack.script.command import make_command
from hbtrack.script.files import KEPT, ScriptFiles
from hbtrack.script.probe import ScriptProbe
from hbtrack.searches.verify import check_database

TEXT = """
import json, os, sys, pathlib
import lossy
SCALE = 1.0
def run_identity(argv): return "edited"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    lossy.edit()
    print(SCALE * lossy.loss(sys.argv[1], int(sys.argv[3])))
"""

MODULE = """
import json, os, pathlib
def edit():
    try:
        os.rename("edit", f"edit {os.getpid()}")
    except OSError:
        return
    for path, text in json.loads(pathlib.Path(f"edit {os.getpid()}").read_text()).items():
        if text is None: os.remove(path)
        else: pathlib.Path(path).write_text(text)
    if os.path.exists("fails"):
        os.remove("fails"); raise SystemExit("half of a script")
def loss(config_id, epochs):
    return int(config_id[2:]) % 997 / epochs
"""
"""The attempt that finds the file `edit` writes what it says, and fails where `fails` is there."""

HALF_WHEN_IMPORTED_AGAIN = """
if __name__ != "__main__":
    with open("imports", "a+") as imports:
        imports.write("i")
        imports.seek(0)
        if imports.read() == "ii":
            os.utime(__file__)
            raise SyntaxError("half of a script")
"""

SEARCH = ("run", "--max-epochs", 3, "--workers", 1, "script.py")
STOPS = ("run", "--max-epochs", 3, "--script-changes", "stop", "script.py")
SCALED = TEXT.replace("SCALE = 1.0", "SCALE = 0.5")
BROKEN = TEXT + "x = (\n"


def begin(hbtrack: Hbtrack, **edit: str | None) -> None:
    """A search whose first attempt edits these files."""
    (hbtrack.folder / "script.py").write_text(TEXT)
    (hbtrack.folder / "lossy.py").write_text(MODULE)
    if edit:
        texts = {f"{name}.py": text for name, text in edit.items()}
        (hbtrack.folder / "edit").write_text(json.dumps(texts))


def log(hbtrack: Hbtrack) -> str:
    path = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    return path.read_text() if path.exists() else ""


def started(hbtrack: Hbtrack, workers: int) -> "Popen[str]":
    """A search that begins, and rests as soon as an attempt has broken its script."""
    process = hbtrack.start("run", "--max-epochs", 3, "--workers", workers, "script.py")
    wait_for(lambda: "event=wait" in log(hbtrack) or process.poll() is not None)
    assert process.poll() is None, process.communicate()[1]
    return process


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- half of a script ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("undisturbed"))
    begin(hbtrack)
    hbtrack(*SEARCH)
    return hbtrack.dump()


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("script", BROKEN, id="a typo"),
        pytest.param("script", None, id="gone", marks=pytest.mark.slow),
        pytest.param("script", "\n", id="emptied", marks=pytest.mark.slow),
        pytest.param("lossy", "def loss(:\n", id="a typo in a module", marks=pytest.mark.slow),
        pytest.param("lossy", None, id="a module gone"),
    ],
)
def test_a_script_that_is_no_python_for_a_while_fails_nothing_and_changes_nothing(
    hbtrack: Hbtrack,
    undisturbed: list[tuple[object, ...]],
    workers: int,
    name: str,
    text: str | None,
) -> None:
    begin(hbtrack, **{name: text})
    (hbtrack.folder / "fails").touch()
    process = started(hbtrack, workers)
    begin(hbtrack)
    assert process.wait() == 0
    assert hbtrack.dump() == undisturbed
    assert "event=fail" not in log(hbtrack)
    assert "event=script_mended" in log(hbtrack)
    assert "event=script_changed" not in log(hbtrack), "it is what it was"
    assert hbtrack.rows("SELECT number FROM _script_version") == [(1,)]
    assert hbtrack.rows("SELECT rests_until, rests_because FROM drivers") == [(None, None)]


def test_a_script_that_stays_no_python_stops_the_search_with_nothing_failed(
    hbtrack: Hbtrack,
) -> None:
    begin(hbtrack, script=BROKEN)
    run, *words = SEARCH
    said = hbtrack(run, "--max-rest", 0, *words, code=1).stderr
    assert "'(' was never closed" in said
    assert "hbtrack resume" in said
    assert hbtrack.rows("SELECT status, count(*) FROM attempts") == [("done", 1)]
    assert "stopped" in hbtrack("status").stdout
    [(reason,)] = hbtrack.rows("SELECT stop_reason FROM searches")
    assert "the script is no Python any more (" in str(reason)
    assert hbtrack("status", "--wait", code=1)
    begin(hbtrack)
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


def test_a_driver_killed_between_an_edit_and_its_end_leaves_nothing_failed(
    hbtrack: Hbtrack, undisturbed: list[tuple[object, ...]]
) -> None:
    begin(hbtrack, script=BROKEN)
    (hbtrack.folder / "fails").touch()
    fault = {"HBTRACK_FAULT": "settle.before:1:kill"}
    hbtrack(*SEARCH, env=fault, code=-9)
    assert "SyntaxError" in hbtrack("resume", code=2).stderr
    begin(hbtrack)
    hbtrack("resume")
    assert hbtrack.dump() == undisturbed
    first = hbtrack.rows("SELECT status, script_sha256 FROM attempts ORDER BY started_at LIMIT 1")
    assert first == [("lost", None)]


def test_what_the_import_has_compiled_is_known_and_not_what_lay_there_before(
    hbtrack: Hbtrack,
) -> None:
    begin(hbtrack)
    (hbtrack.folder / "script.py").write_text(BROKEN)
    command = make_command("script.py", (), sys.executable, str(hbtrack.folder))
    begin(hbtrack)
    with ScriptProbe(command, 60.0) as probe:
        probe.identity()
        assert command.script_sha256 == sha256(BROKEN)
        assert probe.found == Imported(sha256(TEXT), (str(hbtrack.folder / "lossy.py"),))


def test_a_pass_whose_ids_were_asked_of_half_a_script_is_asked_for_again(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    (hbtrack.folder / "script.py").write_text(f"{TEXT}{HALF_WHEN_IMPORTED_AGAIN}")
    hbtrack("run", "--max-epochs", 1, "--passes", 2, "--workers", 2, "script.py")
    assert hbtrack.rows("SELECT status, evaluations_done FROM searches") == [("finished", 2)]
    assert (hbtrack.folder / "imports").read_text() == "iii"


def test_a_failure_counts_where_nothing_was_written(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    (hbtrack.folder / "lossy.py").write_text(MODULE.replace("% 997", "% 0"))
    hbtrack("run", "--max-epochs", 1, "script.py")
    assert hbtrack.rows("SELECT evaluations_failed FROM searches") == [(1,)]


def test_a_script_that_writes_itself_each_time_fails_at_last(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    writes = "import os; os.utime(__file__); raise ValueError('at last')"
    (hbtrack.folder / "script.py").write_text(TEXT.replace("lossy.edit()", writes))
    hbtrack("run", "--max-epochs", 1, "script.py")
    ends = hbtrack.rows("SELECT status, count(*) FROM attempts GROUP BY status ORDER BY status")
    assert ends == [("failed", 1), ("lost", 5)]
    assert hbtrack.rows("SELECT error_message FROM failures") == [("at last",)]


# --- another script ------------------------------------------------------------------------------


def test_fault_51_what_ran_is_known_of_each_attempt_and_unknown_of_one_that_ran_over_an_edit(
    hbtrack: Hbtrack,
) -> None:
    begin(hbtrack, script=SCALED)
    hbtrack(*SEARCH)
    first, *others = hbtrack.rows("SELECT script_sha256 FROM attempts ORDER BY started_at")
    assert first == (None,)
    assert set(others) == {(sha256(SCALED),)}
    [unknown] = [line for line in log(hbtrack).splitlines() if "event=script_unknown" in line]
    [told] = [line for line in log(hbtrack).splitlines() if "event=script_changed" in line]
    second = hbtrack.rows("SELECT config_id, epochs FROM attempts ORDER BY started_at")[1]
    assert f"from_config={second[0]} epochs={second[1]}" in told
    assert f"{hbtrack.folder / 'script.py'}" in told
    assert "epochs=1" in unknown


def test_fault_52_an_edited_module_is_another_version_of_the_same_script(hbtrack: Hbtrack) -> None:
    begin(hbtrack, lossy=MODULE.replace("% 997", "% 499"))
    hbtrack(*SEARCH)
    versions = hbtrack.rows("SELECT number, script_sha256, files FROM _script_version")
    assert [row[:2] for row in versions] == [(1, sha256(TEXT)), (2, sha256(TEXT))]
    assert [sorted(json.loads(str(row[2]))) for row in versions] == [
        [str(hbtrack.folder / name) for name in ("lossy.py", "script.py")]
    ] * 2
    assert "lossy.py" in log(hbtrack)


def test_what_older_drivers_ran_is_what_an_edit_is_told_against(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    hbtrack("run", "--max-epochs", 1, "script.py")
    with closing(sqlite3.connect(hbtrack.database)) as connection:  # before anybody looked
        connection.executescript(
            "UPDATE _driver SET looks = 0; UPDATE _attempt SET script_version = NULL;"
            "DELETE FROM _script_version; DELETE FROM _script_text"
        )
    (hbtrack.folder / "script.py").write_text(SCALED)
    hbtrack("extend", "--identity", "edited", "--passes", 2)
    assert "event=script_changed" in log(hbtrack)
    assert hbtrack.rows("SELECT script_sha256 FROM attempts ORDER BY started_at") == [
        (sha256(TEXT),),
        (sha256(SCALED),),
    ]
    assert "script.py was edited" in hbtrack("report").stdout


def test_a_search_that_rests_for_its_script_can_be_stopped(hbtrack: Hbtrack) -> None:
    begin(hbtrack, script=BROKEN)
    process = started(hbtrack, 1)
    wait_for(lambda: "rests, and stops at 2" in hbtrack("status").stdout)
    assert "'(' was never closed" in hbtrack("status").stdout
    hbtrack("stop")
    assert process.wait() == 75
    begin(hbtrack)
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


def test_a_search_that_is_to_stop_then_starts_nothing_with_another_text(hbtrack: Hbtrack) -> None:
    begin(hbtrack, script=SCALED)
    said = hbtrack(*STOPS, code=1).stderr
    assert "script.py was changed" in said
    assert "hbtrack resume --script-changes go-on" in said
    hbtrack("resume", code=1)
    assert hbtrack.rows("SELECT count(*) FROM attempts") == [(1,)]
    hbtrack("resume", "--script-changes", "go-on")
    assert hbtrack.rows("SELECT status, script_changes FROM searches") == [("finished", "go-on")]
    assert "event=script_changed" in log(hbtrack)


def test_an_edit_that_is_undone_brings_the_old_version_back(hbtrack: Hbtrack) -> None:
    begin(hbtrack, script=SCALED)
    hbtrack(*STOPS, code=1)
    begin(hbtrack)
    hbtrack("resume")
    assert hbtrack.rows("SELECT number FROM _script_version") == [(1,)]
    assert "event=script_changed" not in log(hbtrack)


def test_the_report_and_the_page_say_from_which_evaluation_on_an_edit_counts(
    hbtrack: Hbtrack,
) -> None:
    begin(hbtrack, script=SCALED)
    hbtrack(*SEARCH)
    _, (config_id, epochs), *_ = hbtrack.rows(
        "SELECT config_id, epochs FROM attempts ORDER BY started_at"
    )
    said = "script.py was edited: other text from {} at 1 epoch on"
    called = f"#2 {str(config_id).replace(':', '=')}"
    assert epochs == 1
    assert said.format(called) in hbtrack("report").stdout
    [edit] = hbtrack.json("report")["searches"][0]["script_changes"]  # type: ignore[index]
    assert edit["config_id"] == config_id
    assert edit["files"] == [str(hbtrack.folder / "script.py")]
    hbtrack("report", "--html", "page.html")
    page = (hbtrack.folder / "page.html").read_text()
    assert said.format(called) in page
    assert "lossy.edit()" not in page


def test_a_search_whose_script_was_not_edited_says_nothing_of_it(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    hbtrack(*SEARCH)
    assert "edited:" not in hbtrack("report").stdout.replace("edited: finished", "")
    assert "Nothing was edited" in hbtrack("show", "best", "--script").stdout


def test_what_was_edited_since_a_config_ran_is_shown(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    hbtrack(*SEARCH)
    (hbtrack.folder / "script.py").write_text(SCALED + "# \33[2J\n")
    (hbtrack.folder / "lossy.py").unlink()
    shown = hbtrack("show", "best", "--script").stdout
    assert "-SCALE = 1.0\n+SCALE = 0.5\n" in shown
    assert "\33" not in shown
    assert "lossy.py: cannot be read now" in shown
    files = hbtrack.json("show", "best", "--script")["files"]
    assert files[str(hbtrack.folder / "script.py")]["text"] == TEXT  # type: ignore[index]


def test_of_a_config_that_ran_over_an_edit_nobody_says_which_script_it_was(
    hbtrack: Hbtrack,
) -> None:
    begin(hbtrack, script=SCALED)
    hbtrack("run", "--max-epochs", 1, "script.py")
    assert "is not known" in hbtrack("show", "best", "--script", code=3).stderr


def test_texts_are_kept_once_and_go_with_the_last_search_that_ran_them(hbtrack: Hbtrack) -> None:
    begin(hbtrack, script=SCALED)
    hbtrack(*SEARCH)
    kept = dict(hbtrack.rows("SELECT sha256, text FROM _script_text"))
    assert kept == {sha256(text): text for text in (TEXT, SCALED, MODULE)}
    exported = hbtrack("export", "json", "all.json") and (hbtrack.folder / "all.json").read_text()
    assert "lossy.edit()" not in str(exported)
    hbtrack("rm", "--identity", "edited", "--yes")
    for table in ("_script_text", "_script_version"):
        assert hbtrack.rows(f"SELECT * FROM {table}") == []


def test_the_check_of_a_database_sees_versions_and_texts_that_are_wrong(hbtrack: Hbtrack) -> None:
    begin(hbtrack)
    hbtrack("run", "--max-epochs", 1, "script.py")
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        connection.execute("UPDATE _script_version SET number = 2")
        connection.execute(
            "UPDATE _script_text SET text = text || '#' WHERE sha256 = ?", [sha256(TEXT)]
        )
        connection.commit()
    problems = "\n".join(check_database(str(hbtrack.database), None))
    assert sha256(TEXT) in problems
    assert "numbered [2]" in problems
    assert "version 1 of its script ran, but is not there" in problems
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        connection.executescript("UPDATE _script_version SET number = 1; DELETE FROM _script_text")


# --- before a start ------------------------------------------------------------------------------


class Edited:
    """A script whose files are what the test says."""

    def __init__(self, text: str) -> None:
        self.look_now = Look({"a.py": text}, 0)
        self.problems: dict[str, str] = {}

    def edit(self, text: str) -> None:
        self.look_now = Look({"a.py": text}, object())

    def look(self) -> Look:
        return self.look_now

    def problem(self, look: Look) -> str | None:
        return self.problems.get(look.files["a.py"])

    def text(self, _sha256: str) -> str | None:
        return None


class Silent(Observer):
    """Nobody watches."""

    def event(self, name: str, **facts: object) -> None:
        """Not shown."""


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be changed in place."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


def versions_of(script: Edited) -> Versions:
    """What a driver asks that has just started this text."""
    unneeded: Any = None
    edges = Edges(unneeded, unneeded, Silent(), StopRequest(), unneeded, script=script)
    versions = Versions(edges, Search(*(unneeded,) * 5, Resources(1, "none"), *(unneeded,) * 3))
    versions.remember([(1, script.look().files)], script.look().files)
    assert versions.may_start()
    return versions


def may_start(versions: Versions) -> bool:
    """In another step."""
    versions.look_again()
    return versions.may_start()


def test_a_text_that_an_editor_may_still_write_is_not_started(now: list[float]) -> None:
    script = Edited("whole")
    versions = versions_of(script)
    script.edit("half")
    assert not may_start(versions)
    assert versions.look_at == now[0] + QUIET_SECONDS
    script.edit("more than half")
    now[0] += QUIET_SECONDS
    assert not may_start(versions)
    now[0] += QUIET_SECONDS
    assert may_start(versions)
    assert versions.look_at is None


def test_the_text_of_before_is_started_at_once(now: list[float]) -> None:
    script = Edited("whole")
    versions = versions_of(script)
    script.edit("half")
    assert not may_start(versions)
    script.edit("whole")
    assert may_start(versions)
    assert now == [1000.0]


def test_a_script_is_no_python_for_half_an_hour_in_one_piece(now: list[float]) -> None:
    script = Edited("whole")
    script.problems["broken"] = "line 1"
    versions = versions_of(script)
    for text in ("broken", "whole", "broken"):
        script.edit(text)
        assert may_start(versions) == (text == "whole")
        now[0] += Limits().max_rest - 1
    assert not may_start(versions)
    assert versions.look_at == now[0] + LOOK_SECONDS
    now[0] += LOOK_SECONDS
    versions.look_again()
    with pytest.raises(HbtrackError, match="line 1"):
        versions.may_start()


class Unwritten:
    """What a rest would say in the database."""

    def rest(self, *_facts: object) -> None:
        """Not kept."""


def test_a_rest_that_is_over_is_no_reason_to_wake_while_the_script_cannot_be_run(
    now: list[float],
) -> None:
    streak = Streak(10)
    streak.note_failure(Failure(("x:1", 1), 1.0, "OSError", of_machine=True))
    unneeded: Any = None
    edges = Edges(unneeded, unneeded, Silent(), StopRequest(), unneeded)
    rest, writer = Rest(Limits(), edges), Unwritten()
    rest.streak = streak
    rest.turn(writer)  # type: ignore[arg-type]
    assert rest.next_at() == now[0] + FIRST_SECONDS
    now[0] += FIRST_SECONDS
    assert rest.next_at() == now[0], "not seen yet"
    assert rest.may_ask()
    assert rest.next_at() is None, "or the loop would not wait at all"
    assert rest.may_ask()


# --- the files -----------------------------------------------------------------------------------

Files = Callable[..., ScriptFiles]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Files with these contents, and what looks at them."""

    def make(**contents: bytes) -> ScriptFiles:
        for name, content in contents.items():
            (tmp_path / f"{name}.py").write_bytes(content)
        return ScriptFiles(sys.executable, [str(tmp_path / f"{name}.py") for name in contents], ())

    return make


def test_nothing_that_was_not_written_is_found_again(files: Files, tmp_path: Path) -> None:
    found = files(a=b"1", b=b"2")
    look = found.look()
    assert found.look() is look
    (tmp_path / "b.py").write_bytes(b"3")
    assert found.look() is not look
    assert found.look().files[str(tmp_path / "a.py")] == look.files[str(tmp_path / "a.py")]


def test_a_file_that_is_written_again_within_a_tick_of_the_clock_is_noticed(
    files: Files, tmp_path: Path
) -> None:
    found, path = files(a=b"1"), tmp_path / "a.py"
    before, times = found.look(), path.stat()
    path.write_bytes(b"2")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert found.look().files != before.files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x = (", "line 1: '(' was never closed"),
        (b"\0", "null bytes"),
        (b"# coding: nothing\n", "nothing"),
        (b"\xff", "line 1"),
        (b"import os\nreturn", "line 2"),
        (b"", "a.py is empty"),
        (b" \n\t\n", "a.py is empty"),
        (b"\xef\xbb\xbfx = 1\r\n", None),
        (b"# coding: latin-1\n# \xe9", None),
    ],
)
def test_what_the_interpreter_cannot_compile_is_said(
    files: Files, content: bytes, says: str | None
) -> None:
    found = files(a=content)
    problem = found.problem(found.look())
    assert (problem is None) if says is None else (says in str(problem))


def test_a_module_that_is_gone_is_missed_only_where_it_is_imported(
    files: Files, tmp_path: Path
) -> None:
    found = files(a=b"from b import c", b=b"")
    (tmp_path / "b.py").unlink()
    assert "b.py is gone" in str(found.problem(found.look()))
    (tmp_path / "a.py").write_bytes(b"import c")
    assert found.problem(found.look()) is None


def test_a_module_may_be_empty(files: Files) -> None:
    found = files(a=b"import b", b=b"")
    assert found.problem(found.look()) is None


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_script_that_is_no_file_is_refused_and_never_opened(
    hbtrack: Hbtrack, command: str, kind: str
) -> None:
    os.mkfifo(hbtrack.folder / "fifo")
    script = "fifo" if kind == "fifo" else "/dev/zero"
    result = hbtrack.process(hbtrack.command(command, script), timeout=60)  # it might hang
    assert result.returncode == 2
    assert "is a device, a pipe or a socket. It was not opened" in result.stderr


def test_texts_are_kept_that_are_not_too_long_and_utf_8(files: Files, tmp_path: Path) -> None:
    found = files(a=b"x = '\xc3\xa9'\r\n", b=b"\xff", c=b"#" * (KEPT + 1), d=b"", e=b"")
    (tmp_path / "e.py").unlink()
    hashes = found.look().files
    kept = [found.text(hashes[str(tmp_path / f"{name}.py")]) for name in "abcde"]
    assert kept == ["x = 'é'\r\n", None, None, "", None]


def test_a_script_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    found = ScriptFiles("python3", [str(tmp_path / "a.py")], ())
    assert "cannot be read" in str(found.problem(found.look()))
