"""The folders of one search in which its scripts save: one for each config.

A script finds its own in HBTRACK_CHECKPOINT. hbtrack looks at nothing in it but whether there is
anything.
"""

import os
from contextlib import suppress
from pathlib import Path

from hbtrack.core.contract import attempt_environment, checkpoint_name
from hbtrack.core.decisions import Decision, Start
from hbtrack.core.records import Search
from hbtrack.driver.interfaces import Checkpoints, Running


class Folders(Checkpoints):
    """The folders of a search's configs, in `folder`, which is there."""

    def __init__(self, folder: Path, search: Search) -> None:
        self._folder = os.fspath(folder)
        self._search = search
        self._made = ""  # of this config the folder was made ahead

    def make(self, config_id: str) -> None:
        """Make the folder of a config, if it is not there. Raises OSError."""
        if config_id != self._made:
            with suppress(FileExistsError):
                os.mkdir(self._of(config_id), 0o700)  # noqa: PTH102 - for each attempt

    def make_ahead(self, coming: Decision) -> None:
        """Make the folder of the config that is likely to be next, while others are trained."""
        if isinstance(coming, Start):
            with suppress(OSError):  # told when it is really next
                self.make(coming.config_id)
                self._made = coming.config_id

    def found(self, config_id: str) -> bool:
        """Whether anything lies in the folder of a config."""
        with suppress(FileNotFoundError), os.scandir(self._of(config_id)) as entries:
            return any(entries)
        return False

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
