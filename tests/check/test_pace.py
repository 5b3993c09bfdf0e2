"""`hbtrack check` says where it is, takes few starts where that is asked, and stops in time.

Runs side by side come to what they would come to one after the other.
"""

import io
import json
import os
import re
import signal
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from conftest import REFUSAL, Hbtrack, wait_for
from terminal import terminals
from test_check import (
    LINES,
    LOAD,
    LOSS,
    MOST_FAIL,
    NO_GUARD,
    NOISE,
    PARSE,
    STATE,
    TOLD,
    checked,
    good,
)

from hbtrack.check.budgets import Budgets
from hbtrack.check.finding import Status
from hbtrack.check.outlook import Outlook, Progress
from hbtrack.check.script_run import Bench, Call, ScriptRun
from hbtrack.check.told import Told
from hbtrack.check.workspaces import Runs
from hbtrack.cli import check, check_progress
from hbtrack.cli.check_progress import ProgressLine, in_words
from hbtrack.core.records import Command

Found = dict[str, dict[str, object]]
variant = partial(pytest.param, marks=pytest.mark.slow)
COUNTED = (PARSE, '    open(os.environ["STARTS"], "a").write("x")\n' + PARSE)


def counted(
    hbtrack: Hbtrack, tmp_path: Path, *words: object, code: int | None = None
) -> tuple[Found, int]:
    """What a check says, and how often the script was started, as it counts itself."""
    starts = tmp_path / "starts"
    found = checked(hbtrack, *words, code=code, env={"STARTS": str(starts)})
    return found, len(starts.read_text())


@pytest.fixture
def aside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("aside")


# --- where it is ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], int]:
    """What a quick check of a good script says, its lines on stderr, and how often it started."""
    hbtrack, starts = Hbtrack(tmp_path_factory.mktemp("quick")), tmp_path_factory.mktemp("n") / "n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_progress, "LINE_SECONDS", 0.0)
        patch.setenv("STARTS", str(starts))
        words = ("--quick", "--format", "json", good(hbtrack.folder, COUNTED))
        result = hbtrack("check", *words)
    return json.loads(result.stdout), result.stderr.splitlines(), len(starts.read_text())


def test_in_a_pipe_lines_on_stderr_say_which_check_it_is_and_the_time_left(
    quick: tuple[dict[str, Any], list[str], int],
) -> None:
    _, lines, _ = quick
    assert lines[0] == "1 of 25: import"
    assert [line for line in lines if line.startswith("14 of 25: resume, about 0:00:0")]


@pytest.mark.parametrize(("seconds", "lines"), [(10.0, 0), (0.0, 3)])
def test_there_is_one_line_in_ten_seconds_at_most(
    seconds: float, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_progress, "LINE_SECONDS", seconds)
    with ProgressLine("lines") as line:
        for number in range(3):
            line.show(Progress("resume", 14, 25, number, 1, 90.0))
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_there_is_no_line_if_it_is_to_be_quiet(
    hbtrack: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_progress, "LINE_SECONDS", 0.0)
    assert hbtrack("check", "--quiet", good(hbtrack.folder, NO_GUARD), code=2).stderr == ""


def test_on_a_terminal_a_line_is_redrawn_and_gone_at_the_end(hbtrack: Hbtrack) -> None:
    with terminals() as start:
        shown = start(hbtrack, "check", "--quick", good(hbtrack.folder))
        shown.shows("Without --quick all is tried.")
        assert shown.exit_status() == 0
        assert b"\r\x1b[K  ...      14 of 25: resume, about 0:00:0" in shown.written
        assert "  ...  " not in shown.text()


@pytest.mark.parametrize(
    ("since", "left", "words"),
    [
        (0.0, None, "14 of 25: resume"),
        (10.0, 90.0, "14 of 25: resume, about 0:01:20 left"),
        (60.0, 90.0, "14 of 25: resume, a run of 0:01:00 so far, about 0:00:30 left"),
        (95.0, 90.0, "14 of 25: resume, a run of 0:01:35 so far"),
    ],
)
def test_a_run_takes_its_time_from_what_is_left_until_nothing_is_known_any_more(
    since: float, left: float | None, words: str
) -> None:
    assert in_words(Progress("resume", 14, 25, 1, 1, left), since) == words


