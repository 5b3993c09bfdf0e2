"""The states of an attempt: the store writes what their table allows, and nothing else."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from made_search import query
from test_machine import Driver, Folder, World
from test_plan import Case

from hbtrack.core.attempt_states import FAILURES, NEXT, OPEN, RESULTS, RETRIED, RUN_AGAIN, State
from hbtrack.core.records import AttemptStatus, Verdict
from hbtrack.errors import HbtrackError
from hbtrack.store.facts import load_facts
from hbtrack.store.writer import Writer

ROW = "SELECT status, finished_at IS NULL, retried FROM _attempt"
PUT = "UPDATE _attempt SET status = ?, loss = ?, finished_at = ?, retried = ?"


class Attempt:
    """The only one of its search, in a file of its own."""

    def __init__(self, folder: Folder) -> None:
        case = Case(1, 3, passes=1, space=1, fail=0.0, digits=1, seed=1)
        self.path = folder.new_search(case)
        self.driver = Driver(self.path, World(case=case))
        self.driver.take_over()
        self.driver.commit([], 2)
        ((self.pk, started),) = self.driver.running.items()
        self.evaluation = (started.config_id, started.epochs)

    def put(self, state: State) -> None:
        """As if it had come to this state."""
        loss = 0.5 if state is State.DONE else None
        finished_at = None if state in OPEN else "2024-01-01T00:00:00.000000Z"
        retried = "asked" if state in RETRIED else None
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(PUT, (state.status, loss, finished_at, retried))

    def state(self) -> State:
        ((status, is_open, retried),) = query(self.path, ROW)
        phase = "open" if is_open else "retried" if retried else "ended"
        return State((AttemptStatus(str(status)), phase))

    def arrives(self, after: State) -> bool:
        """Whether the store brings it to a state, in the one way there is; else nothing changes."""
        before = self.state()
        try:
            with self.driver.ledger.transaction() as writer:
                wrote = self.write(writer, before, after)
        except HbtrackError:
            assert self.state() is before
            return False
        return wrote and self.state() is after

    def write(self, writer: Writer, before: State, after: State) -> bool:
        if before not in OPEN and after in RETRIED:
            return writer.withdraw(*self.evaluation, "asked")
        if after in OPEN:
            writer.ending([self.pk], after.status)
        else:
            loss = 0.5 if after is State.DONE else None
            verdict = Verdict(after.status, finished_at=1.7e9, loss=loss)
            writer.end(self.pk, verdict, "automatic" if after in RETRIED else None)
        return True


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attempt]:
    made = Attempt(Folder(tmp_path_factory.mktemp("states")))
    yield made
    made.driver.forget()


def test_every_state_is_open_or_a_result_or_runs_again() -> None:
    assert sorted([*OPEN, *RESULTS, *RUN_AGAIN], key=str) == sorted(State, key=str)
    assert FAILURES < RESULTS
    assert RETRIED < RUN_AGAIN


def test_an_open_attempt_comes_to_an_end_and_what_has_ended_is_never_open_again() -> None:
    assert NEXT.keys() == set(State)
    assert all(NEXT[state] - OPEN for state in OPEN)
    assert not any(NEXT[state] & OPEN for state in set(State) - OPEN)


def test_only_failures_are_taken_back() -> None:
    assert {state for state in RESULTS | RUN_AGAIN if NEXT[state]} == FAILURES


@pytest.mark.parametrize("after", State, ids=lambda state: state.name)
@pytest.mark.parametrize("before", State, ids=lambda state: state.name)
def test_the_store_writes_a_state_only_after_one_that_it_may_follow(
    attempt: Attempt, before: State, after: State
) -> None:
    attempt.put(before)
    assert attempt.arrives(after) == (after in NEXT[before])


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_what_is_shown_and_what_is_loaded_of_a_state_is_what_it_means(
    attempt: Attempt, state: State
) -> None:
    attempt.put(state)
    with closing(sqlite3.connect(attempt.path)) as connection:
        facts = load_facts(connection.execute, 1)
    assert len(facts.open_attempts) == (state in OPEN)
    assert len(facts.results) == (state in RESULTS)
    shown = "running" if state in OPEN else "failed" if state in FAILURES else "waiting"
    shown = "done" if state is State.DONE else shown
    assert query(attempt.path, "SELECT status FROM results") == [(shown,)]
    assert len(query(attempt.path, "SELECT * FROM failures")) == (state in FAILURES)
