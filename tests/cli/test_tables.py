"""Tables for the eye: whatever is in the cells, the columns stand below each other."""

import pytest
from rich.cells import cell_len

from hbtrack.cli import tables
from hbtrack.report.width import shortened, width_of
from hbtrack.text import printable

WORDS = [
    "plain",
    "宽度",
    "한국어",
    "é́́",  # accents that take no column
    "❤️",
    "😀👨‍👩‍👧",
]


def offset(line: str, text: str) -> int:
    """The terminal's column in which the text begins."""
    return cell_len(line[: line.index(text)])


def test_columns_stand_below_each_other_whatever_a_character_takes() -> None:
    rows = [{"优化器": word, "n": 7, "id": f"id:{word}"} for word in WORDS]
    heading, rule, *lines = tables.table(rows, "simple").split("\n")
    assert {offset(line, "id") for line in (heading, *lines)} == {rule.rindex(" ") + 1}
    assert {offset(line, " 7 ") for line in lines} == {offset(heading, " n ")}


def test_the_points_of_numbers_stand_below_each_other() -> None:
    rows = [{"loss": value} for value in (0.5, 12.25, 1e-07, None)]
    shown = ["  loss", "------", " 0.5", "12.25", " 1e-07", ""]
    assert tables.table(rows, "simple").split("\n") == shown


def test_numbers_among_words_are_words() -> None:
    rows = [{"rate": value} for value in (0.5, "none")]
    assert tables.table(rows, "simple").split("\n")[2:] == ["0.5", "none"]


def test_a_table_without_rows_is_its_headings() -> None:
    assert tables.table([], "simple", ["rank", "loss"]) == "rank  loss\n----  ----"


@pytest.mark.parametrize("width", range(12))
@pytest.mark.parametrize("word", WORDS)
def test_what_is_shortened_fits(word: str, width: int) -> None:
    assert width_of(shortened(word * 3, width)) <= max(width, 3)


@pytest.mark.parametrize(
    "character",
    ["\u200b", "\u2060", "\xad", "\u202e", "\u2066", "\ufeff", "\U000e0041", "\x1b", "\x9b"],
)
def test_what_is_hidden_or_steers_is_made_visible(character: str) -> None:
    shown = printable(f"a{character}b")
    assert shown.isascii()
    assert shown.isprintable()


def test_words_that_are_joined_stay_as_they_are() -> None:
    assert printable("👨‍👩‍👧 می‌خواهم") == "👨‍👩‍👧 می‌خواهم"
