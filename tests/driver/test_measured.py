"""What scripts print beside their losses, and what their processes used, as the file has it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Hbtrack

Script = Callable[[str], Path]

PRINTS = """
import json, os, sys
def run_identity(argv): return "model:" + "".join(argv)
def get_random_config_id(rng): return f"x:{rng.randint(6)}"
if __name__ == "__main__":
    x, epochs = int(sys.argv[1][2:]), int(sys.argv[sys.argv.index("--epochs") + 1])
    print("epoch 1 of many")
    print(f"acc=0.{x:02}")
    print("f1:", epochs)
    print(json.dumps({"x": x, "name": "x", "ok": True, "none": float("nan")}))
    print(x / epochs)
"""

EXPECTED = """
SELECT DISTINCT run_identity, config_id, epochs FROM results WHERE status = 'done'"""


def numbers(config_id: str, epochs: int) -> dict[str, float]:
    x = int(config_id[2:])
    return {"acc": x / 100, "f1": epochs, "x": x}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """Two searches whose configs repeat, so that places share results."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("metrics"))
    (hbtrack.folder / "script.py").write_text(PRINTS)
    for name in ("one", "two"):
        hbtrack("run", "--max-epochs", 9, "--workers", 2, "script.py", name)
    return hbtrack


def test_every_done_evaluation_has_the_numbers_above_its_loss(searched: Hbtrack) -> None:
    expected = {
        (*key, name, value)
        for key in searched.rows(EXPECTED)
        for name, value in numbers(*key[1:]).items()
    }
    found = searched.rows("SELECT run_identity, config_id, epochs, name, value FROM metrics")
    assert set(found) == expected
    assert len(found) == len(expected)
    assert searched.rows("SELECT count(*) > 0 FROM results WHERE reused") == [(1,)]


def test_metrics_carry_the_number_of_their_config(searched: Hbtrack) -> None:
    differ = "SELECT count(*) FROM metrics JOIN results USING (run_identity, config_id, epochs) "
    assert searched.rows(f"{differ} WHERE metrics.config IS NOT results.config") == [(0,)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_metrics_are_exported(searched: Hbtrack, tmp_path: Path, form: str) -> None:
    searched("export", form, tmp_path / "out", "--identity", "model:one")
    if form == "json":
        rows = json.loads((tmp_path / "out").read_text())["views"]["metrics"]
    elif form == "jsonl":
        lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
    else:
        with (tmp_path / "out" / "metrics.csv").open(newline="") as file:
            rows = [*csv.DictReader(file)]
    found = {
        (row["config_id"], int(row["epochs"]), row["name"], float(row["value"])) for row in rows
    }
    select = "SELECT config_id, epochs, name, value FROM metrics WHERE run_identity = 'model:one'"
    assert found == set(searched.rows(select))


def test_metrics_are_asked_for_with_sql(searched: Hbtrack) -> None:
    select = "SELECT max(value) AS most FROM metrics WHERE name = 'acc'"
    assert searched.json("sql", select)["rows"] == searched.records(select)


def test_a_removed_search_takes_its_metrics_with_it(copied: Hbtrack) -> None:
    before = copied.rows("SELECT * FROM metrics WHERE run_identity = 'model:two'")
    copied("rm", "--identity", "model:one", "--yes")
    assert sorted(copied.rows("SELECT * FROM metrics")) == sorted(before)
    assert copied.rows("SELECT count(*) FROM _metric") == [(len(before),)]


FAILS_FIRST = """
import os, sys
def run_identity(argv): return "fails"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    tries = os.path.join(os.environ["HBTRACK_CHECKPOINT"], "tries" + sys.argv[3])
    with open(tries, "a") as file:
        file.write(".")
    print(f"tries={os.path.getsize(tries)}")
    if os.path.getsize(tries) == 1:
        print("only_when_it_fails=1")
    print(0.5)
    sys.exit(os.path.getsize(tries) == 1)
"""


def test_of_an_evaluation_that_was_tried_again_the_last_attempt_tells(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 1, script(FAILS_FIRST))
    assert hbtrack.rows("SELECT count(*) FROM metrics") == [(0,)]
    hbtrack("retry")
    hbtrack("resume")
    assert hbtrack.rows("SELECT DISTINCT name, value FROM metrics") == [("tries", 2.0)]


HOSTILE = r"""
def run_identity(argv): return "hostile"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    deep = "[" * 500 + "]" * 500
    print('{"\\ud800": 1, "a\\u0000": 2, "": 3, "huge": ' + "9" * 400 + ', "deep": ' + deep + "}")
    print('{"big": 99999999999999999999, "' + "n" * 101 + '": 1}')
    print("nan=nan")
    print(0.5)
"""


def test_whatever_stands_above_a_loss_the_evaluation_is_done(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 1, script(HOSTILE))
    assert hbtrack.rows("SELECT status, loss FROM results") == [("done", 0.5)]
    assert hbtrack.rows("SELECT name, value FROM metrics") == [("big", 1e20)]


LONG = """
def run_identity(argv): return "long"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    print("too_far_up=1\\n" + "a line of a log\\n" * 10_000 + "acc=0.5")
    print(0.5)
"""


def test_of_a_long_output_the_end_tells(hbtrack: Hbtrack, script: Script) -> None:
    hbtrack("run", "--max-epochs", 1, script(LONG))
    assert hbtrack.rows("SELECT name, value FROM metrics") == [("acc", 0.5)]


# --- memory and processor time -------------------------------------------------------------------

USES = """
import subprocess, sys, time
def run_identity(argv): return argv[0]
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
def burn():
    begun = time.process_time()
    while time.process_time() - begun < 0.3:
        pass
if __name__ == "__main__":
    match sys.argv[-1]:
        case "holds":
            held = b"x" * 200_000_000
        case "burns":
            burn()
        case "child":
            subprocess.run([sys.executable, "-c", "import script; script.burn()"], check=True)
        case "fails":
            burn()
            sys.exit(3)
    print(0.5)
"""


@pytest.mark.parametrize(
    ("what", "memory", "seconds"),
    [("holds", 200e6, 0), ("burns", 5e6, 0.3), ("child", 5e6, 0.3), ("fails", 5e6, 0.3)],
)
def test_an_attempt_says_how_much_memory_and_processor_time_it_used(
    hbtrack: Hbtrack, script: Script, what: str, memory: float, seconds: float
) -> None:
    hbtrack("run", "--max-epochs", 1, script(USES), what)
    [(used, took)] = hbtrack.rows("SELECT peak_memory, cpu_seconds FROM attempts")
    assert isinstance(used, int)
    assert isinstance(took, float)
    assert memory <= used < memory + 200e6
    assert seconds <= took < seconds + 60


ONCE_LOST = """
import os, signal, sys
def run_identity(argv): return "lost"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    if not os.path.exists("again"):
        open("again", "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
    print(0.5)
"""


def test_what_nobody_saw_the_end_of_used_nobody_knows_what(
    hbtrack: Hbtrack, script: Script
) -> None:
    hbtrack("run", "--max-epochs", 1, script(ONCE_LOST))
    select = "SELECT status, peak_memory > 0, cpu_seconds > 0 FROM attempts ORDER BY attempt"
    assert hbtrack.rows(select) == [("lost", None, None), ("done", 1, 1)]
