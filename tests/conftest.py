"""What the tests share: hbtrack as a process, databases, dumps and the checks after each test."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from hbtrack.cli import main
from hbtrack.searches.verify import check_database

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "tests" / "scripts"
TOY = SCRIPTS / "toy.py"
DUMMY = ROOT / "dummy.py"

GATES = ("gate", "again", "go")
"""What scripts of tests wait for: after each test these files are there, so that they end."""

# Parts of scripts that keep the contract, for tests of what is wrong with another part.
SAMPLER = """
def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"
"""
MAIN = """
if __name__ == "__main__":
    print(0.5)
"""

SYSTEMS = pytest.mark.parametrize(
    "hbtrack", ["linux", pytest.param("macos", marks=pytest.mark.slow)], indirect=True
)
"""For tests of what is done in another way where there is no /proc."""

MACOS = {
    "PYTHONPATH": f"{ROOT / 'tests' / 'macos'}{os.pathsep}{ROOT}",
    "HBTRACK_TEST_PYTHON": sys.executable,
}
"""The environment in which hbtrack and its scripts find what they would on macOS."""
# A script that waits for the file `gate`, in kinds that take signals differently.
CONTRACT = """
import os, signal, sys, time
def run_identity(argv): return "waits"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
def note(word):
    with open("notes", "a") as notes:
        notes.write(word + "\\n")
def wait_for(name):
    ends = time.monotonic() + 300
    while not os.path.exists(name) and time.monotonic() < ends:
        time.sleep(0.01)
"""


def _waits(hear: str, *signals: str) -> str:
    """A script that hears these signals in its own way and waits for the file `gate`."""
    return f"""{CONTRACT}
{hear}
if __name__ == "__main__":
    for name in {signals}:
        signal.signal(getattr(signal, name), hear)
    note("ready")
    wait_for("gate")
    print(len(sys.argv[1]))
"""


HEARS = """
def hear(number, _):
    note(signal.Signals(number).name)
    if number == signal.SIGTERM:
        sys.exit(1)
"""
WAITING = _waits(HEARS, "SIGINT", "SIGTERM", "SIGHUP", "SIGTSTP", "SIGCONT")
"""Notes every signal that reaches it, ends at SIGTERM."""
STUBBORN = _waits("hear = signal.SIG_IGN", "SIGTERM")
"""Ignores SIGTERM."""
LEAVES = """
def hear(*_):
    sys.stdout.write("0.0\\n")
    sys.stdout.flush()
    os._exit(0)
