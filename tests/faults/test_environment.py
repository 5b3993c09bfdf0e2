"""What happens around a search: terminals, schedulers, clocks, locales, limits, containers."""

import contextlib
import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import (
    CONTRACT,
    POLITE,
    ROOT,
    STUBBORN,
    TOY,
    WAITING,
    Hbtrack,
    children,
    go_on,
    notes,
    process_state,
    ready,
    wait_for,
)
from terminal import CTRL_C, OnTerminal, terminals

Script = Callable[[str], Path]
Environment = dict[str, str]

SEARCH = ("run", "--max-epochs", 3, "--seed", 1)
PLAIN = (
    CONTRACT
    + """
if __name__ == "__main__":
    print(len(sys.argv[1]))
"""
)


def diary(hbtrack: Hbtrack) -> str:
    file = hbtrack.folder / "toy" / "diary.txt"
    return file.read_text() if file.exists() else ""


def everybody(pid: int) -> list[int]:
    """A process and all that descend from it, as a scheduler ends them."""
    return [pid, *(further for child in children(pid) for further in everybody(child))]


def typed(
    hbtrack: Hbtrack, *words: object, env: Environment | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program in hbtrack's folder; what it says need not be in our own encoding."""
    return subprocess.run(
        [*map(str, words)],
        cwd=hbtrack.folder,
        env=hbtrack.environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
    )


# --- what may change between runs, and what may not ----------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("gpus", ["7", "4,5,6"])
def test_fault_101_other_gpus_at_resume_change_only_where_it_runs(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], gpus: str
) -> None:
    golden = another()
    golden(*SEARCH, TOY)
    hold = hbtrack.folder / "toy" / "hold"
    hold.parent.mkdir()
    hold.touch()
    driver = hbtrack.start(*SEARCH, "--gpus", "0,1", TOY, "--epoch_seconds", 0.3)
    wait_for(lambda: "held" in diary(hbtrack))
    driver.send_signal(signal.SIGINT)
    assert driver.wait(100) == 75
    hold.unlink()
    ((last,),) = hbtrack.rows("SELECT max(pk) FROM _attempt")
    hbtrack("resume", "--gpus", gpus)
    used = hbtrack.rows("SELECT DISTINCT gpu FROM _attempt WHERE pk > ? ORDER BY gpu", [last])
    assert used == [(gpu,) for gpu in gpus.split(",")]
    assert hbtrack.dump() == golden.dump()


def test_fault_102_a_gpu_that_is_named_twice_still_runs_one_script_at_a_time(
    hbtrack: Hbtrack,
) -> None:
    hbtrack(*SEARCH, "--gpus", "1,0,1,0", TOY, "--epoch_seconds", 0.01)
    for gpu in ("0", "1"):
        spans = hbtrack.rows(
            "SELECT started_at, finished_at FROM attempts WHERE gpu = ? ORDER BY started_at", [gpu]
        )
        assert spans
        assert all(str(end) <= str(begin) for (_, end), (begin, _) in pairwise(spans))


# --- the clock -----------------------------------------------------------------------------------

# The system's clock is off by the seconds that the file CLOCK_OFFSET says.
OFF = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    char text[32] = {0};
    if (clock == CLOCK_REALTIME && getenv("CLOCK_OFFSET")) {
        int file = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) { read(file, text, 31); close(file); }
        now->tv_sec += atol(text);
    }
    return failed;
}
"""
NO_PROCESSES = """
#include <errno.h>
int posix_spawn() { return EAGAIN; }
"""
NO_LOCKS = """
#include <errno.h>
int flock() { errno = ENOLCK; return -1; }
"""
YEAR = 365 * 24 * 3600
JUMPS = (
    CONTRACT
    + f"""
def jump(seconds):
    with open("offset", "w") as offset:
        offset.write(str(seconds))
