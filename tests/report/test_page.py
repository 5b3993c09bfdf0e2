"""The page: what it concludes is right, it is well formed, harms nobody, and works in a browser."""

import base64
import fcntl
import hashlib
import html
import html.parser
import math
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import termios
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import browser as chromium
import pytest
from conftest import DUMMY, Hbtrack, process_state, wait_for
from hypothesis import given
from hypothesis import strategies as st

from hbtrack.report import agreement
from hbtrack.report.page import (
    attention,
    brackets,
    commands,
    curves,
    effects,
    headline,
    leaderboard,
    panels,
    parameters,
    workers,
)
from hbtrack.report.page.facts import DriverRun, PageFacts, Used
from hbtrack.report.page.gather import gather
from hbtrack.report.page.page import render
from hbtrack.report.page.svg.drawing import Box, Dot
from hbtrack.report.page.svg.scales import Scale, extent, labels, log_ticks, number, ways
from hbtrack.report.page.wording import ordinal, percent, span
from hbtrack.report.snapshot import Attempt, Result
from hbtrack.store.reading import connected
from hbtrack.text import printable

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SOME = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=30)
NOW = 1_800_000_000.0

HOSTILE = [
    "</script><script>harmed=1</script>",
    "</style><script>harmed=1</script>",
    '"onmouseover="harmed=1',
    "<img src=x onerror=harmed=1>",
    "</title><svg onload=harmed=1>",
    "{{ 7 * 7 }} {% raw %}",
    "javascript:harmed=1",
    "\u202egnp.exe",
    "\x1b[31mred",
    "' OR 1=1; DROP TABLE _search --",
    "long" * 300,
    "\U0001f680:=cmd",
]
IDENTITY = "</h1><script>harmed=1</script>'\x1b[2J\u202e\n:identity"

HOSTILE_SCRIPT = f"""
import sys

IDS = {HOSTILE!r}

def get_random_config_id(rng):
    return IDS[rng.randint(len(IDS))]

def get_config(config_id):
    return {{config_id[:40]: config_id, "<b>n</b>": IDS.index(config_id), "same": "</td>"}}

def run_identity(argv):
    return {IDENTITY!r}

if __name__ == "__main__":
    number = IDS.index(sys.argv[1])
    if number % 5 == 4:
        raise RuntimeError("</code></pre><script>harmed=1</script>" + sys.argv[1])
    print(number + 1)
"""


def page_of(hbtrack: Hbtrack, identity: str | None = None, name: str = "page.html") -> Path:
    words = ["--identity", identity] if identity else []
    hbtrack("report", *words, "--html", name)
    return hbtrack.folder / name


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Three searches: a finished one with a few failures, one that only failed, and a hostile."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("page"))
    small = ("run", "--quiet", "--workers", 4, "--max-epochs")
    hbtrack(*small, 27, DUMMY, "--model", "vgg", "--fail", 0.15)
    hbtrack(*small, 3, DUMMY, "--model", "none", "--fail", 1, code=None)
    script = hbtrack.folder / "hostile.py"
    script.write_text(HOSTILE_SCRIPT)
    hbtrack(*small, 9, script)
    return hbtrack


@pytest.fixture(scope="module")
def page(searched: Hbtrack) -> Path:
    return page_of(searched, "model:vgg")


@pytest.fixture(scope="module")
def hostile(searched: Hbtrack) -> Path:
    return page_of(searched, IDENTITY, "hostile.html")


@pytest.fixture(scope="module")
def facts(searched: Hbtrack) -> PageFacts:
    return facts_of(searched, "model:vgg")


def facts_of(hbtrack: Hbtrack, identity: str) -> PageFacts:
    with connected(str(hbtrack.database)) as connection:
        return gather(connection, hbtrack.database, identity, NOW)


# --- what is concluded ---------------------------------------------------------------------------


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert agreement.ranks([3.0, 1.0, 3.0, 2.0]) == [3.5, 1.0, 3.5, 2.0]


def test_spearman_of_a_published_example() -> None:
    # Wikipedia, "Spearman's rank correlation coefficient": IQ against hours of television.
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert agreement.spearman(iq, hours) == pytest.approx(-29 / 165)


@given(SOME)
def test_spearman_sees_the_order_only(values: list[float]) -> None:
    rho = agreement.spearman(values, [math.atan(value / 1e7) for value in agreement.ranks(values)])
    assert rho is None if len(set(values)) == 1 else rho == pytest.approx(1)


@given(SOME, st.randoms(use_true_random=False))
def test_spearman_is_symmetric_and_lies_between_minus_one_and_one(values, random) -> None:  # type: ignore[no-untyped-def]
    other = random.sample(values, len(values))
    rho = agreement.spearman(values, other)
    assert rho == agreement.spearman(other, values)
    assert rho is None or -1 - 1e-9 <= rho <= 1 + 1e-9


def rung(number: int, losses: dict[int, float], promoted: set[int]) -> list[Result]:
    return [
        Result(1, 2, number, slot, f"c{slot}", 3**number, "done", loss, int(slot in promoted), loss)
        for slot, loss in losses.items()
    ]


def test_only_promoted_configs_are_ranked_against_the_next_rung() -> None:
    first = rung(0, {0: 0.1, 1: 0.9, 2: 0.2, 3: 0.3}, {0, 2, 3})
    second = rung(1, {0: 0.5, 2: 0.4, 3: 0.6}, set())
    (found,) = agreement.transitions([*first, *second])
    moves = {move.config_id: (move.before, move.after) for move in found.moves}
    assert moves == {"c0": (1, 2), "c2": (2, 1), "c3": (3, 3)}
    assert found.rho == pytest.approx(0.5)
    assert (found.n, found.epochs, found.next_epochs) == (3, 1, 3)


