"""Timeouts, retries and the limits of a search: what they end, what stays, how one goes on."""

import os
import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import SAMPLER, TOY, Hbtrack, process_state, wait_for

from hbtrack.core.failure_causes import Cause, cause_of, fingerprint_of
from hbtrack.core.limits import broken, reached
from hbtrack.core.plan import Plan
from hbtrack.core.records import AttemptStatus, Limits, Verdict
from hbtrack.core.schedule import make_schedule

IDENTITY = 'def run_identity(argv):\n    return "limits"\n'
COUNTED = """
import itertools
count = itertools.count()
def get_random_config_id(rng):
    return f"c:{next(count)}"
"""


def keeps(main: str, sampler: str = COUNTED) -> str:
    """A script with this main part: `number` is its config, `epochs` its budget, `calls` before."""
    body = "\n".join("    " + line for line in main.strip().splitlines())
    return f"""
import os, sys, time
{sampler}
{IDENTITY}
if __name__ == "__main__":
    config, epochs = sys.argv[1], int(sys.argv[3])
    number = int(config.split(":")[1])
    with open("calls", "a+") as file:
        print(config, epochs, file=file, flush=True)
        file.seek(0)
        calls = file.read().split(chr(10)).count(f"{{config}} {{epochs}}")
{body}
"""


def failed(**facts: object) -> Verdict:
    return Verdict(AttemptStatus.FAILED, **facts)  # type: ignore[arg-type]


# --- causes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error_type", "message", "cause"),
    [
        ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB", Cause.GPU_MEMORY),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory", Cause.GPU_MEMORY),
        ("RuntimeError", "CUDA error: out of memory", Cause.GPU_MEMORY),
        ("RuntimeError", "HIP out of memory", Cause.GPU_MEMORY),
        ("RuntimeError", "CUBLAS_STATUS_ALLOC_FAILED when calling", Cause.GPU_MEMORY),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating", Cause.GPU_MEMORY),
        ("ResourceExhaustedError", "OOM when allocating tensor with shape", Cause.GPU_MEMORY),
        ("RuntimeError", "No CUDA GPUs are available", Cause.GPU_LOST),
        ("RuntimeError", "CUDA error: invalid device ordinal", Cause.GPU_LOST),
        ("RuntimeError", "CUDA error: no CUDA-capable device is detected", Cause.GPU_LOST),
        ("RuntimeError", "CUDA error: uncorrectable ECC error encountered", Cause.GPU_LOST),
        ("RuntimeError", "all CUDA-capable devices are busy or unavailable", Cause.GPU_LOST),
        ("MemoryError", "", Cause.MEMORY),
        ("OSError", "[Errno 12] Cannot allocate memory", Cause.MEMORY),
        ("RuntimeError", "CUDA error: device-side assert triggered", Cause.CONFIG),
        ("RuntimeError", "CUDA error: an illegal memory access was encountered", Cause.CONFIG),
        ("ValueError", "batch_size must not be 0", Cause.CONFIG),
        ("IndexError", "out of range; memory of GPUs", Cause.CONFIG),
    ],
)
def test_a_failure_tells_whether_the_machine_or_the_config_is_at_fault(
    error_type: str, message: str, cause: Cause
) -> None:
    assert cause_of(failed(error_type=error_type, error_message=message)) is cause


def test_a_script_without_a_traceback_is_judged_by_the_end_of_what_it_said() -> None:
    said = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\nabort\n"
    assert cause_of(failed(error_type="exit_code", error_message="x", error=said)) is Cause.GPU_LOST


def test_a_fingerprint_is_the_kind_and_the_place_but_not_the_message() -> None:
    def traceback(line: int, message: str) -> Verdict:
        place = f"/a.py:{line}"
        return failed(error_type="ValueError", error_message=message, place=place, exit_code=1)

    assert fingerprint_of(traceback(7, "one")) == fingerprint_of(traceback(7, "two"))
    assert fingerprint_of(traceback(7, "one")) != fingerprint_of(traceback(8, "one"))
    assert fingerprint_of(Verdict(AttemptStatus.DONE, loss=1.0)) is None


