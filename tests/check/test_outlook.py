"""How far a check is, how long it still takes, and for how many epochs it tries a script."""

from dataclasses import replace

import pytest

from hbtrack.check.budgets import AFFORDABLE, Budgets, budgets_of
from hbtrack.check.finding import POINTS
from hbtrack.check.functions import TYPICAL
from hbtrack.check.outlook import Outlook, planned, seconds_for


def test_before_the_first_run_nothing_is_known_of_the_time_left() -> None:
    assert Outlook(planned(Budgets(81), quick=False)).progress().seconds_left is None


@pytest.mark.parametrize(
    ("ahead", "taken", "seconds"),
    [
        pytest.param([1, 1], {1: [2.0]}, 4.0, id="as many runs as are ahead"),
        pytest.param([1], {1: [2.0, 3.0, 900.0]}, 3.0, id="the median, whatever one run took"),
        pytest.param([9], {1: [2.0]}, 2.0, id="nothing else is known"),
        pytest.param([9], {1: [2.0], 2: [3.0]}, 10.0, id="so much more for each epoch"),
        pytest.param([4], {1: [2.0], 3: [4.0], 5: [8.0]}, 6.0, id="between two"),
        pytest.param([9], {1: [5.0], 2: [3.0]}, 5.0, id="no less than a shorter one"),
        pytest.param([1], {2: [3.0], 9: [99.0]}, 0.0, id="never less than nothing"),
        pytest.param([], {1: [2.0]}, 0.0, id="nothing is ahead"),
    ],
)
def test_the_time_left_is_that_of_the_runs_ahead_as_long_as_those_before(
    ahead: list[int], taken: dict[int, list[float]], seconds: float
) -> None:
    assert seconds_for(ahead, taken) == pytest.approx(seconds)


def test_each_run_takes_its_time_from_what_is_left() -> None:
    outlook = Outlook({"call": [1], "resume": [2, 2], "bad_id": [1]})
    outlook.begin("call")
    outlook.ran(1, 10.0, to_its_end=True, done=True)
    assert outlook.progress().seconds_left == 30.0
    outlook.begin("resume")
    outlook.ran(2, 10.0, to_its_end=True, done=True)
    assert outlook.progress().seconds_left == 20.0
    outlook.leave_out(["bad_id"])
    assert outlook.progress().seconds_left == 10.0
    outlook.expect(2, 7)  # the losses are not alike
    assert outlook.progress().seconds_left == 70.0


def test_a_run_that_was_ended_early_does_not_tell_how_long_one_takes() -> None:
    outlook = Outlook({"call": [1, 1]})
    outlook.begin("call")
    outlook.ran(1, 0.1, to_its_end=False, done=False)
    assert outlook.progress().seconds_left is None
    assert (outlook.progress().starts, outlook.progress().epochs) == (1, 0)


def test_runs_for_many_epochs_are_reckoned_with_as_soon_as_it_is_known_how_many() -> None:
    outlook = Outlook({"call": [1], "sigterm": [0]})
    outlook.begin("call")
    for epochs, seconds in ((1, 1.0), (2, 2.0)):
        outlook.ran(epochs, seconds, to_its_end=True, done=True)
    assert outlook.progress().seconds_left == 3.0
    outlook.long = 50
    assert outlook.progress().seconds_left == 50.0


def test_each_check_has_its_number_among_all() -> None:
    outlook = Outlook({})
    for number, name in enumerate(POINTS, start=1):
        outlook.begin(name)
        assert outlook.progress()[:3] == (name, number, len(POINTS))


def test_quick_plans_five_starts() -> None:
    assert sum(map(len, planned(Budgets(81), quick=True).values())) == 5


@pytest.mark.parametrize(
    ("max_epochs", "steps"),
    [
        (81, (1, 3, 9, 27, 81)),
        (100, (1, 3, 11, 33, 100)),
        (9, (1, 3, 9)),
        (5, (1, 2, 5)),
        (3, (1, 2, 3)),
        (1, (1, 2)),
    ],
)
def test_the_budgets_of_a_search_are_tried_and_small_ones_where_it_has_few(
    max_epochs: int, steps: tuple[int, ...]
) -> None:
    budgets = budgets_of(replace(TYPICAL, max_epochs=max_epochs))
    assert (budgets.first, budgets.second, *budgets.ladder) == steps
    assert budgets.most >= max(steps), "no run has more epochs than it is told there will be"


def test_budgets_are_tried_as_far_as_a_run_takes_a_minute() -> None:
    budgets = budgets_of(TYPICAL)
    assert budgets.affordable(AFFORDABLE / 27) == (9, 27)
    assert budgets.affordable(AFFORDABLE) == ()