def test_equal_losses_are_no_agreement_of_ranks() -> None:
    equal = dict.fromkeys(range(4), 0.5)
    (found,) = agreement.transitions([*rung(0, equal, set(equal)), *rung(1, equal, set())])
    assert {(move.before, move.after) for move in found.moves} == {(2.5, 2.5)}
    assert found.rho is None
    assert agreement.comparable([found]) == []


def test_the_agreement_is_that_of_the_steps_that_can_be_compared() -> None:
    two = {0: 0.1, 1: 0.2}
    three = {**two, 2: 0.3}
    steps = [
        (found,)
        for losses in (two, three)
        for found in agreement.transitions([*rung(0, losses, set(losses)), *rung(1, losses, set())])
    ]
    found = agreement.comparable(one for (one,) in steps)
    assert [one.n for one in found] == [3]
    assert agreement.mean_agreement(found) == agreement.Agreement(1, 3)


def effect_of(values: list[object], losses: list[float]) -> effects.Effect:
    names = [f"c{number}" for number in range(len(values))]
    params = {name: {"p": value} for name, value in zip(names, values, strict=True)}
    return effects.effect("p", 1, params, dict(zip(names, losses, strict=True)))


def test_a_number_explains_the_square_of_its_correlation_less_what_chance_does() -> None:
    found = effect_of([1, 2, 3, 4, 5], [1, 2, 3, 5, 4])
    assert (found.rho, found.low, found.high) == (pytest.approx(0.9), 1, 5)
    assert found.share == pytest.approx(0.81)
    assert found.explains == pytest.approx(1 - 0.19 * 4 / 3)


def test_words_explain_what_lies_between_their_groups() -> None:
    found = effect_of(list("aaabbb"), [1, 2, 3, 4, 5, 6])
    assert 5 * (found.share or 0) == pytest.approx(27 / 7)  # H of Kruskal and Wallis
    assert (found.rho, found.freedom) == (None, 1)
    assert effect_of(list("abcdef"), [1, 2, 3, 4, 5, 6]).explains == 0
    assert effect_of(list("aaaaaa"), [1, 2, 3, 4, 5, 6]).share is None
    assert effect_of(list("aaabbb"), [1.0] * 6).share is None


def test_some_parameter_is_beyond_chance_by_chance_once_in_twenty_times() -> None:
    draws, often = Random(0), 0
    for _ in range(400):
        losses = [draws.random() for _ in range(30)]
        sampled: list[list[object]] = [[draws.random() for _ in losses] for _ in range(3)]
        sampled += [[draws.choice("abc") for _ in losses] for _ in range(2)]
        found = (effect_of(values, losses) for values in sampled)
        first = max(found, key=lambda one: one.explains)
        often += first.is_beyond_chance(len(sampled))
    assert 0.015 < often / 400 < 0.08


@pytest.mark.parametrize(
    ("before", "after", "late"), [(4, 1, True), (3, 1, True), (2, 1, False), (4, 2, True)]
)
def test_a_late_riser_has_risen_by_half_the_field(before: int, after: int, *, late: bool) -> None:
    assert agreement.Move("c", before, after, 4).rose_late is late


@pytest.mark.parametrize(
    ("value", "side"), [(1, "smallest"), (2, None), (50, None), (99, None), (100, "largest")]
)
def test_the_edge_is_where_almost_nothing_lies_beyond(value: int, side: str | None) -> None:
    sampled = [{"x": i, "name": "a"} for i in range(1, 101) if i not in (2, 99)] + [
        {"x": x} for x in (2, 99, 1, 1, 100, 100)
    ]
    found = attention.edges({"x": value, "name": "a"}, sampled)
    assert [edge.side for edge in found] == ([side] if side else [])


def test_a_parameter_of_few_configs_or_values_has_no_edge() -> None:
    assert not attention.edges({"x": 0}, [{"x": x} for x in range(9)])
    assert not attention.edges({"x": 0}, [{"x": x % 2} for x in range(50)])


def test_idle_is_the_time_hbtrack_lived_and_nothing_ran() -> None:
    alive = [(0.0, 10.0), (20.0, 30.0)]
    assert workers.idle_share([(0, 4), (3, 5), (8, 24)], alive) == pytest.approx(9 / 20)
    assert workers.idle_share([], []) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted).map(tuple)))
def test_united_spans_cover_the_same_time_once(spans: list[tuple[float, float]]) -> None:
    found = workers.united(spans)
    covered = {second for start, end in spans for second in range(int(start), int(end))}
    assert sum(end - start for start, end in found) == len(covered)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    assert workers.overlap(found, [(0, 50)]) == len(covered)


# --- scales and words ----------------------------------------------------------------------------


@given(st.lists(FINITE, min_size=1, max_size=40))
def test_every_finite_loss_has_a_place_on_the_drawing(values: list[float]) -> None:
    scale = extent(values).scale(200, 20)
    assert all(20 <= scale(value) <= 200 for value in values)
    assert all(math.isfinite(tick) for tick in scale.ticks())


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e6))
def test_ticks_lie_within_and_are_not_many(low: float, times: float) -> None:
    for ticks in (log_ticks(low, low * times), Scale(low, low * times, 0, 1).ticks()):
        assert len(ticks) <= 12
        assert all(low * 0.99 <= tick <= low * times * 1.01 for tick in ticks)


