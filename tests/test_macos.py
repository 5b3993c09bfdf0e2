"""What macOS would do: no /proc, and without the names that Python has there only on Linux."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack, children, wait_for
from test_stop_command import PATIENTLY, SEARCH, STUBBORN, processes_of, state

# Read by every Python that hbtrack starts, but by the warden, which is started through it.
LIKE_MACOS = """
import fcntl, os, resource, runpy, select, signal, socket, sys
for module, names in {
    os: "pidfd_open waitid P_ALL P_PID sched_getaffinity sched_setaffinity eventfd memfd_create"
    " posix_fadvise posix_fallocate fdatasync pipe2 getrandom copy_file_range splice O_PATH",
    signal: "pidfd_send_signal sigwaitinfo sigtimedwait",
    socket: "MSG_CMSG_CLOEXEC SOCK_CLOEXEC",
    select: "epoll",
    resource: "prlimit",
    fcntl: "F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW",
}.items():
    for name in names.split():
        vars(module).pop(name, None)

def hide(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        if not sys._getframe(1).f_globals["__name__"].startswith("psutil"):
            raise FileNotFoundError(2, "No such file or directory", arguments[0])

sys.addaudithook(hide)
if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    from hbtrack.executors import processes
    processes.LINUX = False
    sys.executable = __file__.replace("sitecustomize.py", "python")
"""
PYTHON = f"""#!/bin/sh
[ "$1" = -S ] && shift 2 && exec {sys.executable} -S -I "${{0%python}}sitecustomize.py" "$@"
exec {sys.executable} "$@"
"""
Environment = dict[str, str]


@pytest.fixture
def macos(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """In it hbtrack and its scripts find what they would on macOS."""
    folder = tmp_path_factory.mktemp("macos")
    (folder / "sitecustomize.py").write_text(LIKE_MACOS)
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def kill(driver: subprocess.Popen[str], *others: int) -> None:
    driver.kill()
    driver.communicate()
    for pid in others:
        os.kill(pid, signal.SIGKILL)


def test_of_what_macos_lacks_hbtrack_and_the_parent_of_its_scripts_see_nothing(
    hbtrack: Hbtrack, macos: Environment
) -> None:
    look = hbtrack.folder / "look.py"
    look.write_text("import os, signal; print(hasattr(os, 'waitid'), end=' '); open('/proc/stat')")
    folder = Path(macos["PYTHONPATH"].partition(os.pathsep)[0])
    for words in ([sys.executable], [folder / "python", "-S", "-I"]):
        result = subprocess.run(
            [*words, look], env=hbtrack.environment(macos), capture_output=True, text=True
        )
        assert result.stdout == "False "
        assert "No such file or directory: '/proc/stat'" in result.stderr


def test_a_killed_drivers_search_comes_to_the_same_end_on_macos(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], macos: Environment
) -> None:
    golden = another()
    golden(*SEARCH, TOY)
    (hbtrack.folder / "toy").mkdir()
    after = hbtrack.folder / "toy" / "hold_after"
    after.write_text("3")
    driver = hbtrack.start(*SEARCH, TOY, env=macos)
    hold = after.with_name("hold")
    wait_for(hold.exists)
    kill(driver)
    other = hbtrack.start("resume", env=macos)
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    wait_for(lambda: "event=adopt" in log.read_text())
    hold.unlink()
    said = other.communicate(timeout=100)[1]
    assert other.returncode == 0, said
    assert hbtrack.dump() == golden.dump()
    assert "RACE" not in (hbtrack.folder / "toy" / "diary.txt").read_text()


@pytest.mark.parametrize("driver_is", ["alive", "dead", "dead with its warden"])
def test_stop_ends_a_search_and_everything_its_scripts_started_on_macos(
    hbtrack: Hbtrack, script: Callable[[str], Path], macos: Environment, driver_is: str
) -> None:
    driver = hbtrack.start(*SEARCH, "--grace", 0.2, script(STUBBORN), env=macos)
    wait_for(lambda: len(list(hbtrack.folder.glob("ready *"))) == 2)
    wait_for(lambda: len(processes_of(hbtrack)) == 8)
    wardens = children(driver.pid) if driver_is.endswith("warden") else []
    if driver_is.startswith("dead"):
        kill(driver, *wardens)
    hbtrack("stop", *(PATIENTLY if driver_is == "alive" else ("--grace", 0.2)), env=macos)
    assert processes_of(hbtrack) == []
    assert hbtrack.rows("SELECT stop_reason FROM search") == [("hbtrack stop",)]
    driver.communicate(timeout=100)
    assert driver.returncode == (75 if driver_is == "alive" else -signal.SIGKILL)
    (hbtrack.folder / "again").touch()
    hbtrack("resume", env=macos)
    assert state(hbtrack) == "finished"


def test_a_script_that_ends_while_it_is_imported_is_told_on_macos(
    hbtrack: Hbtrack, script: Callable[[str], Path], macos: Environment
) -> None:
    for ends, told in {
        "os._exit(7)": "ended the whole process with exit code 7",
        "os.kill(os.getpid(), 9)": "was ended by SIGKILL",
    }.items():
        said = hbtrack(*SEARCH, script(f"import os; {ends}"), env=macos, code=2).stderr
        assert told in said