def leave(*_):
    jump({-YEAR})
    os.write(1, b"0.0\\n")
    os._exit(0)
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    note("ready")
    if os.path.exists("wait"):
        wait_for("gate")
    with open("notes") as notes:
        jump(({YEAR}, {-YEAR}, 0)[len(notes.readlines()) % 3])
    print(len(sys.argv[1]))
"""
)


@pytest.fixture
def preload(tmp_path: Path) -> Callable[[str], Environment]:
    """Compiles C that stands in for functions of the C library; the environment with it."""

    def compiled(source: str) -> Environment:
        compiler = shutil.which("cc")
        if sys.platform != "linux" or not compiler:
            pytest.skip("no C compiler here, or no LD_PRELOAD")
        (tmp_path / "shim.c").write_text(source)
        words = [compiler, "-shared", "-fPIC", "-w", "-o", "shim.so", "shim.c"]
        subprocess.run(words, cwd=tmp_path, check=True)
        return {"LD_PRELOAD": str(tmp_path / "shim.so"), "CLOCK_OFFSET": str(tmp_path / "offset")}

    return compiled


@pytest.mark.slow
def test_fault_103_a_clock_that_jumps_by_years_spoils_no_duration_and_no_result(
    hbtrack: Hbtrack,
    another: Callable[[], Hbtrack],
    script: Script,
    preload: Callable[[str], Environment],
) -> None:
    golden, path, env = another(), script(JUMPS), preload(OFF)
    golden(*SEARCH, path)
    begun = time.monotonic()
    hbtrack(*SEARCH, path, env=env)
    took = time.monotonic() - begun
    assert hbtrack.dump() == golden.dump()
    years = "SELECT julianday(max(started_at)) - julianday(min(started_at)) > 700 FROM attempts"
    assert hbtrack.rows(years) == [(1,)]  # it did jump
    seconds = [float(str(row[0])) for row in hbtrack.rows("SELECT seconds FROM attempts")]
    assert min(seconds) > 0
    assert sum(seconds) < took
    for words in (("status",), ("report",)):
        hbtrack(*words, env=env)


@pytest.mark.slow
def test_fault_103_a_clock_set_back_while_scripts_are_stopped_makes_no_answer_count(
    hbtrack: Hbtrack, script: Script, preload: Callable[[str], Environment]
) -> None:
    (hbtrack.folder / "wait").touch()
    driver = hbtrack.start(*SEARCH, script(JUMPS), env=preload(OFF))
    wait_for(lambda: ready(hbtrack))
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(100) == 75
    assert hbtrack.rows("SELECT status, loss FROM attempts") == [("interrupted", None)]
    go_on(hbtrack)


# --- language and numbers ------------------------------------------------------------------------

WORDY = """
def run_identity(argv): return "Straße ıİ €"
def get_random_config_id(rng): return f"größe:{rng.randint(10**6)}.İ:€"
if __name__ == "__main__":
    import locale, re, sys
    locale.setlocale(locale.LC_ALL, "")
    print(int(re.search("[0-9]+", sys.argv[1])[0]) / 7)
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with locales that this machine need not have."""
    folder = tmp_path_factory.mktemp("locales")
    program = shutil.which("localedef")
    for name, charset in (("de_DE", "ISO-8859-1"), ("tr_TR", "UTF-8")):
        made = folder / f"{name}.{charset}"
        words = [str(program), "-i", name, "-f", charset, str(made)]
        if not program or subprocess.run(words, capture_output=True).returncode > 1:
            pytest.skip("no locales can be made here")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns"},
    ],
    ids=lambda env: " ".join(env.values()),
)
def test_fault_104_the_language_of_the_machine_changes_nothing(
    hbtrack: Hbtrack,
    another: Callable[[], Hbtrack],
    script: Script,
    locales: Path,
    env: Environment,
) -> None:
    golden, path = another(), script(WORDY)
    golden(*SEARCH, path)
    query = ("sql", "SELECT config_id, loss FROM results ORDER BY loss", "--format", "json")
    for words in ((*SEARCH, path), ("resume",), ("status",), ("report",), query):
        result = typed(hbtrack, *hbtrack.command(*words), env={**env, "LOCPATH": str(locales)})
        assert result.returncode == 0, result.stderr
    assert hbtrack.dump() == golden.dump()
    assert json.loads(result.stdout) == json.loads(golden(*query).stdout)


def test_a_database_may_have_any_name_that_the_file_system_takes(hbtrack: Hbtrack) -> None:
    name = os.fsdecode(b"%20?#&\n\xff.db")
    hbtrack(*SEARCH, "--progress", "lines", "--db", name, TOY)
    for words in (["report"], ["db", "check"]):
        hbtrack(*words, "--db", name)


FLOATS = """
import struct, sys
ODD = [0.1 + 0.2, 5e-324, -5e-324, sys.float_info.max, sys.float_info.min, 1e22, 1 / 3, 1e-7, 3.0]
def run_identity(argv): return "floats"
def get_random_config_id(rng, drawn=[]):
    drawn.append(rng)
    value = ODD[len(drawn) - 1] if len(drawn) <= len(ODD) else float("nan")
    while value != value or abs(value) == float("inf"):
        value = struct.unpack("d", rng.bytes(8))[0]
    return "f:" + value.hex()
