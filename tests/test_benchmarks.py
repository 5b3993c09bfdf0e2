"""The page of the benchmarks says what was measured, and their programs run."""

import hashlib
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT, Hbtrack

BENCHMARKS = ROOT / "benchmarks"
RESULTS = ROOT / "docs" / "benchmarks.json"
ANSWERS = ("best_s", "next_s", "report_s", "write_ms")
PHASES = ["made", "running", "take_over", "views", "commands", "many"]


def test_the_page_is_what_the_results_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from comparison.page import page_of  # type: ignore[import-not-found]

    assert RESULTS.with_suffix(".md").read_text() == page_of(RESULTS)


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(BENCHMARKS).with_suffix("").parts)
    return name.removesuffix(".__init__")


def test_no_benchmark_imports_itself_in_a_circle() -> None:
    files = {module_of(path): path.read_text() for path in BENCHMARKS.rglob("*.py")}
    found = {
        name: re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)
        for name, text in files.items()
    }
    graph = {name: files.keys() & names for name, names in found.items()}
    assert "comparison.selection" in graph["comparison.plots"]
    assert list(TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_the_pictures_are_of_these_results() -> None:
    source = hashlib.sha256(RESULTS.read_bytes()).hexdigest()
    pictures = sorted((ROOT / "docs").glob("benchmarks-*.svg"))
    assert [picture.stem for picture in pictures] == [
        "benchmarks-overhead",
        "benchmarks-storage",
        "benchmarks-utilisation",
    ]
    assert all(source in picture.read_text() for picture in pictures)


def printed(hbtrack: Hbtrack, program: str, *words: object) -> str:
    """What a program of the benchmarks prints."""
    command = [sys.executable, BENCHMARKS / f"{program}.py", *map(str, words)]
    return subprocess.check_output(command, env=hbtrack.environment(), text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "least"),
    [
        ("overhead", "--blocks 2 --max-epochs 3 --workers 1 --busy 0"),
        ("startup", "--rounds 1"),
        ("utilisation", "--seeds 1 --max-epochs 9"),
    ],
)
def test_a_program_prints_what_it_measured(hbtrack: Hbtrack, program: str, least: str) -> None:
    assert re.search(r"\d\.\d", printed(hbtrack, program, *least.split()))


@pytest.mark.slow
def test_a_run_measures_everything_and_names_peers_that_are_not_there(hbtrack: Hbtrack) -> None:
    """It is a run of very little, beside a peer if that is installed."""
    found = hbtrack.folder / "found.json"
    peers = ("--peers", "ours", "optuna_journal")
    printed(hbtrack, "against", "--quick", "--json", found, *peers)
    rows, page = json.loads(found.read_text())["rows"], found.with_suffix(".md").read_text()
    own = [row for row in rows if row["peer"] == "ours"]
    assert {row["measure"] for row in own} == {"overhead", "utilisation", "kill", "storage"}
    (kill,) = (row for row in own if row["measure"] == "kill")
    assert [kill[key] for key in ("redone", "at_once", "missing", "twice")] == [0, 0, 0, 0]
    answers = [row[key] for row in own if row["measure"] == "storage" for key in ANSWERS]
    assert {type(answer) for answer in answers} == {float}  # a text is why there is none
    assert "optuna_journal, all of it: `" in page or "| Optuna, journal |" in page


@pytest.mark.slow
def test_a_large_search_is_measured_in_the_tables_that_the_page_shows(
    hbtrack: Hbtrack,
) -> None:
    found = hbtrack.folder / "found.json"
    sizes = ("--evaluations", 300, "--searches", 3, "--runs", 1)
    printed(hbtrack, "scale", hbtrack.folder, *sizes, "--json", found)
    tables = [
        {key: {*map(frozenset, rows)} for key, rows in json.loads(text).items() if key in PHASES}
        for text in (found.read_text(), RESULTS.with_name("benchmarks-scale.json").read_text())
    ]
    assert tables[0] == tables[1]
    assert set(tables[0]) == set(PHASES)
