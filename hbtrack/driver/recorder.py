"""Tells the plan and the database the same facts: what happened, and what follows from it."""

from collections.abc import Collection
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType

from hbtrack.core.consequences import Closed, Consequences
from hbtrack.core.decisions import Start
from hbtrack.core.derived import Evaluation
from hbtrack.core.known import withdrawal_problem
from hbtrack.core.plan import Plan
from hbtrack.core.records import (
    Place,
    RungKey,
    Sampled,
    Search,
    SearchStatus,
    Verdict,
    rung_of,
    turned,
)
from hbtrack.core.schedule import schedule_of
from hbtrack.core.summary import summarise
from hbtrack.driver.rederive import rederive
from hbtrack.errors import Conflict
from hbtrack.store.ledger import Ledger
from hbtrack.store.writer import Writer


class Recorder:
    """Records facts in one transaction, in the plan and in the database."""

    def __init__(self, plan: Plan, writer: Writer, *, maximize: bool) -> None:
        self.plan = plan
        self.writer = writer
        self._maximize = maximize
        self.closed: list[Closed] = []  # rungs that are settled by what was recorded
        self._touched: set[RungKey] = set()

    def open_pass(self, sampled: Sampled, now: float) -> None:
        """A pass has been sampled."""
        consequences = self.plan.open_pass(sampled.pass_, sampled.config_ids)
        self.writer.open_pass(sampled)
        self._follow(consequences, now)

    def start(
        self,
        start: Start,
        *,
        worker: int,
        gpu: str,
        now: float,
        since_boot: float | None = None,
        epochs_before: int = 0,
        script_version: int | None = None,
    ) -> int:
        """An attempt is about to start for the place that the plan said; its number.

        It is told that `epochs_before` lie in its checkpoint.
        """
        attempt = self.writer.start(
            start.place,
            start.config_id,
            start.epochs,
            worker=worker,
            gpu=gpu,
            now=now,
            since_boot=since_boot,
            max_epochs=self.plan.schedule.max_epochs,
            epochs_before=epochs_before,
            script_version=script_version,
        )
        self.plan.start(start.place)
        self._touched.add(rung_of(start.place))
        return attempt

    def end(
        self,
        attempt: int,
        place: Place,
        config_id: str,
        epochs: int,
        verdict: Verdict,
        again: str | None = None,
    ) -> None:
        """An attempt for this place came to an end; `again` is why a failure is no result yet."""
        own = self.plan.rungs[rung_of(place)].epochs == epochs
        measured = {"loss": verdict.loss, "seconds": verdict.seconds}
        self.writer.end(attempt, verdict, again)
        self.writer.result(place if own else None, config_id, epochs, **measured)
        if again or not verdict.is_result:
            self.plan.requeue(place)
            self._touched.add(rung_of(place))
        else:
            objective = turned(verdict.loss, maximize=self._maximize)
            consequences = self.plan.record(config_id, epochs, objective)
            if not own:
                self.writer.orphan(config_id, epochs)
            self._follow(consequences, verdict.finished_at, called=place if own else None)

    def take_back(self, evaluations: Collection[Evaluation], why: str, search: Search) -> int:
        """Failures of these evaluations are none; of how many.

        A fact goes, so the plan is made anew from those that are left. Where that leaves no place
        for a script that runs, a failure stands.
        """
        largest_first = sorted(evaluations, key=lambda one: -one[1])
        taken = self._take_back(largest_first, why, search)
        if taken is None:
            taken = sum(self._take_back([one], why, search) or 0 for one in largest_first)
        return taken

    def _take_back(self, evaluations: list[Evaluation], why: str, search: Search) -> int | None:
        """All of them or, with None, none."""
        connection = self.writer.connection
        connection.execute("SAVEPOINT take_back")
        taken = [
            one
            for one in evaluations
            if withdrawal_problem(self.plan, *one) is None and self.writer.withdraw(*one, why)
        ]
        try:
            if taken:
                schedule, passes = schedule_of(search.terms), search.terms.passes
                self.plan = rederive(connection, search.pk, schedule, passes)
        except Conflict:
            connection.execute("ROLLBACK TO take_back")
            return None
        finally:
            connection.execute("RELEASE take_back")
        return len(taken)

    def finish(self, now: float, *, finished: bool) -> None:
        """All of the transaction is recorded: write what views need not count, and the end."""
        if self._touched:
            self.writer.summarise(summarise(self.plan, self._touched))
        if finished:
            self.writer.status(SearchStatus.FINISHED, now)

    def _follow(self, consequences: Consequences, now: float, called: Place | None = None) -> None:
        self.writer.apply(consequences, now, called)
        self._touched |= consequences.rungs()
        self.closed += consequences.closed


class Step:
    """One commit under way. No transaction begins before there is something to record."""

    def __init__(self, ledger: Ledger, plan: Plan, *, maximize: bool) -> None:
        self._ledger = ledger
        self._plan = plan
        self._maximize = maximize
        self._transaction = ExitStack()

    @cached_property
    def recorder(self) -> Recorder:
        """What records the facts of this step."""
        writer = self._transaction.enter_context(self._ledger.transaction())
        return Recorder(self._plan, writer, maximize=self._maximize)

    @property
    def begun(self) -> bool:
        """Whether anything is recorded."""
        return "recorder" in self.__dict__

    def __enter__(self) -> "Step":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._transaction.__exit__(kind, error, traceback)
