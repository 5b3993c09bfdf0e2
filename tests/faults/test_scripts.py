"""Scripts that fail, die, hang, flood and leave things behind: the search tells, and goes on."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SCRIPTS, Hbtrack, wait_for

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")

DOES = (SCRIPTS / "faults" / "does.py").read_text()
CONFIGS = {1: 1, 5: 3, 17: 9}  # that a pass of so many epochs samples

Does = Callable[..., list[tuple[object, ...]]]


def search(*codes: str) -> tuple[object, ...]:
    """A search in which config N does what the N-th code says, and nothing is doubted."""
    epochs = next(epochs for configs, epochs in CONFIGS.items() if configs >= len(codes))
    return ("--max-epochs", epochs, "--max-streak", "none", "script.py", "--", *codes)


def ends(hbtrack: Hbtrack, columns: str, configs: int) -> list[tuple[object, ...]]:
    """How the attempts of the first configs ended, at the budgets where they came in."""
    return hbtrack.rows(
        f"SELECT {columns} FROM attempts a LEFT JOIN failures f USING (config_id, epochs) "
        "WHERE CAST(config_id AS INTEGER) < ? AND epochs = "
        "(SELECT min(epochs) FROM attempts b WHERE b.config_id = a.config_id) "
        "ORDER BY CAST(config_id AS INTEGER), attempt",
        [configs],
    )


@pytest.fixture
def does(hbtrack: Hbtrack, script: Callable[[str], Path]) -> Does:
    """Run a search to its end; how the attempts of each code ended."""

    def run(
        *codes: str, columns: str = "a.status, a.loss, error_type", **options: object
    ) -> list[tuple[object, ...]]:
        script(DOES)
        hbtrack("run", *search(*codes), **options)  # type: ignore[arg-type]
        assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]
        return ends(hbtrack, columns, len(codes))

    return run


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """After every test: no process is left that has anything to do with its folder."""
    yield
    try:
        wait_for(lambda: not left(tmp_path))
    finally:
        for pid in left(tmp_path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def left(folder: Path) -> list[int]:
    """Processes that speak of the folder or of an attempt in it, work in it or have files open."""
    database = Hbtrack(folder)
    tokens = database.rows("SELECT token FROM _search") if database.database.exists() else []
    marks = [os.fsencode(folder), *(b"HBTRACK_ATTEMPT=%s" % str(row[0]).encode() for row in tokens)]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            links = [process / "cwd", *(process / "fd").iterdir()]
            about += b"".join(os.fsencode(os.readlink(link)) for link in links if link.is_symlink())
            if any(mark in about for mark in marks) and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


# --- how a script ends ---------------------------------------------------------------------------


def test_fault_19_20_21_22_the_exit_status_decides_and_the_error_is_kept(
    hbtrack: Hbtrack, does: Does
) -> None:
    found = does(
        "raise LookupError('no such layer')",
        "sys.exit(2)",
        "print(0.25, flush=True); os._exit(137)",
        "print(0.25); sys.exit(255)",
        "print(0.25); raise ValueError('too late')",
        "import traceback\ntry: {}[1]\nexcept KeyError: traceback.print_exc()\nprint(0.25)",
        "print(0.25); sys.stderr.write('0.5\\n' * 100_000)",
        columns="a.status, exit_code, error_type, error_message",
    )
    assert found == [
        ("failed", 1, "LookupError", "no such layer"),
        ("failed", 2, "exit_code", "exit code 2: nothing on stderr"),
        ("failed", 137, "exit_code", "exit code 137: nothing on stderr"),
        ("failed", 255, "exit_code", "exit code 255: nothing on stderr"),
        ("failed", 1, "ValueError", "too late"),
        ("done", 0, None, None),
        ("done", 0, None, None),
    ]
    [(error,)] = hbtrack.rows("SELECT error FROM failures WHERE config_id = '0'")
    assert "Traceback (most recent call last)" in str(error)
    assert "in <module>" in str(error)
    best = hbtrack.rows("SELECT best_loss, best_config_id FROM searches")
    assert best == [(0.25, "5")], "losses of failed evaluations count nowhere"


def test_fault_19_an_endless_error_is_kept_in_part(hbtrack: Hbtrack, does: Does) -> None:
    long = "f'{config} ' * 10**6"
    found = does(
        f"raise ValueError({long})",
        f"sys.exit({long})",
        "def f(): f()\nf()",
        columns="a.status, length(f.error) < 200000, length(stderr_tail) <= 65536",
    )
    assert found == [("failed", 1, 1)] * 3
    types = hbtrack.rows("SELECT error_type FROM failures WHERE config_id = '2'")
    assert types == [("RecursionError",)]
    assert hbtrack.database.stat().st_size < 2_000_000


FATAL = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGALRM"]


def test_fault_23_a_crash_is_a_failure_by_the_name_of_its_signal(does: Does) -> None:
    codes = [
        "ctypes.string_at(0)",
        "os.abort()",
        *(f"signal.raise_signal(signal.{s})" for s in FATAL),
    ]
    found = does(
        *(f"print(0.5, flush=True); {code}" for code in codes),
        columns="a.status, a.signal, exit_code, error_type, f.error",
    )
    for name, (*facts, error) in zip(["SIGSEGV", "SIGABRT", *FATAL], found, strict=True):
        assert facts == ["failed", name, None, "signal"]
        assert str(error).startswith(f"The script was ended by {name}. It had printed 0.5: ")


STOPS = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"]


def test_fault_23_what_somebody_else_ends_is_lost_and_run_again(does: Does) -> None:
    signals = [f"os.kill(os.getpid(), signal.{name})" for name in STOPS]
    codes = [
        f"print(0.5, flush=True)\nif first('stopped'): {end}\nprint(0.25)"
        for end in [*signals, "os._exit(130)", "os._exit(143)"]
    ]
    found = does(*codes, columns="a.status, a.signal, exit_code, a.loss")
    assert found[::2] == [
        *(("lost", name, None, None) for name in STOPS),
        ("lost", None, 130, None),
        ("lost", None, 143, None),
    ]
    assert found[1::2] == [("done", None, 0, 0.25)] * len(codes)


def test_fault_23_what_is_killed_every_time_fails_with_a_hint_at_memory(
    hbtrack: Hbtrack, does: Does
) -> None:
    found = does("os.kill(os.getpid(), signal.SIGKILL)", columns="a.status, a.signal")
    assert found == [*[("lost", "SIGKILL")] * 5, ("failed", "SIGKILL")]
    [(kind, message)] = hbtrack.rows("SELECT error_type, error_message FROM failures")
    assert kind == "killed"
    assert "6 times" in str(message)
    assert "memory" in str(message)


# --- what it prints ------------------------------------------------------------------------------


def test_fault_27_28_a_loss_that_is_not_finite_is_a_failure_never_promoted_never_best(
    hbtrack: Hbtrack, does: Does
) -> None:
    printed = ["nan", "-inf", "inf", "1e400", "-1e400", "-nan", "Infinity"]
    found = does(*(f"print('{word}')" for word in printed), columns="a.status, a.loss, error_type")
    assert found == [("failed", None, "not_finite")] * len(printed)
    messages = hbtrack.rows("SELECT error FROM failures ORDER BY CAST(config_id AS INTEGER)")
    for word, (message,) in zip(printed, messages, strict=True):
        assert repr(word) in str(message)
    bad = "config_id IN (SELECT config_id FROM failures)"
    assert hbtrack.rows(f"SELECT DISTINCT loss, promoted FROM results WHERE {bad}") == [(100.0, 0)]
    assert hbtrack.rows(f"SELECT * FROM leaderboard WHERE {bad}") == []
    assert hbtrack.rows("SELECT best_loss, best_config_id FROM searches") == [(1007.0, "7")]
    assert hbtrack.rows("SELECT count(*) FROM results WHERE promoted") == [(2 + 1 + 1,)]


def test_fault_32_33_what_stands_before_and_after_the_last_line_does_not_matter(
    hbtrack: Hbtrack, does: Does
) -> None:
    printed = [
        r"b'\xff\xfe caf\xe9 \0\n0.25\n'",
        r"b'0.25'",
        r"b'0.5\r\n0.25\r\n'",
        r"b'0.5\n0.25\n\n \t\r\n\n'",
        r"b'\n' * 10**6 + b'0.25' + b'\n' * 10**6",
    ]
    found = does(*(f"sys.stdout.buffer.write({text})" for text in printed))
    assert found == [("done", 0.25, None)] * len(printed)
    [(tail,)] = hbtrack.rows(
        "SELECT stdout_tail FROM attempts WHERE config_id = '0' AND epochs = 1"
    )
    assert tail == "\ufffd\ufffd caf\ufffd \ufffd\n0.25\n"


def test_fault_29_30_31_34_35_36_38_any_other_last_line_is_a_failure_that_quotes_it(
    hbtrack: Hbtrack, does: Does
) -> None:
    prints = {
        "pass": "printed nothing",
        "print('\\n \\t\\r\\n')": "printed nothing",
        "print(0.25, file=sys.stderr)": "printed nothing",
        "print('loss: 0.25')": "'loss: 0.25'",
        "print('0,25')": "'0,25'",
        "print(f'tensor({0.25})')": "'tensor(0.25)'",
        "print(0.25, 0.5)": "'0.25 0.5'",
        "print(True)": "'True'",
        "print('1_000')": "'1_000'",
        "sys.stdout.buffer.write('\\u0663.\\u0662\\n'.encode())": "'\u0663.\u0662'",
        "sys.stdout.buffer.write('\\u22120.25\\n'.encode())": "ASCII digits",
        "print('0x1p3')": "'0x1p3'",
        "print('epoch 1\\r0.25')": "progress bar",
        "print('\\x1b[32m0.25\\x1b[0m')": "colour codes",
        "import atexit; atexit.register(print, '2 files open'); print(0.25)": "'2 files open'",
        "print(0.25); print('x' * 100_000)": "'xxxxxx",
    }
    found = does(*prints, columns="a.status, a.loss, error_message, length(f.error) < 1000")
    for (status, loss, message, short), says in zip(found, prints.values(), strict=True):
        assert (status, loss, short) == ("failed", None, 1)
        assert says in str(message)
        assert "print(" in str(message)  # how to print it, or before what
    kept = hbtrack.rows("SELECT stderr_tail FROM attempts WHERE config_id = '2'")
    assert kept[0] == ("0.25\n",)


def peak_memory(pid: int) -> int:
    """The most bytes that a process ever had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def used(folder: Path) -> int:
    """Bytes of all files."""
    found = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # it has just gone
            found += path.stat().st_size if path.is_file() else 0
    return found


