"""What commands and views say: it follows from the results, in every format, and harms nobody."""

import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import REFUSAL, ROOT, TOY, Hbtrack, Row, tear, wait_for

from hbtrack.database.upgrade import prepare_for_writing
from hbtrack.report import time_left

# --- the searches that are read ------------------------------------------------------------------

GATED = """
import argparse, os

def get_random_config_id(rng):
    return f"x:{rng.randint(14)}"

def run_identity(argv):
    return "gate:" + argv[1]

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    for name in ("--epochs", "--gpu", "--gate"):
        parser.add_argument(name, type=int)
    args = parser.parse_args()
    if args.epochs >= args.gate:
        open("gate")  # a named pipe that nobody writes to: here it waits
    x = int(args.config_id[2:])
    if (x + args.epochs) % 6 == 0:
        raise RuntimeError("no luck")
    print(x * 7 % 5 / args.epochs)
"""

# What reads as a number; and as a formula, markup, a separator or a terminal's command.
NUMBERS = ["12e4", "0012", "1_000", "1.50", "inf", "0x10", "1,5"]
HOSTILE = [
    "a|b",
    "<script>alert(1)</script>",
    "\"double\" 'single'",
    "new\nline",
    "carriage\rreturn",
    "tab\there",
    "\x1b[31mred\x1b[0m \x9b31m",
    "\u202egnp.exe\u2066",
    "rocket \U0001f680 :rocket:",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "  two before",
    "[red]a:100:b[/red] \\textbf{x} & 50% $y_1$",
    "`$(touch harmed)`",
]
IDENTITY = "id|<b>\x1b[1m\u202e\n=1"
MESSAGE = "\x1b7=evil|<i>\u202e"

ODD = f"""
import sys

IDS = {[*NUMBERS, *HOSTILE]!r}
left = iter(IDS)

def get_random_config_id(rng):
    return next(left)

def run_identity(argv):
    return {IDENTITY!r}

if __name__ == "__main__":
    number = IDS.index(sys.argv[1])
    if number == 21:
        raise RuntimeError({MESSAGE!r})
    print(number / 100 - 0.1)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A search with failures, with ids that stand in several places, in two passes."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("finished"))
    run = ("run", "--gpus", "none", "--max-epochs", 9, "--passes", 2)
    hbtrack(*run, TOY, "--space", 12, "--fail", 0.2)
    return hbtrack


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hbtrack]:
    """Two searches that are driven but stand still: half-way, and before the first result."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("live"))
    (hbtrack.folder / "gated.py").write_text(GATED)
    os.mkfifo(hbtrack.folder / "gate")
    drivers = []
    for search, gate, workers in ((1, 9, 2), (2, 1, 1)):
        run = ("run", "--gpus", "none", "--workers", workers, "--max-epochs", 9)
        driver = hbtrack.start(*run, "gated.py", "--gate", gate)
        drivers.append(driver)
        started = re.compile(f"event=start .* epochs={gate} ")
        while len(started.findall(hbtrack.log(search))) < workers:
            assert driver.poll() is None, "it ended too early"
            time.sleep(0.01)
    yield hbtrack
    for driver in drivers:
        driver.send_signal(signal.SIGINT)
        driver.communicate()
        assert driver.returncode == 75


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A search whose ids, identity and errors are what nobody should write anywhere unescaped."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("odd"))
    (hbtrack.folder / "odd.py").write_text(ODD)
    hbtrack("run", "--gpus", "none", "--workers", 2, "--max-epochs", 9, "--eta", 2, "odd.py")
    return hbtrack


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("failed"))
    hbtrack("run", "--gpus", "none", "--max-epochs", 3, TOY, "--fail", 1)
    return hbtrack


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A database without a search."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("empty"))
    prepare_for_writing(hbtrack.database)
    return hbtrack


@pytest.fixture(params=["finished", "half-way", "no result", "all failed"])
def search(request: pytest.FixtureRequest) -> tuple[Hbtrack, str]:
    """A database and the identity of a search in it, one of each kind."""
    fixture, identity = {
        "finished": ("finished", "toy"),
        "half-way": ("live", "gate:9"),
        "no result": ("live", "gate:1"),
        "all failed": ("failed", "toy"),
    }[request.param]
    return request.getfixturevalue(fixture), identity


def view(search: tuple[Hbtrack, str], name: str) -> list[Row]:
    """The rows of a search in a view, without its identity."""
    hbtrack, identity = search
    rows = hbtrack.records(f"SELECT * FROM {name} WHERE run_identity = ?", [identity])
    return [{name: row[name] for name in row if name != "run_identity"} for row in rows]


# --- the views against a plain recomputation -----------------------------------------------------

SETTLED = ("done", "failed", "timeout")


def canonical(row: Row) -> tuple[int, ...]:
    """Sorts brackets, rungs, places: pass, bracket (largest s first), rung, slot."""
    return (row["pass"], -row["bracket"], row.get("rung", 0), row.get("slot", 0))


