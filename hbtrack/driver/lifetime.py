"""What time is measured by: for how long drivers have lived, and how long an attempt has run.

Not by the time of day, which may be set, but by what the machine counts since it was booted: it
goes on when a driver dies, and means nothing on another machine or after another boot. While a
machine is suspended it stands still, and so do the scripts. A killed driver's time is known by the
notes that it left.
"""

import sys
import time
from contextlib import suppress

from hbtrack.core.records import OpenAttempt

HEARTBEAT_SECONDS = 60.0
"""Between two notes that the driver lives: --max-time counts a killed one's time from them."""

HEARTBEAT_ON_THE_WAY = 1.0
"""The same, where something is committed anyway."""


class Lifetime:
    """The time of this driver, which begins now, and of those before it."""

    def __init__(self, earlier_seconds: float) -> None:
        self._begun = self._noted = time.monotonic()
        self._earlier_seconds = earlier_seconds

    def own_seconds(self) -> float:
        """How long this driver has lived."""
        return time.monotonic() - self._begun

    def seconds(self) -> float:
        """How long drivers have lived in all."""
        return self._earlier_seconds + self.own_seconds()

    def reaches(self, seconds: float) -> float:
        """When drivers will have lived so long in all (monotonic)."""
        return self._begun + seconds - self._earlier_seconds

    def heartbeat_at(self, *, on_the_way: bool = False) -> float:
        """When it is to be noted next that the driver lives (monotonic)."""
        return self._noted + (HEARTBEAT_ON_THE_WAY if on_the_way else HEARTBEAT_SECONDS)

    def noted(self) -> None:
        """It is noted now."""
        self._noted = time.monotonic()


def begun_at(attempt: OpenAttempt, boot_id: str | None) -> float:
    """When an attempt of an earlier driver began (monotonic): now, where nobody can tell."""
    now = time.monotonic()
    known = attempt.since_boot is not None and boot_id is not None and attempt.boot_id == boot_id
    return min(attempt.since_boot or 0.0, now) if known else now


def boot_id() -> str | None:
    """Since which boot time.monotonic counts; None where nobody can tell."""
    with suppress(OSError, AttributeError):
        if sys.platform == "darwin":
            return _session_of_macos()
        with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123
            return file.read().strip() or None
    return None


def _session_of_macos() -> str | None:
    import ctypes  # noqa: PLC0415 - 5 ms, where /proc needs none

    text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    ask = ctypes.CDLL(None).sysctlbyname
    failed = ask(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0)
    return None if failed else text.value.decode() or None