@linux
@pytest.mark.parametrize(
    "block",
    [
        "b'7' * 2**20",
        pytest.param("b'text of a line\\n' * 2**16", marks=pytest.mark.slow),
        pytest.param("b'\\n' * 2**20", marks=pytest.mark.slow),
    ],
)
def test_fault_37_a_flood_of_output_costs_neither_memory_nor_room(
    hbtrack: Hbtrack, script: Callable[[str], Path], block: str
) -> None:
    flood = f"block = {block}\nfor _ in range(300): os.write(1, block); os.write(2, block[:2**16])"
    script(DOES)
    os.mkfifo(hbtrack.folder / "go")
    # As many workers as configs: the files of the flood are not used again.
    driver = hbtrack.start("run", "--workers", 5, *search(flood, "ready(); open('go').read()"))
    wait_for((hbtrack.folder / "ready").exists)
    wait_for(lambda: ends(hbtrack, "a.status", 1) == [("failed",)])
    wait_for(lambda: used(hbtrack.folder) < 8 * 2**20)
    assert peak_memory(driver.pid) < 100 * 2**20
    (hbtrack.folder / "go").write_text("")
    assert driver.communicate(timeout=100)[1]
    kept = "a.status, length(stdout_tail) BETWEEN 1 AND 65536, length(stderr_tail) <= 65536"
    assert ends(hbtrack, kept, 1) == [("failed", 1, 1)]