# --- limits of the search, pure ------------------------------------------------------------------


def plan_with(*losses: float | None) -> Plan:
    plan = Plan(make_schedule(27, Fraction(3)), 1)
    plan.open_pass(1, [str(number) for number in range(plan.schedule.configs)])
    for number, loss in enumerate(losses):
        plan.record(str(number), 1, loss)
    return plan


def stops(limits: Limits, plan: Plan, *, doubted: bool = False) -> bool:
    return reached(limits, plan, 0.0, maximize=False, doubted=doubted) is not None


def test_a_target_is_reached_by_a_loss_that_is_not_larger() -> None:
    plan = plan_with(0.5, 0.25, None)
    assert stops(Limits(target_loss=0.25), plan)
    assert not stops(Limits(target_loss=0.2), plan)


@pytest.mark.parametrize(("target", "is_reached"), [(0.2, True), (0.5, True), (0.6, False)])
def test_a_target_of_a_maximised_search_is_reached_from_below(
    target: float, is_reached: bool
) -> None:
    plan, limits = plan_with(-0.5, -0.25, None), Limits(target_loss=target)  # printed 0.5 and 0.25
    found = reached(limits, plan, 0.0, maximize=True, doubted=False)
    assert (found is not None) == is_reached
    if found:
        assert f"--target-loss {target} is reached: 0.5 at 1 epoch" in found.reason


def test_as_many_failures_as_are_allowed_do_not_stop_a_search_but_one_more_does() -> None:
    assert not stops(Limits(max_failures="2"), plan_with(None, None))
    assert stops(Limits(max_failures="2"), plan_with(None, None, None))


def test_failures_that_are_doubted_are_not_counted_yet() -> None:
    assert not stops(Limits(max_failures="2"), plan_with(None, None, None), doubted=True)


def test_a_percentage_of_failures_is_of_all_evaluations_of_the_schedule() -> None:
    planned = make_schedule(27, Fraction(3)).evaluations
    share = f"{200 / planned:.6f}%"  # two of them
    assert not stops(Limits(max_failures=share), plan_with(None, None))
    assert stops(Limits(max_failures=share), plan_with(None, None, None))


# --- --timeout -----------------------------------------------------------------------------------

HANGS = keeps("""
if number == 0:
    import signal
    signal.signal(signal.SIGTERM, lambda *_: (print(0.001, flush=True), os._exit(0)))
    time.sleep(600)
print(number + 1)
""")


