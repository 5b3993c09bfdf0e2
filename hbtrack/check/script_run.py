"""One run of the script, as a search would run it, to its end or to a signal."""

import contextlib
import os
import secrets
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hbtrack.check.scratch import Touched, Watch
from hbtrack.check.told import Told
from hbtrack.core.contract import UNBUFFERED, attempt_argv
from hbtrack.core.execution import Output, Record
from hbtrack.core.records import AttemptStatus, Command, Verdict
from hbtrack.core.verdict import Ending, judge
from hbtrack.errors import ScriptError
from hbtrack.executors.processes import ProcessMarks, belonging, command_of, kill_all
from hbtrack.executors.worker_files import last_line, tail

GRACE = 10.0  # seconds between asking a script to end and killing it: the default of --grace
LEAVING = 1.0  # seconds that children of a script have to end after it
TICK = 0.02
LOOK = 0.5  # seconds between two looks at how much a script has printed
MOST_OUTPUT = 2 * 2**30  # bytes: the default of --max-log


@dataclass(frozen=True, slots=True)
class Call:
    """What the script is called with."""

    config_id: str
    epochs: int
    multi_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """A signal to a script's processes, `after` so many seconds.

    On a busy machine it begins late: a patient one gives it that time once more to save something.
    """

    number: signal.Signals
    after: float
    patient: bool = True


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """What a run of the script came to."""

    call: Call
    command: str  # as a shell takes it
    verdict: Verdict
    exit_status: int | None  # as in subprocess; None if it had to be killed
    seconds: float
    last_line: str
    touched: Touched
    lines: int  # that it printed
    left: tuple[str, ...] = ()  # commands of the processes that it left running
    timed_out: bool = False
    flooded: bool = False  # it had printed too much when its time was up, or before
    stopped: bool = False  # it was running when it was signalled
    stubborn: bool = False  # it was still running when the grace after SIGTERM was over

    @property
    def loss(self) -> float | None:
        """The loss, if it gave one."""
        return self.verdict.loss

    @property
    def done(self) -> bool:
        """Whether it gave a loss."""
        return self.verdict.status is AttemptStatus.DONE

    @property
    def stderr(self) -> str:
        """What it wrote there, from the end."""
        return self.verdict.stderr or ""

    @property
    def came_to(self) -> str:
        """What a reader should know of it, in a few lines."""
        if self.done:
            return f"loss {self.last_line.strip()} after {self.seconds:.2f} s"
        if self.flooded:
            return f"more than {MOST_OUTPUT >> 30} GiB of output after {self.seconds:.0f} s, killed"
        if self.timed_out:
            return f"still running after {self.seconds:.0f} s, and killed"
        if self.exit_status is not None and self.exit_status < 0:
            return f"ended by {signal.Signals(-self.exit_status).name} after {self.seconds:.2f} s"
        return (self.verdict.error or f"exit code {self.exit_status}").rstrip()

    def shown(self) -> tuple[str, str]:
        """The command and what came of it, as evidence."""
        return f"$ {self.command}", self.came_to


@dataclass(frozen=True, slots=True)
class Bench:
    """How the script is tried: where it stands, how long it may take."""

    command: Command  # with the user's own working directory
    timeout: float  # seconds of a run
    logs: Path  # a private folder for what it prints
    told: Told
    at_work: set[str] = field(default_factory=set)  # the names of runs that are not over

    def run(
        self,
        folder: Path,
        call: Call,
        stop: Stop | None = None,
        reading: frozenset[str] = frozenset(),
    ) -> ScriptRun:
        """Call the script in `folder`, and see what it does there. Raises ScriptError.

        `reading` names files of which it is to be seen whether they are read.
        """
        argv = self._argv(call, in_copy(self.command, folder).script)
        name = f"check:{secrets.token_hex(8)}:{self.logs}"  # as in a search, no other has it
        environment = self.told.environment(name, folder, call.config_id)
        watch = Watch(folder, reading)
        self.at_work.add(name)
        running = _Running(argv, folder, environment, self.logs)
        try:
            running.end(self.timeout, stop, watch.saved)
            run = self._run_of(call, running, watch.touched())  # what it leaves says no more
            if run.done:
                self.told.note(folder, call.config_id, call.epochs)
            return replace(run, left=running.left())
        finally:
            running.kill()
            self.at_work.discard(name)

    def end(self) -> None:
        """Kill what any run has left, should a signal have come before it was taken care of."""
        for name in list(self.at_work):
            kill_all(ProcessMarks(name, None, self.logs / "lock"))

    def _argv(self, call: Call, script: str) -> list[str]:
        return attempt_argv(
            self.command.python,
            script,
            call.config_id,
            epochs=call.epochs,
            gpus=["0", "1"] if call.multi_gpu else ["0"],
            script_args=self.command.script_args,
        )

    def _run_of(self, call: Call, running: "_Running", touched: Touched) -> ScriptRun:
        line, status = last_line(running.out), running.process.returncode
        ending = Ending(
            Record(pid=running.process.pid, exit_status=status, seconds=running.seconds),
            Output(line, tail(running.out), tail(running.err)),
            finished_at=0.0,
            asked_to_stop=running.stopped,
            timed_out=running.timed_out,
        )
        return ScriptRun(
            call=call,
            command=shlex.join(self._argv(call, _near(self.command))),
            verdict=judge(ending, max_lost=0),
            exit_status=None if running.timed_out else running.process.returncode,
            seconds=running.seconds,
            last_line=line.decode("utf-8", "replace"),
            touched=touched,
            lines=_lines_of(running.out),
            timed_out=running.timed_out,
            flooded=running.timed_out and running.floods(),
            stopped=running.stopped,
            stubborn=running.stubborn,
        )


