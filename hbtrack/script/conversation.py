"""A conversation with a process that imports the user's script: inside.py.

The process has a session of its own, empty stdin and a time limit, and is killed with its process
group when the conversation is over. What it prints is kept out of hbtrack's stdout.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from hbtrack.core.exit_error import signal_name
from hbtrack.core.records import Command
from hbtrack.core.script_text import Imported
from hbtrack.errors import ScriptError
from hbtrack.script.command import is_text

TICK = 0.1  # seconds between two looks at whether the process still lives
PRINTED = 64 * 1024  # bytes of what the script printed that are shown

_NEEDED = {
    "run_identity": "def run_identity(argv): return 'model:' + ...  "
    "# a string that names the experiment",
    "get_random_config_id": "def get_random_config_id(rng): return f'lr:{rng.choice([...])}'  "
    "# a string that describes one configuration",
}


class Conversation:
    """One import of the script. Use as a context manager."""

    def __init__(
        self, command: Command, time_limit: float, *, still_holds: str = "Nothing was started."
    ) -> None:
        self.command = command
        self._still_holds = still_holds  # the last words of every refusal
        self._time_limit = time_limit
        self.found: Imported | None = None  # once it is imported
        self._step = "import"
        self._buffer = b""
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._warned = tempfile.TemporaryFile()  # noqa: SIM115 - on stderr
        self._channel, inner = socket.socketpair()
        self._channel.settimeout(TICK)
        inside = Path(__file__).with_name("inside.py")
        argv = [command.python, os.fspath(inside), str(inner.fileno()), command.script]
        try:
            self._process = subprocess.Popen(
                [*argv, *command.script_args],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._warned,
                cwd=command.cwd,
                pass_fds=[inner.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            self._channel.close()
            self._printed.close()
            self._warned.close()
            raise ScriptError(
                f"The interpreter {command.python} could not be started in {command.cwd}: "
                f"{error.strerror}. {still_holds} Name another with --python PATH.",
                see="no-interpreter",
            ) from error
        finally:
            inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def imported(self) -> float:
        """Wait until the script is imported; the processor time it took, in seconds.

        Raises ScriptError if it cannot be.
        """
        return float(self._hear("imported"))

    def ask(self, wanted: str, **request: object) -> Any:
        """The answer to a request. Raises ScriptError when it is refused, or none comes."""
        with contextlib.suppress(BrokenPipeError):  # it has ended; _hear finds out how
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        return self._hear(wanted)

    def error(self, message: str, *, see: str) -> ScriptError:
        """What is wrong with the script; it closes with what still holds."""
        return ScriptError(f"{message}\n{self._still_holds}", output=self.printed(), see=see)

    def printed(self) -> str:
        """What the script has printed so far, from the end: first that on stdout, then stderr."""
        both = [self.printed_on_stdout(), _end_of(self._warned.fileno())]
        return "\n".join(text.removesuffix("\n") for text in both if text)

    def printed_on_stdout(self) -> str:
        """What it has printed there so far, from the end."""
        return _end_of(self._printed.fileno())

    def close(self) -> None:
        """End the process and what it started."""
        self._channel.close()
        self.kill()
        self._process.wait()
        self._printed.close()
        self._warned.close()

    def kill(self) -> None:
        """End the process and its group; a call that waits for it fails. From any thread."""
        if self._process.returncode is None:  # not reaped yet, so the number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    # --- inside ---

    def _hear(self, wanted: str) -> Any:
        deadline = time.monotonic() + self._time_limit
        while True:
            message = json.loads(self._line(deadline))
            self._step = message.get("step", self._step)
            if "imported" in message:
                modules = tuple(filter(is_text, message["modules"]))
                self.found = Imported(message["script_sha256"], modules)
            if refused := message.get("refused"):
                self._step = refused["step"]
                raise self._refusal(**refused)
            if wanted in message:
                return message[wanted]

    def _line(self, deadline: float) -> bytes:
        """The next line of the script's process; raises ScriptError when none comes."""
        while b"\n" not in self._buffer:
            ended = self._ending()  # before the last look, so that no last words are lost
            if self._listen():
                continue
            if ended:
                raise self.error(f"{self._doing()} {ended}.", see="script-exits")
            if time.monotonic() > deadline:
                raise self.error(
                    f"{self._doing()} took longer than {self._time_limit:g} s. "
                    "If it really needs so long, give it more with --import-timeout SECONDS.",
                    see="import-timeout",
                )
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _listen(self) -> bool:
        """Whether something was said just now. What the script forked may keep the channel open."""
        try:
            part = self._channel.recv(1 << 20)
        except (TimeoutError, ConnectionResetError):
            return False
        if not part:
            time.sleep(TICK)  # closed, perhaps by the script: its end is what counts
        self._buffer += part
        return bool(part)

    def _doing(self) -> str:
        if self._step == "import":
            return f"Importing {self.command.script}"
        return f"{self._step} of {self.command.script}"

    def _ending(self) -> str | None:
        """How the process ended, if it has."""
        status = self._exit_status()
        if status is None:
            return None
        if status < 0:
            return f"was ended by {signal_name(-status)}"
        return f"ended the whole process with exit code {status}, without an answer"

    def _exit_status(self) -> int | None:
        """As in subprocess. It is not reaped where that can be: `close` kills its group by number.

        It cannot on macOS before Python 3.13.
        """
        if not hasattr(os, "waitid"):
            return self._process.poll()
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is None:
            return None
        return int(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)

    def _refusal(self, step: str, problem: str, **facts: str) -> ScriptError:
        """What inside.py refused, in words."""
        where = self._doing()
        if problem == "missing" and step == "numpy":
            return self.error(
                f"The interpreter {self.command.python} has no numpy, which "
                "get_random_config_id(rng: np.random.RandomState) needs. Install it there, or name "
                "another interpreter with --python PATH.",
                see="no-numpy",
            )
        if problem == "missing":
            return self.error(
                f"{self.command.script} has no function {step}. Add one, such as:\n"
                f"    {_NEEDED[step]}",
                see="no-function",
            )
        if problem == "exit":
            return self.error(
                f"{where} called sys.exit({facts['value']}). Put what runs the experiment under "
                'if __name__ == "__main__": so that the file can be imported.',
                see="script-exits",
            )
        if problem == "exception":
            return self.error(
                f"{where} failed:\n{facts['traceback'].rstrip()}", see="script-raises"
            )
        if problem == "differs":
            return self.error(
                f"{where} returned {short(facts['value'])} and then {short(facts['other'])} for "
                "the same arguments. Searches are keyed by it: it must depend on them alone.",
                see="identity-differs",
            )
        wanted = "a dict or a sequence" if step == "get_config" else "a str"
        return self.error(
            f"{where} returned {facts['value']} of type {facts['type']}; return {wanted} instead.",
            see="wrong-type",
        )


def short(text: str) -> str:
    """A text in quotes, and in ASCII, as far as it is short."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 120 else quoted[:100] + "...'"


def _end_of(file: int) -> str:
    """The end of a file that another process writes."""
    size = os.fstat(file).st_size
    return os.pread(file, PRINTED, max(0, size - PRINTED)).decode("utf-8", "replace")
