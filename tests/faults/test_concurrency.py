"""Several hbtracks at once, stale ones, and process numbers that come to mean somebody else."""

import fcntl
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import CONTRACT, ROOT, SYSTEMS, TOY, Hbtrack, children, notes, wait_for

from hbtrack.driver import lock
from hbtrack.driver.lock import PATIENCE, DriverLock, Owner, owner_of, signal_owner
from hbtrack.errors import Conflict

Script = Callable[..., Path]

# Its first call waits for the file `gate`, all others for `again`; each is noted.
GATED = (
    CONTRACT
    + """
if __name__ == "__main__":
    gate = "again" if os.path.exists("notes") else "gate"
    note(f"{sys.argv[1]} {sys.argv[3]}")
    wait_for(gate)
    print(len(sys.argv[1]))
"""
)


def files(hbtrack: Hbtrack) -> Path:
    return hbtrack.folder / "hbtrack.db.d" / "1"


def log(hbtrack: Hbtrack) -> str:
    note = files(hbtrack) / "log"
    return note.read_text() if note.exists() else ""


def script_of(hbtrack: Hbtrack) -> int:
    """The process of the first worker's attempt."""
    return int((files(hbtrack) / "0.lock").read_text().split("pid ")[1].split()[0])


# --- one driver ----------------------------------------------------------------------------------

BARRIER = (
    GATED
    + """
if __name__ != "__main__":
    open(f"imported{os.getpid()}", "w").close()
    wait_for("start")
"""
)


@pytest.mark.parametrize("rivals", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_fault_66_of_drivers_that_start_at_once_one_runs_and_the_others_name_it(
    hbtrack: Hbtrack, script: Script, rivals: int
) -> None:
    path = script(BARRIER)
    drivers = [hbtrack.start("run", "--max-epochs", 3, path) for _ in range(rivals)]
    wait_for(lambda: len(list(hbtrack.folder.glob("imported*"))) == rivals)
    (hbtrack.folder / "start").touch()
    wait_for(lambda: sum(driver.poll() is None for driver in drivers) == 1)
    (winner,) = (driver for driver in drivers if driver.poll() is None)
    for loser in set(drivers) - {winner}:
        assert loser.wait() == 4
        said = loser.communicate()[1]
        assert f"pid {winner.pid} on {os.uname().nodename}, for 0:0" in said
    for name in ("gate", "again"):
        (hbtrack.folder / name).touch()
    assert winner.wait(100) == 0
    assert hbtrack.rows("SELECT count(*) FROM _driver") == [(1,)]
    assert max(Counter(notes(hbtrack)).values()) == 1


def test_fault_66_a_search_that_is_owned_is_refused_within_about_a_second(tmp_path: Path) -> None:
    first = DriverLock(tmp_path, "mine")

    def seconds() -> float:
        begun = time.monotonic()
        with pytest.raises(Conflict, match=f"pid {os.getpid()} on {os.uname().nodename}, for 0:0"):
            DriverLock(tmp_path, "mine")
        return time.monotonic() - begun

    # A busy machine may hold one up for some time.
    assert any(seconds() < 2 * PATIENCE + 0.5 for _ in range(20))
    first.release()


@pytest.fixture
def unnamed(tmp_path: Path) -> Iterator[Path]:
    """The file of a driver that has the lock and has not written who it is."""
    path = tmp_path / "driver.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def test_fault_66_a_driver_is_named_that_writes_its_name_after_a_stall(unnamed: Path) -> None:
    line = json.dumps({"host": "lab", "pid": 7, "since": 1.0})
    writes = threading.Timer(0.3, unnamed.write_text, [line])
    writes.start()
    assert owner_of(unnamed.parent) == Owner("lab", 7, 1.0)
    writes.join()


def test_fault_66_a_driver_that_never_writes_its_name_has_just_started(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "NAMING", 0.2)
    assert str(owner_of(unnamed.parent)) == "just started"
    with pytest.raises(Conflict, match=r"Another hbtrack is running 'mine' \(just started\)"):
        DriverLock(unnamed.parent, "mine")
    with pytest.raises(Conflict, match="just started"):
        signal_owner(unnamed.parent, signal.SIGTERM)


def test_fault_66_stop_reaches_a_driver_that_writes_its_name_over_that_of_the_one_before(
    unnamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(pid: int) -> None:
        unnamed.write_text(json.dumps({"host": os.uname().nodename, "pid": pid, "since": 1.0}))

    reached: list[int] = []

    def signal_if(pid: int, *_: object) -> bool:
        if pid == 7:  # it is gone, and the next writes its name just now
            written(8)
            return False
        reached.append(pid)
        return True

    written(7)
    monkeypatch.setattr(lock, "signal_if", signal_if)
    assert signal_owner(unnamed.parent, signal.SIGTERM)
    assert reached == [8]


CROWD = """
import sys, time
from pathlib import Path
from hbtrack.driver.lock import owner_of
folder, ends = Path(sys.argv[1]), time.monotonic() + 100
(folder / f"looks{sys.argv[2]}").touch()
while not (folder / "all").exists() and time.monotonic() < ends:
    time.sleep(0.01)  # or those that are there would leave no processor to the others
while not (folder / "enough").exists() and time.monotonic() < ends:
    for _ in range(100):
        owner_of(folder)
"""


def test_fault_66_a_crowd_that_asks_for_the_status_is_never_taken_for_another_driver(
    tmp_path: Path,
) -> None:
    DriverLock(tmp_path, "mine").release()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, tmp_path, str(number)], env=environment)
        for number in range(20)
    ]
    try:
        wait_for(lambda: len(list(tmp_path.glob("looks*"))) == len(crowd))
        (tmp_path / "all").touch()
        for _ in range(10):
            DriverLock(tmp_path, "mine").release()
    finally:
        for name in ("all", "enough"):
            (tmp_path / name).touch()
        for process in crowd:
            process.wait()


