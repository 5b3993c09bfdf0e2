"""The scripts' parent: one small resident process per driver, which outlives it.

Run by path with `python -S -I`, so this file imports the standard library only. It starts what it
is asked to, waits for it, ends what it left behind, and appends the exit record to the attempt's
lock file. Scripts whose driver has died are finished all the same; then the warden ends too.

Requests come over a stream socket: four bytes of length, then JSON; a start carries file
descriptors, and says how many: lock, stdout, stderr, and the locks of its GPUs (gpu_locks.py).
Answers are the attempt's name on a line of its own: its lock file has something new to say. The
lock file is the truth, the answers only wake the driver:

    attempt NAME         written by the driver before it asks: its HBTRACK_ATTEMPT
    pid P WHERE          written here once the script runs; P says something in WHERE only
    failed ERRNO         or that it could not be started
    signalled            this process got a stop signal, so the script probably got one as well
    overflow             it printed more than its request allowed
    full                 the disk of its output was full when it ended
    oom                  it died by SIGKILL and the kernel had run out of memory
    since_boot SECONDS   when it ended, which no change of the time of day moves
    used BYTES SECONDS   the most memory that one of its processes held, and their processor time
    exit STATUS TIME SECONDS    STATUS as in subprocess: -9 is signal 9; TIME is Unix time

A line without its newline does not exist. The script inherits the lock (a flock on the open file),
and so does this process until the exit record is written: a free lock without a record means that
nobody is left. The locks of its GPUs, of which it knows nothing, are held in the same way.
"""

import contextlib
import errno
import json
import os
import resource  # os.wait4 would import it later, when there may be no descriptor for its file
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

LOCK_FD = 9  # where the script inherits the lock
MOST_FDS = 253  # with a request: Linux carries no more
PR_SET_CHILD_SUBREAPER = 36
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
SWEEP_SECONDS = 10.0  # for what was killed to vanish, with all its memory, and show its children
ROOM = 64 * 1024  # bytes of disk without which a script fails, whatever its config
ANSWER_SECONDS = 0.5  # in which a signal to all processes reaches this one after the scripts
LOG_TICK = 250  # milliseconds between two looks at how long the logs are


class Child(NamedTuple):
    """A script that runs."""

    attempt: str  # its name
    token: bytes  # its HBTRACK_ATTEMPT
    lock: int
    gpus: list[int]  # the locks of its GPUs
    streams: tuple[int, int]  # stdout and stderr
    max_log: int  # bytes that each of them may have
    started: float  # monotonic


