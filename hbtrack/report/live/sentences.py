"""What is said of a running search: a sentence for what matters, a line for each evaluation."""

from collections.abc import Mapping

from hbtrack.core.estimate import Range
from hbtrack.core.records import AttemptStatus
from hbtrack.driver.interfaces import End
from hbtrack.report.called import Called
from hbtrack.report.described import directed
from hbtrack.text import budget, duration

_SENTENCES = {
    "error": "{message}\nNothing new starts; {running} running evaluations are finished first.",
    "stop": "{signal}: {running} scripts were asked to end. Ctrl-C once more ends them at once.",
    "wait": "Waiting: {message}. Scripts that run go on.",
    "gpu_suspect": "GPU {gpu} may be broken: three evaluations in a row failed on it. One of them "
    "runs again on another GPU.",
    "gpu_set_aside": "GPU {gpu} is set aside: what failed on it succeeded on another GPU. It is "
    "used again when hbtrack is started the next time.",
    "gpu_cleared": "GPU {gpu} is used again: what failed on it failed elsewhere, too.",
    "timeout": "{config} at {at} took longer than --timeout, and is ended.",
    "rest": "{because}: hardly by chance, so nothing new starts until {until}; then the last one "
    "runs again.",
    "rest_over": "It succeeded: the failures before it are taken back, and the search goes on.",
    "long_wal": "{mebibytes} MiB wait in the -wal file beside the database: some program has been "
    "reading it for long. Nothing is lost, but end that program when you can.",
    "found_checkpoints": "{message}",
    "script_changed": "{files} was changed: from {from_config} at {at} on the new text "
    "is what runs.",
    "script_mended": "The script is Python again: the search goes on.",
    "checkpoints_back": "The folder for checkpoints is back: the search goes on.",
}

_IN_LINES = {  # what is said only where there is no screen that shows it
    "retry": "Failures taken back: {evaluations}. They run again.",
    "script_unknown": "{config} at {at}: the script was edited while it started or ran, "
    "so nobody can tell which text it ran.",
}


def sentence(event: str, facts: Mapping[str, object], *, lines: bool) -> str | None:
    """What is said of an event, on a screen or between lines; None if nothing is."""
    form = _SENTENCES.get(event) or (_IN_LINES.get(event) if lines else None)
    return form and form.format_map({**facts, **_for_the_eye(facts)})


def _for_the_eye(facts: Mapping[str, object]) -> dict[str, str]:
    """Facts as they are said; of what stopped a search the particulars come when it has stopped."""
    found = {}
    if "signal" in facts:
        found["signal"] = str(facts["signal"]).partition(": ")[0]
    if "until" in facts:
        found["until"] = to_the_second(str(facts["until"]))
    if isinstance(epochs := facts.get("epochs"), int):
        found["at"] = budget(epochs)
    return found


def to_the_second(time: str) -> str:
    """A time as the database writes it, without its microseconds."""
    return f"{time[:19]}Z"


# --- lines ---------------------------------------------------------------------------------------


def ended_line(end: End, config: Called, reusing: int) -> str | None:
    """An evaluation that has ended: ` 7/206 #3 lr=0.05: 0.25 at 9 epochs, 12s`.

    So many other places take a loss that was there already by that, and count. None where
    hbtrack itself has ended it.
    """
    verdict, at = end.verdict, budget(end.running.epochs)
    if verdict.status is AttemptStatus.INTERRUPTED:
        return None
    if verdict.loss is not None:
        what = f"{verdict.loss:.6g} at {at}{_taken(verdict.seconds)}"
    elif verdict.status is AttemptStatus.LOST:
        what = f"was lost at {at}{_taken(verdict.seconds)}"
    else:
        what = f"failed at {at}{_taken(verdict.seconds)}"
    why = ": ".join(filter(None, (verdict.error_type, first_line(verdict.error_message))))
    again = ", and runs again" if end.again or verdict.status is AttemptStatus.LOST else ""
    beside = f" ({verdict.warning})" if verdict.warning else ""
    reuse = f" ({reusing} more reuse a loss)" if reusing > 0 else ""
    planned = str(end.planned)
    count = f"{end.ended:{len(planned)}}/{planned}"
    return f"{count} {config}: {what}{again}{f': {why}' if why else ''}{beside}{reuse}"


def first_line(message: str | None) -> str:
    """The beginning of what a script said when it failed."""
    lines = (message or "").splitlines() or [""]
    return lines[0][:200]


def _taken(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f", {seconds:.{int(seconds < 10)}f}s"
    return f", {duration(seconds)}"


def progress_line(
    *, evaluations: str, epochs: str, failed: int, busy: str, left: Range | None, best: str
) -> str:
    """How far a search is, its counts as 12/206."""
    facts = [f"{evaluations} evaluations", f"{epochs} epochs"]
    if failed:
        facts.append(f"{failed} failed")
    facts.append(f"{busy} workers busy")
    if left:
        facts.append(f"{left} left")
    return f"{', '.join(facts)}; {best}"


def best_so_far(loss: float | None, epochs: int, config: object, *, maximize: bool) -> str:
    """The best loss in a line."""
    if loss is None:
        return "no loss yet"
    return f"best {directed(f'{loss:.6g}', maximize)} at {budget(epochs)}: {config}"
