"""How long drivers have lived for a search, and the notes by which a killed one's time is known."""

import time

HEARTBEAT_SECONDS = 60.0
"""Between two notes that the driver lives: --max-time counts a killed one's time from them."""

HEARTBEAT_ON_THE_WAY = 1.0
"""The same, where something is committed anyway."""


class Lifetime:
    """The time of this driver, which begins now, and of those before it."""

    def __init__(self, earlier_seconds: float) -> None:
        self._begun = self._noted = time.monotonic()
        self._earlier_seconds = earlier_seconds

    def seconds(self) -> float:
        """How long drivers have lived in all."""
        return self._earlier_seconds + time.monotonic() - self._begun

    def reaches(self, seconds: float) -> float:
        """When drivers will have lived so long in all (monotonic)."""
        return self._begun + seconds - self._earlier_seconds

    def heartbeat_at(self, *, on_the_way: bool = False) -> float:
        """When it is to be noted next that the driver lives (monotonic)."""
        return self._noted + (HEARTBEAT_ON_THE_WAY if on_the_way else HEARTBEAT_SECONDS)

    def noted(self) -> None:
        """It is noted now."""
        self._noted = time.monotonic()