if __name__ == "__main__":
    print(repr(float.fromhex(sys.argv[1][2:])))
"""


@pytest.mark.slow
def test_fault_115_a_loss_comes_back_with_every_bit(hbtrack: Hbtrack, script: Script) -> None:
    hbtrack("run", "--max-epochs", 9, script(FLOATS))
    losses = dict(hbtrack.rows("SELECT DISTINCT config_id, loss FROM results"))
    assert len(losses) == 17
    for config_id, loss in losses.items():
        assert config_id == f"f:{float(str(loss)).hex()}"
    query = ("sql", "SELECT config_id, loss FROM results", "--format", "json")
    rows = hbtrack(*query).stdout
    for loss in losses.values():
        assert repr(loss) in rows


# --- limits --------------------------------------------------------------------------------------

COUNTS = (
    CONTRACT
    + """
if __name__ == "__main__":
    warden = os.getppid()
    with open(f"/proc/{warden}/stat") as stat:
        driver = stat.read().rpartition(")")[2].split()[1]
    note(" ".join(str(len(os.listdir(f"/proc/{pid}/fd"))) for pid in (driver, warden)))
    print(0.5)
"""
)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_fault_105_no_descriptor_leaks_however_many_evaluations(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 9, "--passes", 2, script(COUNTS))
    counts = [[int(word) for word in line.split()] for line in notes(hbtrack)]
    assert len(counts) > 40
    early, late = counts[:15], counts[-15:]
    for of in (0, 1):  # the driver, the scripts' parent
        assert min(count[of] for count in late) <= max(count[of] for count in early)


def limited(hbtrack: Hbtrack, limit: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command with a limit on it and on all that it starts."""
    program = shutil.which("prlimit")
    if not program:
        pytest.skip("there is no prlimit program here")
    return typed(hbtrack, program, limit, *hbtrack.command(*words))


@pytest.mark.parametrize(("workers", "code"), [(2, 0), (17, 1)])
def test_fault_105_with_few_descriptors_a_search_runs_or_says_so_and_goes_on_with_less(
    hbtrack: Hbtrack, script: Script, workers: int, code: int
) -> None:
    words = ("run", "--max-epochs", 9, "--workers", workers, script(PLAIN))
    result = limited(hbtrack, "--nofile=24", *words)
    assert "Traceback" not in result.stderr
    assert result.returncode == code
    if code:
        assert "Too many open files" in result.stderr
        assert limited(hbtrack, "--nofile=24", "resume", "--workers", 2).returncode == 0
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


