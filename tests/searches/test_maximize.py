"""Searches by real scripts in which the larger number is the better one, and smallest budgets."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import TOY, Hbtrack

from hbtrack.searches.verify import check_database

SEARCH = ("run", "--max-epochs", 9, "--seed", 5, "--workers", 3)
SAID = {
    "results": "pass, bracket, rung, slot, config_id, config, epochs, status, loss, promoted, "
    "reused, objective",
    "rungs": "pass, bracket, rung, done, failed, promoted, best_loss, cutoff_loss, best_objective,"
    " cutoff_objective",
    "brackets": "pass, bracket, status, evaluations_planned, best_loss, best_objective",
    "searches": "status, evaluations_done, evaluations_failed, best_loss, best_config_id, "
    "best_epochs, failure_loss, best_objective",
    "leaderboard": "rank, config_id, config, loss, epochs, bracket, objective",
}


def said(hbtrack: Hbtrack, sign: int = 1) -> dict[str, list[dict[str, object]]]:
    """What the views say, with every loss times the sign."""
    found = {view: hbtrack.records(f"SELECT {what} FROM {view}") for view, what in SAID.items()}
    for rows in found.values():
        for row in rows:
            losses = {name for name, value in row.items() if name.endswith("loss") and value}
            row.update({name: sign * row[name] for name in losses})
        rows.sort(key=lambda row: str(list(row.values())[:4]))
    return found


def test_a_maximised_search_equals_the_minimised_one_of_a_script_that_prints_the_negative(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    other, words = another(), (TOY, "--space", 12, "--fail", 0.2)
    hbtrack(*SEARCH, "--maximize", *words)
    other(*SEARCH, *words, "--negative")
    assert said(hbtrack) == said(other, -1)
    [(best, largest)] = hbtrack.rows(
        "SELECT best_loss, (SELECT max(loss) FROM results WHERE status = 'done') FROM searches"
    )
    assert best == largest
    assert hbtrack.rows("SELECT failure_loss FROM searches") == [(-100.0,)]
    objectives = "SELECT count(*) FROM {} WHERE objective IS NOT -loss"
    for view in ("results", "attempts", "leaderboard", "incumbents"):
        assert hbtrack.rows(objectives.format(view)) == [(0,)], view


def test_a_failure_loss_that_is_typed_is_kept_and_never_ranks_first(hbtrack: Hbtrack) -> None:
    hbtrack(*SEARCH, "--maximize", "--failure-loss", 7, TOY, "--fail", 0.3)
    failed = "SELECT DISTINCT loss, objective, promoted FROM results WHERE status = 'failed'"
    assert hbtrack.rows(failed) == [(7.0, -7.0, 0)]
    [[best]] = hbtrack.rows("SELECT best_loss FROM searches")
    assert best < 1  # type: ignore[operator]


ODD = """
import itertools, sys
count = itertools.count()
def run_identity(argv): return "odd"
def get_random_config_id(rng): return f"c:{next(count)}"
if __name__ == "__main__":
    printed = ["nan", "inf", "-inf", "-0.0", "0.0", "0", "-0.0", "-1e-300", "1e-300"]
    number = int(sys.argv[1].split(":")[1])
    print(printed[number] if number < len(printed) else -1)
