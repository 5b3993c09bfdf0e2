"""What a search shows while it runs: on real terminals of all sizes, in lines, from elsewhere."""

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack, wait_for
from rich.cells import cell_len
from terminal import CTRL_C, OnTerminal, terminals

from hbtrack.cli.watch import HINT_OF_SEVERAL
from hbtrack.core.estimate import Range
from hbtrack.core.limits import at_limit, broken, failed_by, reached
from hbtrack.core.plan import Plan
from hbtrack.core.records import Limits, Place
from hbtrack.core.schedule import make_schedule, parse_eta
from hbtrack.report.called import Called
from hbtrack.report.live.canvas import Canvas
from hbtrack.report.live.overview import BracketProgress, Overview, RungProgress, read_overview
from hbtrack.report.live.picture import draw, draw_several
from hbtrack.report.snapshot import Attempt
from hbtrack.text import budget

XOFF, XON = b"\x13", b"\x11"
COLOURS = re.compile(rb"\x1b\[[0-9;]*[349][0-7][0-9;]*m")


@pytest.fixture
def terminal() -> Iterator[OnTerminal]:
    """Starts commands of hbtrack on terminals."""
    with terminals() as start:
        yield start


def hold(hbtrack: Hbtrack) -> Path:
    """From now on no epoch of the toy ends, until this file is gone."""
    path = hbtrack.folder / "toy" / "hold"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return path