@pytest.mark.slow
def test_fault_105_when_no_process_can_be_started_starts_rest_and_then_say_why(
    hbtrack: Hbtrack, script: Script, preload: Callable[[str], Environment]
) -> None:
    path = script(PLAIN)
    result = hbtrack(*SEARCH, "--workers", 2, path, env=preload(NO_PROCESSES), code=1)
    assert f"5 times in a row: {os.strerror(errno.EAGAIN)}" in result.stderr
    assert "hbtrack resume" in result.stderr
    go_on(hbtrack)


@pytest.mark.parametrize("megabytes", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_fault_105_with_little_memory_a_search_runs_or_says_so_without_a_traceback(
    hbtrack: Hbtrack, script: Script, megabytes: int
) -> None:
    result = limited(hbtrack, f"--as={megabytes * 2**20}", *SEARCH, script(PLAIN))
    assert result.returncode in (0, 1, 2), result.stderr
    if result.returncode:
        assert any(line.startswith("hbtrack: ") for line in result.stderr.splitlines())
    hbtrack(*SEARCH, script(PLAIN))


# --- terminals -----------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[OnTerminal]:
    """Start commands on a terminal; at the end of the test they are gone."""
    with terminals() as start:
        yield start


def attempts(hbtrack: Hbtrack) -> list[tuple[object, ...]]:
    return hbtrack.rows("SELECT status FROM attempts")


def test_fault_106_ctrl_c_lets_scripts_end_and_says_how_to_go_on(
    hbtrack: Hbtrack, script: Script, terminal: OnTerminal
) -> None:
    shown = terminal(hbtrack, *SEARCH, script(WAITING))
    shown.until(lambda: ready(hbtrack))
    shown.press(CTRL_C)
    assert shown.exit_status() == 75
    assert b"To go on: hbtrack resume\r\n" in shown.written
    assert b"Traceback" not in shown.written
    assert notes(hbtrack) == ["ready", "SIGTERM"]  # of hbtrack, not the terminal's SIGINT
    assert attempts(hbtrack) == [("interrupted",)]
    go_on(hbtrack)


def test_fault_107_ctrl_c_twice_ends_at_once_and_loses_nothing(
    hbtrack: Hbtrack, script: Script, terminal: OnTerminal
) -> None:
    shown = terminal(hbtrack, *SEARCH, "--grace", 1000, script(STUBBORN))
    shown.until(lambda: ready(hbtrack))
    shown.press(CTRL_C)
    shown.until(lambda: attempts(hbtrack) == [("stopping",)])
    shown.shows("Ctrl-C once more")
    shown.press(CTRL_C)
    assert shown.exit_status() == 75
    assert hbtrack.rows("SELECT status, signal FROM attempts") == [("interrupted", "SIGKILL")]
    go_on(hbtrack)


INTERRUPTS = """
import os, signal, sys
def look(event, arguments):
    if event in ("compile", "marshal.loads") or "-m hbtrack" not in " ".join(sys.orig_argv):
        return  # texts that may speak of anything; the process that imports the script
    if os.environ["MOMENT"] in f"{event} {arguments[0] if arguments else ''}":
        os.environ["MOMENT"] = "no more"
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(look)
"""


def interrupted_at(hbtrack: Hbtrack, moment: str) -> Environment:
    """The environment in which hbtrack hears a Ctrl-C when it does that."""
    (hbtrack.folder / "sitecustomize.py").write_text(INTERRUPTS)
    return {"PYTHONPATH": f"{hbtrack.folder}{os.pathsep}{ROOT}", "MOMENT": moment}


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("import hbtrack.searches.session", 130),
        ("subprocess.Popen", 75),
        ("import hbtrack.database.ddl", 75),
        pytest.param("sqlite3.connect", 75, marks=pytest.mark.slow),
    ],
)
def test_fault_108_ctrl_c_before_the_search_runs_ends_with_a_sentence_and_a_sound_file(
    hbtrack: Hbtrack, script: Script, moment: str, code: int
) -> None:
    path = script(PLAIN)
    env = interrupted_at(hbtrack, moment)
    result = hbtrack(*SEARCH, path, env=env, code=code)
    assert "interrupted" in result.stderr or "Stopped by SIGINT" in result.stderr
    assert "Traceback" not in result.stderr
    hbtrack(*SEARCH, path)
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


