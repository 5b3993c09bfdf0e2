"""What a running search shows: a screen on a terminal, lines elsewhere; and its log.

The log has all of it, as key=value. A terminal that has gone away does not stop a search.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TextIO

from hbtrack.core.consequences import Closed
from hbtrack.core.estimate import Countdown, Pace, Range, time_left
from hbtrack.core.known import counted
from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Place, RungKey, turned
from hbtrack.core.times import iso
from hbtrack.driver.interfaces import End, Running
from hbtrack.report.called import Called
from hbtrack.report.live.sentences import (
    best_so_far,
    ended_line,
    first_line,
    progress_line,
    sentence,
    to_the_second,
)
from hbtrack.report.live.view import LiveView
from hbtrack.text import budget, field, printable

LINE_SECONDS = 60.0
"""At most one progress line in this time; every end has its own line."""

_EVENTS = {
    AttemptStatus.DONE: "done",
    AttemptStatus.FAILED: "fail",
    AttemptStatus.TIMEOUT: "fail",
    AttemptStatus.LOST: "lost",
    AttemptStatus.INTERRUPTED: "interrupt",
}


class Progress:
    """Shows one search, and keeps its log.

    `how` it is shown: `lines` on stderr; `live`, on a screen drawn from the `database`; or `off`:
    then `say` gets the sentences that a user should see all the same. `named` knows what a config
    is called, or None where nobody can be asked; `go_on` is the command that goes on with it.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        maximize: bool = False,
        how: str = "off",
        database: Path | None = None,
        say: Callable[[str], None] | None = None,
        named: Callable[[str], Called | None] = lambda _config_id: None,
        go_on: str = "hbtrack resume",
    ) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._folder, self._identity, self._database = folder, identity, database
        self._maximize, self._go_on = maximize, go_on
        self._log = os.open(folder / "log", flags, 0o600)
        self._lines = how == "lines"
        self._is_introduced = False
        self._last_line = time.monotonic()
        self._ask = named
        self._named: dict[str, Called] = {}  # of what runs
        self._ended: int | None = None  # places with a result, when last told
        self._pace = Pace()
        self._since: dict[Place, float] = {}  # when what runs was started, or found to be alive
        self._countdown = Countdown()
        live = database if how == "live" else None
        self._view = LiveView(live, identity, self._countdown) if live else None
        self._say = self._view.say if self._view else say

    def opened(self, plan: Plan, workers: int) -> None:
        """A driver begins, or goes on after some trouble: say once what and where."""
        ended, planned = counted(plan)
        at_most = plan.schedule.max_epochs
        evaluations = f"{ended}/{planned}"
        self.event("open", evaluations=evaluations, max_epochs=at_most, workers=workers)
        if self._is_introduced or not workers:
            return
        self._is_introduced = True
        begins = f"{planned} evaluations of up to {budget(at_most)}"
        goes_on = f"goes on after {ended} of {planned} evaluations of up to {budget(at_most)}"
        best = ", the largest loss is best" if self._maximize else ""
        self._line(
            f"{self._identity}: {goes_on if ended else begins}, "
            f"{workers} worker{'' if workers == 1 else 's'}{best}\n"
            f"Database: {_short(self._database)}  Log of all: {_short(self._folder / 'log')}\n"
            f"Ctrl-C or `hbtrack stop` ends it cleanly; `{self._go_on}` goes on."
        )

    def adopted(self, attempts: Collection[Running]) -> None:
        """These were started by an earlier driver, and still run."""
        for running in attempts:
            self._note_start("adopt", running)
        some = f"{len(attempts)} script{'' if len(attempts) == 1 else 's'}"
        self._line(f"Taken over from before: {some} still running.")

    def started(self, running: Running) -> None:
        """An attempt has started: the log alone says so."""
        self._note_start("start", running)

    def _note_start(self, event: str, running: Running) -> None:
        self._since[running.place] = running.since
        config = self._named[running.config_id] = self._called(running.config_id)
        facts = {"epochs": running.epochs, "gpu": running.gpu}
        self.event(event, config=config.config_id, **_numbered(config), **facts)

    def _called(self, config_id: str) -> Called:
        """What a config is called: by its id where nobody can be asked just now."""
        known = self._named.get(config_id)
        if known is None or known.number is None:
            known = self._ask(config_id) or Called(config_id, None, {})
        return known

    def ended(self, end: End) -> None:
        """An attempt has ended."""
        running, verdict = end.running, end.verdict
        self._since.pop(running.place, None)
        config = self._called(running.config_id)
        self._named.pop(running.config_id, None)
        if verdict.status is AttemptStatus.DONE and verdict.seconds is not None:
            self._pace.add(running.increment, verdict.seconds)  # a failure may come long before
        self.event(_EVENTS[verdict.status], **_facts_of(end, config))
        counts = verdict.is_result and not end.again
        reusing = end.ended - self._ended - counts if self._ended is not None else 0
        self._ended = end.ended
        if line := ended_line(end, config, reusing):
            self._line(line)

    def promoted(self, plan: Plan, closed: Closed) -> None:
        """A rung was settled. One line of the log for all that it promoted."""
        if not closed.promoted:
            return
        key = closed.rung
        above = plan.rungs[RungKey(key.pass_, key.first_epochs, key.rung + 1)]
        self.event(
            "promote",
            **{"pass": key.pass_},
            bracket=next(b.s for b in plan.schedule.brackets if b.first_epochs == key.first_epochs),
            rung=key.rung,
            configs=f"{len(closed.promoted)}/{len(plan.rungs[key].members)}",
            epochs=plan.rungs[key].epochs,
            to=above.epochs,
            cutoff_loss=turned(closed.cutoff_objective, maximize=self._maximize),
        )

    def progressed(self, plan: Plan, busy: int, workers: int) -> None:
        """Something was recorded; so many of the workers are busy now."""
        self._ended, planned = counted(plan)
        if self._view:
            self._time_left(plan, workers)
        if time.monotonic() - self._last_line < LINE_SECONDS:
            return
        self._last_line = time.monotonic()
        left = self._time_left(plan, workers)
        counts = {
            "epochs": f"{plan.epochs_done}/{plan.epochs_done + plan.epochs_left}",
            "evaluations": f"{self._ended}/{planned}",
            "busy": f"{busy}/{workers}",
        }
        best: dict[str, object] = {}
        loss, called, at = None, None, 0
        if plan.best:
            objective, _, config_id, at = plan.best
            loss, called = turned(objective, maximize=self._maximize), self._called(config_id)
            best = {"best": loss, "config": config_id, **_numbered(called), "at": at}
        self.event("progress", **counts, failed=plan.places_failed, left=shown(left), **best)
        text = best_so_far(loss, at, called, maximize=self._maximize)
        self._line(progress_line(**counts, failed=plan.places_failed, left=left, best=text))

    def _time_left(self, plan: Plan, workers: int) -> Range | None:
        """How long the search still takes."""
        now = time.monotonic()

        def estimate() -> Range | None:
            elapsed = {place: now - self._since.get(place, now) for place in plan.running}
            return time_left(plan, workers, self._pace, elapsed)

        finished = plan.places_done + plan.places_failed == plan.places_expected
        return self._countdown.renewed(now, estimate, at_once=finished)

    def event(self, name: str, **facts: object) -> None:
        """One line of the log: a timestamp, the event, what belongs to it; and what is said."""
        with contextlib.suppress(OSError):  # a full disk must not stop a search
            line = event_line(name, **facts)
            os.write(self._log, f"{line}\n".encode(errors="backslashreplace"))
        for key in ("config", "from_config"):
            if key in facts:
                facts[key] = self._named.get(str(facts[key]), facts[key])
        if text := sentence(name, facts, lines=self._lines):
            if self._lines:
                self._line(text)
            elif self._say:
                self._say(text)

    def _line(self, text: str) -> None:
        """Say it in lines, if that is how the search is shown; the time stands before the first."""
        if self._lines:
            now = to_the_second(iso(time.time()))
            for line in f"{now} {text}".split("\n"):
                write_line(sys.stderr, printable(line.replace("\t", " ")))

    def close(self) -> None:
        """The search is over, for this time."""
        if self._view:
            self._view.close()
        with contextlib.suppress(OSError):
            os.close(self._log)
        self._log = -1  # what is said later is lost, and no other file gets it