# --- a search that is held at one moment, and watched from everywhere ----------------------------


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hbtrack]:
    """A search with four workers that has results and failures, and now stands still."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("held"))
    words = ("run", "--seed", 6, "--max-epochs", 9, "--workers", 4, "--grace", 0, TOY)
    (hbtrack.folder / "toy").mkdir()
    (hbtrack.folder / "toy" / "hold_after").write_text("8")
    driver = hbtrack.start(*words, "--fail", "0.2", "--epoch_seconds", "0.03")
    wait_for(lambda: _noted(hbtrack, "held") == 4)
    yield hbtrack
    driver.kill()
    driver.communicate()
    hbtrack("stop", "--grace", 0)


@pytest.mark.parametrize(("columns", "rows"), [(40, 30), (80, 24), (160, 40)])
def test_the_screen_fits_the_terminal_and_leaves_nothing_behind(
    held: Hbtrack, terminal: OnTerminal, columns: int, rows: int
) -> None:
    shown = terminal(held, "status", "--watch", columns=columns, rows=rows)
    shown.shows("4/4 workers busy", "Ctrl-C ends watching")
    for _ in range(2):  # drawn over, not below
        before = len(shown.written)
        wait_for(lambda before=before: shown.lines() and len(shown.written) > before)
    lines = shown.picture()
    assert sum(line.startswith("toy  running") for line in lines) == 1
    assert sum(line.startswith("worker ") for line in lines) == 4
    assert [line[:3] for line in lines if line.startswith("s=")] == ["s=2", "s=1", "s=0"]
    assert sum(line.startswith("best ") for line in lines) == 1
    assert "x RuntimeError: no luck" in "\n".join(lines)
    assert max(map(len, lines)) < columns


def test_the_screen_says_what_the_database_says(held: Hbtrack, terminal: OnTerminal) -> None:
    shown = terminal(held, "status", "--watch", columns=120, rows=40)
    shown.shows("4/4 workers busy")
    text = "\n".join(shown.picture())
    ((done, planned, loss, config, number, epochs, failed),) = held.rows(
        "SELECT epochs_done, epochs_planned, best_loss, best_config_id, config, best_epochs, "
        "evaluations_failed FROM searches JOIN leaderboard ON config_id = best_config_id"
    )
    assert f"{done}/{planned} epochs" in text
    assert f"{failed} failed" in text
    assert f"best    {loss:.6g} at {budget(epochs)}: #{number} x={str(config)[2:]}" in text
    for one, x, at, worker in held.rows(
        "SELECT config, value, epochs, worker FROM attempts JOIN params USING (config_id, config) "
        "WHERE finished_at IS NULL"
    ):
        assert re.search(rf"worker {worker}  .*  {budget(at)} +\S+  #{one} x={x}$", text, re.M)


def test_an_overview_counts_as_the_views_count(held: Hbtrack) -> None:
    with closing(sqlite3.connect(held.database)) as connection:
        connection.row_factory = sqlite3.Row
        overview = read_overview(connection, "toy", state="running", now=time.time())
    counted = [
        (bracket.pass_, bracket.bracket, rung.epochs, rung.entered, rung.ended, rung.running)
        for bracket in overview.brackets
        for rung in bracket.rungs
    ]
    assert sum(running for *_, running in counted) == 4
    assert counted == held.rows(
        "SELECT pass, bracket, epochs, configs_entered, done + failed, running FROM rungs "
        "ORDER BY pass, bracket DESC, rung"
    )
    assert sum(cause["count"] for cause in overview.causes) == len(
        held.rows("SELECT 1 FROM failures")
    )


def test_without_no_color_there_are_colours_and_with_it_there_are_none(
    held: Hbtrack, terminal: OnTerminal
) -> None:
    plain = terminal(held, "status", "--watch", env={"NO_COLOR": "1"})
    coloured = terminal(held, "status", "--watch", env={"NO_COLOR": ""})
    for shown in (plain, coloured):
        shown.shows("4/4 workers busy")
    assert COLOURS.search(coloured.written)
    assert not COLOURS.search(plain.written)


def test_a_terminal_without_unicode_gets_ascii(held: Hbtrack, terminal: OnTerminal) -> None:
    shown = terminal(
        held, "status", "--watch", columns=36, rows=30, env={"LC_ALL": "C", "PYTHONUTF8": "0"}
    )
    shown.shows("4/4 workers busy", "toy  running", "...", ">")
    assert shown.written.isascii()


def test_a_terminal_that_is_made_smaller_still_shows_what_matters(
    held: Hbtrack, terminal: OnTerminal
) -> None:
    def workers() -> int:
        return sum(line.startswith("worker ") for line in shown.lines())

    shown = terminal(held, "status", "--watch", columns=100, rows=30)
    wait_for(lambda: workers() == 4)
    shown.resize(100, 8)
    shown.shows("toy  running", "best ", "failed ")
    wait_for(lambda: workers() < 4)
    assert len(shown.lines()) <= 8


def test_ctrl_c_ends_watching_and_the_search_goes_on(held: Hbtrack, terminal: OnTerminal) -> None:
    shown = terminal(held, "status", "--watch")
    shown.shows("Ctrl-C ends watching")
    shown.press(CTRL_C)
    assert shown.exit_status() == 130
    assert "Traceback" not in shown.text()
    assert held.json("status")["searches"][0]["state"] == "running"  # type: ignore[index]


def test_what_is_watched_in_lines_begins_with_one_line(held: Hbtrack) -> None:
    with subprocess.Popen(
        held.command("status", "--watch", "--identity", "t*"),
        cwd=held.folder,
        env=held.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout
        line = watching.stdout.readline()
        watching.kill()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ toy is running: \d+/22 evaluations, ", line)
    assert ", 4/4 workers busy" in line


# --- a search that is run on a terminal ----------------------------------------------------------

SEARCH = ("run", "--max-epochs", 9, "--workers", 2)


def test_a_search_draws_its_screen_stops_at_ctrl_c_and_is_resumed_to_its_end(
    hbtrack: Hbtrack, terminal: OnTerminal
) -> None:
    gate = hold(hbtrack)
    shown = terminal(hbtrack, *SEARCH, TOY)
    shown.shows("toy  running", "2/2 workers busy", "Ctrl-C stops cleanly; hbtrack resume goes on.")
    shown.press(CTRL_C)
    assert shown.exit_status() == 75
    assert "SIGINT: 2 scripts were asked to end." in shown.text()
    assert "toy  interrupted" in shown.text()
    assert "toy  running" not in shown.text()
    gate.unlink()
    shown = terminal(hbtrack, "resume")
    assert shown.exit_status() == 0
    ((epochs, loss),) = hbtrack.rows("SELECT epochs_planned, best_loss FROM searches")
    assert "toy  finished  22/22 evaluations" in shown.text()
    assert f"100%  {epochs}/{epochs} epochs" in shown.text()
    assert f"best    {loss:.6g} at " in shown.text()
    assert "s=0               3/3" in shown.text()
    assert not shown.screen.cursor.hidden


def test_a_terminal_that_is_stopped_does_not_hold_up_the_search(
    hbtrack: Hbtrack, terminal: OnTerminal
) -> None:
    gate = hold(hbtrack)
    shown = terminal(hbtrack, *SEARCH, TOY)
    shown.shows("2/2 workers busy")
    shown.press(XOFF)
    gate.unlink()
    wait_for(lambda: hbtrack.rows("SELECT status FROM searches") == [("finished",)])
    shown.press(XON)
    assert shown.exit_status() == 0


HOSTILE = """
import itertools, sys

