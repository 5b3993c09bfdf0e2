"""What every start costs, and every epoch: the line through what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import examples

from hbtrack.core.pace import Line, line_through, sums_of

BUDGETS = st.lists(st.integers(1, 10**6), min_size=2, max_size=50).filter(lambda b: len({*b}) > 1)


@given(BUDGETS, st.floats(0.1, 100), st.floats(0.001, 100))
@examples(200)
def test_seconds_that_lie_on_a_line_give_that_line(
    budgets: list[int], start: float, epoch: float
) -> None:
    exact = Line(start, epoch)
    found = line_through(sums_of((epochs, exact.seconds(epochs)) for epochs in budgets))
    assert found is not None
    for epochs in budgets:
        assert found.seconds(epochs) == pytest.approx(exact.seconds(epochs), rel=1e-3)


def test_nothing_measured_gives_no_line() -> None:
    assert line_through(sums_of([])) is None


@pytest.mark.parametrize("measured", [[(3, 6.0)], [(3, 6.0)] * 1000, [(1, 1.0), (2, 8.0)]])
def test_where_a_start_cannot_be_told_all_is_training(measured: list[tuple[int, float]]) -> None:
    line = line_through(sums_of(measured))
    assert line
    assert line.start == 0
    total = line.seconds(sum(epochs for epochs, _ in measured), len(measured))
    assert total == pytest.approx(sum(seconds for _, seconds in measured))
