"""The driver's end of the socket to its warden. The warden is started when it is first needed."""

import json
import os
import selectors
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from hbtrack.core.contract import UNBUFFERED
from hbtrack.errors import HbtrackError

WARDEN_SECONDS = 1.0
"""How long a warden without scripts may take to end."""


class WardenLink:
    """Asks a warden, and hears its answers; says when it has died, and then starts another.

    `folder` holds what it complains about, `cwd` is where scripts run; `selector` becomes ready
    when there is something to hear.
    """

    def __init__(self, folder: Path, cwd: str, selector: selectors.BaseSelector) -> None:
        self._folder = folder
        self._cwd = cwd
        self._selector = selector
        self._heard = b""
        self.connection: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def send(self, request: Mapping[str, object], fds: list[int]) -> bool:
        """Ask for something; False if the warden has died, and what it was sent is dropped."""
        body = json.dumps(request).encode()
        message = struct.pack("!I", len(body)) + body
        connection = self.connection or self._start()
        try:
            sent = socket.send_fds(connection, [message], fds) if fds else 0
            connection.sendall(message[sent:])
        except (BrokenPipeError, ConnectionResetError):
            self._lose()
            return False
        return True

    def hear(self) -> set[str] | None:
        """The attempts whose lock files have something new to say; None if the warden has died."""
        try:
            heard = self.connection.recv(4096) if self.connection else b""
        except ConnectionResetError:
            heard = b""
        if not heard:
            self._lose()
            return None
        *lines, self._heard = (self._heard + heard).split(b"\n")
        return {line.decode() for line in lines}

    def close(self, *, idle: bool) -> None:
        """Let the warden go; it stays until its scripts have ended."""
        if self.connection:
            self.connection.close()
        if self.process and idle:
            try:
                self.process.wait(WARDEN_SECONDS)
            except subprocess.TimeoutExpired:  # stopped: it has nothing more to do
                self.process.kill()
                self.process.wait()
        elif self.process:
            self.process.returncode = 0  # it outlives us on purpose: Popen shall not warn

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair()
        path = Path(__file__).with_name("warden.py")
        command = [sys.executable, "-S", "-I", os.fspath(path), str(its.fileno())]
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            with open(os.open(self._folder / "warden.err", flags, 0o600), "ab") as errors:  # noqa: PTH123
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=self._cwd,
                    # Without what libraries have set behind Python's back.
                    env={**UNBUFFERED, **os.environ},
                    pass_fds=[its.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise HbtrackError(
                f"The process that starts scripts could not be started in {self._cwd}: "
                f"{error.strerror}. Everything recorded is kept; type `hbtrack resume`.",
                see="cannot-start-scripts",
            ) from error
        finally:
            its.close()
        self.connection = ours
        self._selector.register(ours, selectors.EVENT_READ)
        return ours

    def _lose(self) -> None:
        if self.connection:
            self._selector.unregister(self.connection)
            self.connection.close()
        if self.process:
            self.process.kill()  # dead already, as a rule: nobody else closes its socket
            self.process.wait()
        self.connection, self.process, self._heard = None, None, b""
