"""Which version of the script attempts run, and whether one may be started as it is now.

The files are looked at before each start and when an attempt has ended: what freed a worker and
what starts there share a look. A version has a number from its first start on.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple

from hbtrack.core.decisions import Start
from hbtrack.core.outages import EDITED, NO_PYTHON
from hbtrack.core.records import OpenAttempt, Search
from hbtrack.core.script_text import Hashes, Look, changed, is_of
from hbtrack.core.times import unix
from hbtrack.driver.interfaces import Edges
from hbtrack.driver.outage import Outage
from hbtrack.errors import CannotStart
from hbtrack.store.writer import Writer

QUIET_SECONDS = 0.2
"""How long another text must stay as it is before it is started: half of one may compile, too."""


class Looks(NamedTuple):
    """What the looks at the script before an attempt's start and at its end say together."""

    written: bool = False  # a file was written meanwhile: a failure may be due to that
    one_script: bool = True  # with the same text as before, if at all


class Versions:
    """What the loop asks about the script before each start, and at each end."""

    def __init__(self, edges: Edges, search: Search) -> None:
        self._script, self._observer = edges.script, edges.observer
        self._stops = search.resources.script_changes == "stop"
        self.outage = Outage(search.limits.max_rest, edges.observer, "script_mended")
        self._numbers: dict[frozenset[tuple[str, str]], int] = {}
        self._files: dict[int, Hashes] = {}
        self._last: Hashes = {}  # of the last start
        self._number: int | None = None
        self._look: Look | None = None
        self._fine: Look | None = None  # may be started
        self._young: Look | None = None  # another text than before, and when it was found
        self._young_since = 0.0
        self.look_at: float | None = None  # monotonic; while nothing can start

    def remember(self, versions: Iterable[tuple[int, Hashes]], last: Hashes) -> None:
        """Know the versions that earlier drivers started, and which of them the last."""
        self._files = dict(versions)
        self._numbers = {frozenset(files.items()): one for one, files in self._files.items()}
        self._last = last

    def look_again(self) -> None:
        """A new step: what was found before may have changed."""
        self._look = self.look_at = None

    def now(self) -> Look:
        """The script as this step found it."""
        if self._look is None:
            self._look = self._script.look()
        return self._look

    # --- before a start ---

    def may_start(self) -> bool:
        """Whether the script can be run as it is now.

        Raises CannotStart when it cannot for longer than --max-rest, or is another one and the
        search is to stop then.
        """
        look = self.now()
        if look is self._fine:
            return True
        if problem := self._script.problem(look):
            what = f"the script is no Python just now ({problem})"
            self.look_at = self.outage.goes_on(what, _broken(problem))
            return False
        if self._may_be_half(look):
            return False
        self.outage.is_over()
        if self._stops and (files := changed(self._last, look.files)):
            raise _edited(files)
        self._fine = look
        return True

    def _may_be_half(self, look: Look) -> bool:
        """Whether another text was found only just now: an editor may still be writing it."""
        if self._fine is None or not changed(self._last, look.files):
            return False
        now = time.monotonic()
        if look is not self._young:
            self._young, self._young_since = look, now
        if half := now < self._young_since + QUIET_SECONDS:
            self.look_at = self._young_since + QUIET_SECONDS
        return half

    def number(self, start: Start, writer: Writer, now: float) -> int | None:
        """The version that is started for an evaluation; None if nobody can look at it."""
        files = self.now().files
        if edited := changed(self._last, files):
            facts = {"from_config": start.config_id, "epochs": start.epochs}
            self._observer.event("script_changed", files=", ".join(edited), **facts)
        if files and (self._number is None or files != self._last):
            self._number = self._recorded(files, writer, now)
        self._last = files
        return self._number

    def _recorded(self, files: Hashes, writer: Writer, now: float) -> int:
        key = frozenset(files.items())
        if key not in self._numbers:
            number = self._numbers[key] = len(self._numbers) + 1
            self._files[number] = files
            texts = {sha256: self._script.text(sha256) for sha256 in files.values()}
            writer.script_version(number, files, texts, now)
        return self._numbers[key]

    # --- at an end ---

    def taken_over(self, attempt: OpenAttempt) -> Look | None:
        """The look at the script with which another driver has started an attempt."""
        if (files := self._files.get(attempt.script_version or 0)) is None:
            return None
        look = self.now()
        same = look.changed_at < unix(attempt.started_at)
        return Look(files, look.marks if same else None)

    def looks(self, before: Look | None) -> Looks:
        """The look before an attempt, and the one now that it has ended."""
        if before is None:
            return Looks()
        look = self.now()
        one_script = is_of(before.files, look)
        return Looks(written=look.marks != before.marks or not one_script, one_script=one_script)


def _edited(files: list[str]) -> CannotStart:
    return CannotStart(
        f"{' and '.join(files)} was changed since the last evaluation was started, and the search "
        "is to stop then (--script-changes stop). Nothing ran with the new text; everything "
        "recorded is kept. Undo the edit and type `hbtrack resume`, or go on with the new text: "
        "`hbtrack resume --script-changes go-on`.",
        f"{EDITED} ({', '.join(files)}), and --script-changes is stop",
        see="script-edited",
    )


def _broken(problem: str) -> CannotStart:
    return CannotStart(
        f"The script is no Python any more ({problem}), for longer than --max-rest allows. "
        "No evaluation failed by that, and everything recorded is kept. When it is mended, "
        "type `hbtrack resume`.",
        f"{NO_PYTHON} ({problem}), for longer than --max-rest allows",
        see="script-no-python",
    )
