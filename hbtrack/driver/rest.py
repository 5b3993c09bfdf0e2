"""Rests: nothing starts while failures in a row are doubted, but for one that asks the machine.

There is no state of its own that a driver could leave behind: the streak stands in the attempts,
and the next driver rests again.
"""

import time
from collections.abc import Sequence
from typing import Any

from hbtrack.core.derived import Evaluation
from hbtrack.core.failure_causes import Cause, cause_of
from hbtrack.core.limits import used_up
from hbtrack.core.records import AttemptStatus, Facts, Limits, Verdict
from hbtrack.core.streak import TRIES, Failure, Streak
from hbtrack.core.times import iso, unix
from hbtrack.driver.interfaces import Edges, Running
from hbtrack.store.durations import Rows
from hbtrack.store.streaks import failed_since, last_success, rests_from, taken_back
from hbtrack.store.writer import Writer

FIRST_SECONDS = 10.0
"""The first rest, or a tenth of all that is allowed; each further one is twice as long."""


def streak_of(query: Rows, search_pk: int, limits: Limits, facts: Facts) -> Streak:
    """The streak of a search as its attempts tell it."""
    objectives = [objective for *_, objective in facts.results]
    done, last, since = (
        len(objectives) - objectives.count(None),
        last_success(query, search_pk),
        0.0,
    )
    if last:
        since = unix(last.finished_at) - last.seconds
    if rested_from := rests_from(query, search_pk):
        since = unix(rested_from)
    rows = failed_since(query, search_pk, iso(since)) if limits.max_streak is not None else []
    failures = {failure.evaluation: failure for failure in (_failure(row, limits) for row in rows)}
    failed = max(0, objectives.count(None) - len(failures))
    streak = Streak(limits.max_streak, done, failed, since)
    streak.taken_back.update(taken_back(query, search_pk))
    for failure in failures.values():
        streak.note_failure(failure)
    if last:
        streak.last_success = unix(last.finished_at)
    return streak


def _failure(row: Sequence[Any], limits: Limits) -> Failure:
    config_id, epochs, finished_at, tried, status, *said = row
    names = ("signal", "error_type", "error_message", "error", "stdout", "stderr")
    facts = dict(zip(names, said, strict=True))
    verdict = Verdict(AttemptStatus(status), unix(finished_at), **facts)
    return failure_of((config_id, epochs), verdict, tried, limits)


def failure_of(evaluation: Evaluation, verdict: Verdict, tried: int, limits: Limits) -> Failure:
    """A failure as the streak knows it; `tried` again after so many rests."""
    blames = cause_of(verdict, limits.retry_on) is Cause.MACHINE and tried < TRIES - 1
    return Failure(evaluation, verdict.finished_at, verdict.error_type or "failed", blames)


class Rest:
    """What the loop asks before each start, and tells after each end."""

    def __init__(self, limits: Limits, edges: Edges) -> None:
        self.streak = Streak(None)  # until that of the search is known
        self._limits = limits
        self._edges = edges
        self._said: list[tuple[str, dict[str, str]]] = []  # when what ended is reported
        self._forget()
        self._found = True  # an earlier driver may have said that it rests

    def _forget(self) -> None:
        self._found = False
        self._until: float | None = None  # monotonic; when the rest under way is over
        self._over = False  # seen to be
        self._pause = min(FIRST_SECONDS, self._limits.max_rest / 10)
        self._rested = 0.0
        self._asked: Evaluation | None = None  # runs again, to ask whether the machine is well

    # --- what may start ---

    @property
    def doubts(self) -> bool:
        """Whether failures are doubted, so that nothing may start but to ask."""
        return bool(self.streak.doubted)

    def may_ask(self) -> bool:
        """Whether the rest is over, and nothing runs yet to ask whether the machine is well."""
        if self._asked or self._until is None or time.monotonic() < self._until:
            return False
        self._over = True
        return True

    def asking(self, evaluation: Evaluation) -> None:
        """This one was started to ask."""
        self._asked = evaluation

    def next_at(self) -> float | None:
        """When the rest under way is over (monotonic); None once that was seen.

        Then what runs is waited for, or the script, or a slot.
        """
        return None if self._asked or self._over else self._until

    # --- what has ended ---

    def note_end(
        self, writer: Writer, running: Running, verdict: Verdict, *, counts: bool
    ) -> list[Evaluation]:
        """An attempt is over, with a result if that `counts`; failures that are none, after all."""
        evaluation = (running.config_id, running.epochs)
        if asked := self._asked == evaluation:
            self._asked = None
        if not counts:
            return []  # asked, it is asked again at once
        if verdict.status is AttemptStatus.DONE:
            begun = verdict.finished_at - (verdict.seconds or 0.0)
            ended = verdict.finished_at
            return self.streak.note_success(running.attempt, begun, ended, answers=asked)
        if asked:
            self._until = None  # rests again
        tried = 0
        if cause_of(verdict, self._limits.retry_on) is Cause.MACHINE:
            tried = writer.times_tried(running.attempt)
        failure = failure_of(evaluation, verdict, tried, self._limits)
        self.streak.note_failure(failure, answers=asked)
        return []

    @property
    def turns(self) -> bool:
        """Whether a rest is to begin or to end now."""
        if not self.doubts:
            return self._until is not None or self._found
        return self._until is None and not self._asked and self._edges.stop.at is None

    def turn(self, writer: Writer) -> None:
        """Begin a rest, or end it; stop the search when all that is allowed is used up."""
        if self.doubts:
            self._begin(writer)
            return
        writer.rest(None, None, None)
        if self._until is not None:
            self._said.append(("rest_over", {"rested": f"{self._rested:g}"}))
        self._forget()

    def give_up(self, writer: Writer) -> None:
        """Stop the search: the streak is doubted still."""
        writer.rest(None, None, self.streak.since)
        reached = used_up(self.streak.doubted, self.streak.last_success, self._rested)
        self._edges.stop.reach(reached, self._edges.clock())

    def _begin(self, writer: Writer) -> None:
        doubted, left = self.streak.doubted, self._limits.max_rest - self._rested
        if left <= 0:
            self.give_up(writer)
            return
        pause = min(self._pause, left)
        self._until, self._over = time.monotonic() + pause, False
        self._rested += pause
        self._pause *= 2
        until = self._edges.clock() + pause
        because = f"{len(doubted)} failed, the last one with {doubted[-1].kind}"
        writer.rest(until, because, self.streak.since)
        facts = {"because": because, "until": iso(until), "seconds": f"{pause:g}"}
        self._said.append(("rest", facts))

    def report(self) -> None:
        """Show the rests that have begun or ended, after what made them."""
        for event, facts in self._said:
            self._edges.observer.event(event, **facts)
        self._said.clear()