def in_copy(command: Command, copy: Path) -> Command:
    """The script in a copy of its working directory, if it lies in that at all."""
    script, cwd = Path(command.script), Path(command.cwd)
    if script.is_relative_to(cwd):
        script = copy / script.relative_to(cwd)
    return replace(command, script=str(script), cwd=str(copy))


def _near(command: Command) -> str:
    """The script's name as it is typed in its working directory."""
    return os.path.relpath(command.script, command.cwd)


class _Running:
    """A process of the script, in a session of its own, and all that it starts."""

    def __init__(
        self, argv: list[str], folder: Path, environment: Mapping[str, str], logs: Path
    ) -> None:
        self.out, self.err, lock = logs / "out", logs / "err", logs / "lock"
        self.seconds, self.timed_out, self.stopped, self.stubborn = 0.0, False, False, False
        self._gone = False  # with all that it has started
        with self.out.open("wb") as out, self.err.open("wb") as err, lock.open("wb") as held:
            self._started = time.monotonic()
            try:
                self.process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=folder,
                    env=_environment(folder, environment),
                    pass_fds=[held.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                raise ScriptError(
                    f"{argv[0]} could not be started: {error.strerror}.", see="no-interpreter"
                ) from error
        self._marks = ProcessMarks(environment["HBTRACK_ATTEMPT"], self.process.pid, lock)

    def end(self, timeout: float, stop: Stop | None, saved: Callable[[], bool]) -> None:
        """Wait until it has ended; signal it and kill it when it is time to."""
        if stop and not self._ends_before(stop, saved):
            self.stopped = True
            self._signal(stop.number)
            self.stubborn = not self._ends_within(GRACE)
        elif not stop:
            self.timed_out = not self._ends_within(timeout)
        self.seconds = time.monotonic() - self._started
        if self.stubborn or self.timed_out:
            self.kill()

    def left(self) -> tuple[str, ...]:
        """The commands of what it has left running, after a moment to end."""
        if self.timed_out or self.stopped:
            return ()
        deadline = time.monotonic() + LEAVING
        while (found := belonging(self._marks)) and time.monotonic() < deadline:
            time.sleep(TICK)
        self._gone = not found
        return tuple(_command_of(pid) for pid in found)

    def kill(self) -> None:
        """End it with all that it has started."""
        if self.process.returncode is None:
            self._signal(signal.SIGKILL)
            self.process.wait()
        if not self._gone:
            kill_all(self._marks)

    def floods(self) -> bool:
        """Whether it has printed more than any search allows."""
        return max(self.out.stat().st_size, self.err.stat().st_size) > MOST_OUTPUT

    def _ends_within(self, seconds: float) -> bool:
        """Whether it ends in that time, and without a flood of output."""
        deadline = time.monotonic() + seconds
        while not self._ends_soon(min(LOOK, seconds)):
            seconds = deadline - time.monotonic()
            if seconds <= 0 or self.floods():
                return self.process.poll() is not None  # it is we who may have been held up
        return True

    def _ends_before(self, stop: Stop, saved: Callable[[], bool]) -> bool:
        """Whether it ends before it is to be signalled."""
        if self._ends_within(stop.after):
            return True
        deadline = time.monotonic() + (stop.after if stop.patient else 0.0)
        while not saved() and time.monotonic() < deadline:
            if self._ends_within(TICK):
                return True
        return False

    def _ends_soon(self, seconds: float) -> bool:
        if hasattr(os, "pidfd_open"):  # at once: Popen.wait with a limit looks every 50 ms
            handle = os.pidfd_open(self.process.pid)
            try:
                select.select([handle], [], [], seconds)
            finally:
                os.close(handle)
            return self.process.poll() is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def _lines_of(path: Path) -> int:
    """How many lines a file has, which may be a large one."""
    with path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))


def _environment(folder: Path, own: Mapping[str, str]) -> Mapping[str, str]:
    """The user's environment, as an attempt gets it; a shell's PWD says where it is."""
    here = {"PWD": str(folder)} if "PWD" in os.environ else {}
    return {**UNBUFFERED, **os.environ, **own, **here}


def _command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return shlex.join(command_of(pid))
    return f"process {pid}"