def test_fault_66_a_reader_that_is_slow_to_let_go_is_not_taken_for_another_driver(
    tmp_path: Path,
) -> None:
    DriverLock(tmp_path, "mine").release()
    lock = os.open(tmp_path / "driver.lock", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    lets_go = threading.Timer(2 * PATIENCE, os.close, [lock])
    lets_go.start()
    try:
        DriverLock(tmp_path, "mine").release()
    finally:
        lets_go.join()


def begin(hbtrack: Hbtrack, path: Path) -> subprocess.Popen[str]:
    driver = hbtrack.start("run", "--max-epochs", 3, path)
    wait_for(lambda: notes(hbtrack) and "pid " in (files(hbtrack) / "0.lock").read_text())
    return driver


@pytest.mark.parametrize("over", [True, False], ids=["which has finished", "which still runs"])
def test_fault_72_a_driver_that_wakes_after_another_took_over_writes_nothing_and_exits_4(
    hbtrack: Hbtrack, script: Script, over: bool
) -> None:
    stale = begin(hbtrack, script(GATED))
    stale.send_signal(signal.SIGSTOP)
    (files(hbtrack) / "driver.lock").rename(hbtrack.folder / "defeated.lock")
    other = hbtrack.start("resume")
    wait_for(lambda: "event=adopt" in log(hbtrack))
    (hbtrack.folder / "gate").touch()
    if over:
        (hbtrack.folder / "again").touch()
        assert other.wait(100) == 0
        before = hbtrack.everything()
        stale.send_signal(signal.SIGCONT)
    else:
        wait_for(lambda: len(notes(hbtrack)) == 2)
        stale.send_signal(signal.SIGCONT)
        (hbtrack.folder / "again").touch()
        assert other.wait(100) == 0
        before = hbtrack.everything()
    said = stale.communicate(timeout=100)[1]
    assert stale.returncode == 4
    assert "Another hbtrack has taken this search over" in said
    assert hbtrack.everything() == before
    assert max(Counter(notes(hbtrack)).values()) == 1
    started = "SELECT count(_attempt.pk), ended_at IS NULL FROM _attempt JOIN _driver"
    started += " ON _driver.pk = driver_pk GROUP BY driver_pk ORDER BY driver_pk"
    assert hbtrack.rows(started) == [(1, 1), (5, 0)]


@SYSTEMS
def test_fault_71_a_script_that_outlived_its_driver_is_waited_for_and_never_overlapped(
    hbtrack: Hbtrack, script: Script
) -> None:
    killed = begin(hbtrack, script(GATED))
    pid = script_of(hbtrack)
    killed.kill()
    killed.wait()
    other = hbtrack.start("resume", "--workers", 1)
    wait_for(lambda: "event=adopt" in log(hbtrack))
    assert len(notes(hbtrack)) == 1
    for name in ("again", "gate"):
        (hbtrack.folder / name).touch()
    assert other.wait(100) == 0
    assert max(Counter(notes(hbtrack)).values()) == 1
    first = "SELECT pid, status, attempt FROM attempts ORDER BY started_at LIMIT 1"
    assert hbtrack.rows(first) == [(pid, "done", 1)]


# --- one file, many writers ----------------------------------------------------------------------


@pytest.mark.slow
def test_fault_68_searches_that_share_a_file_all_finish_and_none_sees_a_locked_database(
    hbtrack: Hbtrack, script: Script
) -> None:
    patient = "from hbtrack.searches import patience\npatience.BUSY_SECONDS = 60.0\n"
    script(patient, "sitecustomize.py")  # a writer that needs more is told, and is no others' fault
    path = script(
        "def run_identity(argv): return argv[0]\n"
        "def get_random_config_id(rng): return f'x:{rng.randint(10**9)}'\n"
        "if __name__ == '__main__': print(0.5)\n"
    )
    env = {"PYTHONPATH": f"{hbtrack.folder}{os.pathsep}{ROOT}"}
    words = ("run", "--max-epochs", 3, path)
    searches = [hbtrack.start(*words, f"search-{n}", env=env) for n in range(8)]
    for search in searches:
        said = search.communicate(timeout=300)[1]
        assert (search.returncode, "locked" in said, "Traceback" in said) == (0, False, False), said
    statuses = hbtrack.rows("SELECT status, evaluations_done = evaluations_planned FROM searches")
    assert statuses == [("finished", 1)] * 8


# Of a search called `first`, calls wait for the file `gate`; each is noted.
NAMED = (
    CONTRACT.replace('"waits"', "argv[0]")
    + """
if __name__ == "__main__":
    note(sys.argv[-1])
    if sys.argv[-1] == "first":
        wait_for("gate")
    print(len(sys.argv[1]))
"""
)


@pytest.mark.slow
def test_resume_goes_on_with_each_search_as_it_is_when_its_turn_comes(
    hbtrack: Hbtrack, script: Script
) -> None:
    """While the first runs, the second grows to its end, and the third gives way to a new one."""
    path, words = script(NAMED), ("run", "--max-epochs", 3, "--workers", 1)
    half = {"HBTRACK_FAULT": "commit.after:2:stop"}
    (hbtrack.folder / "gate").touch()
    for name in ("first", "second", "third"):
        hbtrack(*words, path, name, env=half, code=75)
    for name in ("gate", "notes"):
        (hbtrack.folder / name).unlink(missing_ok=True)
    resumed = hbtrack.start("resume")
    wait_for(lambda: notes(hbtrack))
    hbtrack("extend", "--identity", "second", "--passes", 2)
    hbtrack("rm", "--yes", "--identity", "third")
    hbtrack(*words, "--seed", 1, path, "fourth", env=half, code=75)
    before, called = hbtrack.dump(), Counter(notes(hbtrack))
    (hbtrack.folder / "gate").touch()
    said = resumed.communicate(timeout=100)[1]
    assert resumed.returncode == 3
    assert "'third' was removed" in said
    assert "Traceback" not in said
    assert [row for row in hbtrack.dump() if row[0] != "first"] == [
        row for row in before if row[0] != "first"
    ]
    assert set(Counter(notes(hbtrack)) - called) == {"first"}
    assert hbtrack.rows("SELECT status FROM searches ORDER BY created_at") == [
        ("finished",),
        ("finished",),
        ("unfinished",),
    ]


@pytest.mark.slow
def test_stop_leaves_a_search_alone_that_took_the_place_of_a_removed_one(
    hbtrack: Hbtrack, script: Script
) -> None:
    """While stop waits for the first, the second is removed, and the third gets its key."""
    deaf = "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    path = script(NAMED.replace("    note(sys", f"{deaf}    note(sys"))
    words = ("run", "--max-epochs", 3)
    half = {"HBTRACK_FAULT": "commit.after:2:stop"}
    hbtrack.start(*words, "--grace", 60, "--workers", 1, path, "first")
    wait_for(lambda: notes(hbtrack))
    hbtrack(*words, path, "second", env=half, code=75)
    stopped = hbtrack.start("stop", "--grace", 60)
    wait_for(lambda: "event=stop" in log(hbtrack))
    hbtrack("rm", "--yes", "--identity", "second")
    hbtrack(*words, path, "third", env=half, code=75)
    (hbtrack.folder / "gate").touch()
    stopped.communicate(timeout=100)
    third = "SELECT status, script_args FROM searches WHERE run_identity = 'third'"
    assert hbtrack.rows(third) == [("unfinished", '["third"]')]
    hbtrack("resume", "--identity", "third")


def test_fault_59_69_70_a_small_space_is_searched_to_its_end_with_shared_losses_and_no_call_twice(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    words = ("--max-epochs", 3, "--passes", 3, TOY, "--space", 4)
    alone = another()
    alone("run", *words)
    hbtrack("run", "--workers", 8, *words, "--epoch_seconds", 0.01)
    assert hbtrack.dump() == alone.dump()
    for search in (alone, hbtrack):
        diary = (search.folder / "toy" / "diary.txt").read_text()
        assert "RACE" not in diary, "two processes on one config"
        assert "BELOW" not in diary, "fewer epochs than its checkpoint has"
        calls = re.findall(r"^call (\S+ \S+)", diary, re.MULTILINE)
        assert len(calls) == len(set(calls))
    sampled = "SELECT count(*), count(DISTINCT config_id) FROM results WHERE rung = 0"
    assert hbtrack.rows(sampled) == [(3 * 5, 4)]
    assert hbtrack.rows("SELECT count(*) > 0 FROM results WHERE reused AND pass = 2") == [(1,)]


# --- numbers that come to mean somebody else -----------------------------------------------------


@pytest.mark.parametrize("status", ["running", "stopping"])
def test_fault_15_73_a_recorded_process_number_that_is_now_somebody_elses_is_left_alone(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], script: Script, status: str
) -> None:
    """As after a reboot: all is dead at once, and the search comes to the same end."""
    path, golden = script(GATED), another()
    for name in ("gate", "again"):
        (golden.folder / name).touch()
    golden("run", "--max-epochs", 3, path)
    driver = begin(hbtrack, path)
    (warden,), recorded = children(driver.pid), script_of(hbtrack)
    for pid in (driver.pid, warden, recorded):
        os.kill(pid, signal.SIGKILL)
    driver.wait()
    bystander = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        record = files(hbtrack) / "0.lock"
        record.write_text(record.read_text().replace(f"pid {recorded}", f"pid {bystander.pid}"))
        owner = {"host": os.uname().nodename, "pid": bystander.pid, "since": time.time()}
        (files(hbtrack) / "driver.lock").write_text(json.dumps(owner))
        with closing(sqlite3.connect(hbtrack.database)) as connection, connection:
            connection.execute("UPDATE _attempt SET status = ?", [status])
        assert hbtrack.json("status")["searches"][0]["driver"] is None  # type: ignore[index]
        (hbtrack.folder / "again").touch()
        hbtrack("resume", "--grace", 0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    first = "SELECT status, signal FROM attempts ORDER BY started_at LIMIT 1"
    assert hbtrack.rows(first) == [("interrupted" if status == "stopping" else "lost", None)]
    assert hbtrack.dump() == golden.dump()


# Run as process 1 of a namespace, where the next process number can be chosen.
REUSE = """
import os, signal, subprocess, sys
from pathlib import Path
from hbtrack.executors import processes

module, name = {"handle": (os, "pidfd_open"), "signal": (signal, "pidfd_send_signal")}[sys.argv[1]]
script = subprocess.Popen(["sleep", "60"], env={"HBTRACK_ATTEMPT": "token-1"})
bystanders = []

def reuse_first(*arguments, call=getattr(module, name)):
    if not bystanders:
        script.kill()
        script.wait()
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(script.pid - 1))
        bystanders.append(subprocess.Popen(["sleep", "60"], env={}))
    return call(*arguments)

setattr(module, name, reuse_first)
processes.signal_all(processes.ProcessMarks("token-1", script.pid, Path("lock")), signal.SIGKILL)
assert bystanders[0].pid == script.pid
assert bystanders[0].poll() is None
"""


@pytest.mark.parametrize("moment", ["handle", "signal"])
def test_fault_74_a_number_reused_between_the_look_and_the_signal_is_not_hit(
    tmp_path: Path, moment: str
) -> None:
    inside = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"]).returncode:
        pytest.skip("no namespaces for process numbers here")
    subprocess.run(
        [*inside, sys.executable, "-c", REUSE, moment],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=100,
    )


WATCH_FORKS = """
import os, sys
def look(event, _):
    if event in ("os.fork", "os.forkpty"):
        with open(os.environ["FORKS"], "a") as forks:
            forks.write(f"{sys.argv}\\n")
sys.addaudithook(look)
"""
SEES_ITS_PARENT = """
import os
def run_identity(argv): return "parent"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    for folder in (f"/proc/{os.getppid()}/fd", "/proc/self/fd"):
        for fd in os.listdir(folder):
            try:
                name = os.readlink(f"{folder}/{fd}")
            except FileNotFoundError:
                continue
            assert ".db" not in os.path.basename(name), name
    print(0.5)
"""


@pytest.mark.slow
def test_fault_76_hbtrack_never_forks_so_no_open_database_reaches_another_process(
    hbtrack: Hbtrack, script: Script
) -> None:
    (hbtrack.folder / "sitecustomize.py").write_text(WATCH_FORKS)
    forks = hbtrack.folder / "forks"
    env = {"PYTHONPATH": f"{hbtrack.folder}{os.pathsep}{ROOT}", "FORKS": str(forks)}
    path = script(SEES_ITS_PARENT)
    hbtrack("run", "--max-epochs", 3, "--passes", 2, "--workers", 2, path, env=env)
    for words in ("resume", "status", "report", "sql SELECT(1)", "db check", "db backup b.db"):
        hbtrack(*words.split(" "), env=env)
    assert not forks.exists()
    assert hbtrack.rows("SELECT evaluations_failed FROM searches") == [(0,)]
    fork = [sys.executable, "-c", "import os; os.fork() or os._exit(0)"]
    subprocess.run(fork, env=hbtrack.environment(env), check=True)
    assert forks.exists()  # one would have been seen