class Warden:
    """Serves one driver until it closes the socket, and its scripts until the last has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.children: dict[int, Child] = {}
        self.serving = True
        self.answers: list[tuple[float, Child, str]] = []  # when to write which exit record
        self.where = where()
        self.environment = dict(os.environb)
        self.null = os.open(os.devnull, os.O_RDONLY)
        self.wake = _wake_on_signals()
        self.oom_kills = _oom_kills()

    def run(self) -> None:
        """Return when the driver is gone and no script is left."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        poll.register(self.connection, select.POLLIN)
        while self.serving or self.children or self.answers:
            busy = self.children or self.answers
            ready = {fd for fd, _ in poll.poll(LOG_TICK if busy else None)}
            self.heed_signals()
            self.reap()
            self.end_floods()
            if self.connection.fileno() in ready and not self.serve():
                poll.unregister(self.connection)
                self.serving = False

    def has_driver(self) -> bool:
        """Whether the driver is there: one that died just now may not have been noticed yet."""
        try:
            look = socket.MSG_PEEK | socket.MSG_DONTWAIT
            return self.serving and self.connection.recv(1, look) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    # --- requests ---

    def serve(self) -> bool:
        """Do one request; False when the driver is gone."""
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        fds: list = []  # type: ignore[type-arg]
        try:
            head, fds, _, _ = socket.recv_fds(self.connection, 4, MOST_FDS, flags)
            for fd in fds:
                os.set_inheritable(fd, False)
            head += self.read(4 - len(head))
            request = json.loads(self.read(struct.unpack("!I", head)[0]))
        except (EOFError, ConnectionError):
            for fd in fds:  # half a start: its lock falls free, so it is seen never to have begun
                os.close(fd)
            return False
        if "signal" in request:
            self.signal(request["attempt"], request["signal"])
        elif len(fds) == request["fds"]:
            lock, out, err, *gpus = fds
            self.start(request, lock, (out, err), gpus)
        else:  # too many files are open here: the first, if any, is the lock
            self.close(request["attempt"], fds[:1], fds[1:], f"failed {errno.EMFILE}\n")
        return True

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes of the request."""
        parts = []
        while size:
            part = self.connection.recv(size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def start(
        self,
        request: dict,  # type: ignore[type-arg]
        lock: int,
        streams: tuple[int, int],
        gpus: list[int],
    ) -> None:
        """Start a script in a session of its own."""
        argv = [text.encode("latin-1") for text in request["argv"]]
        extra = {k.encode("latin-1"): v.encode("latin-1") for k, v in request["env"].items()}
        fault_point("warden.spawn.before")
        try:
            pid = self.spawn(argv, {**self.environment, **extra}, lock, streams, gpus)
        except OSError as error:
            held = [*streams, *gpus]
            self.close(request["attempt"], [lock], held, f"failed {error.errno}\n")
            return
        self.children[pid] = Child(
            request["attempt"],
            extra[b"HBTRACK_ATTEMPT"],
            lock,
            gpus,
            streams,
            request["max_log"],
            time.monotonic(),
        )
        fault_point("warden.spawn.after")
        append(lock, f"pid {pid} {self.where}\n")

    def spawn(
        self,
        argv: list[bytes],
        environment: dict[bytes, bytes],
        lock: int,
        streams: tuple[int, int],
        gpus: list[int],
    ) -> int:
        """The pid of a new process. It inherits the locks: of its GPUs under whatever number.

        Raises OSError, as for an interpreter, where its script cannot be read: no config's fault.
        """
        for script in filter(os.path.isabs, argv[1:2]):
            os.close(os.open(script, os.O_RDONLY))
        for fd in gpus:  # none is 0, 1, 2 or LOCK_FD: those were taken before it came
            os.set_inheritable(fd, True)
        try:
            return os.posix_spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, self.null, 0),
                    (os.POSIX_SPAWN_DUP2, streams[0], 1),
                    (os.POSIX_SPAWN_DUP2, streams[1], 2),
                    (os.POSIX_SPAWN_DUP2, lock, LOCK_FD),
                ],
                setsid=True,
                # Python ignores these two for itself; the script shall find them as usual.
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        finally:
            for fd in gpus:
                os.set_inheritable(fd, False)

    def signal(self, attempt: str, number: int) -> None:
        """Signal the group of a script. It is not reaped yet, so the number is still its own."""
        for pid, child in self.children.items():
            if child.attempt == attempt:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, number)

    # --- ends ---

    def heed_signals(self) -> None:
        """Note that a stop signal came: a scheduler sends it to every process of a job."""
        with contextlib.suppress(BlockingIOError):
            if set(os.read(self.wake, 4096)) - {signal.SIGCHLD}:
                for child in [*self.children.values(), *(child for _, child, _ in self.answers)]:
                    append(child.lock, "signalled\n")

    def end_floods(self) -> None:
        """Kill the scripts whose output has grown too long."""
        for pid, child in self.children.items():
            if overflows(child):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Settle everything that has ended."""
        while (ended := _ended()) is not None:
            pid, status, usage = ended
            self.heed_signals()  # one that came before the script ended must not be noted after
            fault_point("warden.reap.before")
            child = self.children.pop(pid, None)
            now, monotonic = time.time(), time.monotonic()
            if child:
                self.end_rest(pid, child.token)
            if usage is None:
                _, status, usage = os.wait4(pid, 0)
            if child:
                code, seconds = os.waitstatus_to_exitcode(status), monotonic - child.started
                notes = self.circumstances(child, code)
                for stream in child.streams:
                    os.close(stream)
                notes += f"since_boot {monotonic:.6f}\n{used(usage)}"
                record = f"{notes}exit {code} {now:.6f} {seconds:.6f}\n"
                # Without a driver nobody else knows whether this was an answer to a signal that is
                # on its way to all processes of a job.
                at_once = code or self.has_driver()
                due = monotonic if at_once else monotonic + ANSWER_SECONDS
                self.answers.append((due, child, record))
        self.write_answers()

    def write_answers(self) -> None:
        """Write the exit records that are due."""
        now = time.monotonic()
        due = [answer for answer in self.answers if answer[0] <= now]
        self.answers = [answer for answer in self.answers if answer[0] > now]
        for _, child, record in due:
            fault_point("warden.record.before")
            self.close(child.attempt, [child.lock], child.gpus, record)

    def circumstances(self, child: Child, code: int) -> str:
        """What besides its exit status bears on what the end of a script means."""
        disk = os.fstatvfs(child.streams[0])
        notes = {
            "overflow\n": overflows(child),
            "full\n": is_full(disk),
            "oom\n": code == -signal.SIGKILL and self.memory_ran_out(),
        }
        return "".join(note for note, true in notes.items() if true)

    def end_rest(self, pid: int, token: bytes) -> None:
        """Kill what a script that ended left behind: its group, and what became our child.

        As a subreaper this process inherits every orphan of its scripts, also those that left the
        session; the ones of this script carry its token. When no other script runs, all are its.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        killed: set[int] = set()
        limit = time.monotonic() + SWEEP_SECONDS
        while time.monotonic() < limit:
            rest = [
                orphan
                for orphan in _children()
                if (orphan in killed or self.is_left_by(orphan, pid, token)) and _lives(orphan)
            ]
            dying = {orphan for orphan in rest if _killed(orphan)}
            if not dying:
                return
            killed |= dying
            time.sleep(0.005)

    def is_left_by(self, orphan: int, pid: int, token: bytes) -> bool:
        """Whether a child of ours comes from the ended script `pid`.

        The session first: what is dying has one for longer than an environment.
        """
        if orphan == pid or orphan in self.children:
            return False
        try:
            if os.getsid(orphan) == pid or not self.children:
                return True
            with open(f"/proc/{orphan}/environ", "rb") as file:  # noqa: PTH123 - no pathlib here
                return b"HBTRACK_ATTEMPT=" + token in file.read().split(b"\0")
        except OSError:
            return False

    def memory_ran_out(self) -> bool:
        """Whether the kernel has killed something for lack of memory since this was last asked."""
        before, self.oom_kills = self.oom_kills, _oom_kills()
        return self.oom_kills > before

    def close(self, attempt: str, lock: list[int], rest: list[int], record: str) -> None:
        """Write the last line of a lock file, let the lock go and tell the driver.

        `lock` has one descriptor, or none if it did not come in. The rest goes before it: who reads
        that line, or finds the lock free, may use the GPUs.
        """
        for fd in rest:
            os.close(fd)
        for fd in lock:
            append(fd, record)
            fault_point("warden.record.after")
            os.close(fd)
        with contextlib.suppress(OSError):  # nobody may be listening any more
            self.connection.sendall(attempt.encode() + b"\n")


def where() -> str:
    """In which process table our numbers stand: of which boot of which machine or container.

    Here because local.py, which compares, may import this file, but not the other way round.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123
            return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116
    except OSError:
        return "-"