def test_positive_losses_over_decades_get_a_log_scale_and_others_not() -> None:
    assert extent([0.001, 0.5]).log
    assert not extent([0.1, 0.5]).log
    assert not extent([-1.0, 100.0]).log


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e7))
def test_labels_of_ticks_differ_and_mean_their_ticks(low: float, span: float) -> None:
    ticks = Scale(low, low + span, 0, 1).ticks(6)
    told = [float(text.replace(",", "")) for text in labels(ticks)]
    assert len(set(told)) == len(set(ticks))
    assert told == pytest.approx(ticks, rel=1e-9, abs=span / 100)


def test_labels_of_ticks_are_short() -> None:
    assert labels([0, 500_000, 1_000_000]) == ["0", "500,000", "1e6"]
    assert labels([1.0, 1.25, 1.5]) == ["1", "1.25", "1.5"]
    assert labels([0.12345, 0.12346]) == ["0.12345", "0.12346"]
    assert labels([-5e-292, 0]) == ["-5e-292", "0"]


def test_a_parameter_sampled_evenly_is_not_drawn_in_logs() -> None:
    evenly = [0.001, *(i / 50 for i in range(1, 51))]
    assert not extent(evenly, evenly=True).log
    assert extent([10 ** (-5 * value) for value in evenly], evenly=True).log


def test_a_far_outlier_does_not_flatten_the_others() -> None:
    found = extent([-1.0 - i / 100 for i in range(40)] + [1e9])
    assert found.high == -1.0


def test_numbers_and_times_are_short() -> None:
    assert [number(x) for x in (0.3225028, 100.0, 1e-5, 250000)] == [
        *("0.3225", "100", "1e-5", "250,000")
    ]
    assert [span(x) for x in (0.05, 7, 65, 7200, 90000)] == [
        *("50 ms", "7.0 s", "1 min 5 s", "2 h", "1 d 1 h")
    ]
    assert [ordinal(n) for n in (1, 2, 3, 11, 21, 112)] == [
        *("1st", "2nd", "3rd", "11th", "21st", "112th")
    ]
    assert [percent(x) for x in (0, 0.001, 0.5)] == ["0\u00a0%", "under 1\u00a0%", "50\u00a0%"]


# --- the figures ---------------------------------------------------------------------------------


def test_the_flow_has_a_thread_for_every_config_and_one_winner(facts: PageFacts) -> None:
    (drawing,) = brackets.draw(facts)
    kinds = Counter(m.kind.split()[1] for m in drawing.marks if m.kind.startswith("thread"))
    entered = sum(row["configs_entered"] for row in facts.rungs if row["rung"] == 0)
    failed = sum(row["failed"] for row in facts.rungs)
    assert kinds.total() == entered
    assert kinds["best"] == 1
    assert kinds["failed"] == failed > 0


def test_a_flow_of_too_many_threads_is_drawn_as_ribbons_that_count_every_config(
    facts: PageFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brackets, "THREADS", 10)
    (drawing,) = brackets.draw(facts)
    bars = [mark for mark in drawing.marks if isinstance(mark, Box) and mark.title]
    told = sum(int(mark.title.split()[0].replace(",", "")) for mark in bars)
    assert told == sum(row["configs_entered"] for row in facts.rungs)
    assert not any(mark.kind.startswith("thread") for mark in drawing.marks)
    assert "too many" in render(facts)


def test_attempts_too_short_to_see_are_drawn_together_in_proportion() -> None:
    kinds = ["done"] * 99 + ["failed"]
    attempts = [
        Attempt(0, "0", "c", 1, kind, "", i * 0.01, i * 0.01 + 0.01) for i, kind in enumerate(kinds)
    ]
    boxes = list(workers.bars(attempts, Scale(0, 1e6, 0, 700), 0, 1.5, str))
    assert [(box.kind, round(box.height, 2)) for box in boxes] == [
        ("attempt done", 15.84),
        ("attempt failed", 0.16),
    ]


def at_work(facts: PageFacts, attempts: list[Attempt], workers: int) -> PageFacts:
    """The same facts of a search whose only driver had these attempts, from 0 s to their end."""
    end = max(one.end for one in attempts)
    driver = DriverRun(1, "here", workers, 0.0, end, silent=False)
    return replace(facts, attempts=attempts, drivers=[driver])


def test_what_is_idle_is_told_of_the_workers_there_were_whatever_their_numbers(
    facts: PageFacts,
) -> None:
    spans = [(0, 0.0, 6.0), (1, 0.0, 10.0), (2, 6.0, 8.0)]
    attempts = [Attempt(worker, "0", "c", 1, "done", "", *span) for worker, *span in spans]
    told = at_work(facts, attempts, 2)
    assert workers.idle(told) == pytest.approx(1 - 18 / 20)
    assert "2 workers ran 3 attempts in 18 s of work, idle 10\u00a0%" in render(told)


def test_an_attempt_on_all_gpus_leaves_no_worker_idle(facts: PageFacts) -> None:
    text = render(at_work(facts, [Attempt(0, "0,1,2", "c", 9, "done", "", 0.0, 10.0)], 3))
    assert "idle 0\u00a0% of the time" in text
    assert "1 attempt had several GPUs" in text
    assert "c at 9 epochs on GPUs 0,1,2: done, 10 s" in text


def test_the_usual_time_of_an_attempt_is_that_of_those_that_ended(facts: PageFacts) -> None:
    attempts = [Attempt(0, "0", "c", 1, "done", "", 0.0, 4.0)]
    attempts += [Attempt(0, "0", "c", 3, "running", "", 4.0, 99.0)]
    told = replace(at_work(facts, attempts, 1), state="running")
    assert "half of them took less than 4.0 s." in render(told)
    none_ended = replace(told, attempts=attempts[1:])
    assert "half of them" not in render(none_ended)