def test_fault_37_more_output_than_allowed_is_a_failure_of_its_own(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(DOES)
    codes = (
        "while True: os.write(1, b'x' * 2**16)",
        "os.write(2, b'x' * 4 * 2**20); print(0.25)",
        "os.write(2, b'x' * 2 * 2**20); print(0.25)",
    )
    hbtrack("run", "--max-log", "3MiB", *search(*codes))
    found = ends(hbtrack, "a.status, error_type", 3)
    assert found == [("failed", "log_overflow"), ("failed", "log_overflow"), ("done", None)]
    assert used(hbtrack.folder / "hbtrack.db.d") < 6 * 2**20, "the middle of each is left out"


# --- what it leaves behind, and how it treats what is around it ----------------------------------


def test_fault_39_44_the_loss_is_the_last_line_of_all_when_the_script_has_ended(
    hbtrack: Hbtrack, does: Does
) -> None:
    found = does(
        "print(0.25, flush=True); os.close(1); os.close(2)\nopen('trained on', 'w').close()",
        "reading, writing = os.pipe(); child = os.fork()\n"
        "if child: print(0.5, flush=True); os.write(writing, b'.'); os.waitpid(child, 0)\n"
        "else: os.read(reading, 1); print(0.25)",
        "child = os.fork()\nif child: os.waitpid(child, 0); print(0.25)\nelse: print(0.5)",
    )
    assert found == [("done", 0.25, None)] * 3
    assert (hbtrack.folder / "trained on").exists()


NEW_SESSION = "subprocess.Popen(['sleep', '1000'], start_new_session=True)"
LEAVES = {
    "a child": "note(subprocess.Popen(['sleep', '1000']).pid); print(0.25)",
    "a session": f"note({NEW_SESSION}.pid); print(0.25)",
    "a child that trains on": "child = os.fork()\n"
    "if child: note(child); print(0.25)\n"
    "else: time.sleep(1000); print(0.5)",
    "workers of a crash": "import multiprocessing\n"
    "for _ in range(3):\n"
    "    worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=[1000])\n"
    "    worker.start(); note(worker.pid)\n"
    "os.abort()",
    "a daemon": "daemonise(closes=False, clears=False); print(0.25)",
    "a closed daemon": "daemonise(closes=True, clears=False); print(0.25)",
}
CLEARED = {
    "a cleared daemon": "daemonise(closes=False, clears=True); print(0.25)",
    "a bare daemon": "daemonise(closes=True, clears=True); print(0.25)",
}


@linux
@pytest.mark.parametrize("leaves", [LEAVES, CLEARED], ids=["processes", "cleared"])
def test_fault_40_41_42_43_what_a_script_leaves_behind_is_gone_before_the_next_one_starts(
    does: Does, leaves: dict[str, str]
) -> None:
    found = does(*(f"assert not left()\n{code}" for code in leaves.values()))
    for name, end in zip(leaves, found, strict=True):
        crashed = name == "workers of a crash"
        assert end == (("failed", None, "signal") if crashed else ("done", 0.25, None)), name


LARGE = """
import mmap
reading, writing = os.pipe()
child = os.fork()
if child:
    os.read(reading, 1); note(child); print(0.25)
else:
    memory = mmap.mmap(-1, 2**30)
    for page in range(0, len(memory), mmap.PAGESIZE): memory[page] = 1
    os.write(writing, b"."); time.sleep(1000)
"""


@linux
@pytest.mark.slow
def test_fault_43_a_process_that_needs_time_to_give_back_its_memory_is_waited_for(
    does: Does,
) -> None:
    found = does(LARGE, "assert not left()\nprint(0.5)", columns="a.status, a.loss")
    assert found == [("done", 0.25), ("done", 0.5)]


def test_fault_45_46_what_a_script_does_to_its_surroundings_touches_nobody_else(
    hbtrack: Hbtrack, does: Does
) -> None:
    found = does(
        "os.chdir('/'); os.umask(0o777); os.environ.clear(); print(0.25)",
        "assert sys.stdin.read() == ''; print(0.25)",
        "os.closerange(3, 256); print(0.25)",
        "for stream in (1, 2): os.unlink(os.readlink(f'/proc/self/fd/{stream}'))\nprint(0.25)",
        "print(0.25, file=open('/proc/self/fd/1', 'w')); os.ftruncate(1, 0); print(0.25)",
    )
    done = ("done", 0.25, None)
    assert found == [done, done, done, ("failed", None, "no_output"), done]
    umask = os.umask(0)
    os.umask(umask)
    assert (hbtrack.folder / "hbtrack.db.d").stat().st_mode & 0o777 == 0o700


@linux
def test_fault_45_a_script_that_deletes_or_empties_its_lock_file_is_not_run_for_ever(
    hbtrack: Hbtrack, does: Does
) -> None:
    seldom = "with open(f'calls-{config}', 'a') as file: file.write('.')\n"
    seldom += "if os.path.getsize(f'calls-{config}') <= 20: "
    codes = [
        "if first('unlinked'): os.unlink(os.readlink('/proc/self/fd/9'))\nprint(0.25)",
        seldom + "os.unlink(os.readlink('/proc/self/fd/9'))\nprint(0.25)",
        seldom + "os.ftruncate(9, 0)\nprint(0.25)",
    ]
    found = does(*codes, columns="config_id, a.status")
    assert found[:2] == [("0", "lost"), ("0", "done")]
    for config in "12":
        statuses = [status for each, status in found if each == config]
        assert statuses == [*["lost"] * 5, "failed"]
    assert hbtrack.rows("SELECT DISTINCT error_type FROM failures") == [("killed",)]


# --- stopping it ---------------------------------------------------------------------------------

IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
HANGS = {
    "hangs": "ready(); time.sleep(1000)",
    "ignores": f"{IGNORES}ready(); time.sleep(1000)",
    "ignores, with children": f"{IGNORES}for _ in range(3): os.fork()\nready(); time.sleep(1000)",
    "answers": "def answer(*_): print(0.25, flush=True); os._exit(0)\n"
    "signal.signal(signal.SIGTERM, answer); ready(); time.sleep(1000)",
    "answers by a new process": "def answer(*_): os.fork() or os.setsid(); time.sleep(1000)\n"
    "signal.signal(signal.SIGTERM, answer); ready(); time.sleep(1000)",
    "is stopped": "ready(); os.kill(os.getpid(), signal.SIGSTOP)",
    "imports slowly": "with open('slow.py', 'w') as file:\n"
    "    file.write('import __main__, time; __main__.ready(); time.sleep(1000)')\n"
    "sys.path.insert(0, os.getcwd()); import slow",
    "has a daemon": "daemonise(closes=True, clears=False); ready(); time.sleep(1000)",
    "has a cleared daemon": "daemonise(closes=False, clears=True); ready(); time.sleep(1000)",
    "has a bare daemon": "daemonise(closes=True, clears=True); ready(); time.sleep(1000)",
}

SLOWER = ("answers by a new process", "imports slowly", "has a daemon", "has a cleared daemon")


@linux
@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, marks=pytest.mark.slow if name in SLOWER else ())
        for name, code in HANGS.items()
    ],
    ids=HANGS,
)
def test_fault_26_41_a_stop_ends_a_script_whatever_it_does_and_nothing_it_says_counts(
    hbtrack: Hbtrack, script: Callable[[str], Path], code: str
) -> None:
    said = stop(hbtrack, script, f"print(0.5, flush=True)\n{code}")
    assert "hbtrack resume" in said
    assert hbtrack.rows("SELECT status, loss FROM attempts") == [("interrupted", None)]
    assert hbtrack.rows("SELECT best_loss FROM searches") == [(None,)]