def test_fault_25_a_script_that_hangs_is_ended_by_its_timeout_whatever_it_prints_then(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(HANGS)
    hbtrack("run", "--max-epochs", 1, "--timeout", "0.5", "script.py")  # of others all are slow
    attempts = "SELECT config_id, status, loss FROM attempts WHERE config_id = 'c:0'"
    assert hbtrack.rows(attempts) == [("c:0", "timeout", None)]
    failures = hbtrack.rows("SELECT config_id, error_type, attempts FROM failures")
    assert failures == [("c:0", "timeout", 1)]
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


@pytest.mark.slow
def test_a_search_goes_on_without_a_config_that_hangs(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(HANGS)
    hbtrack("run", "--max-epochs", 3, "--timeout", 15, "--workers", 2, "script.py")
    statuses = dict(hbtrack.rows("SELECT config_id, status FROM results WHERE bracket = 1"))
    assert statuses == {"c:0": "failed", "c:1": "done", "c:2": "done"}
    promoted = "SELECT config_id FROM results WHERE bracket = 1 AND rung = 1"
    assert hbtrack.rows(promoted) == [("c:1",)]


@pytest.mark.slow
def test_a_script_that_ignores_the_end_of_its_time_is_killed_after_the_grace_period(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(
        keeps("""
if number == 0:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("ignores", "w").close()
    time.sleep(600)
print(number)
""")
    )
    words = ("--max-epochs", 1, "--timeout", "0.3", "--grace", "0.3", "script.py")
    driver = hbtrack.start("run", *words, env={"HBTRACK_FAULT": "stop.before:1:freeze"})
    wait_for((hbtrack.folder / "ignores").exists)
    wait_for(lambda: process_state(driver.pid) == "T")
    driver.send_signal(signal.SIGCONT)
    assert driver.communicate()[1]
    assert driver.returncode == 0
    assert hbtrack.rows("SELECT status, signal FROM attempts") == [("timeout", "SIGKILL")]


def leave_running(hbtrack: Hbtrack, *words: object) -> None:
    """A search whose script is called once and goes on; its driver is dead."""
    driver = hbtrack.start("run", "--max-epochs", 1, *words, "script.py")
    wait_for((hbtrack.folder / "calls").exists)
    driver.kill()
    driver.communicate()


@pytest.mark.slow
def test_an_adopted_script_has_only_what_is_left_of_its_time(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(HANGS)
    leave_running(hbtrack, "--timeout", "10m")
    with closing(sqlite3.connect(hbtrack.database)) as connection, connection:
        connection.execute(  # ten minutes ago, but for a second
            "UPDATE _attempt SET since_boot = since_boot - 599, "
            "started_at = strftime('%Y-%m-%dT%H:%M:%fZ', started_at, '-599 seconds')"
        )
    [(started,)] = hbtrack.rows("SELECT julianday(started_at) * 86400 FROM attempts")
    hbtrack("resume")
    [(status, ended, number)] = hbtrack.rows(
        "SELECT status, julianday(finished_at) * 86400, attempt FROM attempts"
    )
    assert (status, number) == ("timeout", 1)
    assert 599.9 < float(str(ended)) - float(str(started)) < 900


WAITS = keeps("""
while not os.path.exists("gate"):
    time.sleep(0.01)
print(number)
""")

AN_HOUR_AGO = "started_at = strftime('%Y-%m-%dT%H:%M:%f', substr(started_at, 1, 23), '-1 hour')"
"""The clock was set forward by an hour since."""


@pytest.mark.parametrize(
    "since",
    [
        f"UPDATE _attempt SET {AN_HOUR_AGO} || '000Z'",
        "UPDATE _attempt SET since_boot = since_boot - 3600; UPDATE _driver SET boot_id = 'other'",
        "UPDATE _attempt SET since_boot = since_boot - 3600; UPDATE _driver SET boot_id = NULL",
        f"UPDATE _attempt SET since_boot = NULL, {AN_HOUR_AGO} || '000Z'",
    ],
    ids=["the clock was set", "another boot", "an unknown boot", "an older hbtrack"],
)
def test_fault_103_an_adopted_script_is_not_judged_by_a_clock_that_may_have_been_set(
    hbtrack: Hbtrack, script: Callable[[str], Path], since: str
) -> None:
    script(WAITS)
    leave_running(hbtrack, "--timeout", "30m")
    with closing(sqlite3.connect(hbtrack.database)) as connection:
        connection.executescript(since)
    resumed = hbtrack.start("resume", "--progress", "lines")
    assert resumed.stderr
    assert any("1 script still running" in line for line in resumed.stderr)
    (hbtrack.folder / "gate").touch()
    resumed.communicate()
    assert hbtrack.rows("SELECT status, attempt FROM attempts") == [("done", 1)]


@pytest.mark.parametrize(
    ("line", "other"),
    [
        (r"^exit 0 ", "exit 0 9"),  # centuries ahead
        (r"^pid (\d+) .*((?:\n.*)*)^exit 0 ", r"pid \1 another-boot/1\2exit 0 9"),
        (r"^since_boot .*\n", ""),
    ],
    ids=["the clock was set", "another boot", "a warden of an older hbtrack"],
)
def test_fault_103_what_ended_before_a_stop_counts_whatever_the_clock_said(
    hbtrack: Hbtrack, script: Callable[[str], Path], line: str, other: str
) -> None:
    script(WAITS)
    leave_running(hbtrack)
    (hbtrack.folder / "gate").touch()
    record = hbtrack.folder / "hbtrack.db.d" / "1" / "0.lock"
    wait_for(lambda: "\nexit 0 " in record.read_text())
    text, changed = re.subn(line, other, record.read_text(), count=1, flags=re.MULTILINE)
    assert changed
    record.write_text(text)
    hbtrack("stop")
    assert hbtrack.rows("SELECT status FROM attempts") == [("done",)]


def test_a_timeout_that_was_being_carried_out_is_still_one_after_the_driver_died(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(HANGS)
    killed = {"HBTRACK_FAULT": "stop.after:1:kill"}
    hbtrack("run", "--max-epochs", 1, "--timeout", "0.3", "script.py", code=-9, env=killed)
    assert hbtrack.rows("SELECT status FROM results") == [("running",)]
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, loss FROM attempts") == [("timeout", None)]


# --- --retries -----------------------------------------------------------------------------------

SOMETIMES_FULL = keeps("""
if number == 2 or number == 0 and calls <= 2:
    raise RuntimeError("CUDA out of memory. Tried to allocate 20 MiB")
if number == 1:
    raise ValueError("the config's doing")
print(number + 1)
""")


def test_what_is_not_the_configs_doing_is_run_again_so_often_and_every_attempt_is_kept(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(SOMETIMES_FULL)
    hbtrack("run", "--max-epochs", 3, "--retries", 2, "script.py")
    attempts = "SELECT status, retried FROM attempts WHERE config_id = ? AND epochs = 1"
    again = ("failed", "automatic")
    assert hbtrack.rows(attempts, ["c:0"]) == [again, again, ("done", None)]
    assert hbtrack.rows(attempts, ["c:1"]) == [("failed", None)]
    assert hbtrack.rows(attempts, ["c:2"]) == [again, again, ("failed", None)]
    best = hbtrack.rows("SELECT config_id, epochs FROM results WHERE rung = 1 AND bracket = 1")
    assert best == [("c:0", 3)]  # it was run again before its rung closed


def test_a_timeout_is_retried_only_if_that_is_asked_for(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(keeps("time.sleep(0 if os.path.exists('go') else 600)\nprint(number)"))
    common = ("run", "--max-epochs", 1, "--timeout", "0.3", "--retries", 1)
    killed = {"HBTRACK_FAULT": "settle.before:1:kill"}
    hbtrack(*common, "--retry-timeouts", "script.py", code=-9, env=killed)
    (hbtrack.folder / "go").touch()
    hbtrack("resume", "--timeout", 100)  # the second one may be slow to begin
    ended = hbtrack.rows("SELECT status, retried FROM attempts ORDER BY attempt")
    assert ended == [("timeout", "automatic"), ("done", None)]


# --- limits of the search ------------------------------------------------------------------------

FAILS_OFTEN = keeps("""
if number % 3:
    raise ValueError(f"no luck with {number}" if number % 2 else str(number / 0))
print(number)
""")


def test_too_many_failures_stop_a_search_and_more_allowed_go_on(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(FAILS_OFTEN)
    stopped = hbtrack("run", "--max-epochs", 9, "--max-failures", 3, "script.py", code=1).stderr
    assert "--max-failures 3 is exceeded" in stopped
    assert "hbtrack resume" in stopped
    [(status, reason, failed_)] = hbtrack.rows(
        "SELECT status, stop_reason, evaluations_failed FROM searches"
    )
    assert (status, failed_) == ("stopped", 4)
    assert "--max-failures" in str(reason)
    hbtrack("resume", "--max-failures", "none")
    assert hbtrack.rows("SELECT status, stop_reason FROM searches") == [("finished", None)]


def test_a_target_loss_stops_a_search_with_exit_0_and_a_smaller_one_goes_on(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(keeps("print(100 - 10 * epochs - number)"))
    stopped = hbtrack("run", "--max-epochs", 9, "--target-loss", "60", "script.py").stderr
    assert "--target-loss 60 is reached" in stopped
    [(status, best)] = hbtrack.rows("SELECT status, best_loss FROM searches")
    assert status == "stopped"
    assert float(str(best)) <= 60
    calls = (hbtrack.folder / "calls").read_text()
    assert "--target-loss 60 is reached" in hbtrack("resume").stderr
    assert (hbtrack.folder / "calls").read_text() == calls  # nothing was started
    hbtrack("resume", "--target-loss", "none")
    assert hbtrack.rows("SELECT status, target_loss FROM searches") == [("finished", None)]


@pytest.mark.slow
def test_max_time_counts_the_lives_of_all_drivers_and_a_larger_one_goes_on(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack]
) -> None:
    toy, diary = (TOY, "--epoch_seconds", 0.3, "--fail", 0), hbtrack.folder / "toy" / "diary.txt"
    diary.parent.mkdir()
    diary.touch()  # should the driver be so slow to begin that it starts nothing
    stopped = hbtrack("run", "--max-epochs", 9, "--max-time", "1.5", *toy).stderr
    assert "--max-time 0:00:02 is used up" in stopped
    assert "stopped: --max-time 0:00:02 is used up" in hbtrack("report").stdout
    calls = diary.read_text()
    assert "is used up" in hbtrack("resume").stderr
    assert diary.read_text() == calls, "nothing was started"
    assert hbtrack.rows("SELECT count(*) FROM attempts WHERE finished_at IS NULL") == [(0,)]
    (hbtrack.folder / "toy" / "hurry").touch()
    hbtrack("resume", "--max-time", "1h30m")
    assert hbtrack.rows("SELECT status, max_time FROM searches") == [("finished", 5400.0)]
    undisturbed = another()
    undisturbed("run", "--max-epochs", 9, TOY, "--epoch_seconds", 0, "--fail", 0)
    assert hbtrack.dump() == undisturbed.dump()


@pytest.mark.parametrize(
    "seen",
    [
        "started_at = '2026-01-01T00:00:00.000000Z', seen_at = '2026-01-01T08:00:00.000000Z', "
        "lived = NULL",
        "seen_at = started_at, lived = 28800.0",
        "started_at = '2030-01-01T00:00:00.000000Z', seen_at = '2020-01-01T08:00:00.000000Z', "
        "ended_at = seen_at, lived = 28800.0",
    ],
    ids=["by an older hbtrack", "by seconds", "under a clock that was set back"],
)
def test_the_life_of_a_killed_driver_counts_as_far_as_it_was_seen(
    hbtrack: Hbtrack, seen: str
) -> None:
    driver = hbtrack.start("run", "--max-epochs", 3, TOY, "--epoch_seconds", 600)
    wait_for((hbtrack.folder / "toy" / "diary.txt").exists)
    driver.kill()
    driver.communicate()
    with closing(sqlite3.connect(hbtrack.database)) as connection, connection:
        connection.execute(f"UPDATE _driver SET {seen}")
    assert "--max-time 8:00:00 is used up" in hbtrack("resume", "--max-time", "8h").stderr
    assert hbtrack.rows("SELECT status FROM attempts") == [("interrupted",)]


# --- a script that is plainly broken -------------------------------------------------------------

BROKEN = keeps("""
if not os.path.exists("mended"):
    raise KeyError(f"column {number}")
print(number)
""")


FIRST_TEN_FIRST = """
open(f"called{number}", "w").close()
while number >= 10 and not all(os.path.exists(f"called{one}") for one in range(10)):
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("workers", "most"), [(1, 11), (8, 48)])
def test_a_script_that_always_fails_alike_stops_its_search_after_ten_evaluations(
    hbtrack: Hbtrack, script: Callable[[str], Path], workers: int, most: int
) -> None:
    script(keeps(FIRST_TEN_FIRST + "raise KeyError(f'column {number}')"))
    words = ("run", "--max-epochs", 27, "--workers", workers, "script.py")
    stopped = hbtrack(*words, code=1).stderr
    assert "KeyError: 'column 0'" in stopped
    assert "hbtrack retry" in stopped
    assert "hbtrack resume" in stopped
    [(status, failures)] = hbtrack.rows("SELECT status, evaluations_failed FROM searches")
    assert status == "stopped"
    assert 10 <= int(str(failures)) <= most


def test_why_a_broken_script_was_stopped_is_a_line_whatever_its_message() -> None:
    traceback = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'
    message = "ValueError: column 7\nof all these: " + "x" * 9999
    assert broken("ValueError; x.py:1", traceback + message).reason.endswith(": column 7")
    assert len(broken("exit 1", "x" * 9999).reason) < 400


@pytest.mark.slow
def test_a_mended_script_is_retried_and_comes_to_what_it_would_have_come_to(
    hbtrack: Hbtrack, script: Callable[[str], Path], another: Callable[[], Hbtrack]
) -> None:
    script(BROKEN)
    hbtrack("run", "--max-epochs", 27, "script.py", code=1)
    (hbtrack.folder / "mended").touch()
    assert "10 failed evaluations are queued again" in hbtrack("retry").stderr
    hbtrack("resume")
    whole = another()
    (whole.folder / "script.py").write_text(BROKEN)
    (whole.folder / "mended").touch()
    whole("run", "--max-epochs", 27, "script.py")
    assert hbtrack.dump() == whole.dump()


def test_where_nothing_keeps_to_the_timeout_a_longer_one_is_advised(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(keeps("time.sleep(60)"))
    words = ("run", "--max-epochs", 27, "--workers", 10, "--timeout", 0.2, "script.py")
    said = hbtrack(*words, code=1).stderr
    assert "the first 10 evaluations all took longer than --timeout allows" in said
    assert "hbtrack retry" in said
    assert "and --timeout with a longer time" in said
    assert "mended" not in said
    assert "hbtrack resume --timeout 0.4 " in hbtrack("errors").stdout
    hbtrack("status", "--wait", code=1)


@pytest.mark.slow
def test_a_broken_script_is_judged_once(hbtrack: Hbtrack, script: Callable[[str], Path]) -> None:
    script(BROKEN)
    hbtrack("run", "--max-epochs", 9, "script.py", code=1)
    hbtrack("resume")  # the user wants it all the same
    assert hbtrack.rows("SELECT status, evaluations_done FROM searches") == [("finished", 0)]


def test_a_broken_script_is_judged_again_if_nobody_was_told(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(BROKEN)
    killed = {"HBTRACK_FAULT": "release.before:1:kill"}
    hbtrack("run", "--max-epochs", 9, "script.py", code=-9, env=killed)
    assert "plainly broken" in hbtrack("resume", code=1).stderr


@pytest.mark.slow
def test_what_was_spent_before_the_best_never_shrinks_when_failures_are_taken_back(
    hbtrack: Hbtrack,
) -> None:
    toy = (TOY, "--fail", 0.45)
    killed = {"HBTRACK_FAULT": "settle.after:8:kill"}
    hbtrack("run", "--max-epochs", 9, "--seed", 4, *toy, code=-9, env=killed)
    hbtrack("retry")
    assert "sound" in hbtrack("db", "check").stderr
    hbtrack("resume")


def test_a_search_of_fewer_than_ten_evaluations_is_never_called_broken(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(BROKEN)
    hbtrack("run", "--max-epochs", 3, "script.py")
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


@pytest.mark.slow
def test_failures_of_different_places_do_not_mean_that_the_script_is_broken(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(keeps("if number % 2:\n    raise ValueError(number)\nraise KeyError(number)"))
    hbtrack("run", "--max-epochs", 9, "script.py")
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]


# --- hbtrack retry -------------------------------------------------------------------------------


UNLUCKY_AT_FIRST = keeps("""
if number < 3 and not os.path.exists("mended"):
    raise ValueError('unlucky')
print(number - epochs / 1000)
""")


@pytest.mark.parametrize("workers", [1, 2])
def test_retry_comes_to_what_a_search_that_never_failed_comes_to_below_promotions_too(
    hbtrack: Hbtrack,
    script: Callable[[str], Path],
    another: Callable[[], Hbtrack],
    workers: int,
) -> None:
    script(UNLUCKY_AT_FIRST)
    hbtrack("run", "--max-epochs", 9, "--workers", workers, "script.py")
    assert hbtrack.rows("SELECT promoted FROM rungs WHERE bracket = 2 AND rung = 0") == [(3,)]
    (hbtrack.folder / "mended").touch()
    said = hbtrack("retry").stderr
    assert re.search(r"3 failed evaluations are queued again, 3 epochs to train, up to \d+ ", said)
    hbtrack("resume", "--workers", workers)
    whole = another()
    (whole.folder / "script.py").write_text(UNLUCKY_AT_FIRST)
    (whole.folder / "mended").touch()
    whole("run", "--max-epochs", 9, "script.py")
    of_places = "SELECT pass, bracket, rung, slot, config_id, loss, promoted, reused FROM results"
    assert sorted(hbtrack.rows(of_places)) == sorted(whole.rows(of_places))
    assert "sound" in hbtrack("db", "check").stderr
    # What went on in their place counts for the best of a config, and is marked.
    assert hbtrack.rows("SELECT count(*) > 0 FROM leaderboard WHERE NOT used") == [(1,)]
    assert "Without a bracket: " in hbtrack("report", "--top", 99).stdout
    assert "Without a bracket: " in hbtrack("report", "--html", "-").stdout


@pytest.mark.slow
def test_a_failure_that_no_place_uses_any_more_is_not_queued(hbtrack: Hbtrack) -> None:
    toy = (TOY, "--fail", 0.4)
    hbtrack("run", "-q", "--max-epochs", 4, "--eta", 2, "--seed", 1, *toy)
    hbtrack("extend", "-q", "--identity", "toy", "--max-epochs", 8)
    orphans = hbtrack.rows("SELECT config_id FROM failures WHERE bracket IS NULL")
    assert orphans
    refused = hbtrack("retry", "--config", orphans[0][0], code=None)
    assert "no place uses it any more" in refused.stderr


def test_retry_takes_only_what_is_meant(hbtrack: Hbtrack, script: Callable[[str], Path]) -> None:
    script(
        keeps("""
if epochs == 3 and calls == 1:
    raise ValueError("unlucky " + config)
print(number)
""")
    )
    hbtrack("run", "--max-epochs", 3, "script.py")
    [(failures,)] = hbtrack.rows("SELECT count(*) FROM failures WHERE epochs = 3")
    assert failures == 3
    assert hbtrack("retry", "--error", "no such text", code=3)
    assert hbtrack("retry", "--config", "c:99", code=3)
    assert "1 failed evaluation is queued" in hbtrack("retry", "--error", "UNLUCKY C:0").stderr
    assert hbtrack.rows("SELECT status FROM searches") == [("unfinished",)]
    hbtrack("resume")
    rows = hbtrack.rows(
        "SELECT config_id, status FROM results WHERE epochs = 3 AND config_id='c:0'"
    )
    assert rows == [("c:0", "done")]
    assert hbtrack.rows("SELECT count(*) FROM failures WHERE epochs = 3") == [(2,)]


@pytest.mark.slow
def test_retry_is_refused_while_the_search_runs_or_its_scripts_do(hbtrack: Hbtrack) -> None:
    folder = hbtrack.folder / "toy"
    folder.mkdir()
    (folder / "hold").touch()
    driver = hbtrack.start("run", "--max-epochs", 3, TOY)
    wait_for((folder / "diary.txt").exists)
    assert "Another hbtrack is running" in hbtrack("retry", code=4).stderr
    assert (
        "Another hbtrack is running"
        in hbtrack("extend", "--identity", "toy", "--passes", 2, code=4).stderr
    )
    driver.kill()
    driver.communicate()
    assert "still run" in hbtrack("retry", code=4).stderr
    assert "still run" in hbtrack("extend", "--identity", "toy", "--passes", 2, code=4).stderr
    (folder / "hold").unlink()
    hbtrack("resume")


def test_failures_that_nobody_settled_before_a_reboot_are_settled_by_retry(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    script(BROKEN)
    killed = {"HBTRACK_FAULT": "settle.before:10:kill"}
    hbtrack("run", "--max-epochs", 9, "script.py", code=-9, env=killed)
    wait_for(lambda: os.path.exists(hbtrack.folder / "calls"))
    done = "10 failed evaluations are queued again"
    wait_for(lambda: done in hbtrack("retry", code=None).stderr)
    (hbtrack.folder / "mended").touch()
    hbtrack("resume")
    assert hbtrack.rows("SELECT evaluations_failed FROM searches") == [(0,)]


# --- --config ------------------------------------------------------------------------------------


def test_the_users_own_configs_come_first(hbtrack: Hbtrack, script: Callable[[str], Path]) -> None:
    script(f"{SAMPLER}\n{IDENTITY}\nif __name__ == '__main__':\n    print(0.5)\n")
    hbtrack("run", "--max-epochs", 9, "--config", "x:1", "--config", "x:2", "script.py")
    first = "SELECT config_id FROM results WHERE pass = 1 AND bracket = 2 AND rung = 0 AND slot < 2"
    assert hbtrack.rows(first) == [("x:1",), ("x:2",)]
    assert hbtrack.rows("SELECT value FROM params WHERE config_id = 'x:2'") == [(2,)]
    words = ("run", "--max-epochs", 9, "--config", "x:3", "script.py")
    assert "--config: stored x:1 x:2, given x:3" in hbtrack(*words, code=4).stderr


# --- hbtrack extend ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 8])
def test_27_epochs_extended_to_81_are_a_fresh_search_of_81_and_train_only_what_is_missing(
    hbtrack: Hbtrack, another: Callable[[], Hbtrack], workers: int
) -> None:
    def trained(search: Hbtrack) -> list[str]:
        diary = (search.folder / "toy" / "diary.txt").read_text().splitlines()
        assert not [line for line in diary if line.startswith(("RACE", "BELOW"))]
        return sorted(line for line in diary if line.startswith("epoch "))

    hbtrack("run", "-q", "--max-epochs", 27, "--workers", workers, TOY)
    small = trained(hbtrack)
    grow = ("extend", "-q", "--identity", "toy", "--max-epochs", 81, "--workers", workers)
    hbtrack(*grow, env={"HBTRACK_FAULT": "settle.after:30:kill"}, code=-9)
    hbtrack("resume", "-q")
    fresh = another()
    fresh("run", "-q", "--max-epochs", 81, "--workers", 2, TOY)
    assert hbtrack.dump() == fresh.dump()
    whole = trained(hbtrack)
    assert len(set(whole)) == len(whole)
    assert set(whole) - set(small) <= set(trained(fresh))
    assert set(trained(fresh)) <= set(whole)


def test_slots_that_differ_from_a_fresh_search_are_all_named(hbtrack: Hbtrack) -> None:
    toy = (TOY, "--space", 6)
    hbtrack("run", "-q", "--max-epochs", 3, *toy)
    said = hbtrack("extend", "--identity", "toy", "--max-epochs", 9).stderr
    assert "slots hold other configs" in said
    assert "pass 1, first budget 1: " in said