def planned(search: tuple[Hbtrack, str]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(epochs, configs) of each rung of each (pass, bracket), as `hbtrack plan` says."""
    hbtrack, identity = search
    [[max_epochs, passes]] = hbtrack.rows(
        "SELECT max_epochs, passes FROM searches WHERE run_identity = ?", [identity]
    )
    rungs: Any = hbtrack.json("plan", "--max-epochs", max_epochs)["rungs"]
    schedule = defaultdict(list)
    for pass_ in range(1, int(str(passes)) + 1):
        for rung in rungs:
            schedule[pass_, rung["bracket"]].append((rung["epochs"], rung["configs"]))
    return dict(schedule)


def results_by_rung(search: tuple[Hbtrack, str]) -> dict[tuple[int, int, int], list[Row]]:
    groups = defaultdict(list)
    for row in sorted(view(search, "results"), key=canonical):
        groups[row["pass"], row["bracket"], row["rung"]].append(row)
    return groups


def settled_evaluations(search: tuple[Hbtrack, str]) -> dict[tuple[str, int], Row]:
    """The attempt that settled each evaluation, by (config_id, epochs)."""
    found = {}
    for row in view(search, "attempts"):
        if row["status"] in SETTLED:
            assert (row["config_id"], row["epochs"]) not in found
            found[row["config_id"], row["epochs"]] = row
    return found


def numbers_of(search: tuple[Hbtrack, str]) -> dict[str, int]:
    """The number of each config: they count as the configs were sampled."""
    rows = sorted(view(search, "results"), key=canonical)
    numbers = {id_: n for n, id_ in enumerate(dict.fromkeys(row["config_id"] for row in rows), 1)}
    assert {row["config_id"]: row["config"] for row in rows} == numbers
    return numbers


def first_places(search: tuple[Hbtrack, str]) -> dict[tuple[str, int], Row]:
    """The canonically first place of each evaluation."""
    first: dict[tuple[str, int], Row] = {}
    for row in sorted(view(search, "results"), key=canonical):
        first.setdefault((row["config_id"], row["epochs"]), row)
    return first


def test_a_place_has_the_result_of_its_evaluation_or_of_the_smallest_larger_budget(
    search: tuple[Hbtrack, str],
) -> None:
    settled = settled_evaluations(search)
    failure_loss = search[0].rows("SELECT failure_loss FROM searches")[0][0]
    for row in view(search, "results"):
        budgets = [
            epochs
            for config_id, epochs in settled
            if config_id == row["config_id"] and epochs >= row["epochs"]
        ]
        if row["status"] in ("waiting", "running"):
            assert (row["loss"], row["promoted"]) == (None, None)
            continue
        source = settled[row["config_id"], min(budgets)]
        failed = source["status"] != "done"
        assert row["status"] == ("failed" if failed else "done")
        assert row["loss"] == (failure_loss if failed else source["loss"])
        assert row["error"] == source["error"]


def test_a_result_is_reused_everywhere_but_at_the_canonically_first_place(
    search: tuple[Hbtrack, str],
) -> None:
    settled, first = settled_evaluations(search), first_places(search)
    for row in view(search, "results"):
        key = (row["config_id"], row["epochs"])
        if row["status"] in ("done", "failed"):
            own = key in settled and canonical(first[key]) == canonical(row)
            assert row["reused"] == int(not own)


def test_results_count_the_attempts_of_their_evaluation(search: tuple[Hbtrack, str]) -> None:
    attempts = view(search, "attempts")
    for row in view(search, "results"):
        if row["reused"] == 0:
            own = [
                a
                for a in attempts
                if (a["config_id"], a["epochs"]) == (row["config_id"], row["epochs"])
            ]
            assert row["attempts"] == len(own)
            for name in ("gpu", "host", "started_at", "finished_at", "seconds"):
                assert row[name] == own[-1][name]


def test_rungs_agree_with_the_results(search: tuple[Hbtrack, str]) -> None:
    entered, expected = results_by_rung(search), []
    for (pass_, bracket), levels in planned(search).items():
        for number, (epochs, configs) in enumerate(levels):
            rows = entered.get((pass_, bracket, number), [])
            words = [row["status"] for row in rows]
            losses = [row["loss"] for row in rows if row["status"] == "done"]
            settled = rows and {*words} <= {"done", "failed"}
            on = [row["loss"] for row in rows if row["promoted"] == 1]
            expected.append(
                {
                    "pass": pass_,
                    "bracket": bracket,
                    "rung": number,
                    "epochs": epochs,
                    "configs_planned": configs,
                    "configs_entered": len(rows),
                    "done": words.count("done"),
                    "failed": words.count("failed"),
                    "running": words.count("running"),
                    "promoted": len(on) if settled else None,
                    "best_loss": min(losses, default=None),
                    "cutoff_loss": max(on, default=None),
                    "best_objective": min(losses, default=None),
                    "cutoff_objective": max(on, default=None),
                }
            )
            assert {row["epochs"] for row in rows} <= {epochs}
    assert sorted(view(search, "rungs"), key=canonical) == expected


def test_promotions_are_the_best_of_a_settled_rung(search: tuple[Hbtrack, str]) -> None:
    levels = planned(search)
    for (pass_, bracket, number), rows in results_by_rung(search).items():
        if not {row["status"] for row in rows} <= {"done", "failed"}:
            assert {row["promoted"] for row in rows} == {None}
            continue
        above = levels[pass_, bracket][number + 1 :]
        ranked = sorted((row["loss"], row["slot"]) for row in rows if row["status"] == "done")
        best = {slot for _, slot in ranked[: above[0][1] if above else 0]}
        assert {row["slot"] for row in rows if row["promoted"]} == best
        entered = results_by_rung(search).get((pass_, bracket, number + 1), [])
        assert {row["slot"] for row in entered} == best


def expected_places(search: tuple[Hbtrack, str], key: tuple[int, int]) -> list[int]:
    """How many configs each rung of a bracket will have, as far as failures are known."""
    rows = [row for row in view(search, "rungs") if (row["pass"], row["bracket"]) == key]
    rungs = sorted(rows, key=canonical)
    counts: list[int] = [row["configs_planned"] for row in rungs]
    for number, row in enumerate(rungs):
        if row["promoted"] is not None:
            above = slice(number + 1, None)
            counts[above] = [min(count, row["promoted"]) for count in counts[above]]
    return counts


def test_brackets_agree_with_the_results(search: tuple[Hbtrack, str]) -> None:
    expected = []
    for (pass_, bracket), levels in planned(search).items():
        rows = [
            row
            for row in view(search, "results")
            if (row["pass"], row["bracket"]) == (pass_, bracket)
        ]
        counts = expected_places(search, (pass_, bracket))
        words = [row["status"] for row in rows]
        ended = words.count("done") + words.count("failed")
        begun = {*words} - {"waiting"}
        losses = [row["loss"] for row in rows if row["status"] == "done"]
        expected.append(
            {
                "pass": pass_,
                "bracket": bracket,
                "status": "done" if ended == sum(counts) else "running" if begun else "waiting",
                "configs": levels[0][1],
                "rungs": len(levels),
                "evaluations_planned": sum(counts),
                "evaluations_done": words.count("done"),
                "best_loss": min(losses, default=None),
                "best_objective": min(losses, default=None),
            }
        )
    assert sorted(view(search, "brackets"), key=canonical) == expected


def test_searches_agree_with_the_results(search: tuple[Hbtrack, str]) -> None:
    [row] = view(search, "searches")
    settled, first = settled_evaluations(search), first_places(search)
    words = [result["status"] for result in view(search, "results")]
    done = [
        (attempt["loss"], canonical(first[key]), *key)
        for key, attempt in settled.items()
        if attempt["status"] == "done"
    ]
    best = min(done, default=(None, None, None, None))
    trained: dict[str, int] = defaultdict(int)
    for config_id, epochs in settled:
        trained[config_id] = max(trained[config_id], epochs)
    brackets = view(search, "brackets")
    assert row["evaluations_done"] == words.count("done")
    assert row["evaluations_failed"] == words.count("failed")
    assert row["evaluations_planned"] == sum(b["evaluations_planned"] for b in brackets)
    assert row["epochs_done"] == sum(trained.values())
    assert (row["best_loss"], row["best_config_id"], row["best_epochs"]) == (best[0], *best[2:])
    whole = {b["status"] for b in brackets} == {"done"}
    assert row["status"] == ("finished" if whole else "unfinished")
    assert (row["finished_at"] is not None) == whole
    assert (words.count("done") + words.count("failed") == row["evaluations_planned"]) == whole
    assert (row["epochs_done"] == row["epochs_planned"]) == whole


def test_the_leaderboard_agrees_with_the_attempts(search: tuple[Hbtrack, str]) -> None:
    first, attempts, best = first_places(search), view(search, "attempts"), []
    for config_id in {row["config_id"] for row in attempts}:
        own = [row for row in attempts if row["config_id"] == config_id]
        done = [row for row in own if row["status"] == "done"]
        if not done:
            continue
        ranked = [(row["loss"], canonical(first[config_id, row["epochs"]]), row) for row in done]
        loss, place, row = min(ranked, key=lambda entry: entry[:2])
        seconds = sum(row["seconds"] or 0 for row in own)
        reached = max(row["epochs"] for row in done)
        best.append((loss, place, config_id, row["epochs"], reached, -place[1], seconds))
    numbers = numbers_of(search)
    expected = [
        {
            "rank": rank,
            "config_id": config_id,
            "loss": loss,
            "epochs": epochs,
            "epochs_reached": reached,
            "bracket": bracket,
            "seconds": pytest.approx(seconds),
            "used": 1,
            "objective": loss,
            "config": numbers[config_id],
        }
        for rank, (loss, _, config_id, epochs, reached, bracket, seconds) in enumerate(
            sorted(best), 1
        )
    ]
    assert sorted(view(search, "leaderboard"), key=itemgetter("rank")) == expected


def test_the_failures_are_the_evaluations_that_failed(search: tuple[Hbtrack, str]) -> None:
    first, expected = first_places(search), {}
    for key, attempt in settled_evaluations(search).items():
        if attempt["status"] != "done":
            place = first[key]
            expected[key] = (place["bracket"], place["rung"], attempt["attempt"], attempt["error"])
    rows = view(search, "failures")
    found = {
        (row["config_id"], row["epochs"]): tuple(
            row[name] for name in ("bracket", "rung", "attempts", "error")
        )
        for row in rows
    }
    assert found == expected
    assert len(rows) == len(expected)
    for row in rows:
        assert (row["error_type"], row["error_message"]) == ("RuntimeError", "no luck")
        assert str(row["error"]).startswith("Traceback")


def test_the_incumbents_are_the_improvements_in_the_order_of_their_ends(
    search: tuple[Hbtrack, str],
) -> None:
    best, expected, numbers = None, [], numbers_of(search)
    trained: dict[str, int] = defaultdict(int)
    ended = [row for row in view(search, "attempts") if row["finished_at"]]
    for row in sorted(ended, key=itemgetter("finished_at")):
        trained[row["config_id"]] = max(trained[row["config_id"]], row["epochs"])
        if row["status"] == "done" and (best is None or row["loss"] < best):
            best = row["loss"]
            kept = {name: row[name] for name in ("finished_at", "config_id", "epochs", "loss")}
            told = {"objective": best, "config": numbers[row["config_id"]]}
            expected.append({**kept, **told, "epochs_spent": sum(trained.values())})
    assert view(search, "incumbents") == expected


def test_the_params_are_those_that_the_ids_spell_out(search: tuple[Hbtrack, str]) -> None:
    ids = {str(row["config_id"]) for row in view(search, "results")}
    values, numbers = {one: int(one[2:]) for one in ids}, numbers_of(search)
    expected = [
        (one, "x", value, float(value), str(value), numbers[one]) for one, value in values.items()
    ]
    found = [tuple(row.values()) for row in view(search, "params")]
    assert sorted(found) == sorted(expected)


def test_times_are_utc_of_one_width(search: tuple[Hbtrack, str]) -> None:
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    for row in view(search, "attempts"):
        times = [time for time in (row["started_at"], row["finished_at"]) if time]
        assert all(form.fullmatch(str(time)) for time in times)
        assert times == sorted(times)


# --- formats -------------------------------------------------------------------------------------

FORMATS = ("simple", "github", "csv", "tsv", "json", "html", "latex")
IDS_QUERY = "SELECT config_id, loss FROM leaderboard ORDER BY rank"
TABLE = ("table", "thead", "tbody", "tr", "th", "td")
VISIBLE = [*NUMBERS, *HOSTILE[:-1]]  # those that have a loss, in the order of their losses


def elements(text: str) -> list[ElementTree.Element]:
    """Every element of HTML in which all that is opened is closed."""
    return list(ElementTree.fromstring(f"<body>{text}</body>").iter())


def parse(form: str, text: str) -> list[dict[str, str]]:
    """The rows of one table in a format, as another program would read them."""
    if form == "json":
        rows: list[dict[str, str]] = json.loads(text, parse_constant=not_json)["rows"]
        return rows
    if form in ("csv", "tsv"):
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=",\t"[form == "tsv"]))
    elif form == "html":
        rows_of_cells = [element for element in elements(text) if element.tag == "tr"]
        lines = [["".join(cell.itertext()) for cell in row] for row in rows_of_cells]
    elif form == "github":
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
        lines = [[cell.strip().replace(r"\|", "|") for cell in line] for line in cells]
        del lines[1]
    elif form == "latex":
        cells = [
            line.removesuffix(r"\\").split(" & ") for line in text.splitlines() if " & " in line
        ]
        lines = [[cell.strip().replace(r"\_", "_") for cell in line] for line in cells]
    else:
        head, rule, *body = text.splitlines()
        spans = [match.span() for match in re.finditer("-+", rule)]
        lines = [[line[slice(*span)].strip() for span in spans] for line in (head, *body)]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def not_json(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def visible(text: str) -> str:
    """How terminal formats show an id: nothing in it can steer the terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def inert(text: str) -> str:
    return f"'{text}" if text[0] in "=+-@" else text


@pytest.mark.parametrize("form", FORMATS)
def test_ids_that_look_like_numbers_come_out_as_they_are(odd: Hbtrack, form: str) -> None:
    query = f"{IDS_QUERY} LIMIT {len(NUMBERS)}"
    rows = parse(form, odd("sql", query, "--format", form).stdout)
    assert [row["config_id"] for row in rows] == NUMBERS


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        *(("csv", inert), ("tsv", inert), ("json", str)),
        *(("simple", visible), ("github", visible), ("html", visible)),
    ],
)
def test_fault_65_every_id_is_one_cell_and_parses_back(
    odd: Hbtrack, form: str, shown: Callable[[str], str]
) -> None:
    rows = parse(form, odd("sql", IDS_QUERY, "--format", form).stdout)
    expected = [shown(each) for each in VISIBLE]
    padded = form in ("simple", "github")
    assert [row["config_id"] for row in rows] == [
        each.strip() if padded else each for each in expected
    ]


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_every_id_of_a_report_parses_back(odd: Hbtrack, form: str) -> None:
    rows = parse(form, odd("report", "--top", 100, "--format", form).stdout)
    assert [row["config_id"] for row in rows] == [inert(each) for each in VISIBLE]
    assert {row["run_identity"] for row in rows} == {IDENTITY}


