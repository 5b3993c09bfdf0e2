"""The numbers that stand directly above the loss are metrics; nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hbtrack.core.metrics import MOST, read_metrics


@pytest.mark.parametrize(
    ("stdout", "metrics"),
    [
        ("acc=0.5\n0.25\n", {"acc": 0.5}),
        ("  acc : -1.5e-3  \r\n0.25", {"acc": -0.0015}),
        ("val/top-1: 1\nrecall@5=.5\n0.25\n\n", {"val/top-1": 1.0, "recall@5": 0.5}),
        ('{"f1": 0.5, "n": 3, "ok": true, "name": "x", "all": [1]}\n0.25\n', {"f1": 0.5, "n": 3}),
        ("acc=0.1\nacc=0.2\n0.25\n", {"acc": 0.2}),
        ("acc=nan\nf1=0.5\n0.25\n", {"f1": 0.5}),
        ("acc=0.5\nacc=-inf\n0.25\n", {}),
        ('{"acc": NaN, "f1": 0.5}\n0.25\n', {"f1": 0.5}),
        ("early=1\nepoch 3 of 9\nacc=0.5\n0.25\n", {"acc": 0.5}),
        ("early=1\n\nacc=0.5\n\n \n0.25\n\n", {"acc": 0.5}),
        ("acc=0.5\nbar 100%\r\n0.25\n", {}),
        ("acc=0.1\racc=0.5\n0.25\n", {}),
        ("epoch: 3\nloss: 0.5\n0.5\n", {"epoch": 3.0, "loss": 0.5}),
        ("genauigkeit_größe=1\n精度: 0.9\n0.25\n", {"genauigkeit_größe": 1, "精度": 0.9}),
        ("val.acc=1\n3d=2\n0.25\n", {}),
        ("val.acc=1\n_a=2\n0.25\n", {"val.acc": 1.0, "_a": 2.0}),
        ('{"val/acc": 1, "a b": 2}\n0.25\n', {"val/acc": 1.0, "a b": 2.0}),
        ("acc=0.5 f1=0.2\n0.25\n", {}),
        ("acc=0,5\n0.25\n", {}),
        ("acc=1_000\n0.25\n", {}),
        ("0.5\n0.25\n", {}),
        ("acc=0.5", {}),
        ("", {}),
        ("[1, 2]\n{broken}\n0.25\n", {}),
    ],
)
def test_lines_directly_above_the_loss_are_metrics(stdout: str, metrics: dict[str, float]) -> None:
    assert read_metrics(stdout) == metrics


def test_of_very_many_those_nearest_to_the_loss_are_kept() -> None:
    lines = [f"m{number}={number}" for number in range(3 * MOST)]
    found = read_metrics("\n".join([*lines, "0.5"]))
    assert list(found) == [f"m{number}" for number in range(2 * MOST, 3 * MOST)]


@pytest.mark.parametrize(
    "pair",
    [
        f'"n": {"1" * 400}',
        '"n": 1e999',
        '"n": -Infinity',
        r'"\ud800": 1',
        r'"a\nb": 1',
        r'"\u202e": 1',
        '"": 1',
        f'"{"n" * 101}": 1',
        f'"n": {"[" * 200}{"]" * 200}',
    ],
)
def test_what_no_table_can_hold_is_left_out_and_the_rest_is_kept(pair: str) -> None:
    assert read_metrics(f'{{{pair}, "acc": 7}}\n0.25\n') == {"acc": 7.0}


@pytest.mark.parametrize("inside", ["[" * 4000, '"' + "a" * 10_000 + '"'])
def test_a_line_that_is_no_metric_of_a_sane_size_ends_them(inside: str) -> None:
    assert read_metrics(f'a=1\n{{"a": {inside}}}\nb=2\n0.25\n') == {"b": 2.0}


def test_a_whole_number_is_kept_as_a_number_that_every_column_takes() -> None:
    (value,) = read_metrics(f'{{"n": {2**70}}}\n0.25\n').values()
    assert (value, type(value)) == (2.0**70, float)


@given(st.text(alphabet=st.sampled_from('a=:1.e{}"\n\r -'), max_size=60))
def test_whatever_is_printed_is_read_without_an_error(stdout: str) -> None:
    assert all(isinstance(value, float) for value in read_metrics(stdout).values())
