"""What the stop signals do to a command: end it, or ask a driver to stop."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hbtrack.driver.interfaces import StopRequest
from hbtrack.errors import Interrupted

STOP_MARGIN = 1.0
"""Seconds. A signal may have been sent to the scripts as well, and be heard late: what ended within
them and is not yet recorded may be a script's answer to it.
"""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@contextmanager
def stoppable() -> Iterator[None]:
    """Until a search is driven, a stop signal ends the command by an Interrupted.

    The import of a script is ended with it; scripts of an earlier driver are not touched.
    """

    def interrupt(number: int, _frame: object) -> None:
        raise Interrupted(
            f"Stopped by {signal.Signals(number).name} before anything was started. Scripts that "
            "an earlier hbtrack left running go on; type the same again to go on.",
            see="interrupted",
        )

    with _handling(interrupt):
        yield


@contextmanager
def ended_by_signals(message: str) -> Iterator[None]:
    """A stop signal ends the command by an Interrupted that says this.

    Further ones are ignored: they would cut short what is put in order on the way out.
    """

    def interrupt(_number: int, _frame: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted(message, see="interrupted")

    with _handling(interrupt):
        yield


@contextmanager
def _handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    """The stop signals go to `handler`. A hangup that is ignored (nohup) stays ignored."""
    before = {
        number: signal.signal(number, handler)
        for number in STOP_SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def stop_signals(stop: StopRequest) -> Iterator[Callable[[int], None]]:
    """Turn the stop signals into a request; gives what takes the descriptor to wake."""

    def ask(number: int, _frame: object) -> None:
        stop.ask(
            signal.Signals(number).name,
            time.time() - STOP_MARGIN,
            hurry=number == signal.SIGINT,
            since_boot=time.monotonic() - STOP_MARGIN,
        )

    def on_wake(descriptor: int) -> None:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)

    with _handling(ask):
        yield on_wake