@pytest.mark.parametrize("how", ["lines", "live", "off"])
def test_while_one_run_takes_long_the_line_comes_again(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_progress, "TICK", 0.001)
    monkeypatch.setattr(check_progress, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with ProgressLine(how) as line:
        line.show(Progress("resume", 14, 25, 1, 1, 90.0))
        wait_for(lambda: how == "off" or sys.stderr.getvalue().count("14 of 25: resume") > 2)
    assert (sys.stderr.getvalue() == "") is (how == "off")


# --- few starts ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_start_answers_as_much_as_it_can(hbtrack: Hbtrack, aside: Path) -> None:
    """6 of training, 3 of another config beside it, 2 at once, 1 that fails, 2 for each signal."""
    found, starts = counted(hbtrack, aside, good(hbtrack.folder, COUNTED, *TOLD[:2], LINES), code=0)
    assert {one["status"] for one in found.values()} == {"pass"}
    assert 16 <= starts <= 20, "where the machine is busy some signals come too early or too late"


def test_quick_starts_the_script_five_times_and_says_what_it_left_out(
    quick: tuple[dict[str, Any], list[str], int],
) -> None:
    document, _, starts = quick
    assert starts == document["starts"] == 5
    found = {one["check"]: one for one in document["checks"]}
    left = {name for name, one in found.items() if one["says"] == "left out by --quick"}
    assert {"sigterm", "sigkill", "at_once", "bad_id", "half_written", "multi_gpu"} <= left
    tried = {"call", "loss", "checkpoint", "resume", "total", "again", "separate"}
    assert {found[name]["status"] for name in tried} == {"pass"}


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(NOISE, id="noise"),
        variant([('Path("checkpoints",', 'Path(os.environ["ELSEWHERE"],')], id="saved elsewhere"),
        variant([(STATE, STATE + "    save(checkpoint_of(args), state)\n")], id="saves always"),
        variant([MOST_FAIL], id="most configs fail"),
    ],
)
def test_quick_accuses_no_right_script_and_never_starts_it_a_sixth_time(
    hbtrack: Hbtrack, aside: Path, edits: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (aside / "elsewhere").mkdir()
    monkeypatch.setenv("ELSEWHERE", str(aside / "elsewhere"))
    found, starts = counted(hbtrack, aside, "--quick", good(hbtrack.folder, COUNTED, *edits))
    wrong = [one for one in found.values() if one["status"] in ("warn", "fail")]
    assert [one for one in wrong if one["check"] != "call"] == []
    assert starts <= 5


@pytest.mark.parametrize(
    ("edits", "name"),
    [
        variant([(LOAD, "")], "resume", id="trains from scratch"),
        pytest.param(
            [('f"{args.config_id}.json"', '"model.json"')], "separate", id="one checkpoint for all"
        ),
        variant([(LOSS, '    print("loss:", state["weight"])\n')], "loss", id="a label"),
        pytest.param(
            [("state = train(", "state = state if state['epoch'] else train(")],
            "resume",
            id="does not go on",
        ),
    ],
)
def test_quick_names_what_is_broken(
    hbtrack: Hbtrack, edits: list[tuple[str, str]], name: str
) -> None:
    found = checked(hbtrack, "--quick", good(hbtrack.folder, *edits))
    assert found[name]["status"] in ("fail", "warn")


# --- no longer than it is of use -----------------------------------------------------------------


def test_after_a_first_run_that_fails_nothing_else_is_started(
    hbtrack: Hbtrack, aside: Path
) -> None:
    refuses = ('    parser.add_argument("--gpu", type=int)\n', "")
    atstart = ("def main():\n", 'def main():\n    open(os.environ["STARTS"], "a").write("x")\n')
    found, starts = counted(hbtrack, aside, good(hbtrack.folder, refuses, atstart), code=2)
    assert starts == 1
    assert "does not run" in str(found["call"]["says"])
    assert "add_argument" in str(found["call"]["example"])
    assert found["resume"]["says"] == "not tried, since call fails"


def test_after_two_configs_whose_last_line_is_no_loss_nothing_else_is_started(
    hbtrack: Hbtrack, aside: Path
) -> None:
    labels = ('print(state["weight"] ** 2)', 'print("loss", state["weight"] ** 2)')
    found, starts = counted(hbtrack, aside, good(hbtrack.folder, COUNTED, labels), code=2)
    assert starts == 2
    assert [one["check"] for one in found.values() if one["status"] == "fail"] == ["loss"]


def test_after_ten_configs_that_fail_alike_no_other_is_tried(hbtrack: Hbtrack, aside: Path) -> None:
    broken = ("def train(", "def broken(")
    found, starts = counted(hbtrack, aside, good(hbtrack.folder, COUNTED, broken), code=2)
    assert starts == 10
    assert "with none of 10 configs" in found["call"]["says"]


def test_where_a_script_starts_again_nothing_trains_for_long(hbtrack: Hbtrack, aside: Path) -> None:
    note = '    print(args.epochs, file=open(os.environ["STARTS"] + ".epochs", "a"))\n'
    noted = (STATE, STATE + note)
    path = good(hbtrack.folder, COUNTED, (LOAD, ""), noted)
    found, _ = counted(hbtrack, aside, path, code=2)
    assert set((aside / "starts.epochs").read_text().split()) == {"1", "2"}
    assert "never read checkpoints/lr:" in str(found["resume"]["says"])
    for name in ("again", "at_once", "sigterm", "sigkill", "half_written"):
        assert found[name]["says"] == "not tried, since resume fails"
    assert found["bad_id"]["status"] == "pass"


# --- the budgets of a search ---------------------------------------------------------------------


@pytest.mark.slow
def test_the_budgets_of_a_search_are_tried_in_turn(hbtrack: Hbtrack) -> None:
    path = good(hbtrack.folder, (STATE, STATE + "    assert args.epochs in (1, 3, 9)\n"))
    result = hbtrack("check", "--max-epochs", 9, path)
    assert "--epochs 1, 3, 9 in turn give the losses of whole runs" in result.stdout
    assert "up to 9 epochs." in result.stdout


@pytest.mark.slow
def test_a_promotion_that_fails_far_up_is_found_only_with_the_budgets_of_the_search(
    hbtrack: Hbtrack,
) -> None:
    refuses = "    assert not 9 <= state['epoch'] < args.epochs, 'too far'\n"
    budgets = "    assert args.epochs in (1, 3, 9, 27)\n"
    path = good(hbtrack.folder, (STATE, STATE + budgets + refuses))
    found = checked(hbtrack, "--max-epochs", 27, path, code=2)
    assert found["resume"]["says"] == "--epochs 27 fails where --epochs 9 was trained before"


@pytest.mark.parametrize(
    ("most", "quick", "fails", "said"),
    [
        (None, False, 0, "16 starts of the script, up to 9 epochs (--max-epochs tries those of "),
        (9, False, 0, "16 starts of the script, up to 9 epochs."),
        (500, False, 0, "up to 9 epochs of 500, for more take over 60 s a run."),
        (500, False, 1, "up to 9 epochs of 500."),
        (500, True, 0, "up to 9 epochs of 500."),
    ],
)
def test_it_says_how_far_it_tried(most: int | None, quick: bool, fails: int, said: str) -> None:
    args = Namespace(max_epochs=most, quick=quick)
    last = Progress("left_running", 25, 25, 16, 9, 0.0)
    assert said in check._how_far(args, last, Counter({Status.FAIL: fails}))


# --- side by side --------------------------------------------------------------------------------


@pytest.fixture
def lanes(tmp_path: Path) -> Callable[..., Runs]:
    """Runs of a script of that text, so many of them at a time."""

    def make(text: str = "print(0.5)", side_by_side: int = 2) -> Runs:
        for name in ("pristine", "work", "logs"):
            (tmp_path / name).mkdir()
        (tmp_path / "pristine" / "x.py").write_text(f"import os, sys\n{text}\n")
        command = Command(str(tmp_path / "x.py"), "0" * 64, (), sys.executable, str(tmp_path))
        bench = Bench(command, 60.0, tmp_path / "logs", Told("x", 81, "told"))
        places = (tmp_path / "pristine", tmp_path / "work")
        outlook = Outlook({})
        return Runs(bench, ["a", "b"], *places, outlook, Budgets(81), lambda: None, side_by_side)

    return make


def test_jobs_run_at_the_same_time(lanes: Callable[..., Runs]) -> None:
    barrier = Barrier(2, timeout=60)
    assert sorted(lanes().together(lambda _: barrier.wait(), lambda _: barrier.wait())) == [0, 1]


def test_where_runs_would_share_a_folder_they_come_one_after_the_other(
    lanes: Callable[..., Runs],
) -> None:
    runs, order = lanes(), []
    runs.comparable = False
    runs.together(*[order.append] * 2)
    assert order == [runs, runs]


def test_a_run_that_fails_beside_others_is_made_once_more_alone(lanes: Callable[..., Runs]) -> None:
    runs = lanes('print(0.5) if os.environ["HBTRACK_ATTEMPT"][-2:] != "/1" else sys.exit(3)')

    def job(lane: Runs) -> list[ScriptRun]:
        return lane.in_turn(lane.untrained("a"), 1)

    found = runs.together(job, job)
    assert [run.loss for made in found for run in made] == [0.5, 0.5]


def test_runs_side_by_side_are_noted_in_the_order_of_their_jobs(
    lanes: Callable[..., Runs],
) -> None:
    runs = lanes("import time; time.sleep(float(sys.argv[1])); print(0.5)", side_by_side=3)

    def job(config_id: str) -> Callable[[Runs], ScriptRun]:
        return lambda lane: lane.run(lane.untrained(config_id), Call(config_id, 1))

    ids = ["0.5", "0.2", "0"]
    assert [run.call.config_id for run in runs.together(*map(job, ids))] == ids
    assert [run.call.config_id for run in runs.runs] == ids
    assert runs.outlook.starts == 3


@pytest.mark.slow
@pytest.mark.parametrize("edits", [[], NOISE], ids=["exact", "noise"])
def test_side_by_side_the_answers_are_those_of_one_after_the_other(
    hbtrack: Hbtrack, edits: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = good(hbtrack.folder, *edits), []
    for width in (1, 3):
        monkeypatch.setattr(check, "side_by_side", lambda width=width: width)
        answers = checked(hbtrack, path, code=0)
        found.append([(name, one["status"]) for name, one in answers.items()])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_stopped_check_ends_all_scripts_that_run_side_by_side(
    hbtrack: Hbtrack, aside: Path, number: signal.Signals
) -> None:
    """Those of two configs at once have a number behind their name."""
    waits = (
        '    if os.environ["HBTRACK_ATTEMPT"][-2:] in ("/0", "/1"):\n'
        f"        with open({str(aside)!r} + os.environ['HBTRACK_ATTEMPT'][-2:], 'w') as file:\n"
        "            file.write(str(os.getpid()))\n"
        "        time.sleep(1000)\n"
    )
    path, temporary = good(hbtrack.folder, (PARSE, PARSE + waits)), aside / "t"
    temporary.mkdir()
    process = hbtrack.start("check", "-q", path, env={"TMPDIR": str(temporary)})
    pids = [aside / "0", aside / "1"]
    wait_for(lambda: all(one.exists() and one.read_text() for one in pids))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75
    assert re.fullmatch(REFUSAL, stderr)
    for one in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(one.read_text()), 0)
    assert list(temporary.iterdir()) == []


def test_on_few_cores_or_with_a_gpu_there_is_one_run_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def width(cores: int, gpus: int = 0) -> int:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
        monkeypatch.setattr(check, "find_gpus", lambda *_, **__: range(gpus))
        return check.side_by_side()

    assert [width(cores) for cores in (1, 2, 4, 6, 64)] == [1, 1, 2, 3, 4]
    assert width(64, gpus=1) == 1
