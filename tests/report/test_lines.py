"""What a search prints where nothing can be redrawn: lines for people; its log has all of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DUMMY, TOY, Hbtrack

from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Place, Verdict
from hbtrack.core.schedule import make_schedule, parse_eta
from hbtrack.driver.interfaces import End, Running
from hbtrack.report.called import Called
from hbtrack.report.live import progress
from hbtrack.report.live.sentences import ended_line, sentence

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +(\d+)/(\d+) #(\d+) (\S.*?): (.*)$", re.M)
"""Time, count, number and parameters of a config, what it came to."""

LOSSES = """
import sys, time
def get_random_config_id(rng): return f"x:{rng.randint(10**6)}"
def run_identity(argv): return "losses"
if __name__ == "__main__":
    print(int(sys.argv[1][2:]) / 10**6)
"""


def test_the_first_command_of_the_readme_fits_two_screens(hbtrack: Hbtrack) -> None:
    said = hbtrack("run", "--max-epochs", 9, DUMMY, "--model", "resnet").stderr
    rows = sum(-(-len(line) // 80) for line in said.splitlines())
    assert rows <= 2 * 24
    done = [line for line in said.splitlines() if LINE.match(line) and "failed" not in line]
    assert len(done) > 15
    assert sum(len(line) > 80 for line in done) <= 3, "two parameters fit a line"


def test_each_evaluation_has_one_line_in_the_order_of_its_end(hbtrack: Hbtrack) -> None:
    said = hbtrack("run", "--max-epochs", 9, TOY, "--fail", 0).stderr
    told = LINE.findall(said)
    assert [int(count) for count, *_ in told] == list(range(1, 23))
    assert {planned for _, planned, *_ in told} == {"22"}
    recorded = hbtrack.rows(
        "SELECT config, substr(config_id, 3), loss, epochs FROM attempts ORDER BY finished_at"
    )
    assert [(int(number), config) for _, _, number, config, _ in told] == [
        (number, f"x={x}") for number, x, *_ in recorded
    ]
    for (*_, what), (_, _, loss, epochs) in zip(told, recorded, strict=True):
        assert re.fullmatch(rf"{loss:.6g} at {epochs} epochs?, \d\.\ds", what)


def test_the_log_has_starts_ends_and_promotions_with_the_number_of_each_config(
    hbtrack: Hbtrack,
) -> None:
    said = hbtrack("run", "--max-epochs", 3, TOY, "--fail", 0).stderr
    assert "event=" not in said
    numbers = dict(hbtrack.rows("SELECT config_id, config FROM attempts"))
    told = re.findall(
        r"^\S+\.\d{6}Z event=(start|done) config=(\S+) number=(\d+)", hbtrack.log(), re.M
    )
    assert [event for event, *_ in told].count("done") == len(told) / 2 == 6
    assert all(numbers[config_id] == int(number) for _, config_id, number in told)
    assert "event=promote" in hbtrack.log()
    assert "evaluations=6/6" in hbtrack.log()


def test_it_begins_with_how_much_where_and_how_to_stop_and_ends_with_the_best(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    run = ("run", "--max-epochs", 3, "--workers", 2)
    said = hbtrack(*run, "--max-failures", 9, script(LOSSES)).stderr.splitlines()
    assert said[0].endswith("Z losses: 6 evaluations of up to 3 epochs, 2 workers")
    assert said[1] == "Database: hbtrack.db  Log of all: hbtrack.db.d/1/log"
    assert said[2] == "Ctrl-C or `hbtrack stop` ends it cleanly; `hbtrack resume` goes on."
    ((loss, epochs, config_id, number),) = hbtrack.rows(
        "SELECT loss, epochs, config_id, config FROM leaderboard WHERE rank = 1"
    )
    assert said[-2].startswith(f"Best {loss!r} at {epochs} epoch")
    assert said[-2].endswith(f": #{number} x={str(config_id)[2:]}")
    assert said[-1] == "More: hbtrack report"


def test_what_to_type_names_the_search_where_there_are_others(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    hbtrack("run", "--max-epochs", 1, "-q", TOY)
    said = hbtrack("run", "--max-epochs", 1, script(LOSSES)).stderr
    assert "`hbtrack resume --identity losses` goes on." in said
    assert said.endswith("More: hbtrack report --identity losses\n")


def test_a_maximised_search_says_that_the_largest_is_best(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    said = hbtrack("run", "--max-epochs", 3, "--maximize", script(LOSSES)).stderr
    assert "1 worker, the largest loss is best\n" in said
    ((loss,),) = hbtrack.rows("SELECT max(loss) FROM attempts")
    assert f"\nBest {loss!r} (maximised) at " in said


def test_at_a_target_the_best_is_told_with_its_parameters(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    said = hbtrack("run", "--max-epochs", 3, "--target-loss", 1, script(LOSSES)).stderr
    assert re.search(r"^Stopped: --target-loss 1 is reached: \S+ at 1 epoch\. ", said, re.M)
    assert re.search(r"^Best \S+ at 1 epoch: #1 x=\d+$", said, re.M)


def test_where_nothing_has_a_loss_the_end_says_how_to_see_why(hbtrack: Hbtrack) -> None:
    said = hbtrack("run", "--max-epochs", 3, "--max-streak", "none", TOY, "--fail", 1).stderr
    told = LINE.findall(said)
    assert len(told) == 5, "none is promoted"
    for *_, what in told:
        assert re.fullmatch(r"failed at \d epochs?, \d\.\ds: RuntimeError: no luck", what)
    assert told[-1][:2] == ("5", "5"), "of what is planned then"
    assert "Nothing has a loss. Why: hbtrack errors\n" in said
    assert "When the script is mended: hbtrack retry, then hbtrack resume\n" in said


def test_places_that_reuse_a_loss_are_counted_with_the_evaluation_that_gave_it(
    hbtrack: Hbtrack,
) -> None:
    said = hbtrack("run", "--max-epochs", 9, TOY, "--fail", 0, "--space", 3).stderr
    told = LINE.findall(said)
    assert told[-1][0] == told[-1][1]
    assert len(told) < int(told[-1][1])
    before = 0
    for count, *_, what in told:
        reusing = re.search(r" \((\d+) more reuse a loss\)$", what)
        assert int(count) == before + 1 + (int(reusing[1]) if reusing else 0)
        before = int(count)


# --- one line ------------------------------------------------------------------------------------

RUNNING = Running(1, "toy-1", Place(1, 1, 0, 0), "x:5", 3, 2, "", since=0.0)
CONFIG = Called("x:5", 3, {"x": 5})


def line_of(status: AttemptStatus, again: str | None = None, **facts: object) -> str | None:
    verdict = Verdict(status, **facts)  # type: ignore[arg-type]
    return ended_line(End(RUNNING, verdict, again, 7, 206), CONFIG, reusing=0)


def test_a_line_says_what_an_evaluation_came_to() -> None:
    done = line_of(AttemptStatus.DONE, loss=0.123456789, seconds=83.0)
    assert done == "  7/206 #3 x=5: 0.123457 at 3 epochs, 0:01:23"
    said = {"error_type": "OSError", "error_message": "no\nroom", "seconds": 12.3}
    failed = line_of(AttemptStatus.FAILED, **said)
    assert failed == "  7/206 #3 x=5: failed at 3 epochs, 12s: OSError: no"
    again = line_of(AttemptStatus.FAILED, "automatic", **said)
    assert again == "  7/206 #3 x=5: failed at 3 epochs, 12s, and runs again: OSError: no"
    lost = line_of(AttemptStatus.LOST, error_type="killed", seconds=1.0)
    assert lost == "  7/206 #3 x=5: was lost at 3 epochs, 1.0s, and runs again: killed"
    assert line_of(AttemptStatus.INTERRUPTED) is None


def test_times_and_budgets_in_sentences_are_for_the_eye() -> None:
    facts = {"because": "12 failed", "until": "2026-11-30T23:20:55.717544Z", "seconds": "10"}
    assert "starts until 2026-11-30T23:20:55Z; " in str(sentence("rest", facts, lines=True))
    late = {"config": CONFIG, "epochs": 1}
    assert sentence("timeout", late, lines=False) == (
        "#3 x=5 at 1 epoch took longer than --timeout, and is ended."
    )
    assert sentence("retry", {"evaluations": 2}, lines=False) is None
    assert sentence("promote", {}, lines=True) is None


def test_where_nobody_can_be_asked_a_config_is_called_by_its_id_and_then_asked_for_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([None, None, CONFIG])
    shows = progress.Progress(tmp_path, "toy", how="lines", named=lambda _config_id: next(answers))
    for _ in range(2):
        shows.started(RUNNING)
        shows.ended(End(RUNNING, Verdict(AttemptStatus.DONE, loss=0.5), None, 1, 6))
    shows.close()
    assert [line[21:] for line in capsys.readouterr().err.splitlines()] == [
        "1/6 x:5: 0.5 at 3 epochs",
        "1/6 #3 x=5: 0.5 at 3 epochs",
    ]


def test_what_is_taken_over_is_one_line_and_each_has_its_own_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shows = progress.Progress(tmp_path, "toy", how="lines")
    shows.opened(Plan(make_schedule(3, parse_eta("3")), 1), 2)
    shows.adopted([RUNNING, RUNNING])
    shows.opened(Plan(make_schedule(3, parse_eta("3")), 1), 2)
    shows.close()
    said = capsys.readouterr().err
    assert said.count("evaluations of up to") == 1, "after some trouble it is not said again"
    assert said.endswith("Z Taken over from before: 2 scripts still running.\n")
    assert (tmp_path / "log").read_text().count("event=adopt ") == 2


def test_a_progress_line_comes_at_most_once_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shows = progress.Progress(
        tmp_path, "toy", how="lines", maximize=True, named=lambda _config_id: CONFIG
    )
    plan = Plan(make_schedule(3, parse_eta("3")), 1)
    plan.best, plan.places_done = (-0.75, Place(1, 1, 0, 0), "x:5", 1), 2
    for now in (1059.0, 1060.0, 1119.0):  # noqa: B007 - it is what the clock says
        shows.progressed(plan, 1, 2)
    shows.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line[21:] == (
        "2/6 evaluations, 0/11 epochs, 1/2 workers busy; best 0.75 (maximised) at 1 epoch: #3 x=5"
    )
    assert " event=progress " in (tmp_path / "log").read_text()