def stop(hbtrack: Hbtrack, script: Callable[[str], Path], *codes: str) -> str:
    """Start a search, end it by SIGTERM when a script is ready; what it says."""
    script(DOES)
    driver = hbtrack.start("run", "--grace", 0.2, *search(*codes))
    wait_for((hbtrack.folder / "ready").exists)
    driver.terminate()
    said = driver.communicate(timeout=100)[1]
    assert driver.returncode == 75
    return said


# --- the script and its interpreter change while a search is under way ---------------------------

WAITS_ONCE = "if first('waited'): ready(); time.sleep(1000)\nprint(0.25)"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("missing", marks=pytest.mark.slow),
        "not readable",
        pytest.param("not Python", marks=pytest.mark.slow),
    ],
)
def test_fault_47_a_script_that_broke_is_refused_at_run_and_resume_with_nothing_written(
    hbtrack: Hbtrack, script: Callable[[str], Path], broken: str
) -> None:
    stop(hbtrack, script, WAITS_ONCE)
    before, path = hbtrack.everything(), hbtrack.folder / "script.py"
    if broken == "not readable":
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("may read everything")
    elif broken == "missing":
        path.unlink()
    else:
        script("x = (\n")
    for words in (["run", *search(WAITS_ONCE)], ["resume"]):
        said = hbtrack(*words, code=2).stderr
        assert "script.py" in said
        assert "Traceback" not in said
        assert ("SyntaxError" in said) == (broken == "not Python")
    assert hbtrack.everything() == before
    path.unlink(missing_ok=True)
    script(DOES)
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, best_loss FROM searches") == [("finished", 0.25)]