def is_full(disk: os.statvfs_result) -> bool:
    """Whether a disk has no room for what a script writes; some tell nothing of their blocks."""
    return disk.f_blocks > 0 and disk.f_bavail * disk.f_frsize < ROOM


def overflows(child: Child) -> bool:
    """Whether a script has printed more than it may."""
    return any(os.fstat(stream).st_size > child.max_log for stream in child.streams)


def append(lock: int, line: str) -> None:
    """Add one line to a lock file, in one write. Without room for it the attempt is lost."""
    with contextlib.suppress(OSError):
        os.write(lock, line.encode())


def used(usage: resource.struct_rusage) -> str:
    """What a script and the processes that it waited for used, by the kernel's own account.

    On Linux the memory is never less than this process's own, from which the script's began.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return f"used {usage.ru_maxrss * unit} {usage.ru_utime + usage.ru_stime:.6f}\n"


def _ended() -> tuple[int, int, resource.struct_rusage | None] | None:
    """A child that has ended, not yet reaped: until then its number cannot be reused.

    On macOS before Python 3.13 it is, with its status and what it used; a group keeps its number to
    its end.
    """
    try:
        if hasattr(os, "waitid"):
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return (info.si_pid, 0, None) if info else None
        pid, status, usage = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status, usage) if pid else None


def _killed(pid: int) -> bool:
    """Kill a child of ours; whether that can be done."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _children() -> list[int]:
    """This process's children, where the kernel tells (Linux)."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb", 0) as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _lives(pid: int) -> bool:
    """Whether a child of ours still has something of its own; a zombie is reaped in its turn."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def _oom_kills() -> int:
    """How many processes this kernel has killed for lack of memory, where it tells (Linux)."""
    try:
        with open("/proc/vmstat") as file:  # noqa: PTH123
            return int(dict(line.split() for line in file).get("oom_kill", 0))
    except OSError:
        return 0


def _wake_on_signals() -> int:
    """A descriptor that becomes readable at each signal; the signals meant for others do nothing.

    Handlers, not SIG_IGN: the scripts would inherit that.
    """
    wake, write = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for name in ("SIGCHLD", *FORWARDED):
        number = getattr(signal, name)
        if name == "SIGCHLD" or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    return wake


def _fault_points() -> Callable[[str], None]:
    """That of ../faults.py, which cannot be imported by name here; only if it is asked for."""
    if not os.environ.keys() & {"HBTRACK_FAULT", "HBTRACK_FAULT_TRACE"}:
        return lambda _point: None
    from runpy import run_path  # noqa: PLC0415

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    return run_path(package + "/faults.py")["fault_point"]  # type: ignore[no-any-return]


fault_point = _fault_points()


def main() -> None:
    """Serve the socket whose number is the only argument."""
    given = int(sys.argv[1])
    connection = socket.socket(fileno=os.dup(given))
    os.close(given)  # which may be LOCK_FD
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - who only reads `where` here does without

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Taken, so that no descriptor that comes in has this number when the script's is made.
    os.dup2(0, LOCK_FD, inheritable=False)
    Warden(connection).run()


if __name__ == "__main__":
    main()
