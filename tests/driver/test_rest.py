"""Outages: failures in a row are doubted, hbtrack rests and asks again, and nothing is changed."""

import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import suppress

import pytest
from conftest import Hbtrack, wait_for
from fragile import fragile, results, undisturbed

# Fails from one call of --outage on to before the other, or until `mended` is there. Saves a
# checkpoint, which says what it was trained to.
TRAIN = """
    calls = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(calls, b".")
    number = os.lseek(calls, 0, os.SEEK_CUR)
    if args.outage[0] <= number < args.outage[1] and not os.path.exists("mended"):
        ERROR
    name = args.config_id[2:]
    done = int(open(name).read()) if os.path.exists(name) else 0
    assert done <= args.epochs
    with open(name, "w") as file:
        file.write(str(args.epochs))
"""
GONE = 'raise FileNotFoundError("data")'
FULL = 'raise OSError(28, "No space left on device")'
RUN = ("run", "--max-epochs", 9, "--max-rest", 2)
FROM_THE_SIXTH_ON = ("--outage", 6, 10**6)
Write = Callable[[str], None]
Rows = list[tuple[object, ...]]


def fails(error: str) -> str:
    return fragile(TRAIN.replace("ERROR", error))


@pytest.fixture
def script(hbtrack: Hbtrack) -> Write:
    def write(error: str) -> None:
        (hbtrack.folder / "script.py").write_text(fails(error))

    return write


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return undisturbed(Hbtrack(tmp_path_factory.mktemp("undisturbed")), fails(GONE), 9)


def rests(hbtrack: Hbtrack) -> bool:
    with suppress(sqlite3.OperationalError):  # it is just being made
        return bool(hbtrack.rows("SELECT 1 FROM drivers WHERE rests_until IS NOT NULL"))
    return False


@pytest.mark.parametrize(
    ("workers", "error"),
    [
        pytest.param(2, GONE, id="gone"),
        pytest.param(2, FULL, id="full"),
        pytest.param(1, GONE, id="gone-1-worker", marks=pytest.mark.slow),
        pytest.param(8, GONE, id="gone-8-workers", marks=pytest.mark.slow),
        pytest.param(8, FULL, id="full-8-workers", marks=pytest.mark.slow),
    ],
)
def test_fault_121_an_outage_changes_nothing_but_the_time_it_takes(
    hbtrack: Hbtrack,
    script: Write,
    expected: Rows,
    workers: int,
    error: str,
) -> None:
    script(error)
    driver = hbtrack.start(*RUN, "--workers", workers, "script.py", *FROM_THE_SIXTH_ON)
    wait_for(lambda: rests(hbtrack))
    (hbtrack.folder / "mended").touch()
    said = driver.communicate()[1]
    assert driver.returncode == 0
    before, rests_then, after = said.partition(": hardly by chance, so nothing new starts until ")
    assert rests_then
    assert "It succeeded: the failures before it are taken back" in after
    assert ": failed at " in before, "a failure is told before what it leads to"
    assert results(hbtrack) == expected
    assert hbtrack.rows("SELECT count(*) FROM failures") == [(0,)]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_fault_122_one_that_is_ended_while_it_rests_is_found_again_by_the_next_driver(
    hbtrack: Hbtrack,
    script: Write,
    expected: Rows,
    end: str,
) -> None:
    script(GONE)
    words = ("run", "--max-epochs", 9, "--workers", 2, "script.py", *FROM_THE_SIXTH_ON)
    driver = hbtrack.start(*words)
    wait_for(lambda: rests(hbtrack))
    shown = hbtrack("status").stdout
    assert re.search(r"fragile rests until \S+Z, then asks again: 1\d failed, the last", shown)
    assert "rests until" in hbtrack("errors").stdout
    if end == "kill":
        driver.send_signal(signal.SIGKILL)
    else:
        hbtrack("stop")
    assert driver.wait() == (-9 if end == "kill" else 75)
    assert "rests until" not in hbtrack("status").stdout
    assert "fragile rested when its last hbtrack ended: 1" in hbtrack("status").stdout
    (hbtrack.folder / "mended").touch()
    assert "hardly by chance" in hbtrack("resume", "--max-rest", 4).stderr
    assert results(hbtrack) == expected


