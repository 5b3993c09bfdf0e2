"""The folders of one search in which its scripts save: one for each config.

A script finds its own in HBTRACK_CHECKPOINT. hbtrack looks at nothing in it but whether there is
anything.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hbtrack.core.contract import attempt_environment, checkpoint_name
from hbtrack.core.decisions import Decision, Start
from hbtrack.core.plan import Plan
from hbtrack.core.records import Search
from hbtrack.core.repeats import (
    WANTED,
    Repeat,
    first_repeats,
    no_time_passed,
    sentence,
    sentence_of_another,
)
from hbtrack.driver.interfaces import Checkpoints, Observer, Running
from hbtrack.driver.recorder import Step
from hbtrack.store.writer import Writer


class Folders(Checkpoints):
    """The folders of a search's configs, in `folder`, which is not made again while it is used.

    On another disk it is there as long as `sign` is: what else may lie in its place scripts have
    made, on the bare mount point of a disk that is away.
    """

    def __init__(self, folder: Path, sign: Path | None, search: Search, observer: Observer) -> None:
        self._folder, self._sign = os.fspath(folder), sign and os.fspath(sign)
        self._search, self._observer = search, observer
        self._looked = search.found_checkpoints is not None
        self._made = ""  # of this config the folder was made ahead

    def make(self, config_id: str) -> None:
        """Make the folder of a config, if it is not there. Raises OSError."""
        made, self._made = self._made, ""
        if config_id != made:
            with suppress(FileExistsError):
                os.mkdir(self._of(config_id), 0o700)  # noqa: PTH102 - for each attempt

    def problem(self, config_id: str | None = None) -> str | None:
        """Why that of a config, or of any, cannot be used or made just now; None if it is there.

        Beside the database what goes wrong is not that of checkpoints alone: raises OSError.
        """
        if self._sign is None:
            if config_id is not None:
                self.make(config_id)
            return None
        try:
            os.stat(self._sign)  # noqa: PTH116 - for each attempt
            if config_id is not None:
                self.make(config_id)
        except OSError as error:
            return f"{error.strerror}: {error.filename}"
        return None

    def is_gone(self, config_id: str) -> bool:
        """Whether the folder of a config, which was made, is not there, or not on its disk."""
        return self.problem() is not None or not os.path.isdir(self._of(config_id))  # noqa: PTH112

    def make_ahead(self, coming: Decision) -> None:
        """Make the folder of the config that is likely to be next, while others are trained."""
        if isinstance(coming, Start):
            with suppress(OSError):  # told when it is really next
                if not self.problem(coming.config_id):
                    self._made = coming.config_id

    def found(self, config_id: str) -> bool:
        """Whether anything lies in the folder of a config."""
        with suppress(FileNotFoundError), os.scandir(self._of(config_id)) as entries:
            return any(entries)
        return False

    def look(self, plan: Plan, step: Step) -> None:
        """Say it, once, if scripts seem to find what this search did not make, in other places."""
        if self._looked:
            return
        repeats = first_repeats(plan, maximize=self._search.terms.maximize)
        self._looked = repeats is None or len(repeats) == WANTED
        if not self._looked:
            return
        writer = step.recorder.writer
        if repeats and _trained_nothing(repeats, writer):
            found: str | None = sentence(repeats)
        else:
            found = sentence_of_another(writer.longer_elsewhere())
        if found:
            writer.found_checkpoints(found)
            self._observer.event("found_checkpoints", message=found)

    def environment(self, running: Running) -> dict[str, str]:
        """What a script's environment gets for an attempt."""
        return attempt_environment(
            running.name,
            self._search.run_identity,
            self._of(running.config_id),
            max_epochs=self._search.terms.max_epochs,
            epochs_done=running.epochs_before,
        )

    def _of(self, config_id: str) -> str:
        return f"{self._folder}/{checkpoint_name(config_id)}"


def _trained_nothing(repeats: Sequence[Repeat], writer: Writer) -> bool:
    """Whether those that went on had nothing to go on from here, and took no longer for it."""
    fewer = [writer.ran(one.config_id, one.fewer)[0] for one in repeats]
    more = [writer.ran(one.config_id, one.epochs) for one in repeats]
    seconds, before = zip(*more, strict=True)
    return not any(before) and no_time_passed(fewer, seconds)