@pytest.mark.parametrize("moment", ["migrations/env.py", "migrations/versions/0003"])
def test_fault_108_ctrl_c_in_an_upgrade_leaves_the_file_as_it_was(
    hbtrack: Hbtrack, moment: str
) -> None:
    shutil.copyfile(ROOT / "tests" / "databases" / "0002.db", hbtrack.database)
    env = interrupted_at(hbtrack, moment)
    assert hbtrack("db", "upgrade", env=env, code=130).stderr == "hbtrack: interrupted.\n"
    assert hbtrack.rows("SELECT version_num FROM alembic_version") == [("0002",)]
    hbtrack("db", "upgrade")


@pytest.mark.parametrize("verb", ["status", "report", "sql SELECT(1)", "db backup b.db"])
def test_fault_108_ctrl_c_in_other_commands_shows_no_traceback(
    hbtrack: Hbtrack, script: Script, verb: str
) -> None:
    hbtrack(*SEARCH, script(PLAIN))
    env = interrupted_at(hbtrack, "sqlite3.connect")
    result = hbtrack(*verb.split(" "), env=env, code=130)
    assert result.stderr == "hbtrack: interrupted.\n"
    assert not (hbtrack.folder / "b.db").exists()


def test_fault_110_without_a_stderr_a_search_runs_all_the_same(hbtrack: Hbtrack) -> None:
    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    assert typed(hbtrack, *closed, *hbtrack.command(*SEARCH, TOY)).returncode == 0
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


def test_fault_109_a_terminal_that_is_closed_stops_the_search_cleanly(
    hbtrack: Hbtrack, script: Script, terminal: OnTerminal
) -> None:
    shown = terminal(hbtrack, *SEARCH, script(WAITING))
    shown.until(lambda: ready(hbtrack))
    shown.hang_up()
    assert shown.process.wait(100) == 75
    assert notes(hbtrack) == ["ready", "SIGTERM"]
    assert attempts(hbtrack) == [("interrupted",)]
    go_on(hbtrack)


@pytest.mark.parametrize(
    "how", [["nohup"], ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]], ids=["nohup", "deaf"]
)
def test_fault_109_110_a_search_that_ignores_hangups_goes_on_without_its_terminal(
    hbtrack: Hbtrack, script: Script, terminal: OnTerminal, how: list[str]
) -> None:
    shown = terminal(hbtrack, *SEARCH, script(WAITING), before=how)
    shown.until(lambda: ready(hbtrack))
    shown.hang_up()
    (hbtrack.folder / "gate").touch()
    assert shown.process.wait(100) == 0
    assert set(notes(hbtrack)) == {"ready"}
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


def test_fault_112_ctrl_z_stops_hbtrack_but_no_script_and_fg_takes_what_ended(
    hbtrack: Hbtrack, script: Script, terminal: OnTerminal
) -> None:
    if not shutil.which("bash"):
        pytest.skip("there is no bash here, which has job control")
    shell = ["bash", "-mc", '"$@"; read key; fg; exit $?', "bash"]
    shown = terminal(hbtrack, *SEARCH, script(WAITING), before=shell)
    shown.until(lambda: ready(hbtrack))
    (driver,) = children(shown.process.pid)
    shown.press(b"\x1a")
    shown.until(lambda: process_state(driver) == "T")
    (hbtrack.folder / "gate").touch()
    lock = hbtrack.folder / "hbtrack.db.d" / "1" / "0.lock"
    shown.until(lambda: "exit 0" in lock.read_text())
    assert attempts(hbtrack) == [("running",)]
    shown.press(b"x\n")
    assert shown.exit_status() == 0
    assert set(notes(hbtrack)) == {"ready"}
    assert hbtrack.rows("SELECT DISTINCT attempt, status FROM attempts") == [(1, "done")]


