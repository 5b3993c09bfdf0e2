"""Processes that outlive us: starting, watching, adopting and ending attempts."""

import errno
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MACOS, ROOT, process_state, wait_for
from local import UNTIL_GO, Local

from hbtrack.core.execution import Record, Slot
from hbtrack.executors import processes
from hbtrack.executors.warden import is_full, where
from hbtrack.executors.worker_files import KEPT, LOG_HEAD, LOG_TAIL, WorkerFiles, last_line


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path, tmp_path, token=secrets.token_hex(6))
    yield made
    made.end_all()


@pytest.fixture(params=["/proc", "psutil"])
def told_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where processes are found, and sent signals with or without handles of them."""
    if request.param == "psutil":
        monkeypatch.setattr(processes, "LINUX", False)
        monkeypatch.delattr(os, "pidfd_open")


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "last"),
    [
        (b"", b""),
        (b"\n \n\t\r\n", b""),
        (b"0.5", b"0.5"),
        (b"text\n0.5\n", b"0.5"),
        (b"text\r\n0.5\r\n\r\n \n", b"0.5"),
        (b"epoch 1\r0.3\n", b"epoch 1\r0.3"),
        (b"\xff\xfe\n0.5\n", b"0.5"),
        (b"0.5\n" + b"\n" * (3 * KEPT), b"0.5"),
        (b"0.5\n" + b" " * (2 * KEPT) + b"\n", b"0.5"),
        (b"a" * KEPT + b"\n0.5", b"0.5"),
        (b"\n" * (KEPT - 2) + b"0.25\n", b"0.25"),
    ],
)
def test_the_last_line_is_found_whatever_stands_around_it(
    tmp_path: Path, printed: bytes, last: bytes
) -> None:
    file = tmp_path / "out"
    file.write_bytes(printed)
    assert last_line(file) == last


def test_fault_37_of_an_endless_line_only_a_part_is_read(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"7" * (10 * KEPT))
    assert KEPT < len(last_line(file)) <= 2 * KEPT


@pytest.mark.parametrize(
    ("content", "record"),
    [
        (b"", Record()),
        (b"attempt a-1", Record()),
        (b"attempt a-2\npid 5 x\n", Record()),
        (b"attempt a-1\n", Record(asked=True)),
        (b"attempt a-1\npid 5 x", Record(asked=True)),
        (b"attempt a-1\npid 5 x\n", Record(asked=True, pid=5, where="x")),
        (b"attempt a-1\npid 5 x\nexit 0 1.5 2", Record(asked=True, pid=5, where="x")),
        (
            b"attempt a-1\npid 5 x\nexit -9 1.5 2.5\n",
            Record(True, 5, "x", exit_status=-9, finished_at=1.5, seconds=2.5),
        ),
        (
            b"attempt a-1\nsince_boot 4.5\nexit 0 1.5 2.5\n",
            Record(True, exit_status=0, finished_at=1.5, seconds=2.5, since_boot=4.5),
        ),
        (b"attempt a-1\nfailed 2\n", Record(asked=True, failed=2)),
        (
            b"attempt a-1\nsignalled\noverflow\nfull\noom\n",
            Record(True, signalled=True, overflow=True, full=True, oom=True),
        ),
    ],
)
def test_a_line_without_its_newline_does_not_exist(
    tmp_path: Path, content: bytes, record: Record
) -> None:
    files = WorkerFiles(tmp_path, 0)
    files.lock.write_bytes(content)
    assert files.record("a-1") == record


@pytest.mark.parametrize("middle", [5000, LOG_TAIL + 5000])
def test_fault_37_long_logs_are_kept_aside_without_their_middle(
    tmp_path: Path, middle: int
) -> None:
    files = WorkerFiles(tmp_path, 0)
    files.out.write_bytes(b"h" * LOG_HEAD + b"m" * middle + b"t" * LOG_TAIL)
    for _ in range(2):  # a driver that dies before it has recorded the output reads it again
        output = files.output(7)
        assert output.log == "7"
        assert output.stdout == "t" * KEPT
    files.clear(7)
    kept = (tmp_path / "logs" / "7.out").read_bytes()
    assert kept.startswith(b"h" * LOG_HEAD + b"\n[hbtrack left out %d bytes" % middle)
    assert kept.endswith(b"t" * LOG_TAIL)
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


# --- processes -----------------------------------------------------------------------------------


def test_arguments_arrive_byte_for_byte(executor: Local) -> None:
    words = ["a b", "", "'\"", "$HOME `x` *", "-n", "naïve ☃", "tab\tnewline\n", "\udcff"]
    ended = executor.run("import sys, os; print([os.fsencode(w) for w in sys.argv[1:]])", *words)
    assert ended.output.stdout.strip() == repr([os.fsencode(word) for word in words])


def test_no_descriptor_leaks_into_scripts_but_the_lock(executor: Local) -> None:
    executor.python("import time; time.sleep(30)", attempt=1)
    ended = executor.run(
        "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))", attempt=2
    )
    numbers = json.loads(ended.output.stdout)
    assert [number for number in numbers if number > 3] == [9]  # 3 is the folder being listed


@pytest.mark.parametrize("argv", [("/no/such/python", "x"), (sys.executable, "/no/such/script")])
def test_what_cannot_be_started_says_why(executor: Local, argv: tuple[str, str]) -> None:
    executor.begin(1, argv)
    ended = executor.next_end()
    assert (ended.record.failed, ended.record.pid) == (errno.ENOENT, None)


def test_a_daemon_of_a_running_script_is_left_alone_when_another_ends(
    executor: Local, tmp_path: Path
) -> None:
    daemon = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        open('daemon', 'w').write(str(os.getpid()) + '\\n')\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        "time.sleep(1000)"
    )
    executor.python(daemon, attempt=1)
    file = tmp_path / "daemon"
    wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
    executor.run("pass", attempt=2)
    pid = int(file.read_text())
    assert Path(f"/proc/{pid}").exists()
    executor.kill(1)
    executor.next_end()
    marks = processes.ProcessMarks(executor.name_of(1), None, tmp_path)
    wait_for(lambda: not processes.belonging(marks))  # what was killed takes a moment to go


def test_files_are_used_again_by_the_next_attempt(executor: Local, tmp_path: Path) -> None:
    first = executor.run("print('long output ' * 10)", attempt=1)
    second = executor.run("print(1)", attempt=2)
    assert first.output.stdout.startswith("long")
    assert second.output.stdout == "1\n"
    assert [path.name for path in sorted(tmp_path.glob("*.out"))] == ["0.out"]


def test_fault_17_scripts_of_a_killed_warden_are_waited_for_and_then_lost(
    executor: Local, tmp_path: Path
) -> None:
    executor.at_work(UNTIL_GO)
    assert executor._link.process
    executor._link.process.kill()
    for _ in range(3):
        assert executor.sees(1)
    (tmp_path / "go").touch()
    ended = executor.next_end()
    assert (ended.record.pid is not None, ended.record.exit_status) == (True, None)
    (tmp_path / "go").unlink()
    assert executor.run("pass", attempt=2).record.exit_status == 0


def test_an_attempt_of_another_executor_is_adopted_and_harvested_at_its_end(
    executor: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor.at_work(UNTIL_GO + "print(3)")
    other = Local(tmp_path, tmp_path, token=executor.token, adopted=[1])
    assert other.sees(1)
    assert other.take() == Slot(1, "0", ["0"], {}), "a worker at work is not taken"
    (tmp_path / "go").touch()
    monkeypatch.setattr("hbtrack.executors.local.ADOPTED_TICK", 60.0)
    begun = time.monotonic()
    other.wait(60)
    assert time.monotonic() - begun < 30, "its end wakes, no clock"
    ended = other.next_end()
    assert (ended.record.exit_status, ended.output.last_line) == (0, b"3")
    other.close()


@pytest.mark.usefixtures("told_by")
def test_an_adopted_attempt_whose_processes_are_gone_does_not_wait_for_a_forgotten_lock(
    executor: Local, tmp_path: Path
) -> None:
    files = WorkerFiles(tmp_path, 0)
    lock = files.take()  # held by us, as by something that forgot it
    assert lock is not None
    files.begin(lock, executor.name_of(1))
    os.write(lock, f"pid 4194304 {where()}\n".encode())
    other = Local(tmp_path, tmp_path, token=executor.token, adopted=[1])
    assert other.next_end().record.exit_status is None
    assert other.take() == Slot(1, "0", ["0"], {}), "that lock file is not used again"
    other.close()
    os.close(lock)


@pytest.mark.parametrize(
    "line",
    [
        *(b"progress", b"progress 1", b"pid x", b"\xff", b""),
        *(b"exit", b"exit 0 1", b"exit 0 1.5 x"),
        *(b"used", b"used 1", b"used -1 2.5", b"used 1.5 2.5", b"used 1000000000000000000 1"),
    ],
)
def test_what_a_script_writes_into_the_lock_file_says_nothing(tmp_path: Path, line: bytes) -> None:
    files = WorkerFiles(tmp_path, 0)
    files.lock.write_bytes(b"attempt a-1\npid 5 x\n" + line + b"\nexit 3 1.5 2.5\n")
    assert files.record("a-1") == Record(True, 5, "x", exit_status=3, finished_at=1.5, seconds=2.5)


def test_what_was_used_stands_before_the_end_so_that_who_sees_that_has_both(
    executor: Local, tmp_path: Path
) -> None:
    record = executor.run("held = b'x' * 100_000_000").record
    *_, used, end = (tmp_path / "0.lock").read_bytes().splitlines()
    assert used == f"used {record.peak_memory} {record.cpu_seconds:.6f}".encode()
    assert end.startswith(b"exit 0 ")
    assert record.peak_memory is not None
    assert 100e6 < record.peak_memory < 300e6


@pytest.mark.usefixtures("told_by")
def test_an_adopted_script_without_its_environment_is_not_taken_for_gone(
    executor: Local, tmp_path: Path
) -> None:
    files = executor.at_work("import os, sys\nos.execve('/bin/sleep', ['sleep', '1000'], {})")
    pid = files.record(executor.name_of(1)).pid
    assert pid
    wait_for(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"))
    other = Local(tmp_path, tmp_path, token=executor.token, adopted=[1])
    marks = processes.ProcessMarks(executor.name_of(1), pid, files.lock)
    assert not processes.all_gone(marks)
    assert other.sees(1)
    other.end(other.name_of(1), grace=100)
    assert other.next_end().record.exit_status == -signal.SIGTERM
    assert processes.all_gone(marks)
    other.close()


@pytest.mark.usefixtures("told_by")
def test_a_parent_of_scripts_is_known_and_has_nothing_to_say_when_it_is_stopped(
    executor: Local, tmp_path: Path
) -> None:
    executor.python("import time; time.sleep(1000)")
    lock = WorkerFiles(tmp_path, 0).lock
    wait_for(lambda: processes.is_wardens(lock))
    (tmp_path / "other").touch()
    assert not processes.is_wardens(tmp_path / "other")
    warden = executor._link.process
    assert warden
    warden.send_signal(signal.SIGSTOP)
    wait_for(lambda: process_state(warden.pid) == "T")
    assert not processes.is_wardens(lock)
    warden.send_signal(signal.SIGCONT)


@pytest.mark.usefixtures("told_by")
def test_scripts_are_known_by_their_name_and_a_file_of_their_folder(
    executor: Local, tmp_path: Path
) -> None:
    executor.at_work("import time; time.sleep(1000)")
    assert processes.names_at_work(executor.token, tmp_path) == {executor.name_of(1)}
    assert not processes.names_at_work("other", tmp_path)
    assert not processes.names_at_work(executor.token, tmp_path / "elsewhere")
    other = Local(tmp_path, tmp_path, token=executor.token)
    other.end_unknown(executor.token)
    assert executor.next_end().record.exit_status == -signal.SIGKILL
    other.close()


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
def test_without_handles_of_processes_a_signal_goes_to_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """An older kernel has none, and a container may forbid them."""

    def refuse(_pid: int) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    child = subprocess.Popen(["sleep", "1000"])
    assert not processes.signal_if(child.pid, signal.SIGTERM, lambda _: False)
    assert processes.signal_if(child.pid, signal.SIGKILL, lambda pid: pid == child.pid)
    assert child.wait() == -signal.SIGKILL
    assert not processes.signal_if(child.pid, signal.SIGKILL, lambda _: True)


@pytest.mark.slow
def test_what_is_killed_has_given_back_its_memory_before_anything_else_begins(
    tmp_path: Path,
) -> None:
    code = "import mmap, time\nmemory = mmap.mmap(-1, 2**30)\n"
    code += "for page in range(0, len(memory), mmap.PAGESIZE): memory[page] = 1\n"
    code += "print('.', flush=True); time.sleep(1000)"
    with subprocess.Popen(
        [sys.executable, "-c", code], env={"HBTRACK_ATTEMPT": "large"}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(1) == b"."
        processes.kill_all(processes.ProcessMarks("large", None, tmp_path / "lock"))
        assert process.poll() == -signal.SIGKILL


def test_half_a_start_falls_free_at_once_although_other_scripts_run(
    executor: Local, tmp_path: Path
) -> None:
    executor.at_work("import time; time.sleep(1000)")
    files = WorkerFiles(tmp_path, 1)
    lock = files.take()
    assert lock is not None
    assert executor._link.connection
    fds = [lock, *files.begin(lock, executor.name_of(2))]
    socket.send_fds(executor._link.connection, [struct.pack("!I", 100)], fds)
    for fd in fds:
        os.close(fd)
    assert files.held(), "the request itself holds the lock"
    executor._link.connection.close()  # as at the driver's death, before the rest was sent
    wait_for(lambda: not files.held())
    assert files.record(executor.name_of(2)) == Record(asked=True)
    assert WorkerFiles(tmp_path, 0).held()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT", "SIGHUP"])
def test_fault_111_a_stop_signal_that_hits_the_parent_of_the_scripts_is_in_their_records(
    executor: Local, name: str
) -> None:
    files = executor.at_work("import time; time.sleep(1000)")
    assert executor._link.process
    executor._link.process.send_signal(signal.Signals[name])
    wait_for(lambda: files.record(executor.name_of(1)).signalled)
    executor.kill(1)
    ended = executor.next_end()
    assert ended.record.signalled
    assert not executor.run("pass", attempt=2).record.signalled


def test_fault_111_without_a_driver_an_answer_to_a_signal_that_comes_to_the_parent_last_is_marked(
    executor: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HBTRACK_FAULT", "warden.reap.before:1:freeze")
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print(0.0, flush=True), os._exit(0)))\n"
        "open('ready', 'w').close()\n"
        "time.sleep(1000)"
    )
    files = executor.at_work(code)
    wait_for((tmp_path / "ready").exists)
    warden, pid = executor._link.process, files.record(executor.name_of(1)).pid
    assert warden
    assert pid
    assert executor._link.connection
    executor._link.connection.close()  # as at the driver's death
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: process_state(warden.pid) == "T")  # the script has ended
    warden.send_signal(signal.SIGTERM)
    warden.send_signal(signal.SIGCONT)
    wait_for(lambda: files.record(executor.name_of(1)).ended)
    assert files.record(executor.name_of(1)).signalled


def test_what_macos_lacks_is_missing_in_the_tests_of_it_also_for_the_parent_of_scripts(
    tmp_path: Path,
) -> None:
    look = tmp_path / "look.py"
    look.write_text("import os; print(hasattr(os, 'waitid'), flush=True); open('/proc/stat')")
    parents = [ROOT / "tests" / "macos" / "python", "-S", "-I"]
    for words in ([sys.executable], parents):
        said = subprocess.run(
            [*words, look], env={**os.environ, **MACOS}, capture_output=True, text=True
        )
        assert said.stdout == "False\n"
        assert "No such file or directory: '/proc/stat'" in said.stderr


def test_a_disk_that_tells_nothing_of_its_blocks_is_not_taken_for_full() -> None:
    if os.statvfs("/proc").f_blocks:
        pytest.skip("there is no such file system here")
    assert not is_full(os.statvfs("/proc"))
    assert is_full(os.statvfs_result((4096, 4096, 100, 0, 0, 0, 0, 0, 0, 255)))