"""


@pytest.mark.parametrize("maximize", [True, False])
def test_what_is_not_finite_fails_and_zeros_of_both_signs_are_ranked_by_their_slots(
    hbtrack: Hbtrack, script: Callable[[str], Path], maximize: bool
) -> None:
    hbtrack(
        "run", "--max-epochs", 9, "--max-streak", "none", *["--maximize"] * maximize, script(ODD)
    )
    rung = "FROM results WHERE bracket = 2 AND rung = 0"
    assert hbtrack.rows(f"SELECT slot {rung} AND status = 'failed' ORDER BY slot") == [
        *((slot,) for slot in range(3))
    ]
    order = hbtrack.rows(f"SELECT slot {rung} AND status = 'done' ORDER BY objective, slot")
    assert [slot for [slot] in order] == ([8, 3, 4, 5, 6, 7] if maximize else [7, 3, 4, 5, 6, 8])
    promoted = hbtrack.rows(f"SELECT slot {rung} AND promoted ORDER BY slot")
    assert [slot for [slot] in promoted] == ([3, 4, 8] if maximize else [3, 4, 7])
    zeros = hbtrack.rows(f"SELECT loss, objective {rung} AND loss = 0")
    assert repr(zeros) == repr([(0.0, 0.0)] * 4), "SQLite knows no other zero"


def test_a_target_is_reached_from_below(hbtrack: Hbtrack) -> None:
    stopped = hbtrack("run", "--max-epochs", 9, "--maximize", "--target-loss", 0.5, TOY).stderr
    [(best, status)] = hbtrack.rows("SELECT best_loss, status FROM searches")
    assert status == "stopped"
    assert best >= 0.5  # type: ignore[operator]
    assert "--target-loss 0.5 is reached: " in stopped
    assert "--target-loss with a larger loss" in stopped
    hbtrack("resume", "--target-loss", "none")
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


# --- what is fixed from the first start on -------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "resume", "extend"])
@pytest.mark.parametrize(
    ("option", "line"),
    [
        (("--no-maximize",), "--maximize: stored yes, given no"),
        (("--min-epochs", 2), "--min-epochs: stored 3, given 2"),
    ],
)
def test_another_direction_or_smallest_budget_is_refused_and_changes_nothing(
    hbtrack: Hbtrack, verb: str, option: tuple[object, ...], line: str
) -> None:
    hbtrack("run", "--max-epochs", 9, "--maximize", "--min-epochs", 3, TOY)
    before = hbtrack.everything()
    words = (TOY,) if verb == "run" else ("--identity", "toy")
    more = ("--passes", 2) if verb == "extend" else ()
    refused = hbtrack(verb, *more, *option, *words, code=4).stderr
    assert line in refused
    assert "Nothing was changed" in refused
    assert "--db PATH" in refused
    assert "hbtrack help other-parameters" in refused
    assert hbtrack.everything() == before


@pytest.mark.parametrize("verb", ["run", "resume", "extend"])
def test_the_same_direction_and_smallest_budget_may_be_typed_again_or_left_out(
    hbtrack: Hbtrack, verb: str
) -> None:
    hbtrack("run", "--max-epochs", 9, "--maximize", "--min-epochs", 3, TOY)
    words = (TOY,) if verb == "run" else ("--identity", "toy")
    more = ("--passes", 2) if verb == "extend" else ()
    hbtrack(verb, *more, "--maximize", "--min-epochs", 3, *words)
    hbtrack(verb, *more, *words)
    stored = hbtrack.rows("SELECT status, maximize, min_epochs FROM searches")
    assert stored == [("finished", 1, 3)]


def test_the_check_of_a_database_recomputes_objectives(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--max-epochs", 3, "--maximize", TOY)
    for statement in (
        "UPDATE _search SET maximize = 0",
        "UPDATE _config SET best_objective = -best_objective WHERE pk = 1",
        "UPDATE _rung SET cutoff_objective = -cutoff_objective WHERE cutoff_objective IS NOT NULL",
        "UPDATE _bracket SET best_objective = -best_objective",
        "UPDATE _incumbent SET objective = -objective",
        "UPDATE _search SET best_objective = -best_objective",
        "UPDATE _attempt SET loss = -loss WHERE status = 'done'",
    ):
        changed = shutil.copy(hbtrack.database, hbtrack.folder / "changed.db")
        with closing(sqlite3.connect(changed)) as connection, connection:
            assert connection.execute(statement).rowcount > 0
        assert check_database(str(changed), None), statement


# --- smallest budgets ----------------------------------------------------------------------------

FIRST = "SELECT epochs, slot, config_id FROM results WHERE rung = 0"


def test_no_place_has_a_smaller_budget_and_each_has_the_config_that_it_would_have_without(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    other = another()
    hbtrack("run", "--max-epochs", 9, "--min-epochs", 2, TOY)
    other("run", "--max-epochs", 9, TOY)
    assert hbtrack.rows("SELECT min(epochs), count(*), min_epochs FROM results JOIN searches") == [
        (3, 6, 2)
    ]
    assert set(hbtrack.rows(FIRST)) < set(other.rows(FIRST))


def test_a_search_that_is_extended_keeps_its_smallest_budget_and_all_its_places(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    fresh = another()
    hbtrack("run", "--max-epochs", 6, "--min-epochs", 2, TOY)
    before = set(hbtrack.rows(FIRST))
    hbtrack("extend", "--identity", "toy", "--max-epochs", 18)
    fresh("run", "--max-epochs", 18, "--min-epochs", 2, TOY)
    assert before < set(hbtrack.rows(FIRST))
    assert hbtrack.dump() == fresh.dump()
    assert hbtrack.rows("SELECT max_epochs, min_epochs FROM searches") == [(18, 2)]


@pytest.mark.parametrize("verb", ["run", "plan", "check"])
def test_a_smallest_budget_above_the_largest_is_refused_before_anything_is_written(
    hbtrack: Hbtrack, verb: str
) -> None:
    words = () if verb == "plan" else (TOY,)
    refused = hbtrack(verb, "--max-epochs", 9, "--min-epochs", 10, *words, code=2).stderr
    assert "min_epochs must be a whole number from 1 to max_epochs (9), not 10." in refused
    assert "hbtrack help bad-schedule" in refused
    assert not hbtrack.database.exists()


def test_plan_shows_the_schedule_and_when_a_larger_smallest_budget_is_right(
    hbtrack: Hbtrack,
) -> None:
    asked = ("plan", "--max-epochs", 81, "--min-epochs", 3)
    document = hbtrack.json(*asked)
    assert document["min_epochs"] == 3
    rungs = [(rung["epochs"], rung["configs"]) for rung in document["rungs"]]  # type: ignore[attr-defined]
    assert rungs[:4] == [(3, 27), (9, 9), (27, 3), (81, 1)]
    assert len(rungs) == 10
    text = hbtrack(*asked).stdout
    assert "max_epochs 81, eta 3, min_epochs 3, one pass: 49 configs, 69 evaluations" in text
    assert text.splitlines()[-1] == (
        "Where a training of 3 epochs tells nothing of a config, or takes less time than a start: "
        "--min-epochs 9 (17 configs, 22 evaluations, 621 epochs)."
    )
    assert "--min-epochs" not in hbtrack("plan", "--max-epochs", 81, "--min-epochs", 81).stdout