def test_configs_at_one_budget_each_are_drawn_as_no_curve(facts: PageFacts) -> None:
    first = [one for one in facts.results if one.rung == 0 and one.bracket == 3]
    rungs = [row for row in facts.rungs if (row["bracket"], row["rung"]) == (3, 0)]
    told = replace(facts, results=first, rungs=rungs)
    assert "at one budget only: there is no curve to draw" in render(told)
    assert curves.figure(told).views == []


def test_curves_that_are_too_many_are_drawn_as_their_median_and_the_middle_80_percent(
    facts: PageFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "CURVES", 10)
    assert "too many to draw: lines are medians, areas the middle 80 %" in render(facts)
    [drawing] = curves.figure(facts).drawings
    kinds = [mark.kind for mark in drawing.marks if mark.tag == "path"]
    colours = [kind.removeprefix("band ") for kind in kinds if kind.startswith("band ")]
    assert len(colours) == len(curves.legend(facts.reached.values(), facts.depth))
    assert [kind for kind in kinds if kind.startswith("curve rung")] == [
        f"curve {colour}" for colour in colours
    ]
    assert kinds[-2:] == ["curve best", "star"]
    losses = [float(value) for value in range(101)]
    (low,), (middle,), (high,) = curves._quantiles([(1, losses)], float, float)
    assert middle[1] == 50
    assert sum(low[1] <= value <= high[1] for value in losses) == 81


def test_rungs_that_share_a_colour_share_a_line_of_the_legend() -> None:
    named = curves.legend(range(10), 10)
    assert named["rung0"] == "reached rung 0"
    assert named["rung5"] == "reached rung 9"
    assert len(named) == curves.STEPS
    told = [int(number) for text in named.values() for number in re.findall(r"\d+", text)]
    assert told == list(range(10))


def head_of(text: str) -> str:
    return text.partition("<nav")[0]


def test_a_running_search_says_what_runs_and_one_that_does_not_how_to_go_on(
    facts: PageFacts,
) -> None:
    open_ = [
        Attempt(worker, "0", f"lr:{worker}", 9, "running", "", NOW - 65 - worker, NOW)
        for worker in range(7)
    ]
    text = render(replace(facts, state="running", attempts=[*facts.attempts, *open_]))
    (shown,) = re.findall(r'<section id="running".*?</section>', text, re.DOTALL)
    assert "7 evaluations at this moment" in shown
    assert re.findall(r"<td>(lr:\d)</td>", shown) == ["lr:6", "lr:5", "lr:4", "lr:3", "lr:2"]
    assert "1 min 11 s" in shown
    assert "5 of 7 rows" in shown
    resume = "<span>hbtrack</span> <span>resume</span>"
    assert resume not in head_of(text)
    for state, running in (("orphaned", True), ("interrupted", False), ("stopped", False)):
        text = render(replace(facts, state=state))
        assert resume in head_of(text)
        assert ('id="running"' in text) == running
    assert resume not in head_of(render(facts))


def test_a_command_is_copied_as_it_is_although_its_words_are_kept_together(
    facts: PageFacts,
) -> None:
    command = "python  'my  script.py' --loss '<b>' "
    text = render(replace(facts, best_command=command))
    whole = command
    shown = re.findall(r"<code>(.*?)</code></pre>\s*<button", text, re.DOTALL)
    assert html.unescape(re.sub("<.*?>", "", shown[0])) == whole
    assert shown[0].count("<span>") == whole.count(" ") + 1


def test_more_causes_than_are_shown_are_told(facts: PageFacts) -> None:
    text = render(replace(facts, failures=[*facts.failures] * 9))
    assert "more than 8 causes" in text
    assert "There are more causes" in text
    assert text.count('<div class="item bad"><h3>') == 8


def test_every_config_with_a_loss_at_a_budget_is_in_every_parameters_chart_of_it(
    facts: PageFacts,
) -> None:
    for epochs, losses in facts.losses_at.items():
        drawn = panels.at_one(facts, panels.columns(facts).values(), epochs)
        assert len(drawn) == 2
        for panel in drawn:
            assert sum(isinstance(mark, Dot) for mark in panel.marks) == len(losses)


def test_losses_of_two_budgets_share_an_axis_only_where_all_are_asked_for(
    facts: PageFacts,
) -> None:
    section = parameters.figure(facts)
    *single, whole = section.views
    assert whole.name == "all"
    assert section.chosen < len(single) == len(facts.losses_at)
    for view, (epochs, losses) in zip(single, facts.losses_at.items(), strict=True):
        assert view.name == f"{epochs} epoch{'s' * (epochs > 1)} (n\u00a0=\u00a0{len(losses)})"
        titles = [m.title for d in view.drawings for m in d.marks if isinstance(m, Dot)]
        assert len(titles) == 2 * len(losses)
    told = list(whole.legend.values())
    assert told == [f"{epochs} epoch{'s' * (epochs > 1)}" for epochs in facts.losses_at]


def test_the_largest_budget_with_enough_losses_is_seen_first(facts: PageFacts) -> None:
    n = {epochs: len(losses) for epochs, losses in facts.losses_at.items()}
    enough = [epochs for epochs in n if n[epochs] >= parameters.TELLING]
    assert parameters.first_budget(facts) == max(enough)
    few = [one for one in facts.results if one.bracket == 0][:2]
    assert parameters.first_budget(replace(facts, results=few)) == 27


