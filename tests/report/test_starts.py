"""What the report says of starts: their share of the time, and another smallest budget."""

import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from conftest import TOY, Hbtrack, make

from hbtrack.report.starts import Plan, Starts


def slowed(hbtrack: Hbtrack, start: float, epoch: float) -> None:
    """Every evaluation takes so many seconds to start, and for each epoch that it trains."""
    with closing(sqlite3.connect(hbtrack.database)) as connection, connection:
        connection.execute(
            "UPDATE _attempt SET seconds = ? + ? * (SELECT e.epochs - coalesce((SELECT "
            "max(b.epochs) FROM _evaluation b WHERE b.config_pk = e.config_pk "
            "AND b.epochs < e.epochs), 0) FROM _evaluation e WHERE e.pk = evaluation_pk)",
            (start, epoch),
        )
        connection.execute(
            "UPDATE _config SET seconds = (SELECT total(a.seconds) FROM _attempt a "
            "JOIN _evaluation e ON e.pk = a.evaluation_pk WHERE e.config_pk = _config.pk)"
        )


def said(hbtrack: Hbtrack) -> tuple[Any, str | None]:
    """What the report says of it, for programs and for people."""
    report: Any = hbtrack.json("report")["searches"]
    text = " ".join(hbtrack("report").stdout.split())
    found = re.search(r"starts took .*? of the time \(.*?of the time", text)
    return report[0]["starts"], found and found[0]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("searched"))
    hbtrack("run", "--gpus", "none", "--max-epochs", 27, TOY, "--fail", 0)
    return hbtrack


def test_the_report_says_what_starts_took_and_what_another_smallest_budget_would_make_of_it(
    copied: Hbtrack,
) -> None:
    slowed(copied, start=6.0, epoch=1.0)
    starts, sentence = said(copied)
    assert starts["seconds_each"] == pytest.approx(6.0)
    assert starts["share"] == pytest.approx(69 * 6 / (69 * 6 + 357))
    assert starts["as_it_is"] == {"min_epochs": 1, "configs": 49, "evaluations": 69, "epochs": 357}
    assert starts["instead"] == {"min_epochs": 3, "configs": 17, "evaluations": 22, "epochs": 207}
    assert starts["time"] == pytest.approx((22 * 6 + 207) / (69 * 6 + 357))
    assert sentence == (
        "starts took about 54% of the time (6 s each); another search with --min-epochs 3 would "
        "try 17 configs instead of 49 in 22 evaluations instead of 69, and take about 0.44 of the "
        "time"
    )


def test_where_no_larger_smallest_budget_is_left_only_the_share_is_said() -> None:
    one = Starts(2.06, 0.412, Plan(3, 1, 1, 3), None, None)
    assert one.sentence == "starts took about 41% of the time (2.1 s each)"


@pytest.mark.parametrize(
    ("start", "epoch"),
    [
        pytest.param(1.0, 4.0, id="less than a tenth"),
        pytest.param(0.1, 0.01, id="less than a minute in all"),
    ],
)
def test_starts_that_took_little_are_not_spoken_of(
    copied: Hbtrack, start: float, epoch: float
) -> None:
    slowed(copied, start, epoch)
    assert said(copied) == (None, None)


def test_a_few_evaluations_say_nothing_of_starts(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--gpus", "none", "--max-epochs", 3, TOY, "--fail", 0)
    slowed(hbtrack, 60, 1)
    assert said(hbtrack) == (None, None)


@pytest.mark.slow
def test_of_a_large_search_some_configs_stand_for_all(hbtrack: Hbtrack) -> None:
    make(hbtrack, "--max-epochs", 729, "--passes", 2)
    [[configs]] = hbtrack.rows("SELECT count(*) FROM _config")
    assert int(str(configs)) > 2000, "else all are read"
    slowed(hbtrack, 5.0, 1.0)
    starts, _ = said(hbtrack)
    assert starts["seconds_each"] == pytest.approx(5.0)
    [[truth]] = hbtrack.rows("SELECT 5.0 * count(*) / sum(seconds) FROM attempts")
    assert starts["share"] == pytest.approx(truth, rel=0.05)