WIDE = "\\u65e5\\u672c\\u8a9e" * 30
IDS = ["\\x1b[2Jgone", "[red]x[/]", ":smile:", "\\u202egnp", WIDE, "a\\x07b"]
left = itertools.cycle(IDS)

def get_random_config_id(rng):
    return next(left)

def get_config(config_id):
    return {"[b]name": config_id}

def run_identity(argv):
    return "\\x1b]0;owned\\x07[bold]id[/]"

if __name__ == "__main__":
    if sys.argv[1] == "a\\x07b":
        raise ValueError("\\x1b7\\x1b[31m[blink]:bomb:")
    if "wait" in sys.argv:
        open("gate").read()
    print(0.5 if sys.argv[1] == "[red]x[/]" else 0.7)
"""


@pytest.mark.slow
def test_hostile_ids_stay_text(
    hbtrack: Hbtrack, script: Callable[[str], Path], terminal: OnTerminal
) -> None:
    os.mkfifo(hbtrack.folder / "gate")
    words = ("run", "--max-epochs", 9, "--workers", 6, "--grace", 0, script(HOSTILE), "wait")
    shown = terminal(hbtrack, *words, columns=100, rows=30)
    shown.shows("5/6 workers busy", "1 failed")
    narrow = terminal(hbtrack, "status", "--watch", columns=58, rows=30)
    narrow.shows("5/6 workers busy", "1 failed")
    assert max(map(cell_len, narrow.picture())) < 58
    shown.press(CTRL_C)
    for each in (shown, narrow):
        each.exit_status()
        for text in (r"\x1b[2Jgone", "[red]x[/]", ":smile:", r"\u202egnp"):
            assert text in each.written.decode()
        for raw in (b"\x1b[2J", b"\x1b]", b"\x07", b"\x1b[31m[", "\u202e".encode()):
            assert raw not in each.written
        assert r"\x1b]0;owned\x07[bold]id[/]" in each.text()
        assert r"1x ValueError: \x1b7[blink]" in each.text()


# --- --progress ----------------------------------------------------------------------------------


def test_progress_lines_are_lines_on_a_terminal_too_and_the_log_tells_of_promotions(
    hbtrack: Hbtrack, terminal: OnTerminal
) -> None:
    shown = terminal(hbtrack, *SEARCH, "--progress", "lines", TOY, "--fail", 0, columns=200)
    assert shown.exit_status() == 0
    assert b"\x1b" not in shown.written
    assert b"event=" not in shown.written
    log = hbtrack.log()
    events = re.findall(r" event=(\w+) ", log)
    assert [events.count(event) for event in ("start", "done")] == [22, 22]
    told = re.findall(
        r" event=promote pass=(\d+) bracket=(\d+) rung=(\d+) configs=(\d+)/(\d+) ", log
    )
    expected = hbtrack.rows(
        "SELECT pass, bracket, rung, promoted, configs_entered FROM rungs WHERE promoted > 0"
    )
    assert sorted(tuple(map(int, words)) for words in told) == sorted(expected)


def test_auto_is_lines_where_nothing_can_be_redrawn(hbtrack: Hbtrack, terminal: OnTerminal) -> None:
    shown = terminal(hbtrack, "run", "--max-epochs", 3, TOY, env={"TERM": "dumb"}, columns=200)
    assert shown.exit_status() == 0
    assert re.search(rb"Z 1/6 #1 x=\d+: ", shown.written)
    assert b"\x1b" not in shown.written


def test_live_where_nothing_can_be_redrawn_is_the_last_picture(hbtrack: Hbtrack) -> None:
    said = hbtrack("run", "--max-epochs", 3, "--progress", "live", TOY).stderr
    assert said.count("toy  finished") == 1
    assert "toy  running" not in said
    assert "\x1b" not in said
    assert "event=" not in said


SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == "hbtrack.report.live.screen":
            time.sleep(4)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.slow
def test_the_last_picture_is_waited_for_where_the_machine_is_busy(
    hbtrack: Hbtrack, script: Callable[[str, str], Path]
) -> None:
    script(SLOW, "sitecustomize.py")
    env = {"PYTHONPATH": f"{hbtrack.folder}{os.pathsep}{ROOT}"}
    said = hbtrack("run", "--max-epochs", 1, "--progress", "live", TOY, env=env).stderr
    assert "toy  finished" in said


def test_off_still_says_what_a_signal_does(hbtrack: Hbtrack) -> None:
    hold(hbtrack)
    driver = hbtrack.start("run", "--max-epochs", 3, "--progress", "off", TOY)
    wait_for(lambda: _noted(hbtrack, "begin"))
    driver.send_signal(signal.SIGINT)
    said = driver.communicate(timeout=100)[1]
    assert driver.returncode == 75
    assert "1 scripts were asked to end" in said
    assert "event=" not in said
    assert "event=stop" in hbtrack.log()


def _noted(hbtrack: Hbtrack, word: str) -> int:
    """How many lines of the diary begin so: `begin` an epoch, `held` in it."""
    diary = hbtrack.folder / "toy" / "diary.txt"
    return diary.read_text().count(f"{word} ") if diary.exists() else 0


# --- --watch and --wait --------------------------------------------------------------------------


def test_watch_and_wait_follow_a_search_of_another_process_to_its_end(
    hbtrack: Hbtrack, terminal: OnTerminal
) -> None:
    gate = hold(hbtrack)
    driver = hbtrack.start(*SEARCH, "--quiet", TOY)
    wait_for(lambda: _noted(hbtrack, "begin") == 2)
    shown = terminal(hbtrack, "status", "--watch")
    waiting = hbtrack.start("status", "--wait", "--identity", "toy")
    shown.shows("toy  running", "2/2 workers busy")
    wait_for(lambda: _sleeps_on_a_lock(waiting.pid))
    gate.unlink()
    driver.communicate()
    assert shown.exit_status() == 0
    assert "toy  finished  22/22 evaluations" in shown.text()
    assert "toy is finished: `hbtrack report` shows what was found." in shown.text()
    waiting.communicate(timeout=100)
    assert waiting.returncode == 0


def _sleeps_on_a_lock(pid: int) -> bool:
    """Whether the kernel lists it as one that waits for a lock."""
    return any(
        "->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines()
    )


def test_wait_exits_1_when_failures_stopped_the_search(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--max-epochs", 3, "--max-failures", 0, "--quiet", TOY, "--fail", 1, code=1)
    assert "toy" in hbtrack("status", "--wait", code=1).stdout


def test_what_stopped_a_search_can_be_told_from_its_reason() -> None:
    plan = Plan(make_schedule(3, parse_eta("3")), 1)
    for limits in (Limits(target_loss=1.0), Limits(max_time=1.0), Limits(max_failures="0")):
        plan.best, plan.places_failed = (0.5, Place(1, 1, 0, 0), "x", 1), 1
        found = reached(limits, plan, 2.0, maximize=False, doubted=False)
        assert found
        assert at_limit(found.reason)
        assert failed_by(found.reason) == found.failure
    assert failed_by(broken("ValueError", "no").reason)
    assert failed_by(broken("timeout; exit None", "late").reason)
    assert not at_limit("hbtrack stop")
    assert not at_limit("SIGTERM")


def test_wait_exits_75_when_resume_would_go_on(hbtrack: Hbtrack) -> None:
    hold(hbtrack)
    driver = hbtrack.start("run", "--max-epochs", 3, "--grace", 0, TOY)
    wait_for(lambda: _noted(hbtrack, "begin"))
    driver.kill()
    driver.communicate()
    assert "orphaned" in hbtrack("status", "--wait", code=75).stdout
    hbtrack("stop", "--grace", 0)
    assert "stopped" in hbtrack("status", "--wait", code=75).stdout
    assert "No search is running" in hbtrack("status", "--watch", code=3).stderr
    watched = hbtrack("status", "--watch", "--identity", "toy").stdout
    assert "toy is stopped: `hbtrack resume` goes on." in watched


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_status_fits_the_terminal_and_begins_with_how_far_and_how_long_still(
    held: Hbtrack, terminal: OnTerminal, columns: int
) -> None:
    shown = terminal(held, "status", columns=columns)
    assert shown.exit_status() == 0
    lines = shown.lines()
    place = next(number for number, line in enumerate(lines) if set(line) == {"-", " "})
    assert len(lines[place]) <= columns
    assert re.match(r"toy +running +\d+/\d+ +(\d+:\d\d|best|-|\d)", lines[place + 1])
    said = re.sub(r"_\s", "_", " ".join([*lines[:place], *lines[place + 2 :]]))
    for name in ("state", "epochs", "left", "failed", "config", "driver"):
        assert name in said


@pytest.mark.parametrize("how", ["--watch", "--wait"])
def test_what_matches_nothing_is_not_waited_for(held: Hbtrack, how: str) -> None:
    assert "No search is called" in held("status", how, "--identity", "nobody", code=3).stderr
    assert "not allowed with" in held("status", "--watch", "--wait", code=2).stderr
    assert "--format" in held("status", "--watch", "--format", "json", code=2).stderr


def test_several_searches_have_a_line_each(
    hbtrack: Hbtrack, terminal: OnTerminal, script: Callable[[str], Path]
) -> None:
    text = TOY.read_text().replace('return "toy"', 'return "name " + argv[-1]')
    for name in ("one", "two"):
        hbtrack("run", "--max-epochs", 3, "--quiet", script(text), "--folder", name)
    shown = terminal(hbtrack, "status", "--watch", "--identity", "name *")
    assert shown.exit_status() == 0
    for name in ("one", "two"):
        assert re.search(
            rf"^100%  finished  name {name}  \d+/\d+ epochs  best ", shown.text(), re.M
        )


def test_of_several_searches_each_says_how_many_failed_and_the_hint_how_to_see_one() -> None:
    line, _, hint = draw_several([overview()] * 2, Canvas(120, 9), HINT_OF_SEVERAL)[1:]
    assert "best 0.1 at 27 epochs  20 failed  0:01:40 to 25:00:00 left" in line.plain
    assert "--identity" in hint.plain


# --- every size ----------------------------------------------------------------------------------


def overview(passes: int = 1, workers: int = 2, causes: int = 2, name: str = "toy") -> Overview:
    """A search at some moment in its first pass, made up."""
    rungs = [RungProgress(3**n, 27 // 3**n, 27 // 3**n, 5, 1, 1, None) for n in range(4)]
    statuses = ("running", "waiting", "waiting", "waiting")
    attempt = Attempt(0, "7", "x", 27, "running", "", 0.0, 0.0)
    opaque = Called("\u65e5\u672c" * 40, 3, {})
    search = {"run_identity": name, "passes": passes, "stop_reason": None, "maximize": 0}
    search |= {"evaluations_planned": 100, "evaluations_done": 50, "evaluations_failed": 20}
    search |= {"epochs_planned": 1000, "epochs_done": 996}
    search |= {"best_loss": 0.1, "best_config_id": "x" * 500, "best_epochs": 27}
    cause = {"count": 3, "error_type": "ValueError", "error_message": "e" * 500}
    return Overview(
        search,
        "running",
        Range(100, 90000),
        now=4000.0,
        brackets=[
            BracketProgress(pass_, 3 - n, status, rungs[n:])
            for pass_ in range(1, min(passes, 10) + 1)
            for n, status in enumerate(statuses)
        ],
        bracket_counts={"running": min(passes, 10), "waiting": 4 * passes - min(passes, 10)},
        attempts=[(attempt, opaque, (3, 1))] * workers,
        workers=workers + 1,
        best=Called("x" * 500, 1, {f"p{n}": "\u8a9e" * 30 for n in range(20)}),
        causes=[cause] * (causes + 3),
        rest="rests until 2026-01-01T00:00:00Z, then asks again: 12 failed" if causes else "",
    )


CROWDED = overview(passes=20, workers=64, causes=5, name="\u540d" * 300)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("search", [overview(), CROWDED], ids=["small", "crowded"])
def test_no_picture_is_wider_or_higher_than_its_canvas(search: Overview, encoding: str) -> None:
    for width in (1, 2, 5, 10, 20, 39, 60, 79, 119, 240):
        for height in (1, 2, 3, 5, 8, 12, 23, 39, 80):
            canvas = Canvas(width, height, encoding)
            for lines in (draw(search, canvas, "hint"), draw_several([search] * 9, canvas, "hint")):
                assert len(lines) <= height
                assert max(cell_len(line.plain) for line in lines) <= width
                "".join(line.plain for line in lines).encode(encoding)


@pytest.mark.parametrize("height", range(10, 60))
def test_best_failures_and_what_runs_are_never_folded_away(height: int) -> None:
    lines = [line.plain for line in draw(CROWDED, Canvas(79, height), "the hint")]
    for beginning in ("best ", "failed ", "the hint", "GPU 7"):
        assert any(line.startswith(beginning) for line in lines), beginning
    folded = [line for line in lines if "brackets not shown" in line or "brackets: " in line]
    shown = sum(line.startswith("pass ") for line in lines)
    assert shown + sum(map(int, re.findall(r"\d+", folded[0]))) == 80


@pytest.mark.parametrize(("width", "height"), [(29, 5), (39, 9), (24, 6)])
def test_a_very_small_terminal_still_says_how_far_how_long_and_what_is_best(
    width: int, height: int
) -> None:
    text = "\n".join(line.plain for line in draw(overview(), Canvas(width, height), "the hint"))
    for each in ("toy  running", " 99%", f"{overview().left} left", "best    0.1 ", "failed  3x "):
        assert each[:width] in text


def test_what_is_folded_away_is_named() -> None:
    text = "\n".join(line.plain for line in draw(CROWDED, Canvas(79, 23)))
    assert re.search(r"^… \d+ more workers$", text, re.M)
    several = draw_several([overview()] * 9, Canvas(79, 5), "hint")
    assert several[3].plain == "… 6 more searches"


def test_the_bar_gives_way_to_words_and_is_at_100_percent_only_when_nothing_is_left() -> None:
    for width in range(21, 120):
        lines = [line.plain for line in draw(overview(), Canvas(width, 40))]
        (line,) = [line for line in lines if "996/1000 epochs" in line]
        assert line.startswith(("━━━━━━", " 99%"))


def test_what_runs_is_shown_before_what_waits() -> None:
    lines = [line.plain for line in draw(CROWDED, Canvas(120, 20), "hint")]
    shown = [line for line in lines if line.startswith("pass ")]
    assert shown
    assert all("running" in line and "s=3" in line for line in shown)