def test_a_report_in_json_has_every_id_as_it_is(odd: Hbtrack) -> None:
    [search] = odd.json("report", "--top", 100)["searches"]
    assert [row["config_id"] for row in search["leaderboard"]] == VISIBLE
    assert search["search"]["run_identity"] == IDENTITY
    assert search["failures"][0]["error_message"] == MESSAGE


@pytest.mark.parametrize("form", ["simple", "github", "html", "latex"])
@pytest.mark.parametrize(
    "words",
    [("report", "--top", 100), ("status",), ("sql", "SELECT config_id FROM results")],
    ids=lambda words: words[0],
)
def test_fault_65_nothing_in_an_id_reaches_the_terminal_raw(
    odd: Hbtrack, form: str, words: tuple[object, ...]
) -> None:
    assert steering(odd(*words, "--format", form).stdout) == set()


def test_fault_119_no_id_error_or_output_reaches_the_terminal_raw(odd: Hbtrack) -> None:
    assert steering(odd("errors", "--full").stdout) == set()
    for config_id in HOSTILE:
        for words in (("show",), ("logs",)):
            answer = odd(*words, "--", config_id)
            assert steering(answer.stdout + answer.stderr) == set()


def test_a_table_stands_straight_where_the_encoding_lacks_its_characters(
    odd: Hbtrack,
) -> None:
    query = "SELECT char(20248) AS a, 1 AS b UNION SELECT 'x', 2 ORDER BY 2"
    said = odd("sql", query, env={"PYTHONIOENCODING": "latin-1"}).stdout
    assert said.splitlines() == ["a       b", "------  -", "\\u4f18  1", "x       2"]


