"""`hbtrack logs`: what a script printed, whole and in order, while it runs and afterwards."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import Hbtrack, wait_for
from terminal import CTRL_C, terminals

NOISY = """
import argparse, os, sys

def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"

def run_identity(argv):
    return "noisy"

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    for name in ("--epochs", "--gpu", "--lines", "--gate"):
        parser.add_argument(name, type=int, default=0)
    args = parser.parse_args()
    print("\\x1b[31mred\\x1b[0m\\tat", args.epochs, flush=True)
    for percent in range(0, 101, 25):
        print(f"\\r{percent}%", end="", file=sys.stderr, flush=True)
    if args.gate:
        open("gate").read()  # a named pipe: here it waits until somebody writes to it
    for number in range(args.lines):
        print("line", number)
    print(1 / args.epochs)
"""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search whose scripts say little."""
    return searched(tmp_path_factory, 3, 0)


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A finished search whose scripts say more than the database keeps."""
    return searched(tmp_path_factory, 1, 30_000)


def searched(factory: pytest.TempPathFactory, max_epochs: int, lines: int) -> Hbtrack:
    hbtrack = Hbtrack(factory.mktemp("noisy"))
    (hbtrack.folder / "noisy.py").write_text(NOISY)
    hbtrack("run", "--max-epochs", max_epochs, "-q", "noisy.py", "--lines", lines)
    return hbtrack


def config_of(hbtrack: Hbtrack, where: str = "epochs = 3") -> str:
    return str(hbtrack.rows(f"SELECT config_id FROM results WHERE {where}")[0][0])


def test_the_last_attempt_of_the_largest_budget_is_shown(quiet: Hbtrack) -> None:
    shown = quiet("logs", config_of(quiet))
    assert shown.stdout.splitlines() == [r"\x1b[31mred\x1b[0m    at 3", repr(1 / 3), "100%"]


def test_without_a_config_it_is_of_the_one_that_was_started_last(quiet: Hbtrack) -> None:
    last = "started_at = (SELECT max(started_at) FROM attempts)"
    (config_id,) = quiet.rows(f"SELECT config_id FROM attempts WHERE {last}")[0]
    assert quiet("logs").stdout == quiet("logs", config_id).stdout


def test_another_budget_is_shown_where_it_is_asked_for(quiet: Hbtrack) -> None:
    config_id = config_of(quiet, "promoted = 1")
    assert quiet("logs", config_id, "--epochs", 1, "--stdout").stdout.endswith("at 1\n1.0\n")


def test_each_stream_has_a_title_on_stderr(quiet: Hbtrack) -> None:
    config_id = config_of(quiet)
    [(number,)] = quiet.rows("SELECT DISTINCT config FROM results WHERE config_id = ?", [config_id])
    config = f"#{number} {config_id.replace(':', '=')}"
    assert quiet("logs", config_id).stderr.splitlines() == [
        f"--- {stream} of {config} at 3 epochs, attempt 1 ---" for stream in ("stdout", "stderr")
    ]


def test_raw_is_every_byte_as_it_was_printed(quiet: Hbtrack) -> None:
    command = quiet.command("logs", config_of(quiet), "--raw", "--stderr")
    result = quiet.process(command, text=False)
    assert result.stdout == b"\r0%\r25%\r50%\r75%\r100%"


def test_a_budget_or_attempt_that_is_not_there_is_exit_3_and_those_that_are_are_named(
    quiet: Hbtrack,
) -> None:
    refused = quiet("logs", config_of(quiet), "--attempt", 2, code=3)
    assert "3 (attempt 1)" in refused.stderr


def test_a_log_longer_than_the_database_keeps_is_shown_whole(loud: Hbtrack) -> None:
    shown = loud("logs", config_of(loud, "1"), "--stdout").stdout.splitlines()
    assert shown[1:-1] == [f"line {number}" for number in range(30_000)]


def test_where_the_longer_log_is_gone_its_end_is_shown_and_that_is_said(
    loud: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    copied = another()
    loud("db", "backup", copied.database)
    shown = copied("logs", config_of(copied, "1"), "--stdout")
    assert shown.stdout.endswith("line 29999\n1.0\n")
    assert len(shown.stdout) < 70_000
    assert "its beginning is lost" in shown.stderr


def test_a_reader_that_has_gone_away_is_no_error(loud: Hbtrack) -> None:
    command = shlex.join(loud.command("logs", config_of(loud, "1"), "--stdout"))
    result = loud.process(["bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"])
    assert result.returncode == 141
    assert len(result.stderr.splitlines()) == 1  # the title


# --- while it runs -------------------------------------------------------------------------------


@contextmanager
def at_the_gate(hbtrack: Hbtrack, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A search whose first script waits at the gate; then its driver."""
    (hbtrack.folder / "noisy.py").write_text(NOISY)
    os.mkfifo(hbtrack.folder / "gate")
    driver = hbtrack.start("run", "--max-epochs", 1, "noisy.py", "--gate", 1, *words)
    try:
        stderr = hbtrack.folder / "hbtrack.db.d" / "1" / "0.err"
        wait_for(lambda: stderr.exists() and "100%" in stderr.read_text())
        yield driver
    finally:
        driver.kill()
        driver.communicate()
        hbtrack("stop", "--grace", 0)


@contextmanager
def following(hbtrack: Hbtrack, stream: str) -> Iterator[subprocess.Popen[str]]:
    """What follows that script, after its first line."""
    command = hbtrack.command("logs", config_of(hbtrack, "1"), "-f", stream)
    with subprocess.Popen(
        command,
        cwd=hbtrack.folder,
        env=hbtrack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline().endswith("at 1\n")
        yield process


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hbtrack]:
    """A search whose script stays at the gate."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("waiting"))
    with at_the_gate(hbtrack):
        yield hbtrack


def test_what_a_running_script_has_printed_is_shown(waiting: Hbtrack) -> None:
    assert "at 1" in waiting("logs", config_of(waiting, "1")).stdout


@pytest.mark.parametrize("lines", [3, 30_000])
def test_following_ends_with_the_attempt_and_has_all_that_it_printed(
    hbtrack: Hbtrack, lines: int
) -> None:
    with at_the_gate(hbtrack, "--lines", lines), following(hbtrack, "--stdout") as process:
        (hbtrack.folder / "gate").write_text("go on")
        rest = process.communicate(timeout=100)[0].splitlines()
        assert process.returncode == 0
    assert rest == [*(f"line {number}" for number in range(lines)), "1.0"]


def test_following_a_script_whose_driver_died_ends_with_the_script(hbtrack: Hbtrack) -> None:
    with at_the_gate(hbtrack) as driver, following(hbtrack, "--stdout") as process:
        driver.kill()
        driver.wait()
        (hbtrack.folder / "gate").write_text("go on")
        out, err = process.communicate(timeout=100)
    assert out == "1.0\n"
    assert "`hbtrack resume` records how" in err


def test_a_progress_bar_is_shown_in_place_on_a_terminal(waiting: Hbtrack) -> None:
    with terminals() as start:
        shown = start(waiting, "logs", config_of(waiting, "1"), "-f", "--stderr", columns=40)
        wait_for(lambda: shown.lines() and b"100%\r" in shown.written)
        shown.press(CTRL_C)
        assert shown.exit_status() == 130
