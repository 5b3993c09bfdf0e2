"""Failures in a row: which are doubted, and what a success takes back; from the rule alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import examples

from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.records import AttemptStatus, Verdict
from hbtrack.core.streak import UNLIKELY, Failure, Streak, expected


def fail(streak: Streak, ended: float, name: str = "", *, of_machine: bool = False) -> None:
    evaluation = (name or f"c:{ended}", 1)
    streak.note_failure(Failure(evaluation, ended, "ValueError", of_machine))


def test_ten_failures_after_a_success_are_doubted_and_nine_are_not() -> None:
    streak = Streak(10)
    streak.note_success(1, 0.0, 1.0)
    for ended in range(2, 11):
        fail(streak, ended)
    assert not streak.doubted
    fail(streak, 11)
    assert [failure.ended for failure in streak.doubted] == [*range(2, 12)]


def test_failures_before_any_success_are_not_doubted_however_many() -> None:
    streak = Streak(10)
    for ended in range(500):
        fail(streak, ended)
    assert not streak.doubted


def test_none_believes_all() -> None:
    streak = Streak(None, done=100)
    for ended in range(100):
        fail(streak, ended, of_machine=True)
    assert not streak.doubted


@pytest.mark.parametrize(
    ("done", "failed", "doubted_from"), [(14, 0, 10), (50, 50, 19), (20, 80, 53), (1, 0, 10)]
)
def test_the_more_failed_before_the_more_in_a_row_are_borne(
    done: int, failed: int, doubted_from: int
) -> None:
    streak = Streak(10, done, failed)
    lengths = []
    for ended in range(1, 100):
        fail(streak, ended)
        if streak.doubted:
            lengths.append(ended)
    assert lengths == [*range(doubted_from, 100)]
    assert expected(doubted_from, done, failed) < UNLIKELY


def test_chance_itself_is_doubted_in_few_of_many_searches() -> None:
    from random import Random

    chance, doubted = Random(1), 0
    for _ in range(300):
        streak = Streak(10)
        for number in range(1, 200):
            if chance.random() < 0.5:
                streak.note_success(number, number, number + 0.5)
            else:
                fail(streak, number + 0.5)
            doubted += bool(streak.doubted)
    assert doubted <= 1


def test_a_success_of_what_ran_when_the_doubt_arose_says_nothing() -> None:
    streak = Streak(10, done=5)
    for ended in range(10, 21):
        fail(streak, ended)
    assert streak.note_success(7, 19.5, 30.0) == []
    assert len(streak.doubted) == 11


def test_the_success_of_the_one_that_was_asked_takes_the_whole_streak_back() -> None:
    streak = Streak(10, done=5)
    for ended in range(10, 21):
        fail(streak, ended)
    taken = streak.note_success(50, 25.0, 30.0, answers=True)
    assert taken == [(f"c:{ended}", 1) for ended in range(10, 21)]
    assert not streak.failures


def test_failures_that_are_not_doubted_are_believed_once_something_began_after_and_succeeded() -> (
    None
):
    streak = Streak(10, done=5)
    for ended in (10, 20, 30):
        fail(streak, ended)
    assert streak.note_success(50, 25.0, 40.0) == []
    assert [failure.ended for failure in streak.failures] == [30]


def test_one_failure_that_blames_the_machine_is_doubted_and_the_others_are_not() -> None:
    streak = Streak(10)
    fail(streak, 1)
    fail(streak, 2, "full", of_machine=True)
    fail(streak, 3)
    assert [failure.evaluation for failure in streak.doubted] == [("full", 1)]
    assert streak.note_success(9, 5.0, 6.0, answers=True) == [("full", 1)]


@given(ends=st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60))
@examples(300)
def test_it_is_the_same_told_one_by_one_or_found_again_by_the_next_driver(
    ends: list[tuple[bool, int]],
) -> None:
    told, now, last = Streak(10), 0.0, (0, 0.0)
    history: list[Failure] = []
    for number, (good, seconds) in enumerate(ends, 1):
        now += 1.0
        if good:
            last = max(last, (10 + int(now - seconds), now - seconds))
            if told.note_success(10 + int(now - seconds), now - seconds, now):
                return
        else:
            history.append(Failure((f"c:{number}", 1), now, "ValueError"))
            told.note_failure(history[-1])
    done = sum(good for good, _ in ends)
    counting = [failure for failure in history if failure.ended > last[1]]
    found = Streak(10, done, len(history) - len(counting), last[1])
    for failure in counting:
        found.note_failure(failure)
    assert told.failures == found.failures
    assert told.doubted == found.doubted


# --- what blames the machine ---------------------------------------------------------------------


def raised(error: str, before: str = "") -> Verdict:
    kind, _, message = error.partition(": ")
    text = f"{before}Traceback (most recent call last):\n  File 's.py', line 1\n{error}\n"
    return Verdict(AttemptStatus.FAILED, error_type=kind, error_message=message, error=text)


@pytest.mark.parametrize(
    "error",
    [
        "OSError: [Errno 28] No space left on device: 'm.pt'",
        "OSError: [Errno 122] Disk quota exceeded",
        "OSError: [Errno 5] Input/output error",
        "OSError: [Errno 116] Stale file handle: '/data/train'",
        "RuntimeError: DataLoader worker (pid 71) is killed by signal: Killed. ",
        "RuntimeError: DataLoader worker (pid(s) 71, 72) exited unexpectedly",
        "RuntimeError: DataLoader worker (pid 4) is killed by signal: Bus error. It is possible "
        "that dataloader's workers are out of shared memory. Please try to raise your shared "
        "memory limit.",
        "RuntimeError: [enforce fail at inline_container.cc:603] . PytorchStreamWriter failed "
        "writing file data/7: file write failed",
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443): Max "
        "retries exceeded with url: /",
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
        "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>",
        "OSError: [Errno 113] No route to host",
    ],
)
def test_these_blame_the_machine_also_as_the_cause_of_what_was_raised(error: str) -> None:
    assert cause_of(raised(error)) is Cause.MACHINE
    led_to = raised(error).error or ""
    over = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert cause_of(raised("ValueError: bad", led_to + over)) is Cause.MACHINE


@pytest.mark.parametrize(
    "error",
    [
        "ValueError: loss is nan",
        "FileNotFoundError: [Errno 2] No such file or directory: 'data.txt'",
        "PermissionError: [Errno 13] Permission denied: '/data'",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
        "KeyError: 'Connection'",
        "BrokenPipeError: [Errno 32] Broken pipe",
    ],
)
def test_these_do_not(error: str) -> None:
    assert cause_of(raised(error)) is Cause.CONFIG


def test_what_only_a_line_of_code_says_blames_nobody() -> None:
    code = (
        "Traceback (most recent call last):\n  File 's.py', line 1, in save\n"
        "    raise ConnectionRefusedError\nValueError: bad\n"
    )
    verdict = Verdict(
        AttemptStatus.FAILED, error_type="ValueError", error_message="bad", error=code
    )
    assert cause_of(verdict) is Cause.CONFIG


def test_a_bus_error_blames_the_machine() -> None:
    verdict = Verdict(AttemptStatus.FAILED, error_type="signal", signal="SIGBUS")
    assert cause_of(verdict) is Cause.MACHINE


@pytest.mark.parametrize("where", ["error", "stdout", "stderr"])
def test_the_users_own_texts_blame_the_machine_wherever_they_stand(where: str) -> None:
    words = {where: "no licence for solver (node [7])"}
    verdict = Verdict(AttemptStatus.FAILED, error_type="ValueError", error_message="x", **words)
    assert cause_of(verdict, ["solver (node [7])"]) is Cause.MACHINE
    assert cause_of(verdict, ["solver (node 7)"]) is Cause.CONFIG
