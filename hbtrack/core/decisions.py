"""What a plan answers: start this evaluation, open a pass, wait, done."""

from dataclasses import dataclass

from hbtrack.core.records import Place


@dataclass(frozen=True, slots=True)
class Start:
    """Run the script for this place."""

    place: Place
    config_id: str
    epochs: int


@dataclass(frozen=True, slots=True)
class OpenPass:
    """Sample this pass: everything that is ready has started."""

    pass_: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can start before something running ends."""


@dataclass(frozen=True, slots=True)
class Done:
    """Every bracket of every pass has come to its end."""


Decision = Start | OpenPass | Wait | Done