# --- schedulers ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "deaf",
    [False, True],
    ids=["scripts that die", "scripts that do not"],
)
def test_fault_111_a_job_that_is_warned_ended_killed_and_requeued_comes_to_the_same_end(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], script: Script, deaf: bool
) -> None:
    golden = another()
    golden(*SEARCH, TOY)
    ignore = (
        "import signal\nif __name__ == '__main__':\n"
        "    signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    )
    path = script((ignore if deaf else "") + TOY.read_text())
    job = hbtrack.start(*SEARCH, "--workers", 2, path, "--epoch_seconds", 0.3)
    wait_for(lambda: diary(hbtrack).count("epoch") > 1)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL):
        for pid in everybody(job.pid) if job.poll() is None else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if deaf and number == signal.SIGUSR1:
            wait_for(lambda: ("stopping",) in attempts(hbtrack) or job.poll() is not None)
    job.wait()
    hbtrack("resume")
    assert hbtrack.dump() == golden.dump()
    assert "RACE" not in diary(hbtrack)


def test_fault_111_what_scripts_answer_to_a_signal_that_hbtrack_got_first_never_counts(
    hbtrack: Hbtrack, script: Script
) -> None:
    driver = hbtrack.start(*SEARCH, script(POLITE))
    wait_for(lambda: ready(hbtrack))
    lock = hbtrack.folder / "hbtrack.db.d" / "1" / "0.lock"
    wait_for(lambda: "pid " in lock.read_text())
    driver.send_signal(signal.SIGSTOP)  # busy: with a slow disk, say
    driver.send_signal(signal.SIGTERM)
    os.kill(int(lock.read_text().split("pid ")[1].split()[0]), signal.SIGTERM)
    wait_for(lambda: "exit 0" in lock.read_text())
    driver.send_signal(signal.SIGCONT)
    assert driver.wait(100) == 75
    ends = hbtrack.rows("SELECT status, loss, exit_code, stdout_tail FROM attempts")
    assert ends == [("interrupted", None, 0, "0.0\n")]
    go_on(hbtrack)


# --- containers ----------------------------------------------------------------------------------

CONTAINER = ["unshare", "--map-root-user", "--pid", "--fork", "--mount", "--mount-proc"]