"""
POLITE = _waits(LEAVES, "SIGTERM")
"""Answers SIGTERM by printing where it is, as if it had finished."""

REFUSAL = r"hbtrack: [^\n\x1b]+\nMore: hbtrack help [\w-]+\n"
"""What stderr has of a refusal: a sentence, and where it is explained."""

_DUMP = """
SELECT run_identity, pass, bracket, rung, slot, config_id, epochs, status, loss, promoted, reused
FROM results ORDER BY run_identity, pass, bracket DESC, rung, slot"""

# The same examples each time, however slow the machine is.
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same")

# As on a user's machine: set, they hide what buffers and stored bytecode do.
for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)

# Whoever started the tests may ignore signals (nohup, &), and every child would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")
    parser.addoption("--kills", type=int, default=100, help="kills of the slow kill loop")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs --slow"))


Row = dict[str, Any]


@dataclass
class Hbtrack:
    """hbtrack in a folder of its own, with the database ./hbtrack.db."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.folder / "hbtrack.db"

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "hbtrack", *map(str, words)]

    def __call__(
        self, *words: object, code: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its exit status must be `code` unless that is None.

        In this process: that costs no start, and an exception of hbtrack's own fails the test. In
        one of its own where `env` is given, if only {}.
        """
        here = env is None and not self.variables
        result = self._in_this_process(*words) if here else self._by_itself(*words, env=env)
        if code is not None:
            assert result.returncode == code, f"{words}\n{result.stdout}\n{result.stderr}"
        return result

    def _in_this_process(self, *words: object) -> subprocess.CompletedProcess[str]:
        arguments = [str(word) for word in words]
        with (
            pytest.MonkeyPatch.context() as patch,
            open(os.devnull) as nothing,
            NamedTemporaryFile("w+", encoding="utf-8") as out,
            NamedTemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as err,
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            patch.setattr("sys.stdin", nothing)
            patch.delenv("HBTRACK_DB", raising=False)
            for name, value in self._own().items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            code = main(arguments)
            # By name: hbtrack may have put /dev/null in the place of what it cannot write to.
            said = (Path(stream.name).read_bytes().decode() for stream in (out, err))
            return subprocess.CompletedProcess(arguments, code, *said)

    def _by_itself(
        self, *words: object, env: dict[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        return self.process(self.command(*words), env, stdin=subprocess.DEVNULL)

    def process(
        self, command: Sequence[object], env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run any command to its end in the folder and the environment of hbtrack."""
        usual = {"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        words, environment = list(map(str, command)), self.environment(env)
        options = {**usual, "text": True, "timeout": 300, **options}
        return subprocess.run(words, env=environment, **options)

    def start(self, *words: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command; its stderr can be read."""
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "HBTRACK_DB"}
        return {**kept, **self._own(), **(extra or {})}

    def _own(self) -> dict[str, str]:
        own = {"PYTHONPATH": str(ROOT), "HBTRACK_LOCKS": str(self.folder / "locks")}
        return own | self.variables

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            return connection.execute(sql, values).fetchall()

    def log(self, search: int = 1) -> str:
        """The log of the first search, or of a later one: all that happened, as key=value."""
        log = self.folder / "hbtrack.db.d" / str(search) / "log"
        return log.read_text() if log.exists() else ""

    def dump(self) -> list[tuple[object, ...]]:
        """All that must not depend on workers, order or kills."""
        return self.rows(_DUMP)

    def records(self, sql: str, values: Sequence[object] | dict[str, object] = ()) -> list[Row]:
        """Rows by the names of their columns."""
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]

    def everything(self) -> list[str]:
        """All that the database holds."""
        with closing(sqlite3.connect(self.database)) as connection:
            return list(connection.iterdump())

    def json(self, *words: object) -> dict[str, object]:
        return json.loads(self(*words, "--format", "json").stdout)  # type: ignore[no-any-return]


def make(hbtrack: Hbtrack, *options: object) -> None:
    """Put a made-up search into its database."""
    command = [sys.executable, ROOT / "benchmarks" / "made.py", hbtrack.database, *options]
    assert hbtrack.process(command).returncode == 0


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Return as soon as the condition holds; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that this one has started and that are not reaped."""
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def state(hbtrack: Hbtrack) -> str:
    """What `status` says that the first search is."""
    return hbtrack.json("status")["searches"][0]["state"]  # type: ignore[index, no-any-return]


def is_alive(pid: int) -> bool:
    """Whether it runs, or could if it was not stopped."""
    return process_state(pid) not in ("", "Z")


def process_state(pid: int) -> str:
    """A process's state as the kernel has it: T is stopped, Z has ended; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter if it goes while this is read
        return ""


def notes(hbtrack: Hbtrack) -> list[str]:
    file = hbtrack.folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


def ready(hbtrack: Hbtrack) -> bool:
    return "ready" in notes(hbtrack)


def go_on(hbtrack: Hbtrack) -> None:
    """Let scripts run to their end, and the search too."""
    (hbtrack.folder / "gate").touch()
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_failed FROM searches") == [("finished", 0)]


def tear(path: Path) -> None:
    """Leave the file as a writer leaves it that is killed, without a -wal, as it commits."""
    result = subprocess.run([sys.executable, TOY.with_name("tear.py"), path])
    assert result.returncode == -signal.SIGKILL
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("SELECT count(*) FROM sqlite_master")


@pytest.fixture
def hbtrack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hbtrack]:
    """hbtrack in an empty folder. Whatever a test did, the database must follow from its facts."""
    place = Hbtrack(tmp_path, MACOS if getattr(request, "param", "") == "macos" else {})
    yield place
    for name in GATES:
        with suppress(OSError):  # the folder may be gone, or its disk be full
            (tmp_path / name).touch()
    for process in place.started:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
    database = place.database
    if database.exists() and database.stat().st_size:
        assert check_database(str(database), None) == []


@pytest.fixture
def copied(searched: Hbtrack, hbtrack: Hbtrack) -> Hbtrack:
    """A copy of what a test file has `searched`, with all that is beside its database."""
    shutil.copytree(searched.folder, hbtrack.folder, dirs_exist_ok=True)
    return hbtrack


@pytest.fixture
def another(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Hbtrack]:
    """Further folders, for what is compared with."""
    return lambda: Hbtrack(tmp_path_factory.mktemp("another"))


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Write a script with this text that otherwise keeps the contract."""

    def write(text: str, name: str = "script.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
