"""The schedule: golden tables, and Algorithm 1 of the paper written literally."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hbtrack.core.schedule import MAX_EPOCHS_LIMIT, Schedule, format_eta, make_schedule, parse_eta
from hbtrack.errors import UsageError

Table = list[list[tuple[int, int]]]

# (R, eta) -> for each bracket, the largest s first, the (configs, epochs) of its rungs; then
# configs, evaluations, epochs with checkpoints, epochs without. Worked out in 80-digit decimals.
GOLDEN: dict[tuple[int, str], tuple[Table, tuple[int, int, int, int]]] = {
    (81, "3"): (
        [
            [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
            [(34, 3), (11, 9), (3, 27), (1, 81)],
            [(15, 9), (5, 27), (1, 81)],
            [(8, 27), (2, 81)],
            [(5, 81)],
        ],
        (143, 206, 1581, 1902),
    ),
    (27, "3"): (
        [
            [(27, 1), (9, 3), (3, 9), (1, 27)],
            [(12, 3), (4, 9), (1, 27)],
            [(6, 9), (2, 27)],
            [(4, 27)],
        ],
        (49, 69, 357, 423),
    ),
    (9, "3"): (
        [
            [(9, 1), (3, 3), (1, 9)],
            [(5, 3), (1, 9)],
            [(3, 9)],
        ],
        (17, 22, 69, 78),
    ),
    (243, "3"): (
        [
            [(243, 1), (81, 3), (27, 9), (9, 27), (3, 81), (1, 243)],
            [(98, 3), (32, 9), (10, 27), (3, 81), (1, 243)],
            [(41, 9), (13, 27), (4, 81), (1, 243)],
            [(18, 27), (6, 81), (2, 243)],
            [(9, 81), (3, 243)],
            [(6, 243)],
        ],
        (415, 611, 6831, 8457),
    ),
    (729, "3"): (
        [
            [(729, 1), (243, 3), (81, 9), (27, 27), (9, 81), (3, 243), (1, 729)],
            [(284, 3), (94, 9), (31, 27), (10, 81), (3, 243), (1, 729)],
            [(114, 9), (38, 27), (12, 81), (4, 243), (1, 729)],
            [(48, 27), (16, 81), (5, 243), (1, 729)],
            [(21, 81), (7, 243), (2, 729)],
            [(11, 243), (3, 729)],
            [(7, 729)],
        ],
        (1214, 1806, 27120, 33990),
    ),
    (100, "3"): (
        [
            [(81, 1), (27, 3), (9, 11), (3, 33), (1, 100)],
            [(34, 3), (11, 11), (3, 33), (1, 100)],
            [(15, 11), (5, 33), (1, 100)],
            [(8, 33), (2, 100)],
            [(5, 100)],
        ],
        (143, 206, 1903, 2276),
    ),
    (50, "3"): (
        [
            [(27, 1), (9, 5), (3, 16), (1, 50)],
            [(12, 5), (4, 16), (1, 50)],
            [(6, 16), (2, 50)],
            [(4, 50)],
        ],
        (49, 69, 632, 740),
    ),
    (1000, "10"): (
        [
            [(1000, 1), (100, 10), (10, 100), (1, 1000)],
            [(134, 10), (13, 100), (1, 1000)],
            [(20, 100), (2, 1000)],
            [(4, 1000)],
        ],
        (1158, 1285, 14910, 15640),
    ),
    (180, "5"): (
        [
            [(125, 1), (25, 7), (5, 36), (1, 180)],
            [(34, 7), (6, 36), (1, 180)],
            [(10, 36), (2, 180)],
            [(4, 180)],
        ],
        (173, 213, 2488, 2734),
    ),
    (16, "2"): (
        [
            [(16, 1), (8, 2), (4, 4), (2, 8), (1, 16)],
            [(10, 2), (5, 4), (2, 8), (1, 16)],
            [(7, 4), (3, 8), (1, 16)],
            [(5, 8), (2, 16)],
            [(5, 16)],
        ],
        (43, 72, 278, 372),
    ),
    (1, "3"): ([[(1, 1)]], (1, 1, 1, 1)),
    (81, "2.5"): (
        [
            [(40, 2), (16, 5), (6, 12), (2, 32), (1, 81)],
            [(20, 5), (8, 12), (3, 32), (1, 81)],
            [(11, 12), (4, 32), (1, 81)],
            [(7, 32), (2, 81)],
            [(5, 81)],
        ],
        (83, 127, 1512, 1882),
    ),
}

# (R, eta, r), the smallest budget not 1, likewise.
GOLDEN_FROM_R: dict[tuple[int, str, int], Table] = {
    (81, "3", 3): [
        [(27, 3), (9, 9), (3, 27), (1, 81)],
        [(12, 9), (4, 27), (1, 81)],
        [(6, 27), (2, 81)],
        [(4, 81)],
    ],
    (81, "3", 4): [[(9, 9), (3, 27), (1, 81)], [(5, 27), (1, 81)], [(3, 81)]],
    (81, "3", 9): [[(9, 9), (3, 27), (1, 81)], [(5, 27), (1, 81)], [(3, 81)]],
    (81, "3", 27): [[(3, 27), (1, 81)], [(2, 81)]],
    (81, "3", 28): [[(1, 81)]],
    (81, "3", 81): [[(1, 81)]],
    (100, "3", 4): [[(9, 11), (3, 33), (1, 100)], [(5, 33), (1, 100)], [(3, 100)]],
    (100, "2.5", 7): [[(7, 16), (2, 40), (1, 100)], [(4, 40), (1, 100)], [(3, 100)]],
}

ETAS = ["2", "2.1", "2.5", "2.718281828", "3", "3.7", "4", "5", "10", "300.5"]


def schedule_of(max_epochs: int, eta: str, min_epochs: int = 1) -> Schedule:
    return make_schedule(max_epochs, parse_eta(eta), min_epochs)


def table(schedule: Schedule) -> Table:
    return [[(rung.configs, rung.epochs) for rung in b.rungs] for b in schedule.brackets]


def algorithm_1(R: int, eta: Fraction, least: int = 1) -> Table:  # noqa: N803 - the paper's name
    """Algorithm 1 of the paper, line by line; resources are handed out in whole epochs.

    The paper measures R in units of `least`, the smallest budget that it lets a config have.
    """
    s_max, rest = 0, Fraction(R)
    while rest / eta >= least:  # floor(log_eta(R / least))
        s_max, rest = s_max + 1, rest / eta
    B = (s_max + 1) * R  # noqa: N806
    brackets = []
    for s in reversed(range(s_max + 1)):
        n = math.ceil(Fraction(B, R) * eta**s / (s + 1))
        r = R * eta**-s
        rungs = []
        for i in range(s + 1):
            n_i = math.floor(n * eta**-i)
            r_i = r * eta**i
            rungs.append((n_i, math.floor(r_i)))
        brackets.append(rungs)
    return brackets


@pytest.mark.parametrize(("max_epochs", "eta"), GOLDEN)
def test_the_brackets_and_the_totals_are_those_of_the_golden_table(
    max_epochs: int, eta: str
) -> None:
    schedule = schedule_of(max_epochs, eta)
    totals = (
        schedule.configs,
        schedule.evaluations,
        schedule.epochs,
        schedule.epochs_without_checkpoints,
    )
    assert (table(schedule), totals) == GOLDEN[max_epochs, eta]


@pytest.mark.parametrize(("max_epochs", "eta", "min_epochs"), GOLDEN_FROM_R)
def test_the_brackets_from_a_smallest_budget_are_those_of_the_golden_table(
    max_epochs: int, eta: str, min_epochs: int
) -> None:
    expected = GOLDEN_FROM_R[max_epochs, eta, min_epochs]
    assert table(schedule_of(max_epochs, eta, min_epochs)) == expected


@given(
    max_epochs=st.integers(1, 10**6),
    eta=st.sampled_from(["2", "2.1", "2.5", "2.718281828", "3", "4", "10", "300.5"]),
    share=st.fractions(0, 1),
)
@settings(derandomize=True, deadline=None, database=None, max_examples=500)
def test_every_smallest_budget_gives_what_algorithm_1_gives(
    max_epochs: int, eta: str, share: Fraction
) -> None:
    for min_epochs in {1, max_epochs, max(1, round(share * max_epochs)), max(1, max_epochs // 9)}:
        schedule = schedule_of(max_epochs, eta, min_epochs)
        assert table(schedule) == algorithm_1(max_epochs, parse_eta(eta), min_epochs)
        first = [bracket.first_epochs for bracket in schedule.brackets]
        assert first == sorted(set(first))
        assert first[0] >= min_epochs


@pytest.mark.parametrize("eta", ["2", "3", "2.5"])
def test_a_smallest_budget_of_one_is_the_schedule_without_one(eta: str) -> None:
    for max_epochs in range(1, 301):
        assert schedule_of(max_epochs, eta, 1) == schedule_of(max_epochs, eta)


@pytest.mark.parametrize("min_epochs", [0, -1, 82])
def test_a_smallest_budget_out_of_range_is_refused(min_epochs: int) -> None:
    with pytest.raises(UsageError, match=rf"from 1 to max_epochs \(81\), not {min_epochs}"):
        schedule_of(81, "3", min_epochs)


@pytest.mark.parametrize("eta", ETAS)
def test_every_max_epochs_up_to_300_gives_what_algorithm_1_gives(eta: str) -> None:
    for max_epochs in range(1, 301):
        expected = algorithm_1(max_epochs, parse_eta(eta))
        assert table(schedule_of(max_epochs, eta)) == expected, max_epochs


def test_an_eta_that_no_decimal_can_write_is_exact_too() -> None:
    eta = Fraction(7, 3)
    for max_epochs in (1, 2, 3, 12, 13, 300, 7**6, 7**6 // 3**6, 7**6 // 3**6 + 1):
        assert table(make_schedule(max_epochs, eta)) == algorithm_1(max_epochs, eta)


@pytest.mark.parametrize("eta", ["2", "3", "4", "5", "6", "7", "10"])
def test_exact_powers_lose_no_bracket_and_their_neighbours_neither(eta: str) -> None:
    base, power = int(eta), 1
    while base**power <= 10**6:
        for max_epochs in (base**power - 1, base**power, base**power + 1):
            expected = algorithm_1(max_epochs, Fraction(base))
            assert table(schedule_of(max_epochs, eta)) == expected, max_epochs
        assert len(schedule_of(base**power, eta).brackets) == power + 1
        assert len(schedule_of(base**power - 1, eta).brackets) == max(power, 1)
        power += 1


@pytest.mark.parametrize("eta", ETAS)
def test_a_bracket_is_known_by_its_first_budget(eta: str) -> None:
    for max_epochs in range(1, 301):
        brackets = schedule_of(max_epochs, eta).brackets
        first = [bracket.first_epochs for bracket in brackets]
        assert first == sorted(set(first))
        assert [bracket.s for bracket in brackets] == list(reversed(range(len(brackets))))


@pytest.mark.parametrize("eta", ETAS)
def test_rungs_shrink_while_budgets_grow_up_to_max_epochs(eta: str) -> None:
    for max_epochs in range(1, 301):
        for bracket in schedule_of(max_epochs, eta).brackets:
            configs = [rung.configs for rung in bracket.rungs]
            assert configs == sorted(configs, reverse=True)
            assert configs[-1] >= 1
            assert min(bracket.increments()) >= 1
            assert sum(bracket.increments()) == bracket.rungs[-1].epochs == max_epochs


def test_the_largest_max_epochs_is_exact() -> None:
    assert table(schedule_of(10**9, "10"))[0][0] == (10**9, 1)
    assert table(schedule_of(10**9, "2")) == algorithm_1(10**9, Fraction(2))


@pytest.mark.parametrize("eta", ["0", "1", "1.5", "1.999999999"])
def test_an_eta_below_two_is_refused(eta: str) -> None:
    with pytest.raises(UsageError, match=f"at least 2, not {eta}"):
        schedule_of(81, eta)


@pytest.mark.parametrize("max_epochs", [0, -1, MAX_EPOCHS_LIMIT + 1])
def test_a_max_epochs_out_of_range_is_refused(max_epochs: int) -> None:
    with pytest.raises(UsageError, match=f"not {max_epochs}"):
        schedule_of(max_epochs, "3")


@pytest.mark.parametrize(
    "text", ["", " 3", "3\n", "3.", ".5", "+3", "-3", "3,5", "1e3", "0x3", "10/3", "nan", "\u0663"]
)
def test_what_is_not_a_plain_decimal_number_is_no_eta(text: str) -> None:
    with pytest.raises(UsageError, match="eta must be a number such as 3"):
        parse_eta(text)


@pytest.mark.parametrize(
    ("typed", "shortest"),
    [("3", "3"), ("3.0", "3"), ("03", "3"), ("2.50", "2.5"), ("10.000000001", "10.000000001")],
)
def test_an_eta_is_shown_in_its_shortest_form(typed: str, shortest: str) -> None:
    assert format_eta(parse_eta(typed)) == shortest


@given(
    whole=st.integers(0, 10**9 - 1),
    places=st.integers(1, 9),
    rest=st.integers(0, 10**9 - 1),
)
@settings(derandomize=True, deadline=None, database=None, max_examples=500)
def test_formatting_an_eta_loses_nothing(whole: int, places: int, rest: int) -> None:
    digits = str(rest % 10**places).zfill(places)
    eta = parse_eta(f"{whole}.{digits}")
    assert eta == whole + Fraction(rest % 10**places, 10**places)
    text = format_eta(eta)
    assert parse_eta(text) == eta
    assert len(text) <= len(f"{whole}.{digits}")
    assert not (text.endswith(("0", ".")) and "." in text)