@pytest.fixture
def contained(hbtrack: Hbtrack) -> Callable[..., subprocess.Popen[str]]:
    """Starts hbtrack as process 1 of a container, after some preparation by a shell."""
    if not shutil.which("unshare") or subprocess.run([*CONTAINER, "true"]).returncode:
        pytest.skip("no namespaces here")

    def run(*words: object, after: str = "true") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*CONTAINER, "sh", "-c", f'{after} && exec "$@"', "sh", *hbtrack.command(*words)],
            cwd=hbtrack.folder,
            env=hbtrack.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.mark.parametrize(
    "after",
    [
        "true",
        "mount -t tmpfs none /proc",
        "mount --make-rprivate / && mount --bind . . && mount -o remount,ro,bind /",
    ],
    ids=["process 1", "no proc", "read-only root"],
)
def test_fault_113_a_search_runs_in_a_container(
    hbtrack: Hbtrack, script: Script, contained: Callable[..., subprocess.Popen[str]], after: str
) -> None:
    leaves_a_daemon = PLAIN + (
        "    import subprocess\n    subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    )
    driver = contained(*SEARCH, script(leaves_a_daemon), after=after)
    said = driver.communicate(timeout=100)[1]
    assert driver.returncode == 0, said
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


def test_fault_113_process_1_of_a_container_is_stopped_by_a_signal(
    hbtrack: Hbtrack, script: Script, contained: Callable[..., subprocess.Popen[str]]
) -> None:
    shell = contained(*SEARCH, script(WAITING))
    wait_for(lambda: ready(hbtrack))
    (driver,) = children(shell.pid)
    os.kill(driver, signal.SIGTERM)
    assert shell.wait(100) == 75
    shell.communicate()
    assert notes(hbtrack) == ["ready", "SIGTERM"]
    assert attempts(hbtrack) == [("interrupted",)]
    go_on(hbtrack)


@pytest.mark.slow
def test_fault_113_a_script_that_lives_in_another_container_is_waited_for(
    hbtrack: Hbtrack,
    script: Script,
    contained: Callable[..., subprocess.Popen[str]],
) -> None:
    killed = hbtrack.start(*SEARCH, script(WAITING))
    wait_for(lambda: ready(hbtrack))
    killed.kill()
    killed.wait()
    other = contained("resume")
    # Longer than a lock may be held by nobody who can be seen.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: other.poll() is not None or len(notes(hbtrack)) > 1, seconds=4)
    alone = notes(hbtrack) == ["ready"]
    (hbtrack.folder / "gate").touch()
    assert other.wait(100) == 0
    other.communicate()
    assert alone
    first = "SELECT status, attempt FROM attempts ORDER BY started_at LIMIT 1"
    assert hbtrack.rows(first) == [("done", 1)]


def test_fault_95_113_a_disk_without_locks_is_refused_in_a_sentence(
    hbtrack: Hbtrack, preload: Callable[[str], Environment]
) -> None:
    said = hbtrack(*SEARCH, TOY, env=preload(NO_LOCKS), code=1).stderr
    assert "has no locks" in said
    assert "--db" in said
    assert not (hbtrack.folder / "toy").exists()


# --- another Python ------------------------------------------------------------------------------


def pythons() -> list[str]:
    """Other interpreters on this machine that hbtrack supports."""
    places = [*map(Path, os.get_exec_path()), *Path.home().glob(".pyenv/versions/*/bin")]
    found = {
        f"3.{minor}": str(place / f"python3.{minor}")
        for minor in range(11, 20)
        for place in places
        if place.name != "shims" and (place / f"python3.{minor}").is_file()
    }
    return [path for version, path in found.items() if version != f"3.{sys.version_info.minor}"]


@pytest.mark.slow
@pytest.mark.parametrize("python", pythons() or [None])
def test_fault_114_a_search_goes_on_under_another_python(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], python: str | None
) -> None:
    # The libraries are this interpreter's: what hbtrack itself loads of them need not be compiled.
    if python is None:
        pytest.skip("there is no other Python here")
    import sqlalchemy

    libraries = Path(sqlalchemy.__file__).parent.parent
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{libraries}", "PYTHONDONTWRITEBYTECODE": "1"}
    if typed(hbtrack, python, "-c", "import sqlalchemy, alembic", env=env).returncode:
        pytest.skip(f"{python} cannot load the libraries")
    golden = another()
    golden(*SEARCH, TOY)
    (hbtrack.folder / "toy").mkdir()
    (hbtrack.folder / "toy" / "hold_after").write_text("1")
    driver = hbtrack.start(*SEARCH, TOY, "--epoch_seconds", 0.2)
    wait_for(lambda: "held" in diary(hbtrack))
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=100)
    assert driver.returncode == 75
    (hbtrack.folder / "toy" / "hold").unlink()
    result = typed(hbtrack, python, "-m", "hbtrack", "resume", "--workers", 2, env=env)
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    assert hbtrack.dump() == golden.dump()
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        ours = connection.execute("SELECT count(DISTINCT python) FROM _driver").fetchone()
    assert ours == (1,)  # the scripts' own interpreter stays