def test_tables_keep_the_spaces_that_an_id_begins_with(odd: Hbtrack) -> None:
    assert "\n  two before" in odd("sql", "SELECT config_id FROM leaderboard").stdout


@pytest.mark.parametrize(
    "words", [("report",), ("status",), ("sql", IDS_QUERY)], ids=lambda w: w[0]
)
def test_fault_65_no_id_becomes_an_element_of_html(odd: Hbtrack, words: tuple[str, ...]) -> None:
    found = elements(odd(*words, "--format", "html").stdout)
    assert {"table"} <= {element.tag for element in found} <= {"body", "p", *TABLE}
    assert not any(element.attrib for element in found)


def steering(text: str) -> set[str]:
    """What in the text could steer a terminal."""
    return {character for character in text if not character.isprintable()} - {"\n"}


def test_fault_65_refusals_and_logs_show_hostile_text_harmlessly(odd: Hbtrack) -> None:
    answer = odd("report", "--identity", "\x1b[2Jnone\u202e", code=3)
    log = (odd.folder / "hbtrack.db.d" / "1" / "log").read_text()
    assert steering(answer.stderr + log) == set()


def test_the_check_shows_hostile_text_harmlessly(
    odd: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    copied = another()
    odd("db", "backup", copied.database)
    with closing(sqlite3.connect(copied.database)) as connection, connection:
        connection.execute(
            "UPDATE _config SET best_objective = -9 WHERE best_objective IS NOT NULL"
        )
    answer = copied("db", "check", code=1)
    assert len(answer.stdout.splitlines()) >= len(VISIBLE)
    assert steering(answer.stdout) == set()


def test_what_run_says_shows_hostile_text_harmlessly(another: Callable[[], Hbtrack]) -> None:
    hbtrack = another()
    os.mkfifo(hbtrack.folder / "gate")
    waits = ODD.replace("number = ", "open('gate').read(); number = ")
    (hbtrack.folder / "odd.py").write_text(waits)
    driver = hbtrack.start("run", "--max-epochs", 3, "odd.py")
    assert driver.stderr
    text = driver.stderr.readline()
    driver.send_signal(signal.SIGINT)
    text += driver.communicate()[1]
    assert driver.returncode == 75
    assert "resume" in text
    assert steering(text) == set()


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_fault_65_a_spreadsheet_computes_no_text_but_numbers_stay_numbers(
    odd: Hbtrack, form: str
) -> None:
    query = "SELECT '=1+1' AS a, '-2' AS b, -2.5 AS c, '@x' AS d, char(9) || 'x' AS e, -3 AS f"
    [row] = parse(form, odd("sql", query, "--format", form).stdout)
    assert list(row.values()) == ["'=1+1", "'-2", "-2.5", "'@x", "'\tx", "-3"]


@pytest.mark.parametrize("form", ["csv", "tsv", "html", "github", "simple", "latex"])
def test_plan_in_every_format_has_every_rung(finished: Hbtrack, form: str) -> None:
    text = finished("plan", "--max-epochs", 9, "--format", form).stdout.split("\n\n")[0]
    rungs = finished.json("plan", "--max-epochs", 9)["rungs"]
    assert parse(form, text) == [{name: str(n) for name, n in rung.items()} for rung in rungs]


@pytest.mark.parametrize("form", ["csv", "tsv", "html", "github", "simple", "latex"])
def test_status_in_every_format_has_every_search(live: Hbtrack, form: str) -> None:
    rows = parse(form, live("status", "--format", form).stdout)
    assert [(row["run_identity"], row["state"]) for row in rows] == [
        ("gate:9", "running"),
        ("gate:1", "running"),
    ]


WITH_IDS = ("csv", "tsv", "html")


@pytest.mark.parametrize("form", ["csv", "tsv", "html", "github", "simple", "latex"])
def test_a_report_in_every_format_has_the_leaderboards_top(finished: Hbtrack, form: str) -> None:
    text = finished("report", "--top", 3, "--format", form).stdout
    table = next(
        part for part in text.split("\n\n") if "epochs_reached" in part or "reached" in part
    )
    rows = parse(form, table)
    top = finished.records("SELECT * FROM leaderboard ORDER BY rank LIMIT 3")
    for row, expected in zip(rows, top, strict=True):
        assert int(row["epochs"]) == expected["epochs"]
        assert row["config"].lstrip("#\\") == str(expected["config"])
        assert row.get("config_id") == (expected["config_id"] if form in WITH_IDS else None)


def test_json_has_losses_with_all_their_digits(finished: Hbtrack) -> None:
    losses = [row[0] for row in finished.rows("SELECT loss FROM leaderboard ORDER BY rank")]
    [search] = finished.json("report", "--top", 100)["searches"]
    assert [row["loss"] for row in search["leaderboard"]] == losses
    rows = parse("csv", finished("report", "--top", 100, "--format", "csv").stdout)
    assert [float(row["loss"]) for row in rows] == losses


# --- sql -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO _param VALUES (1, 'a', 1)",
        "INSERT INTO _param VALUES (1, 'a', 1) RETURNING name",
        "REPLACE INTO _param VALUES (1, 'a', 1)",
        "UPDATE _search SET seed = 1",
        "DELETE FROM _param",
        "WITH x AS (SELECT 1) DELETE FROM _param",
        "DROP TABLE _param",
        "DROP VIEW params",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE INDEX i ON param (value)",
        "ALTER TABLE _param RENAME TO parameter",
        "ATTACH 'harmed.db' AS harmed",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'harmed.db'",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = ON",
        "PRAGMA wal_checkpoint",
        "SELECT * FROM pragma_database_list",
        "BEGIN",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('harm')",
        "SELECT readfile('/etc/hostname')",
        "SELECT writefile('harmed', 'x')",
        "SELECT edit('x')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT sqlite_log(1, 'x')",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE _param",
        "",
        ";",
        "-- nothing",
    ],
)
def test_sql_refuses_all_but_one_select(finished: Hbtrack, tmp_path: Path, query: str) -> None:
    before = finished.rows("SELECT count(*), sum(length(sql)) FROM sqlite_master, _param")
    answer = finished("sql", query, code=2)
    assert answer.stdout == ""
    assert answer.stderr.startswith("hbtrack: ")
    assert ".." not in answer.stderr
    assert list(tmp_path.iterdir()) == []
    assert finished.rows("SELECT count(*), sum(length(sql)) FROM sqlite_master, _param") == before


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 1 AS v;", 1),
        ("SELECT 1 AS v -- that is all", 1),
        ("VALUES (1)", 1),
        ("WITH a AS (SELECT 2 AS v) SELECT v FROM a", 2),
        (
            "WITH RECURSIVE c(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM c WHERE v < 9) "
            "SELECT sum(v) FROM c",
            45,
        ),
        ("SELECT rank() OVER (ORDER BY loss) FROM leaderboard ORDER BY loss LIMIT 1", 1),
        (
            "SELECT lag(rank) OVER (PARTITION BY run_identity ORDER BY rank) FROM leaderboard "
            "ORDER BY rank LIMIT 1 OFFSET 1",
            1,
        ),
        ("SELECT max(n) FROM (SELECT ntile(4) OVER (ORDER BY loss) AS n FROM leaderboard)", 4),
        ("SELECT json_extract(script_args, '$[0]') FROM searches", "--space"),
        ("SELECT script_args ->> 1 FROM searches", "12"),
        ("SELECT value FROM searches, json_each(script_args) LIMIT 1 OFFSET 1", "12"),
        (
            "SELECT json_group_array(rung) FROM (SELECT DISTINCT rung FROM rungs ORDER BY 1)",
            "[0,1,2]",
        ),
        ("SELECT date('2024-02-28', '+2 days')", "2024-03-01"),
        ("SELECT strftime('%Y', '2024-02-28')", "2024"),
        ("SELECT unixepoch('1970-01-02')", 86400),
        ("SELECT julianday('2000-01-02') - julianday('2000-01-01')", 1.0),
        ("SELECT min(julianday(finished_at) >= julianday(started_at)) FROM attempts", 1),
        ("SELECT length(current_timestamp) > 0", 1),
        ("SELECT group_concat(status) FROM (SELECT DISTINCT status FROM brackets)", "done"),
        ("SELECT count(*) FILTER (WHERE status = 'running') FROM results", 0),
        ("SELECT printf('%.2f', 0.5) || upper(substr(trim(' abc '), 2, 1))", "0.50B"),
        ("SELECT CASE WHEN 'toy' LIKE 'T%' AND 'toy' GLOB 't*' THEN iif(1, 'y', 'n') END", "y"),
        ("SELECT round(sqrt(4.0) + ln(1) + pow(2, 3), 1)", 10.0),
        ("SELECT count(*) > 0 FROM _place JOIN _config ON _config.pk = _place.config_pk", 1),
        ("SELECT count(*) > 9 FROM sqlite_master", 1),
        ("SELECT CAST('7' AS INTEGER) UNION SELECT 7", 7),
    ],
)
def test_sql_answers_any_select(finished: Hbtrack, query: str, value: object) -> None:
    answer = finished("sql", query, "--format", "json")
    assert [list(row.values()) for row in json.loads(answer.stdout)["rows"]] == [[value]]


