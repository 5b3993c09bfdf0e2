"""What a running search shows: a screen on a terminal, lines of key=value elsewhere.

Every line also goes to the search's log. A terminal that has gone away does not stop a search.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from hbtrack.core.consequences import Closed
from hbtrack.core.estimate import Countdown, Pace, Range, time_left
from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Place, RungKey, Verdict
from hbtrack.core.times import iso
from hbtrack.driver.interfaces import Running
from hbtrack.report.live.view import LiveView
from hbtrack.text import field

LINE_SECONDS = 60.0
"""At most one progress line in this time; every start and end has its own line."""

_EVENTS = {
    AttemptStatus.DONE: "done",
    AttemptStatus.FAILED: "fail",
    AttemptStatus.TIMEOUT: "fail",
    AttemptStatus.LOST: "lost",
    AttemptStatus.INTERRUPTED: "interrupt",
}


_SENTENCES = {  # what is said where there are no lines
    "error": "{message}\nNothing new starts; {running} running evaluations are finished first.",
    "stop": "{signal}: {running} scripts were asked to end. Ctrl-C once more ends them at once.",
    "wait": "Waiting: {message}. Scripts that run go on.",
    "gpu_suspect": "GPU {gpu} may be broken: three evaluations in a row failed on it. One of them "
    "runs again on another GPU.",
    "gpu_set_aside": "GPU {gpu} is set aside: what failed on it succeeded on another GPU. It is "
    "used again when hbtrack is started the next time.",
    "gpu_cleared": "GPU {gpu} is used again: what failed on it failed elsewhere, too.",
    "timeout": "{config} at {epochs} epochs took longer than --timeout, and is ended.",
    "rest": "{because}: hardly by chance, so nothing new starts until {until}; then the last one "
    "runs again.",
    "rest_over": "It succeeded: the failures before it are taken back, and the search goes on.",
    "long_wal": "{mebibytes} MiB wait in the -wal file beside the database: some program has been "
    "reading it for long. Nothing is lost, but end that program when you can.",
    "found_checkpoints": "{message}",
    "script_changed": "{files} was changed: from {from_config} at {epochs} epochs on the new text "
    "is what runs.",
    "script_mended": "The script is Python again: the search goes on.",
    "checkpoints_back": "The folder for checkpoints is back: the search goes on.",
}


class Progress:
    """Shows one search, and keeps its log.

    `lines` prints what the log gets; `live` is the database that a screen is drawn from; without
    either, `say` gets the sentences that a user should see all the same.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        lines: bool = False,
        live: Path | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._log = os.open(folder / "log", flags, 0o600)
        self._lines = lines
        self._last_line = time.monotonic()
        self._pace = Pace()
        self._since: dict[Place, float] = {}  # when what runs was started, or found to be alive
        self._countdown = Countdown()
        self._view = LiveView(live, identity, self._countdown) if live else None
        self._say = self._view.say if self._view else say

    def started(self, running: Running) -> None:
        """An attempt has started or was adopted."""
        self._since[running.place] = running.since
        event = "adopt" if running.adopted else "start"
        self.event(event, config=running.config_id, epochs=running.epochs, gpu=running.gpu)

    def ended(self, running: Running, verdict: Verdict) -> None:
        """An attempt has ended."""
        self._since.pop(running.place, None)
        facts: dict[str, object] = {"config": running.config_id, "epochs": running.epochs}
        if verdict.loss is not None:
            facts["loss"] = verdict.loss
        if verdict.error_type:
            facts |= {"error": verdict.error_type, "message": _first(verdict.error_message)}
        if verdict.seconds is not None:
            if verdict.status is AttemptStatus.DONE:  # a failure may come long before the end
                self._pace.add(running.increment, verdict.seconds)
            facts["seconds"] = f"{verdict.seconds:.3f}"
        if verdict.warning:
            facts["warning"] = verdict.warning
        self.event(_EVENTS[verdict.status], **facts)

    def promoted(self, plan: Plan, closed: Closed) -> None:
        """A rung was settled. One line for all that it promoted: each of them has a start line."""
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
            cutoff_loss=closed.cutoff_loss,
        )

    def progressed(self, plan: Plan, busy: int, workers: int) -> None:
        """Something was recorded; so many of the workers are busy now."""
        if self._view:
            self._time_left(plan, workers)
        if time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            best: dict[str, object] = {}
            if plan.best:
                best = {"best": plan.best[0], "config": plan.best[2], "at": plan.best[3]}
            self.event(
                "progress",
                epochs=f"{plan.epochs_done}/{plan.epochs_done + plan.epochs_left}",
                evaluations=f"{plan.places_done + plan.places_failed}/{plan.places_expected}",
                failed=plan.places_failed,
                busy=f"{busy}/{workers}",
                left=shown(self._time_left(plan, workers)),
                **best,
            )

    def _time_left(self, plan: Plan, workers: int) -> Range | None:
        """How long the search still takes."""
        now = time.monotonic()

        def estimate() -> Range | None:
            elapsed = {place: now - self._since.get(place, now) for place in plan.running}
            return time_left(plan, workers, self._pace, elapsed)

        finished = plan.places_done + plan.places_failed == plan.places_expected
        return self._countdown.renewed(now, estimate, at_once=finished)

    def event(self, name: str, **facts: object) -> None:
        """One line: a timestamp, the event, what belongs to it."""
        line = event_line(name, **facts)
        with contextlib.suppress(OSError):  # a full disk must not stop a search
            os.write(self._log, f"{line}\n".encode(errors="backslashreplace"))
        if self._lines:
            write_line(sys.stderr, line)
        elif self._say and name in _SENTENCES:
            self._say(_SENTENCES[name].format_map({**facts, **_without_particulars(facts)}))

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


def _without_particulars(facts: dict[str, object]) -> dict[str, str]:
    """What stopped a search, without the particulars: they are told when it has stopped."""
    return {"signal": str(facts["signal"]).partition(": ")[0]} if "signal" in facts else {}


def _first(message: str | None) -> str:
    lines = (message or "").splitlines() or [""]
    return lines[0][:200]
