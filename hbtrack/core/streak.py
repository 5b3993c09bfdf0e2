"""Failures in a row that are not believed to be the configs': a rule on how attempts ended.

A streak is the failures that ended after the last evaluation that succeeded had begun: what ended
before that start was answered by a success. It is doubted when it is as long as the user says at
least, and so long that chance would hardly make it; or when one of it says itself that the machine
is at fault. While a streak is doubted nothing new starts: hbtrack rests, then runs one evaluation
to ask whether the machine is well. Its success takes the whole streak back; that of others, which
ran already, says nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hbtrack.core.derived import Evaluation

UNLIKELY = 1e-4
"""So many streaks of a length or fewer, expected by chance, make one of that length doubted."""

TRIES = 5
"""So often an evaluation may say that the machine is at fault while others succeed in between."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure that counts, or that was taken back to be tried again after a rest."""

    evaluation: Evaluation
    ended: float  # Unix time
    kind: str  # the type of its error
    of_machine: bool = False


def expected(length: int, done: int, failed: int) -> float:
    """How many streaks of `length` failures chance makes among so many results before it.

    Each of the `done` is followed by one with the chance of a failure to the power of the length;
    that chance is Laplace's estimate, for there may have been no failure yet.
    """
    return float(done * ((failed + 1) / (done + failed + 2)) ** length)


class Streak:
    """Told how evaluations end, in whatever order, it knows the streak and whether it is doubted.

    `least` is the length from which it may be doubted; None believes every failure.
    """

    def __init__(
        self, least: int | None, done: int = 0, failed: int = 0, since: float = 0.0
    ) -> None:
        self._least = least
        self.since = since  # Unix time; what failed until then is believed
        self.last_success: float | None = None  # Unix time; when it ended
        self._done, self._failed = done, failed
        self._last_begun = (0, 0.0)  # the attempt that was begun last and succeeded, and when
        self._failures: dict[Evaluation, Failure] = {}
        self._in_vain = False  # one was run to ask, and failed
        self.taken_back: set[Evaluation] = set()  # after a rest, at any time

    @property
    def failures(self) -> list[Failure]:
        """The streak, in the order of their ends."""
        return sorted(self._failures.values(), key=lambda failure: failure.ended)

    @property
    def doubted(self) -> list[Failure]:
        """Those that are doubted: all, or only those that blame the machine themselves."""
        if self._least is None or not self._failures:
            return []
        length = len(self._failures)
        long = self._done and length >= self._least
        if long and expected(length, self._done, self._failed) < UNLIKELY:
            return self.failures
        return [failure for failure in self.failures if failure.of_machine]

    @property
    def asks_others(self) -> bool:
        """Whether one that did not fail can tell more than those that blame the machine again.

        What has failed without saying so is not taken back for another's success alone: the same
        configs would fail in a row again.
        """
        doubted = self.doubted
        again = self._in_vain or any(one.evaluation in self.taken_back for one in doubted[-1:])
        return again and all(failure.of_machine for failure in doubted)

    def question(self, ready: Iterable[Evaluation]) -> Evaluation:
        """What is to be run to ask whether the machine is well, while failures are doubted.

        First the last that failed. Then one of the `ready`, if these can tell more, and rather one
        that never failed; else the one that failed longest ago, for the last may be a bad config.
        """
        if self.asks_others and (others := [one for one in ready if one not in self._failures]):
            return min(others, key=lambda one: one in self.taken_back)
        return self.doubted[0 if self._in_vain else -1].evaluation

    def note_success(
        self, attempt: int, begun: float, ended: float, *, answers: bool = False
    ) -> list[Evaluation]:
        """An attempt succeeded that began and ended then (Unix times); what is taken back now.

        While failures are doubted only the one counts that `answers`, for it was run to ask.
        """
        doubted = [failure.evaluation for failure in self.doubted]
        self._done += 1
        self.last_success = max(ended, self.last_success or ended)
        if doubted and not answers:
            return []
        self.forget(doubted)
        self.taken_back.update(doubted)
        self._last_begun = max(self._last_begun, (attempt, begun))
        self._believe_until(self._last_begun[1])
        return doubted

    def _believe_until(self, moment: float) -> None:
        believed = [one.evaluation for one in self.failures if one.ended <= moment]
        self._failed += len(believed)
        self.since = max(self.since, moment)
        self.forget(believed)

    def note_failure(self, failure: Failure, *, answers: bool = False) -> None:
        """An attempt failed, and that counts; it `answers` if it was run to ask."""
        self._in_vain = answers or (self._in_vain and bool(self.doubted))
        self._failures[failure.evaluation] = failure

    def forget(self, evaluations: Iterable[Evaluation]) -> None:
        """These are no failures of the streak any more."""
        for evaluation in evaluations:
            self._failures.pop(evaluation, None)