@pytest.mark.parametrize(
    "query",
    [
        "SELEC 1",
        "SELECT nothing_of_that_name FROM results",
        "SELECT * FROM nowhere",
        "SELECT 'open",
        "SELECT ?",
        "SELECT nothing(1)",
        "SELECT CAST(x'ff' AS TEXT)",
        "SELECT '\udcff'",
        "SELECT zeroblob(1000000000)",
        "SELECT abs(-9223372036854775808)",
        "SELECT \x1b[31m",
    ],
)
def test_a_mistake_in_sql_is_a_sentence_and_exit_2(finished: Hbtrack, query: str) -> None:
    answer = finished("sql", query, code=2)
    assert answer.stdout == ""
    assert re.fullmatch(REFUSAL, answer.stderr)


@pytest.mark.parametrize("form", FORMATS)
def test_columns_of_one_name_all_survive(finished: Hbtrack, form: str) -> None:
    query = "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a"
    [row] = parse(form, finished("sql", query, "--format", form).stdout)
    assert [int(value) for value in row.values()] == [1, 2, 3, 4]


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_blobs_nulls_and_long_numbers_have_a_form(finished: Hbtrack, form: str) -> None:
    assert (
        parse(form, finished("sql", "SELECT 1 AS a, 2 AS b LIMIT 0", "--format", form).stdout) == []
    )
    query = "SELECT x'00ff' AS a, NULL AS b, 9007199254740993 AS c, 0.1 + 0.2 AS d"
    [row] = parse(form, finished("sql", query, "--format", form).stdout)
    assert "00ff" in row["a"]
    assert row["b"] in ("", None)
    assert int(row["c"]) == 9007199254740993
    assert float(row["d"]) == 0.1 + 0.2