def test_bars_compare_all_parameters_the_one_that_explains_most_first(facts: PageFacts) -> None:
    many = {
        one: {**params, **{f"p{i}": sum(map(ord, one)) * (i + 1) % 7 for i in range(6)}}
        for one, params in facts.params.items()
    }
    found = effects.effects(
        [f"p{i}" for i in range(6)] + ["lr", "batch_size"], 1, many, facts.losses_at[1]
    )
    (drawing,) = parameters.bars(found)
    boxes = [mark.width for mark in drawing.marks if isinstance(mark, Box)]
    assert len(boxes) == 8
    assert boxes == sorted(boxes, reverse=True)


def test_losses_over_decades_can_be_drawn_on_either_scale(facts: PageFacts) -> None:
    wide = [one._replace(loss=10.0**-one.rung) for one in facts.results]
    found = curves.figure(replace(facts, results=wide)).views
    assert [view.name for view in found] == ["log", "linear"]
    assert list(ways([1.0, 2.0])) == list(ways([-1.0, 500.0])) == ["linear"]
    assert list(ways([1.0, 5.0])) == ["linear", "log"]


def test_parameters_and_metrics_stand_before_ids_in_the_table(facts: PageFacts) -> None:
    first = facts.leaders[0]["config_id"]
    section = leaderboard.figure(replace(facts, metrics={first: {"accuracy": 0.5}}))
    assert section
    assert section.table.columns == (
        *("rank", "config", "loss", "epochs", "lr", "batch_size", "accuracy"),
        *("status", "reached", "bracket", "seconds", "config_id"),
    )
    row = dict(zip(section.table.columns, section.table.rows[0], strict=True))
    assert (row["config"], row["accuracy"]) == (f"#{facts.leaders[0]['config']}", 0.5)
    ends = [row[section.table.columns.index("status")] for row in section.table.rows]
    assert any(str(end).startswith("failed at ") for end in ends[facts.ranked :])


def test_an_opaque_id_stands_in_full_in_the_table(facts: PageFacts) -> None:
    long = "0123456789abcdef" * 4
    leaders = [{**facts.leaders[0], "config_id": long}]
    section = leaderboard.figure(replace(facts, params={}, leaders=leaders))
    assert section
    assert section.table.rows[0][-1] == long


def test_a_config_is_called_by_its_number_and_parameters(facts: PageFacts) -> None:
    best = facts.leaders[0]
    params = facts.params[best["config_id"]]
    text = f"#{best['config']} lr={params['lr']:.6g} batch_size={params['batch_size']}"
    assert facts.called(best["config_id"]) == text
    assert f"<title>{text}: " in render(facts)
    assert f"<td>{best['config_id']}</td>" in render(facts)


def test_what_is_maximised_says_so(facts: PageFacts) -> None:
    text = render(replace(facts, search={**facts.search, "maximize": 1, "min_epochs": 3}))
    assert "ranked by the best loss at any budget, the largest first." in text
    assert "The best loss, the largest, is" in text
    assert "<dt>best is</dt><dd>the largest loss (--maximize)</dd>" in text
    assert "<dt>min_epochs</dt><dd>3</dd>" in text
    assert "--maximize" in re.findall(r"<code>(.*?)</code>", text, re.DOTALL)[-3]


def test_where_everything_failed_the_traceback_is_open_and_what_to_type_below_it(
    searched: Hbtrack,
) -> None:
    text = page_of(searched, "model:none", "none.html").read_text()
    assert '<p class="lead bad">Everything has failed' in text
    section = text.partition('<main id="main">')[2].partition("</section>")[0]
    assert 'class="alarm"' in section
    assert section.count("<details open>") == 1
    order = ("Traceback", "<span>retry</span>", "<span>resume</span>", "<span>errors</span>")
    places = [section.index(words) for words in order]
    assert places == sorted(places)
    assert "<span>resume</span>" not in head_of(text)


def test_what_attempts_used_is_told_where_the_kernel_told_it(facts: PageFacts) -> None:
    used = {0: Used(3 << 20, 1.5), 1: Used(None, None)}
    text = render(replace(facts, used=used))
    assert "They took 1.5 s of processor time, and at most 3.0 MiB of memory each." in text
    assert "processor time" not in render(replace(facts, used={1: used[1]}))


def test_the_page_follows_from_the_facts_alone(searched: Hbtrack, facts: PageFacts) -> None:
    assert render(facts) == render(facts_of(searched, "model:vgg"))


@pytest.mark.slow
def test_an_orphaned_search_shows_what_runs_and_that_its_hbtrack_died(hbtrack: Hbtrack) -> None:
    with hbtrack.start("run", "--quiet", DUMMY, "--epoch_seconds", 60) as driver:
        lock = hbtrack.folder / "hbtrack.db.d" / "1" / "0.lock"
        wait_for(lambda: lock.exists() and "pid " in lock.read_text())
        driver.kill()
    try:
        text = page_of(hbtrack).read_text()
    finally:
        hbtrack("stop", code=None)
    assert 'class="state orphaned"' in text
    assert "hbtrack resume takes them over" in text
    assert "1 hbtrack process died without a word" in text


# --- the file ------------------------------------------------------------------------------------


class Document(html.parser.HTMLParser):
    """A page taken apart; complains where an element is closed that is not open."""

    VOID = frozenset(["meta", "input"])

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            names = dict(attrs)
            self.open.append(f"{tag}.{names.get('class')}" if names.get("class") else tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().split(".")[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))

    def text_in(self, element: str) -> list[str]:
        return [text for path, text in self.texts if element in path]


def test_nothing_on_the_page_could_steer_a_terminal(hostile: Path) -> None:
    """`--html -` may end on one."""
    lines = hostile.read_text().split("\n")
    assert [line for line in lines if printable(line) != line] == []


