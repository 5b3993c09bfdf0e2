"""`hbtrack check` accuses no script that keeps the contract in a way of its own."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Hbtrack
from test_check import ELSEWHERE, LINES, LOAD, LOSS, SAVE, STATE, checked, good, run

from hbtrack.check import losses, scratch
from hbtrack.check.functions import imported
from hbtrack.check.noise import in_doubt
from hbtrack.check.scratch import Touched, Watch
from hbtrack.check.training import Training
from hbtrack.script.command import make_command
from hbtrack.script.probe import ScriptProbe

Edits = list[tuple[str, str]]

COUNT = (
    STATE,
    "    def count():\n"
    '        with Path(os.environ["ELSEWHERE"], "count").open("a+") as file:\n'
    '            file.write("x")\n            return file.tell()\n\n' + STATE,
)
DATA = (
    STATE,
    '    data = Path("dataset.txt")\n    data.exists() or data.write_text("1")\n'
    f"    data.read_text()\n{STATE}",
)
BEST = [
    ('"speed": 0.0,', '"speed": 0.0, "best": 1e9,'),
    (SAVE, '        state["best"] = min(state["best"], 1.2 - state["weight"])\n' + SAVE),
    (LOSS, '    print(state["best"])\n'),
]
DATABASE = [
    (
        LOAD,
        "    path.parent.mkdir(exist_ok=True)\n"
        "    with sqlite3.connect(path) as db:\n"
        '        db.execute("CREATE TABLE IF NOT EXISTS s (t)")\n'
        '    for (text,) in db.execute("SELECT t FROM s ORDER BY rowid DESC"):\n'
        "        return json.loads(text)\n",
    ),
    (
        SAVE,
        "        with sqlite3.connect(checkpoint_of(args)) as db:\n"
        '            db.execute("INSERT INTO s VALUES (?)", (json.dumps(state),))\n',
    ),
    ("import sys\n", "import sqlite3\nimport sys\n"),
]
WAYS: dict[str, Edits] = {
    "the number of GPUs, and a log, at import": [
        ("def load(", 'print(0)\nopen("train.log", "w").close()\n\n\ndef load(')
    ],
    "a database": DATABASE,
    "data for each config, prepared, and results that grow": [
        (
            STATE,
            '    Path("data", args.config_id[-2:]).read_text()\n'
            f'    open("results.csv", "a").write("x\\n")\n{STATE}',
        ),
    ],
    "data kept here, checkpoints elsewhere": [ELSEWHERE, DATA],
    "data kept here, checkpoints elsewhere, a line for each epoch": [ELSEWHERE, DATA, LINES],
    "a file of each run here, checkpoints elsewhere, the first epoch the best": [
        ELSEWHERE,
        (
            STATE,
            '    first = Path(os.environ["ELSEWHERE"], "first")\n'
            "    first.exists() or first.write_text(args.config_id)\n"
            "    args.rises = first.read_text() == args.config_id\n"
            f'    Path(args.config_id + ".yaml").write_text("x")\n{STATE}',
        ),
        *BEST,
        ('1.2 - state["weight"]', 'abs(1.2 * args.rises - state["weight"])'),
    ],
    "the best loss so far, with noise that no seed repeats": [
        COUNT,
        ("train(state, args.epochs,", "train(count, state, args.epochs,"),
        ("def train(", "def train(count, "),
        *BEST,
        ('1.2 - state["weight"]', "0.1 + (count() - 1) * 0.618034 % 1"),
    ],
    "defaults for what an id leaves out": [
        (".split())\n", '.split() if ":" in part)\n'),
        ("pairs = dict(", 'pairs = {"lr": 0.01, "momentum": 0.5} | dict('),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("edits", WAYS.values(), ids=WAYS)
def test_a_right_script_of_its_own_ways_raises_no_alarm(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory, edits: Edits
) -> None:
    path = good(hbtrack.folder, *edits)
    (hbtrack.folder / "data").mkdir()
    for number in range(100):
        (hbtrack.folder / "data" / f"{number:02}").write_text("x")
    (hbtrack.folder / "results.csv").write_text("x\n")
    elsewhere = {"ELSEWHERE": str(tmp_path_factory.mktemp("elsewhere"))}
    found = checked(hbtrack, path, code=0, env=elsewhere)
    assert [one for one in found.values() if one["status"] in ("warn", "fail")] == []
    assert found["resume"]["status"] == "pass"


@pytest.mark.slow
def test_losses_that_were_equal_by_chance_at_first_accuse_nobody(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first 8 runs have no noise: those of one config, and one of the next."""
    edits = [
        COUNT,
        ("train(state, args.epochs,", "train(count(), state, args.epochs,"),
        ("def train(", "def train(count, "),
        ("Random(7)", "Random()"),
        ("rng.gauss(0, 0.1)", "rng.gauss(0, 0.1 if count > 8 else 0.0)"),
        ('        state["random"] = rng.getstate()\n', ""),
        (LOSS, '    print(state["weight"])\n'),
    ]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = good(hbtrack.folder, *edits)
    found = checked(hbtrack, path, code=0, env={"ELSEWHERE": str(elsewhere)})
    assert [one for one in found.values() if one["status"] in ("warn", "fail")] == []


