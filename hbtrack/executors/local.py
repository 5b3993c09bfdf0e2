"""Attempts as processes of this machine, through a warden that outlives the driver."""

import contextlib
import itertools
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from threading import Thread

from hbtrack.core.execution import Ended, Output, Record
from hbtrack.executors import gpu_locks, processes
from hbtrack.executors.warden import ROOM, where
from hbtrack.executors.warden_link import WardenLink
from hbtrack.executors.worker_files import WorkerFiles
from hbtrack.faults import fault_point

HERE = where()
"""The process table that this process sees."""

ADOPTED_TICK = 0.5
"""Seconds between two looks for adopted attempts with a forgotten lock; an end wakes at once."""

LONGEST_WAIT = 3600.0
"""Seconds; the kernel's timers end somewhere, and looking once an hour does no harm."""

SILENT_SECONDS = 2.0
"""How long an adopted attempt whose processes are all gone may keep its lock."""


@dataclass(slots=True)
class _Running:
    """An attempt under way. `silent_since` is when its processes were first seen gone."""

    files: WorkerFiles
    watched_by_lock: bool = False
    killed: bool = False
    silent_since: float | None = None


class LocalExecutor:
    """Starts attempts, adopts those of a dead driver, signals them and tells when they end.

    `folder` holds the workers' files, `cwd` is where scripts run, `token` begins their
    HBTRACK_ATTEMPT, `max_log` is how many bytes of stdout or stderr end a script; `holder` is what
    others are told who use the same GPUs.
    """

    def __init__(self, folder: Path, *, cwd: str, token: str, max_log: int, holder: str) -> None:
        self._folder = folder
        self._token = token
        self._max_log = max_log
        self._holder = holder
        self._files = cache(partial(WorkerFiles, folder))  # by number
        self._running: dict[int, _Running] = {}
        # Worker number -> before the start, its locked lock file and those of its GPUs.
        self._taken: dict[int, list[int]] = {}
        self._named: set[int] = set()  # attempts that the warden says have ended
        self._selector = selectors.DefaultSelector()
        self._link = WardenLink(folder, cwd, self._selector)
        self._wake_end, self._woken_end = socket.socketpair()
        for end in (self._wake_end, self._woken_end):
            end.setblocking(False)
        self._selector.register(self._woken_end, selectors.EVENT_READ)

    # --- starting ---

    def has_room(self) -> bool:
        """Whether the disk of the workers' files has room for what a new attempt says."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize >= ROOM

    def take_worker(self, keys: Sequence[str] = (), per_gpu: int = 1) -> int | None:
        """Reserve a worker's files, and GPUs, for an attempt that is about to be recorded.

        Its number, or None when one of the GPUs has `per_gpu` evaluations already, of whatever
        search. An empty key is no GPU.
        """
        number, lock = self._take_files()
        locks = [lock]
        try:
            for key in filter(None, keys):
                gpu = gpu_locks.take(key, per_gpu, self._holder)
                if gpu is None:
                    return None
                locks.append(gpu)
            self._taken[number] = locks
        finally:
            if number not in self._taken:
                _close(locks)
        return number

    def user_of(self, key: str) -> str | None:
        """Who uses the GPU of this key, as far as hbtrack knows."""
        return gpu_locks.holder_of(key)

    def start(self, attempt: int, worker: int, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Run `argv` for a recorded attempt on the worker taken for it.

        The locks go along with the request: a driver that dies right after this line leaves an
        attempt that is seen to be alive, on GPUs that are seen to be in use.
        """
        files, name = self._files(worker), self.name_of(attempt)
        fds = lock, *gpus = self._taken.pop(worker)
        try:
            streams = files.begin(lock, name)
            fds = [lock, *streams, *gpus]
            fault_point("spawn.begun")
            request = {
                "attempt": attempt,
                "max_log": self._max_log,
                "fds": len(fds),
                "argv": [_bytes_of(word) for word in argv],
                "env": {
                    key: _bytes_of(value) for key, value in {**env, "HBTRACK_ATTEMPT": name}.items()
                },
            }
            self._running[attempt] = _Running(files)
            self._ask(request, fds)
        finally:
            _close(fds)

    def adopt(self, attempt: int, worker: int) -> None:
        """Watch over an attempt that another driver started, until it has ended."""
        self._running[attempt] = run = _Running(self._files(worker))
        self._watch_lock(run)

    def end_unknown(self, known: set[int]) -> None:
        """End scripts of this search that the database, put back from a copy, does not know."""
        names = {self.name_of(attempt) for attempt in known}
        for name in processes.names_at_work(self._token + "-", self._folder) - names:
            processes.kill_all(processes.ProcessMarks(name, None, self._folder))

    def name_of(self, attempt: int) -> str:
        """The attempt's HBTRACK_ATTEMPT."""
        return f"{self._token}-{attempt}"

    # --- watching ---

    def wait(self, timeout: float | None) -> list[Ended]:
        """The attempts that have ended, as soon as there is one, `wake` is called or time is up."""
        by_lock = any(run.watched_by_lock for run in self._running.values())
        limit = min(timeout if timeout is not None else ADOPTED_TICK, ADOPTED_TICK)
        if timeout is not None:
            timeout = min(timeout, LONGEST_WAIT)
        for key, _ in self._selector.select(limit if by_lock else timeout):
            if key.fileobj is self._woken_end:
                with contextlib.suppress(BlockingIOError):
                    self._woken_end.recv(4096)
            elif (named := self._link.hear()) is not None:
                self._named |= named
            else:
                self._watch_locks()
        looked_at = self._named | {
            number for number, run in self._running.items() if run.watched_by_lock
        }
        self._named = set()
        attempts = sorted(looked_at & set(self._running))
        over = [(attempt, record) for attempt in attempts if (record := self._if_over(attempt))]
        return [self._end(*one) for one in over]

    def wake(self) -> None:
        """Make `wait` return; may be called from a signal handler or another thread."""
        with contextlib.suppress(OSError):  # full: awake already; closed: all is over
            self._wake_end.send(b"\0")

    def wake_fd(self) -> int:
        """A descriptor to write to instead of calling `wake` (signal.set_wakeup_fd)."""
        return self._wake_end.fileno()

    def output(self, ended: Ended) -> Output:
        """What an ended attempt printed; until its worker starts another one."""
        return self._files(ended.worker).output(ended.attempt)

    def clear(self, ended: Ended) -> None:
        """The output is recorded, and its worker free."""
        self._files(ended.worker).clear(ended.attempt)

    # --- stopping ---

    def signal(self, attempt: int, number: signal.Signals) -> None:
        """Signal the processes of an attempt; does nothing when it has ended."""
        run = self._running.get(attempt)
        if run and number == signal.SIGKILL:
            run.killed = True
        if run and not run.watched_by_lock:
            self._ask({"attempt": attempt, "signal": int(number)}, [])
        if run and (run.watched_by_lock or number == signal.SIGKILL):
            # A warden that does not answer cannot keep a script alive, nor the driver waiting.
            processes.signal_all(self._marks(attempt, run), number)
            self._watch_lock(run)

    def close(self) -> None:
        """Let the warden go; it stays until its scripts have ended."""
        self._link.close(idle=not self._running)
        self._selector.close()
        _close(itertools.chain(*self._taken.values()))
        self._taken.clear()
        self._wake_end.close()
        self._woken_end.close()

    # --- inside ---

    def _marks(self, attempt: int, run: _Running) -> processes.ProcessMarks:
        record = self._record(attempt, run)
        pid = record.pid if record.where == HERE else None
        return processes.ProcessMarks(self.name_of(attempt), pid, run.files.lock)

    def _record(self, attempt: int, run: _Running) -> Record:
        return run.files.record(self.name_of(attempt))

    def _take_files(self) -> tuple[int, int]:
        """The first worker that nobody uses, and its locked lock file."""
        number = 0
        while True:
            if not self._in_use(number) and (lock := self._files(number).take()) is not None:
                return number, lock
            number += 1

    def _in_use(self, number: int) -> bool:
        running = any(run.files.number == number for run in self._running.values())
        return number in self._taken or running

    def _if_over(self, attempt: int) -> Record | None:
        """The attempt's record if nobody works on it any more. The lock first, then the record.

        The other way round, an attempt that ends in between would look lost.
        """
        run = self._running[attempt]
        held = run.files.held() if run.watched_by_lock else None
        record = self._record(attempt, run)
        if record.ended:
            return record
        if not run.watched_by_lock:
            # The warden says that it has ended, but the file does not: from now on the lock tells.
            self._watch_lock(run)
            return None
        over = not held or (record.pid is not None and self._is_silent(run, attempt))
        return self._record(attempt, run) if over else None

    def _is_silent(self, run: _Running, attempt: int) -> bool:
        """Whether a held lock is nobody's who works: the parent is dead, something forgot it.

        A parent that is only slow will say how the script ended. After a KILL nobody needs to know.
        """
        in_sight = self._record(attempt, run).where == HERE
        if not in_sight or not processes.all_gone(self._marks(attempt, run)):
            run.silent_since = None
            return False
        run.silent_since = run.silent_since or time.monotonic()
        if time.monotonic() - run.silent_since <= SILENT_SECONDS:
            return False
        return run.killed or not processes.is_wardens(run.files.lock)

    def _end(self, attempt: int, record: Record) -> Ended:
        run = self._running.pop(attempt)
        if not record.ended:
            # Nobody wrote its end, so nobody made sure of it: a script may have closed the lock.
            processes.kill_all(self._marks(attempt, run))
        return Ended(attempt, run.files.number, record)

    def _ask(self, request: Mapping[str, object], fds: list[int]) -> None:
        if not self._link.send(request, fds):
            self._watch_locks()

    def _watch_locks(self) -> None:
        """The warden died: its scripts go on, watched by their locks."""
        for run in self._running.values():
            self._watch_lock(run)

    def _watch_lock(self, run: _Running) -> None:
        """From now on its lock tells when it ends: a thread sleeps on it, and wakes the driver."""
        if run.watched_by_lock:
            return
        run.watched_by_lock = True

        def watch() -> None:
            run.files.wait()
            self.wake()

        with contextlib.suppress(RuntimeError):  # no more threads: then it is only looked at
            Thread(target=watch, name="lock", daemon=True).start()


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


@lru_cache(maxsize=64)  # most words are those of the attempt before
def _bytes_of(word: str) -> str:
    """The bytes of a word on a command line, one character each, so that JSON carries them all."""
    try:
        return os.fsencode(word).decode("latin-1")
    except UnicodeEncodeError:  # a locale that does not know the character
        return word.encode("utf-8", "surrogateescape").decode("latin-1")