def test_the_page_on_stdout_is_utf_8_in_every_locale(searched: Hbtrack) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ("report", "--identity", "model:vgg", "--html", "-")
    assert "ρ" in searched(*words, env=plain).stdout


@pytest.mark.parametrize(("gpu", "column"), [("0", "worker"), ("1", "GPU")])
def test_what_runs_is_told_apart_by_gpu_or_by_worker_not_by_both(
    facts: PageFacts, gpu: str, column: str
) -> None:
    now = replace(facts.attempts[0], status="running", worker=7, gpu=gpu)
    found = headline.running(replace(facts, state="running", attempts=[now]))
    assert found
    text, table = found
    assert text == "1 evaluation at this moment."
    assert table.columns[-2:] == ("for", column)
    assert table.rows[0][-1] == (7 if column == "worker" else "1")


def test_parameters_stand_in_the_order_in_which_the_id_has_them(facts: PageFacts) -> None:
    best = headline.best(facts)
    assert best
    assert [name for name, _ in best.params] == ["lr", "batch_size"]
    assert facts.names == ["lr", "batch_size"]


def test_the_commands_of_the_page_work_in_any_folder(
    searched: Hbtrack, facts: PageFacts, tmp_path: Path
) -> None:
    def typed(command: str) -> str:
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        result = searched.process(["sh", "-c", command], path, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        return result.stdout

    best = headline.best(facts)
    assert best
    assert best.command
    assert typed(best.command).split()[-1] == repr(facts.search["best_loss"])
    assert "evaluations failed" in typed(commands.hbtrack(facts, "errors"))
    assert commands.again(facts).startswith(f"cd {searched.folder} && hbtrack run ")


@pytest.fixture(scope="module", params=["model:vgg", "model:none", IDENTITY])
def document(searched: Hbtrack, request: pytest.FixtureRequest) -> Document:
    return Document(render(facts_of(searched, request.param)))


def test_the_page_is_well_formed_and_its_ids_are_unique(document: Document) -> None:
    ids = [value for _, name, value in document.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert document.tags["html"] == document.tags["body"] == document.tags["main"] == 1


def test_fault_116_117_the_page_loads_nothing_and_has_no_code_but_its_own(
    document: Document,
) -> None:
    names = {name for _, name, _ in document.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("src", "style")]
    links = [value for _, name, value in document.attributes if name in ("href", "action")]
    assert all(link.startswith("#") for link in links)
    assert document.tags["script"] == document.tags["style"] == 1
    assert not document.tags.keys() & {"img", "iframe", "object", "embed", "link", "base", "form"}
    (style,) = document.text_in("style")
    assert not re.search(r"url\(|@import|http", style)


def test_the_policy_names_the_very_style_and_script_of_the_page(document: Document) -> None:
    (policy,) = [
        value
        for tag, name, value in document.attributes
        if (tag, name) == ("meta", "content") and "default-src" in value
    ]
    assert policy.startswith("default-src 'none'; ")
    for element in ("style", "script"):
        (text,) = document.text_in(element)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy


def test_every_figure_has_a_sentence_a_table_and_sql(page: Path) -> None:
    figures = page.read_text().split('<section id="')[1:]
    drawn = [figure for figure in figures if "<svg viewBox" in figure and "drawings" in figure]
    assert len(drawn) == 6
    for figure in drawn:
        assert re.search(r"<h2[^>]*>[^<]+</h2>\s*<p>[^<]{30,}</p>", figure)
        assert 'class="data"' in figure
        assert '<th scope="col"' in figure
        assert 'class="sql"' in figure


@pytest.mark.parametrize("identity", ["model:vgg", IDENTITY])
def test_the_sql_of_the_page_gives_rows_as_it_stands(searched: Hbtrack, identity: str) -> None:
    queries = Document(render(facts_of(searched, identity))).text_in("details.sql")
    queries = [query for query in queries if "SELECT" in query]
    assert len(queries) == 11
    for query in queries:
        assert searched.rows(query), query


def test_a_search_without_a_loss_shows_its_failures_and_no_empty_figures(
    searched: Hbtrack,
) -> None:
    text = page_of(searched, "model:none", "none.html").read_text()
    assert "Everything has failed: all" in text
    assert "loss is nan at learning rate" in text
    assert re.findall(r'<section id="(\w[\w-]*)"', text) == [
        *("attention", "flow", "workers", "reproduce")
    ]


def test_the_page_is_written_privately_and_only_over_a_page(searched: Hbtrack) -> None:
    target = page_of(searched, "model:vgg", "again.html")
    os.chmod(target, 0o644)
    assert page_of(searched, "model:none", "again.html") == target
    assert "model:none" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    mine = searched.folder / "mine.py"
    mine.write_text("print('mine')")
    refused = searched("report", "--identity", "model:vgg", "--html", mine, code=2)
    assert "was left as it is" in refused.stderr
    assert mine.read_text() == "print('mine')"
    gone = searched("report", "--identity", "model:vgg", "--html", "no/where.html", code=1)
    assert "No such file" in gone.stderr
    assert not [name for name in os.listdir(searched.folder) if name.startswith(".")]


def test_a_page_shows_one_search_and_dash_is_stdout(searched: Hbtrack, page: Path) -> None:
    refused = searched("report", "--html", "all.html", code=2)
    assert "model:none" in refused.stderr
    assert not (searched.folder / "all.html").exists()
    printed = searched("report", "--identity", "model:vgg", "--html", "-").stdout
    assert printed.startswith("<!doctype html>\n<!-- hbtrack page -->")
    assert len(printed) == pytest.approx(len(page.read_text()), abs=50)


def test_what_a_pipe_does_not_take_at_once_is_not_lost_without_pythons_buffer(
    searched: Hbtrack, page: Path
) -> None:
    writer = subprocess.Popen(
        searched.command("report", "--identity", "model:vgg", "--html", "-"),
        cwd=searched.folder,
        env=searched.environment({"PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
    )
    assert writer.stdout
    waiting = array("i", [0])

    def is_full() -> bool:  # of what a page holds it takes about a half
        fcntl.ioctl(writer.stdout, termios.FIONREAD, waiting)
        return waiting[0] >= 1 << 16

    wait_for(is_full)
    writer.send_signal(signal.SIGSTOP)
    wait_for(lambda: process_state(writer.pid) == "T")
    writer.send_signal(signal.SIGCONT)
    printed = writer.communicate()[0]
    assert len(printed) == pytest.approx(page.stat().st_size, abs=50)


@pytest.mark.parametrize(
    "words", [("--top", 3), ("--all",), ("--sort", "epochs"), ("--format", "csv")]
)
def test_what_a_page_would_not_heed_is_refused(
    searched: Hbtrack, words: tuple[object, ...]
) -> None:
    asked = ("report", "--identity", "model:vgg", "--html", "all.html", *words)
    assert str(words[0]) in searched(*asked, code=2).stderr
    assert not (searched.folder / "all.html").exists()


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_and_marks_stand_out_from_the_paper(page: Path, scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", page.read_text(), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[scheme]))
    marks = ["blue", "red", "green", "quiet", "line", *(f"rung{i}" for i in range(6))]
    least = {"ink": 7.0, "soft": 4.5, "faint": 4.5, **dict.fromkeys(marks, 2.9)}
    for ground in ("paper", "page"):
        for name, ratio in least.items():
            light, dark = sorted((luminance(colours[one]) for one in (name, ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= ratio - (0.2 if ground == "page" else 0), name


@pytest.mark.slow
def test_a_page_of_206_places_takes_less_than_400_kilobytes(hbtrack: Hbtrack) -> None:
    hbtrack("run", "--quiet", "--workers", 4, DUMMY)
    assert hbtrack.rows("SELECT evaluations_planned FROM searches") == [(206,)]
    assert page_of(hbtrack).stat().st_size < 400_000


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window() -> Iterator[chromium.Browser]:
    if chromium.CHROMIUM is None:
        pytest.skip("no Chromium is installed here")
    with chromium.browser() as window:
        yield window


def test_the_policy_stops_a_script_that_is_not_the_pages_own(
    window: chromium.Browser, page: Path, tmp_path: Path
) -> None:
    harmed = tmp_path / "harmed.html"
    text = page.read_text().replace("</body>", "<script>harmed = 1</script></body>")
    harmed.write_text(text.replace("<main ", '<main onclick="harmed = 2" '))
    window.open(harmed)
    window.click("main h2")
    assert window.ask("typeof harmed") == "undefined"
    assert window.complaints()


def test_fault_116_hostile_ids_are_text_in_a_browser(
    window: chromium.Browser, hostile: Path
) -> None:
    window.open(hostile, 1200)
    assert window.ask("typeof harmed") == "undefined"
    assert (
        window.ask("document.querySelectorAll('script, img, svg[onload], h1 script').length") == 1
    )
    assert printable(IDENTITY) in window.ask("document.querySelector('h1').textContent")
    assert window.complaints() == []
    assert window.requested() == [hostile.as_uri()]


def test_the_first_screen_answers_without_a_scroll(window: chromium.Browser, page: Path) -> None:
    window.open(page, 1600, 900)
    last = ("#best .copy", "#attention .item p + p", "nav li:last-child")
    for selector in (".tiles", ".config", *last):
        bottom = window.ask(f"document.querySelector('{selector}').getBoundingClientRect().bottom")
        assert bottom <= 900, selector


def test_every_label_of_a_drawing_lies_within_it(
    window: chromium.Browser, facts: PageFacts, tmp_path: Path
) -> None:
    results = [
        one._replace(loss=-4.4352e-292 * (one.loss or 0)) if one.status == "done" else one
        for one in facts.results
    ]
    rungs = [{**row, "best_loss": -4.4352e-292, "cutoff_loss": -1e-300} for row in facts.rungs]
    many = {one: {**params, "seed": 1e6} for one, params in facts.params.items()}
    many[facts.leaders[0]["config_id"]] |= {"seed": 2, "x" * 60: -1e-9}
    target = tmp_path / "far.html"
    target.write_text(render(replace(facts, results=results, rungs=rungs, params=many)))
    window.open(target, 1600)
    outside = window.ask(
        "Array.from(document.querySelectorAll('.frame svg text')).filter(t => {"
        "const box = t.getBBox(), all = t.ownerSVGElement.viewBox.baseVal;"
        "return box.x < -1 || box.x + box.width > all.width + 1"
        " || box.y < -2 || box.y + box.height > all.height + 2 }).map(t => t.textContent)"
    )
    assert outside == []


SEEN = (
    "Array.from(document.querySelectorAll('#parameters .view'))"
    ".findIndex(view => view.getBoundingClientRect().height)"
)
"""Which of the views of the parameters is seen."""


def test_the_chooser_shows_one_budget_at_a_time_by_mouse_and_by_keyboard(
    window: chromium.Browser, page: Path, facts: PageFacts
) -> None:
    window.open(page, 1200)
    names = window.ask(
        "Array.from(document.querySelectorAll('#parameters .choices label'), l => l.textContent)"
    )
    assert [name.split()[0] for name in names] == [*map(str, facts.losses_at), "all"]
    assert window.ask(SEEN) == list(facts.losses_at).index(parameters.first_budget(facts))
    window.click(f"label[for=parameters-view-{len(names)}]")
    assert window.ask(SEEN) == len(names) - 1
    window.ask("document.querySelector('#parameters input:checked').focus()")
    window.press("ArrowUp")
    assert window.ask(SEEN) == len(names) - 2


def typed(window: chromium.Browser, text: str) -> list[list[str]]:
    """The rows of the table of configs that are left by a filter."""
    window.ask("(() => { const i = document.querySelector('.filter input'); i.select(); })()")
    window.call("Input.insertText", text=text)
    return window.ask(  # type: ignore[no-any-return]
        "Array.from(document.querySelectorAll('.sortable tbody tr')).filter(r => !r.hidden)"
        ".map(r => Array.from(r.cells, c => c.textContent))"
    )


def test_the_filter_keeps_the_rows_that_have_every_word(
    window: chromium.Browser, page: Path
) -> None:
    window.open(page, 1200)
    whole = typed(window, " ")
    names = ["rank", "config", "loss", "epochs", "lr", "batch_size", "status"]
    failed = [row for row in whole if row[6].startswith("failed")]
    assert 0 < len(failed) < len(whole)
    assert typed(window, "failed") == failed
    assert typed(window, whole[3][1]) == [whole[3]]
    few = [row for row in whole if row[4] and float(row[4]) <= 0.01 and row[3] == "27"]
    assert names.index("lr") == 4
    assert typed(window, "lr<=0.01 epochs=27") == few
    assert f"{len(few)} of {len(whole)} rows" in window.ask(
        "document.querySelector('.filter').textContent"
    )
    assert typed(window, "no such text") == []
    assert window.complaints() == []


def test_times_are_the_readers_own_with_their_zone_and_commands_are_left_alone(
    window: chromium.Browser, facts: PageFacts, tmp_path: Path
) -> None:
    target = tmp_path / "zone.html"
    command = "echo 2027-01-15 08:00:00 UTC"
    target.write_text(render(replace(facts, best_command=command)))
    window.call("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    window.open(target)
    window.call("Emulation.setTimezoneOverride", timezoneId="")
    shown = "document.querySelector('.over time')"
    assert window.ask(f"{shown}.textContent") == "2027-01-15 13:30:00 GMT+5:30"
    assert window.ask(f"{shown}.title") == "2027-01-15 08:00:00 UTC"
    assert window.ask("document.querySelector('#best code').textContent") == command


def test_the_ranked_table_sorts_and_the_threads_are_reached_by_keyboard(
    window: chromium.Browser, page: Path
) -> None:
    window.open(page)
    column = (
        "Array.from(document.querySelectorAll('.sortable tbody tr'), r => r.cells[2])"
        ".filter(cell => cell.textContent).map(key)"
    )
    by_rank = window.ask(column)
    window.click(".sortable th:nth-child(3) button")
    assert window.ask(column) == sorted(by_rank)
    window.click(".sortable th:nth-child(3) button")
    assert window.ask(column) == sorted(by_rank, reverse=True)
    assert window.ask("document.querySelectorAll('.sortable [aria-sort]').length") == 1
    window.ask("document.querySelector('#flow .thread[tabindex=\"0\"]').focus()")
    focused = "getComputedStyle(document.activeElement.querySelector('.line')).strokeWidth"
    assert window.ask(focused) == "5px"
    assert window.ask("document.querySelector('#flow .frame svg').getAttribute('role')") == "group"
    first = window.ask("document.querySelector('.readout').textContent")
    window.press("ArrowUp")
    second = window.ask("document.querySelector('.readout').textContent")
    assert first != second
    assert second == window.ask("document.activeElement.querySelector('title').textContent")


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_is_wider_than_the_window(
    window: chromium.Browser, page: Path, hostile: Path, width: int
) -> None:
    for shown in (page, hostile):
        window.open(shown, width)
        assert window.ask("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_no_text_of_a_figure_is_smaller_than_10_pixels(
    window: chromium.Browser, page: Path
) -> None:
    for width in (360, 800, 1000, 1600):
        window.open(page, width)
        smallest = window.ask(
            "Math.min(...Array.from(document.querySelectorAll('.frame svg')).filter(svg =>"
            "svg.getBoundingClientRect().width).map(svg =>"
            "Math.min(...Array.from(svg.querySelectorAll('text'), t =>"
            "parseFloat(getComputedStyle(t).fontSize)))"
            "* svg.getBoundingClientRect().width / svg.viewBox.baseVal.width))"
        )
        assert smallest >= 10


@pytest.mark.slow
def test_the_page_can_be_read_with_scripts_off(
    window: chromium.Browser, page: Path, facts: PageFacts, tmp_path: Path
) -> None:
    copy = shutil.copy(page, tmp_path / "copy.html")
    window.call("Emulation.setScriptExecutionDisabled", value=True)
    window.open(copy)
    window.call("Emulation.setScriptExecutionDisabled", value=False)
    assert window.ask("document.querySelectorAll('.sortable tbody tr').length") > 10
    assert re.search(r"written \S+ \S+ UTC", window.ask("document.body.innerText"))
    assert window.ask(SEEN) == list(facts.losses_at).index(parameters.first_budget(facts))
    window.click("label[for=parameters-view-3]")
    assert window.ask(SEEN) == 2
    assert window.ask("getComputedStyle(document.querySelector('.copy')).display") == "none"