@pytest.mark.parametrize("form", FORMATS)
def test_an_infinite_number_is_still_a_document(finished: Hbtrack, form: str) -> None:
    answer = finished("sql", "SELECT 9e999 AS x, -9e999 AS y", "--format", form)
    assert len(parse(form, answer.stdout)) == 1


def computed() -> float:
    """Seconds of a processor that commands have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
        "SELECT count(*) FROM _attempt a, _attempt b, _attempt c, _attempt d, _attempt e, _attempt",
        "SELECT instr(hex(zeroblob(40000000)), hex(zeroblob(20000000)) || '1')",
    ],
    ids=["endless recursion", "cross join", "one long function call"],
)
def test_a_query_is_stopped_at_its_time_limit(finished: Hbtrack, query: str) -> None:
    before = computed()
    result = finished("sql", query, "--time-limit", 0.3, code=1, env={})  # it ends itself
    assert computed() - before < 6  # a machine that is busy may need longer for that
    assert result.stderr.startswith("hbtrack: The query took longer than 0.3 s")
    assert result.stdout == ""


ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "


@pytest.mark.parametrize(("form", "begins"), [("csv", "n\n1\n"), ("json", '{"schema"')])
def test_an_answer_without_an_end_comes_row_by_row(
    finished: Hbtrack, form: str, begins: str
) -> None:
    asking = finished.command("sql", ENDLESS + "SELECT n FROM c", "--format", form)
    process = subprocess.Popen(
        asking, cwd=finished.folder, env=finished.environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.read(len(begins)) == begins
    process.stdout.close()
    assert process.wait(60) == 141


def test_a_table_of_a_huge_answer_is_refused_in_a_sentence(finished: Hbtrack) -> None:
    result = finished("sql", ENDLESS + "SELECT zeroblob(40000000) FROM c", code=1)
    assert "more than 100 MB" in result.stderr
    assert "--format csv" in result.stderr
    assert result.stdout == ""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on a process's memory")
def test_a_query_that_outgrows_the_memory_is_told_in_a_sentence(finished: Hbtrack) -> None:
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n FROM c)"
    query = f"{endless} SELECT zeroblob(90000000) FROM c"
    limited = ["sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh"]
    result = finished.process([*limited, *finished.command("sql", query)])
    assert result.returncode == 1
    assert re.fullmatch(REFUSAL, result.stderr)


@pytest.mark.parametrize("limit", ["1e6", "1e300"])
def test_a_long_time_limit_is_no_mistake(finished: Hbtrack, limit: str) -> None:
    assert finished("sql", "SELECT 1", "--time-limit", limit).stderr == ""


# --- what there is to report ---------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("words", [("report",), ("status",)], ids=lambda words: words[0])
@pytest.mark.parametrize("fixture", ["finished", "live", "failed", "odd"])
def test_report_and_status_have_an_answer_for_every_kind_of_search(
    request: pytest.FixtureRequest, fixture: str, words: tuple[str, ...], form: str
) -> None:
    answer = request.getfixturevalue(fixture)(*words, "--format", form)
    assert answer.stderr == ""
    assert answer.stdout.strip()


def test_a_report_without_a_result_says_so(live: Hbtrack) -> None:
    answer = live("report", "--identity", "gate:1")
    assert "gate:1: running, 0/" in answer.stdout
    assert "no evaluation has a loss yet" in answer.stdout


def test_a_report_says_how_long_a_running_search_still_takes(live: Hbtrack) -> None:
    assert re.search(r", \d+:\d\d:\d\d.* left\n", live("report", "--identity", "gate:9").stdout)


def test_a_config_that_was_not_started_is_shown_with_its_place(live: Hbtrack) -> None:
    query = "SELECT config_id FROM results WHERE run_identity = 'gate:1' AND status = 'waiting'"
    [(config_id,), *_] = live.rows(query)
    answer = live("show", config_id, "--identity", "gate:1")
    assert "it was not started yet" in answer.stdout
    assert "waiting" in answer.stdout
    live("logs", config_id, "--identity", "gate:1", code=3)
    assert "none has a loss yet" in live("show", "best", "--identity", "gate:1", code=3).stderr


def test_a_config_of_several_searches_needs_the_identity(live: Hbtrack) -> None:
    query = """SELECT config_id FROM results WHERE rung = 0
        GROUP BY config_id HAVING count(DISTINCT run_identity) = 2"""
    answer = live("show", live.rows(query)[0][0], code=2)
    assert "'gate:9', 'gate:1'" in answer.stderr


def test_a_search_without_a_failure_says_so(live: Hbtrack) -> None:
    answer = live("errors", "--identity", "gate:1")
    assert answer.stdout == "gate:1: no evaluation has failed\n"


def test_a_report_of_failures_alone_shows_them(failed: Hbtrack) -> None:
    text = failed("report").stdout
    assert "5/5 evaluations, 5 failed" in text
    assert "5 failed: RuntimeError: no luck" in text
    assert "None" not in text


@pytest.mark.parametrize("form", ["simple", "github", "html", "latex"])
def test_a_report_covers_every_search_and_names_it(live: Hbtrack, form: str) -> None:
    text = live("report", "--format", form).stdout
    assert re.findall(r"\b(gate:\d): running", text) == ["gate:9", "gate:1"]


@pytest.mark.parametrize("words", [("report",), ("status",)], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("gate:9", ["gate:9"]),
        ("gate:*", ["gate:9", "gate:1"]),
        ("*[1]", ["gate:1"]),
        ("gate:?", ["gate:9", "gate:1"]),
    ],
)
def test_an_identity_is_exact_or_a_shell_pattern(
    live: Hbtrack, words: tuple[str, ...], pattern: str, found: list[str]
) -> None:
    document = live.json(*words, f"--identity={pattern}")
    searches = [row.get("search", row)["run_identity"] for row in document["searches"]]
    assert searches == found


@pytest.mark.parametrize(
    "words",
    [("report",), ("status",), ("sql", "@best"), ("db", "check"), ("resume",)],
    ids=lambda words: words[-1],
)
@pytest.mark.parametrize("identity", ["gate:8", "gate", "GATE:9", "nothing like it", "gate:[!0-9]"])
def test_an_unknown_identity_is_exit_3_with_the_nearest_names(
    live: Hbtrack, words: tuple[str, ...], identity: str
) -> None:
    answer = live(*words, "--identity", identity, code=3)
    assert answer.stdout == ""
    assert "'gate:9'" in answer.stderr
    assert identity in answer.stderr


@pytest.mark.parametrize("options", [(), ("--identity", "x")], ids=" ".join)
@pytest.mark.parametrize(
    "words",
    [
        *(("report",), ("errors",), ("show", "best"), ("logs", "best"), ("export", "csv", "out")),
        *(("status", "--watch"), ("resume",)),
    ],
    ids=" ".join,
)
def test_a_database_without_a_search_is_exit_3_and_how_to_start_one_is_said(
    empty: Hbtrack, words: tuple[str, ...], options: tuple[str, ...]
) -> None:
    answer = empty(*words, *options, code=3)
    assert answer.stdout == ""
    assert "There is no search here yet; start one with `hbtrack run SCRIPT`" in answer.stderr


def test_status_names_the_driver_that_is_alive(live: Hbtrack) -> None:
    [first, _] = live.json("status")["searches"]
    assert first["state"] == "running"
    assert Path(f"/proc/{first['driver']['pid']}").exists() or sys.platform != "linux"


def test_status_says_how_long_a_running_search_still_takes(live: Hbtrack) -> None:
    begun, unknown = live.json("status")["searches"]
    assert 0 < begun["left_low"] <= begun["left_high"] < 600
    assert (unknown["left_low"], unknown["left_high"]) == (None, None)
    first, second = parse("csv", live("status", "--format", "csv").stdout)
    assert re.fullmatch(r"0:\d\d:\d\d( to 0:\d\d:\d\d)?", first["left"])
    assert second["left"] == ""
    assert " left " in live("status").stdout.splitlines()[0]


def test_status_of_a_finished_search_names_no_driver_and_no_time_left(finished: Hbtrack) -> None:
    [only] = finished.json("status")["searches"]
    assert (only["state"], only["driver"]) == ("finished", None)
    assert (only["left_low"], only["left_high"]) == (None, None)
    [line] = parse("csv", finished("status", "--format", "csv").stdout)
    assert line["left"] == ""
    assert " left" not in finished("status").stdout.splitlines()[0]


def test_status_of_a_large_search_does_not_rebuild_it(
    live: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_left, "LARGE", 0)
    monkeypatch.setattr(time_left, "rebuild", None)
    begun, unknown = live.json("status")["searches"]
    assert 0 <= begun["left_low"] <= begun["left_high"] < 600
    assert unknown["left_low"] is None


def test_the_time_left_is_less_than_that_of_one_worker_that_is_always_at_its_slowest(
    hbtrack: Hbtrack,
) -> None:
    toy = hbtrack.folder / "toy"
    toy.mkdir()
    (toy / "hold_after").write_text("1")
    run = ("run", "--gpus", "none", "--workers", 2, "--max-epochs", 9, TOY)
    driver = hbtrack.start(*run, "--epoch_seconds", 0.2, "--fail", 0)
    wait_for(lambda: "event=done" in hbtrack.log() or driver.poll() is not None)
    [search] = hbtrack.json("status")["searches"]  # type: ignore[misc]
    [(epochs, longest)] = hbtrack.rows(
        "SELECT (SELECT epochs_planned FROM searches), max(seconds) FROM attempts"
    )
    slowest = float(str(epochs)) * float(str(longest))
    assert 0 < search["left_low"] <= search["left_high"] < slowest
    hbtrack("stop", "--grace", 0)


@pytest.mark.parametrize(
    ("rows", "typed", "workers"),
    [
        ("", None, 1),
        ("", 3, 3),
        ("(1, 1, 4), (1, 2, 8), (2, 3, 9)", 3, 8),
        ("(1, 1, 4), (1, 2, NULL)", 3, 3),
    ],
)
def test_the_time_left_counts_the_workers_of_the_present_driver(
    rows: str, typed: int | None, workers: int
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("CREATE TABLE _driver (search_pk, fence, workers)")
        if rows:
            connection.execute(f"INSERT INTO _driver VALUES {rows}")
        assert time_left._workers(connection, {"pk": 1, "workers": typed}) == workers


# --- where the output goes, and where the file lies ----------------------------------------------

EVERY = [
    ("report",),
    ("show", "best"),
    ("errors",),
    ("status",),
    ("sql", "SELECT * FROM results"),
    ("plan",),
    ("db", "path"),
    ("--help",),
    ("report", "--help"),
]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_a_reader_that_has_gone_away_is_no_error(finished: Hbtrack, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = finished.process(finished.command(*words), stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("target", ["/dev/full", "&-"])
def test_output_that_cannot_be_written_is_told_without_a_traceback(
    finished: Hbtrack, words: tuple[str, ...], target: str
) -> None:
    into = ["sh", "-c", f'exec "$@" >{target}', "sh"]
    result = finished.process([*into, *finished.command(*words)])
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    assert result.returncode == 1 or target == "&-"


@pytest.fixture(params=["full", "unread"])
def deaf(request: pytest.FixtureRequest) -> Iterator[int]:
    """A file descriptor to which nothing can be written."""
    if request.param == "full":
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    ("words", "code"),
    [(("report",), 0), (("report", "--identity", "nobody"), 3), (("nonsense",), 2)],
    ids=["works", "nothing matches", "usage"],
)
def test_a_stderr_that_takes_nothing_leaves_the_exit_status_as_it_is(
    finished: Hbtrack, words: tuple[str, ...], code: int, deaf: int
) -> None:
    assert finished.process(finished.command(*words), stderr=deaf).returncode == code


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("form", ["simple", "csv"])
@pytest.mark.parametrize(
    "words", [("report",), ("status",), ("sql", IDS_QUERY)], ids=lambda words: words[0]
)
def test_any_encoding_of_the_terminal_will_do(
    odd: Hbtrack, words: tuple[str, ...], form: str, env: dict[str, str]
) -> None:
    result = odd(*words, "--format", form, env=env)
    assert result.stderr == ""
    assert result.stdout


@pytest.mark.parametrize("words", [("errors",), ("show", "#3"), ("logs", "#3")], ids=" ".join)
def test_text_of_any_kind_is_shown_in_ascii(odd: Hbtrack, words: tuple[str, ...]) -> None:
    result = odd(*words, env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    assert result.stdout.isascii()
    assert "Traceback" not in result.stderr


@pytest.fixture
def as_another_user() -> list[str]:
    """The beginning of a command that runs as a user without rights."""
    if os.geteuid():
        return []
    program = shutil.which("setpriv")
    if not program:
        pytest.skip("there is no setpriv program here to drop privileges with")
    prefix = [program, "--reuid=65534", "--regid=65534", "--clear-groups"]
    probe = [*prefix, sys.executable, "-c", "import hbtrack"]
    if subprocess.run(
        probe, cwd="/", env={"PYTHONPATH": str(ROOT)}, capture_output=True
    ).returncode:
        pytest.skip("a user without rights cannot run this Python here")
    return prefix


@pytest.fixture
def read_only(live: Hbtrack) -> Iterator[Callable[[tuple[str, ...]], Hbtrack]]:
    """Copies the live database's files with these endings to a folder nobody can write to."""
    folder = Path(tempfile.mkdtemp())

    def place(endings: tuple[str, ...]) -> Hbtrack:
        if "-wal" in endings:
            with closing(sqlite3.connect(live.database, timeout=60)) as writer:
                # The drivers note now and then that they live. By another process, for if this one
                # closed the files it would lose its lock on them.
                writer.execute("BEGIN IMMEDIATE")
                copied = [f"{live.database}{ending}" for ending in endings]
                subprocess.run(["cp", *copied, folder], check=True)
        else:
            live("db", "backup", folder / "hbtrack.db")
            with (folder / "hbtrack.db").open("r+b") as database:
                database.seek(18)
                database.write(b"\2\2")  # in WAL mode, as a database is that was closed
        if "-journal" in endings:
            tear(folder / "hbtrack.db")
        for file in folder.iterdir():
            file.chmod(0o400)
            if not os.geteuid():
                os.chown(file, 65534, 65534)
        folder.chmod(0o555)
        return Hbtrack(folder)

    yield place
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "endings", [("",), ("", "-wal", "-shm"), ("", "-wal"), ("", "-journal")], ids="".join
)
def test_fault_86_reading_commands_work_in_a_folder_that_cannot_be_written_to(
    live: Hbtrack,
    read_only: Callable[[tuple[str, ...]], Hbtrack],
    as_another_user: list[str],
    endings: tuple[str, ...],
) -> None:
    hbtrack = read_only(endings)
    files = sorted(hbtrack.folder.iterdir())
    query = "SELECT count(*) AS n FROM attempts"
    [[attempts]] = live.rows(query)
    commands = [("report",), ("status",), ("db", "check"), ("sql", query, "--format", "csv")]
    for words in commands:
        result = hbtrack.process([*as_another_user, *hbtrack.command(*words)])
        assert result.returncode == 0, f"{words}\n{result.stderr}"
    assert result.stdout == f"n\n{attempts}\n"
    assert sorted(hbtrack.folder.iterdir()) == files


def test_a_database_that_may_not_be_read_is_refused_in_a_sentence(
    read_only: Callable[[tuple[str, ...]], Hbtrack], as_another_user: list[str]
) -> None:
    hbtrack = read_only(("",))
    hbtrack.database.chmod(0)
    result = hbtrack.process([*as_another_user, *hbtrack.command("report")])
    assert result.returncode == 1
    assert re.fullmatch(REFUSAL, result.stderr)
    assert stat.S_IMODE(hbtrack.database.stat().st_mode) == 0


def test_fault_86_a_search_in_a_folder_that_cannot_be_written_to_is_refused_in_a_sentence(
    read_only: Callable[[tuple[str, ...]], Hbtrack], as_another_user: list[str]
) -> None:
    hbtrack = read_only(("",))
    before = hbtrack.database.read_bytes()
    for words in (("resume",), ("stop",)):
        command = [*as_another_user, *hbtrack.command(*words)]
        result = hbtrack.process(command, {"HBTRACK_PATIENCE": "1"})
        assert result.returncode == 1, f"{words}\n{result.stderr}"
        assert "cannot be written to" in result.stderr
        assert "Traceback" not in result.stderr
    assert hbtrack.database.read_bytes() == before