def can_redraw(stream: TextIO | None) -> bool:
    """Whether it is a terminal on which what was drawn can be drawn over."""
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return stream is not None and stream.isatty() and not dumb


def event_line(event: str, **facts: object) -> str:
    """What happened, now, as key=value."""
    words = [f"{key}={field(value)}" for key, value in facts.items()]
    return " ".join([iso(time.time()), f"event={event}", *words])


def shown(left: Range | None) -> str:
    """The time left in words; a dash before anything is known."""
    return "-" if left is None else str(left)


def write_line(stream: TextIO, line: str) -> None:
    """Write a line; a stream that is gone or cannot say some character must not stop a search."""
    with contextlib.suppress(OSError, ValueError):
        encoding = stream.encoding or "utf-8"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def _facts_of(end: End, config: Called) -> dict[str, object]:
    """What the log has of an end."""
    verdict = end.verdict
    facts: dict[str, object] = {"config": config.config_id, **_numbered(config)}
    facts["epochs"] = end.running.epochs
    if verdict.loss is not None:
        facts["loss"] = verdict.loss
    if verdict.error_type:
        facts |= {"error": verdict.error_type, "message": first_line(verdict.error_message)}
    if verdict.seconds is not None:
        facts["seconds"] = f"{verdict.seconds:.3f}"
    if verdict.warning:
        facts["warning"] = verdict.warning
    if end.again:
        facts["again"] = end.again
    return facts | {"evaluations": f"{end.ended}/{end.planned}"}


def _numbered(config: Called) -> dict[str, object]:
    return {} if config.number is None else {"number": config.number}


def _short(path: Path | None) -> str:
    """A path from here, where that is shorter."""
    if path is None:
        return "-"
    with contextlib.suppress(OSError, ValueError):  # the folder that we are in may be gone
        return min(str(path), os.path.relpath(path), key=len)
    return str(path)
