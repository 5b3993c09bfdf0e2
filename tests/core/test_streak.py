"""Failures in a row: which are doubted, and what a success takes back; from the rule alone."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import examples

from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.records import AttemptStatus, Verdict
from hbtrack.core.streak import TRIES, UNLIKELY, Failure, Streak, expected


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


# --- what is run to ask --------------------------------------------------------------------------


def test_the_last_that_failed_is_asked_and_then_one_that_has_not_failed() -> None:
    streak = Streak(10)
    fail(streak, 1, "full", of_machine=True)
    assert streak.question([("next", 1)]) == ("full", 1)
    streak.note_failure(Failure(("full", 1), 2.0, "OSError", of_machine=True), answers=True)
    assert streak.question([("next", 1)]) == ("next", 1)
    streak.note_failure(Failure(("next", 1), 3.0, "OSError", of_machine=True), answers=True)
    assert streak.question([("other", 1)]) == ("other", 1)


def test_one_that_was_taken_back_and_fails_again_is_not_asked_first() -> None:
    streak = Streak(10)
    fail(streak, 1, "full", of_machine=True)
    streak.note_success(2, 2.0, 3.0, answers=True)
    fail(streak, 4, "other", of_machine=True)
    assert streak.question([("full", 1), ("next", 1)]) == ("other", 1)
    fail(streak, 5, "full", of_machine=True)
    assert streak.question([("next", 1)]) == ("next", 1)


def test_one_that_never_failed_is_asked_rather_than_one_that_was_taken_back() -> None:
    streak = Streak(10)
    streak.taken_back.update([("once", 1), ("full", 1)])
    fail(streak, 1, "full", of_machine=True)
    assert streak.question([("once", 1), ("next", 1)]) == ("next", 1)
    assert streak.question([("once", 1)]) == ("once", 1)
    assert streak.question([]) == ("full", 1)


def test_of_a_long_streak_the_failed_are_asked_in_turn_and_no_others() -> None:
    streak, asked = Streak(10, done=5), []
    for ended in range(10, 21):
        fail(streak, ended)
    for now in (30.0, 31.0, 32.0):
        asked.append(streak.question([("next", 1)]))
        streak.note_failure(Failure(asked[-1], now, "ValueError"), answers=True)
    assert asked == [("c:20", 1), ("c:10", 1), ("c:11", 1)]


@dataclass
class Machine:
    """A search of single evaluations, of which the bad always fail and blame the machine."""

    count: int
    bad: set[int]
    workers: int
    streak: Streak = field(default_factory=lambda: Streak(10))
    failed: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    tried: Counter[int] = field(default_factory=Counter)
    now: float = 0.0

    def run(self, one: int, begun: float, *, answers: bool = False) -> None:
        """One evaluation ends, and what follows is told to the streak."""
        self.now += 1.0
        if one not in self.bad:
            self.done.add(one)
            back = self.streak.note_success(int(begun), begun, self.now, answers=answers)
            taken = {int(name) for name, _ in back}
            self.failed -= taken
            self.tried.update(taken)  # for this one has succeeded in between
            return
        self.failed.add(one)
        blames = self.tried[one] < TRIES - 1
        failure = Failure((str(one), 1), self.now, "OSError", blames)
        self.streak.note_failure(failure, answers=answers)

    def ready(self) -> list[int]:
        return [one for one in range(self.count) if one not in self.failed | self.done]

    def ask(self) -> int:
        """How many questions until one is answered."""
        for asked in range(1, 50):
            name, _ = self.streak.question([(str(one), 1) for one in self.ready()])
            self.run(int(name), self.now, answers=True)
            if not self.streak.doubted:
                return asked
        raise AssertionError(self)


@given(bad=st.sets(st.integers(0, 39), max_size=6), workers=st.sampled_from([1, 2, 8]))
@examples(300)
def test_those_that_always_blame_the_machine_are_failed_while_others_go_on_however_many(
    bad: set[int], workers: int
) -> None:
    search = Machine(100, bad, workers)
    while ready := search.ready()[: search.workers]:
        begun = search.now
        for one in ready:
            search.run(one, begun)
        if search.streak.doubted:
            assert search.ask() <= len(bad) + 1
    assert search.failed == bad
    assert search.done == set(range(100)) - bad


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
        "OSError: [Errno 30] Read-only file system: 'm.pt'",
        "OSError: [Errno 19] No such device",
        "RuntimeError: cannot read /data/train: Input/output error",
        "OSError: Unable to read (errno = 5, error message = 'Input/output error', buf = 0x1)",
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
        "ValueError: Input/output error: shapes differ",
        "OSError: [Errno 6] No such device or address: '/dev/tape'",
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