def test_fault_123_when_all_rest_is_used_up_it_stops_and_either_way_on_leads_on(
    hbtrack: Hbtrack, script: Write, expected: Rows
) -> None:
    script(GONE)
    words = ("run", "--max-epochs", 9, "--max-rest", 0.2, "script.py", *FROM_THE_SIXTH_ON)
    said = hbtrack(*words, code=1).stderr
    assert re.search(r"failures in a row .*: 1\d since a success at \S+Z \(1\d FileNotFound", said)
    assert "hbtrack retry, then hbtrack resume" in said
    assert "hbtrack resume --max-streak none" in said
    assert "what ran to ask after 0:00:00" in said
    assert "rested" not in hbtrack("status").stdout, "it did not rest any more"
    said = hbtrack("resume", "--max-rest", 0, code=1).stderr  # still doubted, and no rest at all
    assert "--max-rest 0 allows no rest" in said
    (hbtrack.folder / "mended").touch()
    assert "failed evaluations are queued again" in hbtrack("retry").stderr
    hbtrack("resume")
    assert results(hbtrack) == expected


def test_failures_that_are_the_configs_are_believed_with_max_streak_none(
    hbtrack: Hbtrack, script: Write
) -> None:
    script(GONE)
    words = ("run", "--max-epochs", 9, "--max-rest", 0, "script.py", *FROM_THE_SIXTH_ON)
    hbtrack(*words, code=1)
    assert hbtrack.rows("SELECT status FROM searches") == [("stopped",)]
    hbtrack("resume", "--max-streak", "none")
    [(status, failed)] = hbtrack.rows("SELECT status, evaluations_failed FROM searches")
    assert status == "finished"
    assert int(str(failed)) > 10


@pytest.mark.slow
def test_a_search_does_not_finish_while_its_last_failures_are_doubted(
    hbtrack: Hbtrack, script: Write, expected: Rows
) -> None:
    script(GONE)
    words = ("run", "--max-epochs", 9, "--max-rest", 0, "script.py")
    hbtrack(*words, "--outage", 12, 10**6, code=1)
    assert hbtrack.rows("SELECT count(*) FROM results WHERE status = 'waiting'") == [(0,)]
    assert hbtrack.rows("SELECT status FROM searches") == [("stopped",)]
    assert "sound" in hbtrack("db", "check").stderr
    hbtrack("retry")
    (hbtrack.folder / "mended").touch()
    hbtrack("resume")
    assert results(hbtrack) == expected


def test_one_config_that_alone_blames_the_machine_is_failed_at_the_fifth_time(
    hbtrack: Hbtrack, script: Write, expected: Rows
) -> None:
    script('pass\n    if args.config_id == os.environ.get("UNLUCKY"):\n        ' + FULL)
    unlucky = next(row[4] for row in expected if row[2:4] == (0, 3))  # by rung and slot
    hbtrack(*RUN, "script.py", env={"UNLUCKY": str(unlucky)})
    failed = "SELECT status, retried FROM attempts WHERE status = 'failed' ORDER BY attempt"
    rows = hbtrack.rows(failed)
    assert rows[-1] == ("failed", None)
    assert {row[1] for row in rows[:-1]} == {"rest"}
    assert 5 <= len(rows) <= 9
    assert hbtrack.rows("SELECT config_id FROM failures") == [(unlucky,)]
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]
    assert "sound" in hbtrack("db", "check").stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_some_configs_that_always_blame_the_machine_are_failed_and_the_others_go_on(
    hbtrack: Hbtrack, script: Write, expected: Rows, workers: int
) -> None:
    script('pass\n    if args.config_id in os.environ.get("UNLUCKY", "").split():\n        ' + FULL)
    unlucky = {str(row[4]) for row in expected if row[1:4] in [(2, 0, 1), (2, 0, 2), (2, 0, 5)]}
    assert len(unlucky) == 3
    hbtrack(*RUN, "--workers", workers, "script.py", env={"UNLUCKY": " ".join(unlucky)})
    assert {name for (name,) in hbtrack.rows("SELECT config_id FROM failures")} == unlucky
    assert hbtrack.rows("SELECT status FROM searches") == [("finished",)]
    assert "sound" in hbtrack("db", "check").stderr


@pytest.mark.slow
def test_the_users_own_text_tells_the_machines_failures_at_once(
    hbtrack: Hbtrack, script: Write, expected: Rows
) -> None:
    script('sys.exit("no licence for the solver")')
    texts = ("--retry-on", "no mount", "--retry-on", "no licence")
    hbtrack(*RUN, *texts, "script.py", "--outage", 6, 8)
    assert results(hbtrack) == expected
    assert hbtrack.rows("SELECT count(*) FROM attempts WHERE retried = 'rest'") == [(2,)]