@pytest.mark.slow
@pytest.mark.parametrize(("times", "status"), [(1, "pass"), (9, "warn")])
def test_a_loss_that_is_far_off_once_accuses_nobody(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory, times: int, status: str
) -> None:
    """What goes on to two epochs is far off, the first time or each time; all have some noise."""
    edits = [
        ("Random(7)", "Random()"),
        ('        state["random"] = rng.getstate()\n', ""),
        (STATE, f'{STATE}    before = state["epoch"]\n'),
        (
            LOSS,
            '    loss = state["weight"]\n'
            '    made = Path(os.environ["ELSEWHERE"], "made")\n'
            "    if before == 1 and args.epochs == 2:\n"
            '        with made.open("a") as file:\n            file.write("x")\n'
            f"        loss += 9 * (made.stat().st_size <= {times})\n"
            "    print(loss)\n",
        ),
    ]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = good(hbtrack.folder, *edits)
    found = checked(hbtrack, path, env={"ELSEWHERE": str(elsewhere)})
    assert found["resume"]["status"] == status, found["resume"]["says"]
    assert len((elsewhere / "made").read_text()) > 1


@pytest.mark.slow
def test_in_place_a_file_of_data_for_each_config_is_no_checkpoint_of_another_search(
    hbtrack: Hbtrack,
) -> None:
    edits = [
        ('f"{args.config_id}.json"', 'f"{args.config_id}.{args.data}.json"'),
        (
            STATE,
            '    data = Path(args.config_id + ".data")\n'
            f'    data.exists() or data.write_text("x")\n    data.read_text()\n{STATE}',
        ),
    ]
    path = good(hbtrack.folder, *edits)
    found = checked(hbtrack, "--in-place", path, "--data", "large", code=0)
    assert found["other_search"]["status"] == "pass"


@pytest.mark.parametrize(("files", "status"), [("train.log", "pass"), ("model.pt", "warn")])
def test_a_log_that_is_opened_at_import_is_no_alarm(files: str, status: str) -> None:
    touched = Touched(frozenset({files}), *[frozenset[str]()] * 3, read=None)
    assert imported(1.0, 1.0, "ready\n", touched).status == status


@pytest.mark.parametrize(
    ("printed", "files", "status"),
    [("8\n", "", "pass"), ("8\n", "model.pt", "fail"), ("0.5\n", "", "fail")],
)
def test_a_whole_number_at_import_is_a_loss_only_with_a_checkpoint(
    printed: str, files: str, status: str
) -> None:
    touched = Touched(frozenset(files.split()), *[frozenset[str]()] * 3, read=None)
    assert imported(1.0, 1.0, printed, touched).status == status


@pytest.mark.parametrize(("work", "status"), [(2.0, "pass"), (31.0, "warn")])
def test_an_import_is_only_slow_by_its_own_work(work: float, status: str) -> None:
    untouched = Touched(*[frozenset[str]()] * 4, read=None)
    assert imported(33.0, work, "", untouched).status == status


def test_what_an_import_works_is_told_by_itself(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 1.5:\n    pass\n"
    (tmp_path / "good.py").write_text(busy)
    command = make_command("good.py", (), sys.executable, str(tmp_path))
    with ScriptProbe(command, 60.0) as probe:
        assert probe.imported() >= 1.5


def test_of_too_many_files_those_written_last_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "MOST_WATCHED", 1)
    for name in ("a", "z", "b"):
        (tmp_path / name).write_text(name)
    for name, at in (("a", 1), ("z", 3), ("b", 2)):
        os.utime(tmp_path / name, (at, at))
    watch = Watch(tmp_path, frozenset({"a", "b", "z", "not there"}))
    for name in ("a", "b", "z"):
        (tmp_path / name).read_text()
    assert watch.touched().read == {"z"}


@pytest.mark.parametrize(("noise", "status"), [(0.1, "pass"), (0.0, "warn")])
def test_a_coarse_loss_of_another_run_may_stand_above_by_chance(noise: float, status: str) -> None:
    """With PYTHONUNBUFFERED unset it printed 0.3 and 0.4, and the run from nothing ended at 0.3."""
    held = run(2, "0.4")
    held = replace(held, verdict=replace(held.verdict, stdout="0.3\n0.4\n"))
    one, fresh = run(1, "0.5"), run(2, "0.3")
    training = Training(one, fresh, fresh, fresh, *[fresh] * 3, held=held, noise=noise)
    assert losses.last_line(training).status == status


@pytest.mark.parametrize(("loss", "more"), [("0.0", 15), ("0.12345", 0)])
def test_equal_losses_of_few_digits_need_more_runs_before_one_is_off(loss: str, more: int) -> None:
    assert in_doubt([run(2, loss)] * 5, run(2, "0.5")) == more
