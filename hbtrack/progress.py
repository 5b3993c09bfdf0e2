"""What a running search shows: one line that moves on a terminal, lines of key=value elsewhere.

Every line also goes to the search's log. A terminal that has gone away does not stop a search.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hbtrack.display import field, printable
from hbtrack.estimate import Pace, Range, time_left
from hbtrack.plan import Plan
from hbtrack.records import AttemptStatus, Place, Verdict, iso
from hbtrack.seams import Running

if TYPE_CHECKING:  # rich is loaded only where there is a terminal
    from rich.console import Group

LINE_SECONDS = 60.0
"""At most one progress line in this time; every start and end has its own line."""
ESTIMATE_SECONDS = 10.0
"""The time left is estimated at most once in this time, and counts down in between."""

_EVENTS = {
    AttemptStatus.DONE: "done",
    AttemptStatus.FAILED: "fail",
    AttemptStatus.TIMEOUT: "fail",
    AttemptStatus.LOST: "lost",
    AttemptStatus.INTERRUPTED: "interrupt",
}


_SENTENCES = {  # what a terminal shows above the bar
    "error": "{message}\nNothing new starts; {running} running evaluations are finished first.",
    "stop": "{signal}: {running} scripts were asked to end. Ctrl-C once more ends them at once.",
    "wait": "Waiting: {message}. Scripts that run go on.",
    "gpu_suspect": "GPU {gpu} may be broken: three evaluations in a row failed on it. One of them "
    "runs again on another GPU.",
    "gpu_set_aside": "GPU {gpu} is set aside: what failed on it succeeded on another GPU. It is "
    "used again when hbtrack is started the next time.",
    "gpu_cleared": "GPU {gpu} is used again: what failed on it failed elsewhere, too.",
    "timeout": "{config} at {epochs} epochs took longer than --timeout, and is ended.",
    "long_wal": "{mebibytes} MiB wait in the -wal file beside the database: some program has been "
    "reading it for long. Nothing is lost, but end that program when you can.",
    "script_changed": "The script {script} was changed since the search last ran; "
    "from the next evaluation on the new one counts.",
}


class Progress:
    """Shows one search. `live` draws on a terminal, `lines` prints, neither keeps to the log."""

    def __init__(self, folder: Path, identity: str, *, live: bool, lines: bool) -> None:
        log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._log = os.fdopen(log, "w", encoding="utf-8", errors="backslashreplace")
        self._identity = identity
        self._lines = lines
        self._bar = _Bar() if live else None
        self._last_line = time.monotonic()
        self._pace = Pace()
        self._since: dict[Place, float] = {}  # when what runs was started, or found to be alive
        self._estimate: Range | None = None
        self._estimated_at = 0.0

    def started(self, running: Running) -> None:
        """An attempt has started or was adopted."""
        self._since[running.place] = running.since
        event = "adopt" if running.adopted else "start"
        self.said(event, config=running.config_id, epochs=running.epochs, gpu=running.gpu)

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
        self.said(_EVENTS[verdict.status], **facts)

    def progressed(self, plan: Plan, busy: int, workers: int) -> None:
        """Something was recorded; so many of the workers are busy now."""
        if self._bar:
            left = shown(self._left(plan, workers))
            self._bar.draw(self._identity, plan, f"{busy}/{workers} workers busy", left)
        if time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            best: dict[str, object] = {}
            if plan.best:
                best = {"best": plan.best[0], "config": plan.best[2], "at": plan.best[3]}
            self.said(
                "progress",
                epochs=f"{plan.epochs_done}/{plan.epochs_done + plan.epochs_left}",
                evaluations=f"{plan.places_done + plan.places_failed}/{plan.places_expected}",
                failed=plan.places_failed,
                busy=f"{busy}/{workers}",
                left=shown(self._left(plan, workers)),
                **best,
            )

    def _left(self, plan: Plan, workers: int) -> Range | None:
        """How long the search still takes."""
        now = time.monotonic()
        finished = plan.places_done + plan.places_failed == plan.places_expected
        age = now - self._estimated_at
        if self._estimate is None or finished or age >= ESTIMATE_SECONDS:
            elapsed = {place: now - self._since.get(place, now) for place in plan.running}
            self._estimate = time_left(plan, workers, self._pace, elapsed)
            self._estimated_at, age = now, 0.0
        return self._estimate.after(age) if self._estimate else None

    def said(self, event: str, **facts: object) -> None:
        """One line: a timestamp, the event, what belongs to it."""
        words = [f"{key}={field(value)}" for key, value in facts.items()]
        line = " ".join([iso(time.time()), f"event={event}", *words])
        write_line(self._log, line)
        if self._lines:
            write_line(sys.stderr, line)
        if self._bar and event in _SENTENCES:
            self._bar.say(_SENTENCES[event].format(**facts))

    def close(self) -> None:
        """The search is over, for this time."""
        if self._bar:
            self._bar.close()
        with contextlib.suppress(OSError):
            self._log.close()


def shown(left: Range | None) -> str:
    """The time left in words; a dash before anything is known."""
    return "-" if left is None else str(left)


def write_line(stream: TextIO, line: str) -> None:
    """Write a line; a stream that is gone or cannot say some character must not stop a search."""
    with contextlib.suppress(OSError, ValueError):
        encoding = stream.encoding or "utf-8"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def _first(message: str | None) -> str:
    lines = (message or "").splitlines() or [""]
    return lines[0][:200]


class _Bar:
    """A few lines at the bottom of the terminal. rich is imported only for this."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
        from rich.live import Live  # noqa: PLC0415

        self._console: Console = Console(stderr=True)
        self._live: Live = Live(console=self._console, auto_refresh=False, transient=False)
        self._drawn = 0.0
        self._pending: Group | None = None
        self._safely(self._live.start)

    def draw(self, identity: str, plan: Plan, busy: str, left: str) -> None:
        """Show where the search is, at most ten times a second but always its last state."""
        self._pending = _lines(identity, plan, busy, left, self._console.width)
        if time.monotonic() - self._drawn >= 0.1:
            self._refresh()

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._safely(lambda: self._console.print(line, markup=False, emoji=False, highlight=False))

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._refresh()
        self._safely(self._live.stop)

    def _refresh(self) -> None:
        self._drawn = time.monotonic()
        lines = self._pending
        if lines is not None:
            self._safely(lambda: self._live.update(lines, refresh=True))

    @staticmethod
    def _safely(draw: "Callable[[], object]") -> None:
        with contextlib.suppress(OSError, ValueError):
            draw()


def _lines(identity: str, plan: Plan, busy: str, left: str, width: int) -> "Group":
    from rich.console import Group  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    planned = plan.epochs_done + plan.epochs_left
    share = plan.epochs_done / max(1, planned)
    lines = [
        Text.assemble(
            (printable(identity), "bold"),
            f"  {share:4.0%}  {plan.epochs_done}/{planned} epochs  {left} left",
        ),
        Text(
            f"{plan.places_done + plan.places_failed}/{plan.places_expected} evaluations, "
            f"{plan.places_failed} failed, {busy}"
        ),
    ]
    if plan.best:
        loss, _, config_id, epochs = plan.best
        best = Text.assemble("best ", (f"{loss:.6g}", "bold"), f" at {epochs} epochs: ")
        lines.append(best.append(printable(config_id)))
    for line in lines:
        # One column is left free: a full line followed by what is typed would wrap.
        line.truncate(max(1, width - 1), overflow="ellipsis")
    return Group(*lines)
