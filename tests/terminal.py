"""hbtrack on terminals of any size, and what stands on their screens."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest
from conftest import Hbtrack, wait_for

CTRL_C = b"\x03"


@dataclass
class Terminal:
    """A process on a terminal of its own, and what stands on the screen of it."""

    command: Sequence[str]
    cwd: Path
    env: dict[str, str]
    columns: int
    rows: int
    written: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.screen = pyte.Screen(self.columns, self.rows)
        self._stream = pyte.ByteStream(self.screen)
        self.end, theirs = pty.openpty()
        os.set_blocking(self.end, False)
        self.resize(self.columns, self.rows)
        self.process = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env={"TERM": "xterm", **self.env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - there is one thread
            start_new_session=True,
        )
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, size)

    def lines(self) -> list[str]:
        """What stands on the screen now, without empty lines."""
        with contextlib.suppress(OSError):  # nothing more now, or for ever
            while part := os.read(self.end, 65536):
                self.written += part
                self._stream.feed(part)
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def picture(self) -> list[str]:
        """The lines of a whole picture: what comes last is its hint, which is wiped out first."""
        found: list[str] = []

        def is_whole() -> bool:
            found[:] = self.lines()
            return re.search(r"^Ctrl-C [^.]*\.\Z", "\n".join(found), re.MULTILINE) is not None

        wait_for(is_whole)
        return found

    def until(self, condition: Callable[[], object]) -> None:
        """Read on till the condition holds: what nobody reads would hold the process up."""
        wait_for(lambda: self.lines() is not None and condition())

    def text(self) -> str:
        return "\n".join(self.lines())

    def shows(self, *texts: str) -> None:
        try:
            wait_for(lambda: all(text in self.text() for text in texts))
        except AssertionError:
            pytest.fail(f"{texts} are not all shown:\n{self.text()}")

    def press(self, key: bytes) -> None:
        os.write(self.end, key)

    def exit_status(self) -> int:
        self.until(lambda: self.process.poll() is not None)
        self.lines()
        return int(self.process.returncode)

    def hang_up(self) -> None:
        if self.end >= 0:
            os.close(self.end)
        self.end = -1

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.hang_up()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


OnTerminal = Callable[..., Terminal]


@contextlib.contextmanager
def terminals() -> Iterator[OnTerminal]:
    opened: list[Terminal] = []

    def start(
        hbtrack: Hbtrack,
        *words: object,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> Terminal:
        environment = hbtrack.environment(env)
        kept = {
            name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")
        }
        command = [*before, *hbtrack.command(*words)]
        opened.append(Terminal(command, hbtrack.folder, kept, columns, rows))
        return opened[-1]

    yield start
    for each in opened:
        each.kill()


def on_terminal(hbtrack: Hbtrack, columns: int, *words: object, lines: int = 24) -> str:
    """What a command writes on a terminal of that size."""
    with terminals() as start:
        shown = start(hbtrack, *words, columns=columns, rows=lines)
        assert shown.exit_status() == 0
        return shown.written.decode().replace("\r\n", "\n")