@pytest.mark.slow
def test_fault_48_an_interpreter_that_goes_away_ends_the_search_with_nothing_failed(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(DOES)
    python = hbtrack.folder / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    code = "if first('moved'): os.rename('python', 'moved')\nprint(0.25)"
    result = hbtrack("run", "--python", "./python", *search(code, "print(0.5)"), code=1)
    assert "could not be started 5 times in a row: No such file or directory" in result.stderr
    assert "hbtrack resume" in result.stderr
    assert hbtrack.rows("SELECT status, count(*) FROM attempts GROUP BY 1 ORDER BY 1") == [
        ("done", 1),
        ("lost", 5),
    ]
    (hbtrack.folder / "moved").rename(python)
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


@pytest.mark.slow
@linux
def test_fault_48_without_descriptors_for_a_start_the_search_rests_and_then_says_why(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(DOES)
    limit = "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (8, 4096))"
    code = f"if first('limited'): {limit}\nprint(0.25)"
    result = hbtrack("run", *search(code, "print(0.5)"), code=1)
    assert "could not be started 5 times in a row: Too many open files" in result.stderr
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


def test_fault_49_an_evaluation_whose_record_was_lost_is_not_trained_again(
    hbtrack: Hbtrack, does: Does
) -> None:
    trains = (
        "print(0.25 / epochs, flush=True)\n"
        "with open(f'trained-{config}', 'a+') as file:\n"
        "    file.seek(0); done = len(file.read())\n"
        "    assert done <= epochs\n"
        "    file.write('.' * (epochs - done))\n"
        "if first(epochs): os.kill(os.getpid(), signal.SIGKILL)"
    )
    found = does(trains, trains, trains, columns="a.status, a.loss")
    assert found == [("lost", None), ("done", 0.25)] * 3
    trained = sorted(len(path.read_text()) for path in hbtrack.folder.glob("trained-*"))
    assert trained == [1, 1, 3]
    assert hbtrack.rows("SELECT epochs_done, best_loss FROM searches") == [(3 + 2 + 6, 0.25 / 3)]


def test_fault_50_a_checkpoint_that_a_kill_left_half_written_fails_its_config_alone(
    hbtrack: Hbtrack, does: Does
) -> None:
    saves = (
        "import json\n"
        "if not first('checkpoint'): json.load(open(f'checkpoint-{config}'))\n"
        "with open(f'checkpoint-{config}', 'w') as file:\n"
        "    file.write('{\"epoch\": '); file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    found = does(saves, "print(0.5)", columns="a.status, a.loss")
    assert found == [("lost", None), ("failed", None), ("done", 0.5)]
    [(kind, error)] = hbtrack.rows("SELECT error_type, error FROM failures")
    assert kind == "json.decoder.JSONDecodeError"
    assert "Traceback" in str(error)


def test_fault_51_an_edited_script_is_announced_and_kept_with_every_attempt_it_ran(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    stop(hbtrack, script, WAITS_ONCE, "print(0.5)")
    before = hbtrack.everything()
    script(DOES.replace('"does"', '"does something else"'))
    said = hbtrack("resume", code=2).stderr
    assert "'does something else'" in said
    assert hbtrack.everything() == before
    script(DOES + "# edited\n")
    said = hbtrack("resume").stderr
    assert "was changed: from 0 at " in said
    hashes = hbtrack.rows(
        "SELECT status, count(DISTINCT script_sha256), min(script_sha256) FROM attempts GROUP BY 1"
    )
    assert [(status, count) for status, count, _ in hashes] == [("done", 1), ("interrupted", 1)]
    assert hashes[0][2] != hashes[1][2]
