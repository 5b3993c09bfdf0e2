"""Attempts as processes of this machine, through a warden that outlives the driver."""

import contextlib
import itertools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from threading import Thread
from types import MappingProxyType

from hbtrack.core.execution import Job, Output, Record, Seen, Slot, attempt_number
from hbtrack.core.gpu import NO_GPU, Gpu, call_of, shown
from hbtrack.executors import processes
from hbtrack.executors.devices import Devices
from hbtrack.executors.warden import is_full, where
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


KILL_AGAIN_SECONDS = 0.5
"""Between two KILLs: a start on its way may only now become a process."""


@dataclass(slots=True)
class _Running:
    """An attempt under way. `silent_since` is when its processes were first seen gone."""

    files: WorkerFiles
    gpu: str
    watched_by_lock: bool = False
    kill_at: float | None = None  # monotonic: when it gets the next KILL
    killed: bool = False
    silent_since: float | None = None


class LocalExecutor:
    """Starts attempts, adopts those of a dead driver, ends them and tells when they have ended.

    `folder` holds the workers' files, `cwd` is where scripts run, `max_log` is how many bytes of
    stdout or stderr end a script. `devices` has the GPU of each worker, `per_gpu` is how many
    evaluations of all searches may share one; `holder` is what others are told who use the same
    GPUs, `say` tells the user why one is not used. `adopted` are the attempts that are open.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cwd: str,
        max_log: int,
        holder: str,
        devices: Sequence[Gpu] = (NO_GPU,),
        per_gpu: int = 1,
        adopted: Mapping[str, Slot] = MappingProxyType({}),
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._folder = folder
        self._max_log = max_log
        self._devices = Devices(devices, per_gpu, holder, say)
        self._files = cache(partial(WorkerFiles, folder))  # by number
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, tuple[WorkerFiles, Record]] = {}
        # Worker number -> before the start, its GPUs, its locked lock file and those of its GPUs.
        self._taken: dict[int, tuple[str, list[int]]] = {}
        self._named: set[str] = set()  # attempts that the warden says have ended
        self._selector = selectors.DefaultSelector()
        self._link = WardenLink(folder, cwd, self._selector)
        self._wake_end, self._woken_end = socket.socketpair()
        for end in (self._wake_end, self._woken_end):
            end.setblocking(False)
        self._selector.register(self._woken_end, selectors.EVENT_READ)
        for name, slot in adopted.items():
            self._running[name] = run = _Running(self._files(slot.worker), slot.gpu)
            self._watch_lock(run)
            fault_point("adopt.after")

    # --- starting ---

    def has_room(self) -> bool:
        """Whether the disk of the workers' files has room for what a new attempt says."""
        return not is_full(os.statvfs(self._folder))

    def reserve(self, barred: Collection[str] = (), *, every_gpu: bool = False) -> Slot | None:
        """A worker's files, and a GPU or all of them, for an attempt that is about to be recorded.

        None when no GPU is idle, or another search uses those that are.
        """
        busy = [run.gpu for run in self._running.values()]
        busy += [gpu for gpu, _ in self._taken.values()]
        if (taken := self._devices.take(busy, barred, every_gpu=every_gpu)) is None:
            return None
        gpus, locks = taken
        number, lock = self._take_files()
        slot = Slot(number, shown(gpus), *call_of(gpus))
        self._taken[number] = (slot.gpu, [lock, *locks])
        return slot

    def start(self, job: Job, slot: Slot) -> None:
        """Run a recorded attempt on the worker reserved for it.

        The locks go along with the request: a driver that dies right after this line leaves an
        attempt that is seen to be alive, on GPUs that are seen to be in use.
        """
        files = self._files(slot.worker)
        _, fds = self._taken.pop(slot.worker)
        lock, *gpus = fds
        try:
            streams = files.begin(lock, job.name)
            fds = [lock, *streams, *gpus]
            fault_point("spawn.begun")
            request = {
                "attempt": job.name,
                "max_log": self._max_log,
                "fds": len(fds),
                "argv": [_bytes_of(word) for word in job.argv],
                "env": {key: _bytes_of(value) for key, value in job.env.items()},
            }
            self._running[job.name] = _Running(files, slot.gpu)
            self._ask(request, fds)
        finally:
            _close(fds)

    def end_unknown(self, token: str) -> None:
        """End scripts of this search that the database, put back from a copy, does not know."""
        names = processes.names_at_work(f"{token}-", self._folder)
        for name in names - self._running.keys():
            processes.kill_all(processes.ProcessMarks(name, None, self._folder))

    # --- watching ---

    def look(self) -> Mapping[str, Seen]:
        """The attempts that have not ended."""
        return dict.fromkeys(self._running, Seen.RUNNING)

    def wait(self, timeout: float | None) -> None:
        """Return when an attempt has ended, on `wake` or when time is up; KILL what is overdue."""
        for key, _ in self._selector.select(self._until_next(timeout)):
            if key.fileobj is self._woken_end:
                with contextlib.suppress(BlockingIOError):
                    self._woken_end.recv(4096)
            elif (named := self._link.hear()) is not None:
                self._named |= named
            else:
                self._watch_locks()
        by_lock = {name for name, run in self._running.items() if run.watched_by_lock}
        named, self._named = self._named, set()
        over = {
            name: record
            for name in (named | by_lock) & self._running.keys()
            if (record := self._if_over(name))
        }
        for name, record in over.items():
            self._end(name, record)
        self._kill_overdue()

    def _until_next(self, timeout: float | None) -> float | None:
        """Seconds until there is something to do here, if not before then outside."""
        now = time.monotonic()
        moments = [run.kill_at for run in self._running.values()]
        moments.append(self._devices.wake_at())
        waits = [max(0.0, at - now) for at in moments if at is not None]
        if any(run.watched_by_lock for run in self._running.values()):
            waits.append(ADOPTED_TICK)
        if timeout is not None:
            waits.append(min(timeout, LONGEST_WAIT))
        return min(waits, default=None)

    def wake(self) -> None:
        """Make `wait` return; may be called from a signal handler or another thread."""
        with contextlib.suppress(OSError):  # full: awake already; closed: all is over
            self._wake_end.send(b"\0")

    def wake_fd(self) -> int:
        """A descriptor to write to instead of calling `wake` (signal.set_wakeup_fd)."""
        return self._wake_end.fileno()

    def record(self, name: str) -> Record:
        """What the lock file says of an ended attempt."""
        return _by_this_boot(self._ended[name][1])

    def output(self, name: str) -> Output:
        """What an ended attempt printed; until its worker starts another one."""
        return self._ended[name][0].output(attempt_number(name))

    def clear(self, name: str) -> None:
        """The outcome is recorded: long output is put aside."""
        files, _ = self._ended.pop(name)
        files.clear(attempt_number(name))

    # --- ending ---

    def end(self, name: str, grace: float) -> None:
        """TERM to the processes of an attempt now, KILL when the grace period is over."""
        if (run := self._running.get(name)) is None:
            return
        if run.kill_at is None:
            self._signal(name, run, signal.SIGTERM)
        run.kill_at = time.monotonic() + grace

    def _kill_overdue(self) -> None:
        """KILL again and again what does not end within its grace period."""
        now = time.monotonic()
        for name, run in self._running.items():
            if run.kill_at is not None and run.kill_at <= now:
                run.killed, run.kill_at = True, now + KILL_AGAIN_SECONDS
                self._signal(name, run, signal.SIGKILL)

    def _signal(self, name: str, run: _Running, number: signal.Signals) -> None:
        if not run.watched_by_lock:
            self._ask({"attempt": name, "signal": int(number)}, [])
        if run.watched_by_lock or number == signal.SIGKILL:
            # A warden that does not answer cannot keep a script alive, nor the driver waiting.
            processes.signal_all(self._marks(name, run), number)
            self._watch_lock(run)

    def close(self) -> None:
        """Let the warden go; it stays until its scripts have ended."""
        self._link.close(idle=not self._running)
        self._selector.close()
        _close(itertools.chain(*(locks for _, locks in self._taken.values())))
        self._taken.clear()
        self._wake_end.close()
        self._woken_end.close()

    # --- inside ---

    def _marks(self, name: str, run: _Running) -> processes.ProcessMarks:
        record = run.files.record(name)
        pid = record.pid if record.where == HERE else None
        return processes.ProcessMarks(name, pid, run.files.lock)

    def _take_files(self) -> tuple[int, int]:
        """The first worker that nobody uses, and its locked lock file."""
        in_use = {run.files.number for run in self._running.values()} | self._taken.keys()
        number = 0
        while number in in_use or (lock := self._files(number).take()) is None:
            number += 1
        return number, lock

    def _if_over(self, name: str) -> Record | None:
        """The attempt's record if nobody works on it any more. The lock first, then the record.

        The other way round, an attempt that ends in between would look lost.
        """
        run = self._running[name]
        held = run.files.held() if run.watched_by_lock else None
        record = run.files.record(name)
        if record.ended:
            return record
        if not run.watched_by_lock:
            # The warden says that it has ended, but the file does not: from now on the lock tells.
            self._watch_lock(run)
            return None
        over = not held or (record.pid is not None and self._is_silent(run, name))
        return run.files.record(name) if over else None

    def _is_silent(self, run: _Running, name: str) -> bool:
        """Whether a held lock is nobody's who works: the parent is dead, something forgot it.

        A parent that is only slow will say how the script ended. After a KILL nobody needs to know.
        """
        in_sight = run.files.record(name).where == HERE
        if not in_sight or not processes.all_gone(self._marks(name, run)):
            run.silent_since = None
            return False
        run.silent_since = run.silent_since or time.monotonic()
        if time.monotonic() - run.silent_since <= SILENT_SECONDS:
            return False
        return run.killed or not processes.is_wardens(run.files.lock)

    def _end(self, name: str, record: Record) -> None:
        run = self._running.pop(name)
        if not record.ended:
            # Nobody wrote its end, so nobody made sure of it: a script may have closed the lock.
            processes.kill_all(self._marks(name, run))
        self._ended[name] = run.files, record

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


def _by_this_boot(record: Record) -> Record:
    """What a warden of another boot says of seconds was before this boot."""
    if record.since_boot is None or record.where == HERE:
        return record
    boot, _, _ = (record.where or "-").partition("/")
    here, _, _ = HERE.partition("/")
    known = "-" not in (boot, here)
    return record if boot == here else replace(record, since_boot=0.0 if known else None)


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
