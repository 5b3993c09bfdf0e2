"""What the runs of a check are told, as in a search: the variables that begin with HBTRACK_."""

from dataclasses import dataclass, replace
from pathlib import Path

from hbtrack.core.contract import UNBUFFERED, attempt_environment, checkpoint_name

_EPOCHS = ".epochs"  # beside a folder of checkpoints: what a run is told of it
OTHER = "other"
"""In a folder of checkpoints: that of another search."""


@dataclass(frozen=True, slots=True)
class Told:
    """What every run is told, as in a search."""

    identity: str
    max_epochs: int
    folder: str  # in which those of checkpoints lie, in the working directory: there files are seen
    unbuffered: bool = True  # what is printed is written at once

    def of_another(self, identity: str) -> "Told":
        """What the runs of another search are told."""
        return replace(self, identity=identity, folder=f"{self.folder}/{OTHER}")

    def holds(self, name: str) -> bool:
        """Whether a file in the working directory is in the folders of this search."""
        return name.startswith(f"{self.folder}/")

    def environment(self, name: str, workspace: Path, config_id: str) -> dict[str, str]:
        """What is added for a run, whose folder is made."""
        checkpoint = workspace / self.folder / checkpoint_name(config_id)
        checkpoint.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = attempt_environment(
            name,
            self.identity,
            str(checkpoint),
            max_epochs=self.max_epochs,
            epochs_done=_epochs_done(checkpoint),
        )
        return told if self.unbuffered else {**told, **dict.fromkeys(UNBUFFERED, "")}

    def note(self, workspace: Path, config_id: str, epochs: int) -> None:
        """A run for so many epochs gave a loss: later ones are told, here and in copies."""
        checkpoint = workspace / self.folder / checkpoint_name(config_id)
        if epochs > _epochs_done(checkpoint):
            checkpoint.with_suffix(_EPOCHS).write_text(str(epochs))


def _epochs_done(checkpoint: Path) -> int:
    """The epochs that are known to lie in a folder."""
    noted = checkpoint.with_suffix(_EPOCHS)
    return int(noted.read_text()) if noted.exists() and any(checkpoint.iterdir()) else 0
