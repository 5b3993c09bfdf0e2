"""Every named fault point, at every passage: what dies there changes nothing in the end."""

import ast
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack, wait_for

from hbtrack.executors.worker_files import WorkerFiles
from hbtrack.faults import POINTS
from hbtrack.searches.verify import check_database

SEARCH = ("run", "--max-epochs", 3, "--passes", 2, "--workers", 2, TOY, "--space", 9)
ELSEWHERE = {"clean.inside", "remove.inside", "remove.after"}  # tests/cli/test_clean.py, test_rm.py
ENDS = {0, 1, 75, -9, -15}  # of a command: finished, failed, stopped, killed, ended by SIGTERM


def points_in(package: Path) -> Counter[str]:
    """How often each point is named as one that is passed."""
    calls = [
        node
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "fault_point"
    ]
    return Counter(ast.literal_eval(call.args[0]) for call in calls)


def test_every_point_lies_somewhere_and_has_a_name_in_the_list() -> None:
    passed = points_in(ROOT / "hbtrack") + points_in(ROOT / "migrations")
    assert sorted(passed) == sorted(POINTS)


# --- what passes which points --------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A command in a folder where `before` was done; `points` are those that only it passes."""

    before: Callable[[Hbtrack], None]
    command: tuple[object, ...]
    points: tuple[str, ...]
    again: tuple[object, ...] = ("resume", "--workers", 2)  # to the end, after the fault


def nothing(_hbtrack: Hbtrack) -> None:
    """A new folder."""


def driver_killed_over_scripts(hbtrack: Hbtrack) -> None:
    """Two scripts of a dead driver run, and go on for a while."""
    words = (*SEARCH, "--epoch_seconds", 0.3)
    hbtrack(*words, env={"HBTRACK_FAULT": "spawn.after:5:kill"}, code=-9)


def driver_killed_over_scripts_that_wait(hbtrack: Hbtrack) -> None:
    """The same, and they do not end by themselves."""
    (hbtrack.folder / "toy").mkdir()
    (hbtrack.folder / "toy" / "hold").touch()
    hbtrack(*SEARCH, env={"HBTRACK_FAULT": "spawn.after:2:kill"}, code=-9)


def searched_a_little(hbtrack: Hbtrack) -> None:
    """Nothing runs, and there is more to do."""
    hbtrack(*SEARCH, env={"HBTRACK_FAULT": "commit.after:5:stop"}, code=75)


def searched_less(hbtrack: Hbtrack) -> None:
    """A search of one pass has ended."""
    hbtrack(
        *(
            1 if word == 2 and SEARCH[number - 1] == "--passes" else word
            for number, word in enumerate(SEARCH)
        )
    )


EXTEND = ("extend", "--identity", "toy", "--passes", 2, "--workers", 2)

SCENES = {
    "run": Scene(nothing, SEARCH, ()),
    "resume": Scene(driver_killed_over_scripts, ("resume", "--workers", 2), ("adopt.after",)),
    "stop": Scene(
        driver_killed_over_scripts_that_wait,
        ("stop", "--grace", 1),
        ("stop.before", "stop.after", "stop.signalled"),
    ),
    "backup": Scene(searched_a_little, ("db", "backup", "copy.db"), ("backup.copied",)),
    "export": Scene(searched_a_little, ("export", "csv", "exported"), ("export.view",)),
    "extend": Scene(searched_less, EXTEND, ("grow.inside",), EXTEND),
}


def scene_of(point: str) -> str:
    return next((name for name, scene in SCENES.items() if point in scene.points), "run")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Hbtrack]:
    """New folders, for all tests of this module."""
    return lambda: Hbtrack(tmp_path_factory.mktemp("once"))


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    hbtrack = Hbtrack(tmp_path_factory.mktemp("golden"))
    hbtrack(*SEARCH)
    return hbtrack.dump()


@cache
def passages(make: Callable[[], Hbtrack], name: str) -> Counter[str]:
    """How often each point is passed in a scene."""
    hbtrack, scene = make(), SCENES[name]
    scene.before(hbtrack)
    trace = hbtrack.folder / "trace"
    hbtrack(*scene.command, env={"HBTRACK_FAULT_TRACE": str(trace)})
    hbtrack("stop", "--grace", 0)  # what a scene leaves running
    return Counter(trace.read_text().split())


def act_and_go_on(hbtrack: Hbtrack, scene: Scene, fault: str) -> None:
    """Play the scene with the fault, then go on until all is finished."""
    scene.before(hbtrack)
    env = {"HBTRACK_FAULT": fault, "HBTRACK_FAULT_ONCE": str(hbtrack.folder / "acted")}
    code = hbtrack(*scene.command, env=env, code=None).returncode
    (hbtrack.folder / "toy" / "hold").unlink(missing_ok=True)
    # How many commits there are depends a little on what ends in one moment.
    assert (hbtrack.folder / "acted").exists() or (code == 0 and ":1:" not in fault)
    assert code in ENDS, fault
    if hbtrack(*scene.again, code=None).returncode:  # not even begun
        hbtrack(*SEARCH)


def check(hbtrack: Hbtrack, golden: list[tuple[object, ...]], fault: str) -> None:
    assert hbtrack.dump() == golden, fault
    assert check_database(str(hbtrack.database), None) == [], fault
    diary = (hbtrack.folder / "toy" / "diary.txt").read_text().splitlines()
    assert not [line for line in diary if line.startswith(("RACE", "BELOW"))], fault
    if fault.endswith("kill") and not fault.startswith(("warden.", "stop.")):
        epochs = Counter(line for line in diary if line.startswith("epoch"))
        assert max(epochs.values()) == 1, fault
    copy = hbtrack.folder / "copy.db"
    assert not copy.exists() or check_database(str(copy), None) == [], fault


def orphan(hbtrack: Hbtrack) -> None:
    """Leave scripts running whose driver is dead, at least one that nobody asked to end."""
    kill_a_driver(hbtrack)
    while not works(hbtrack):  # the driver was killed before its start came to be a process
        kill_a_driver(hbtrack)


def works(hbtrack: Hbtrack) -> bool:
    """Whether a script of an attempt that counts is at work."""
    running = hbtrack.rows(
        "SELECT worker, token || '-' || a.pk FROM _attempt a, _search WHERE a.status = 'running'"
    )
    for worker, name in running:
        files = WorkerFiles(hbtrack.folder / "hbtrack.db.d" / "1", int(str(worker)))
        if files.held() and files.record(str(name)).pid:
            return True
    return False


def kill_a_driver(hbtrack: Hbtrack) -> None:
    """Let a driver begin, and kill it as soon as something runs."""
    log = hbtrack.folder / "hbtrack.db.d" / "1" / "log"
    begun = len(log.read_text())
    driver = hbtrack.start("resume")
    running = "SELECT 1 FROM attempts WHERE status = 'running'"
    wait_for(
        lambda: re.search("event=(start|adopt)", log.read_text()[begun:]) and hbtrack.rows(running)
    )
    driver.kill()
    driver.communicate()


def kill_at(hbtrack: Hbtrack, point: str, *command: object) -> None:
    """Start the command, let it die at the point, or die together with what died there."""
    acted = hbtrack.folder / f"acted {point}"
    env = {"HBTRACK_FAULT": f"{point}:1:kill", "HBTRACK_FAULT_ONCE": str(acted)}
    process = hbtrack.start(*command, env=env)
    wait_for(lambda: acted.exists() or process.poll() is not None)
    assert acted.exists(), f"{point} was not passed: {process.communicate()[1]}"
    process.kill()
    process.communicate()


def test_fault_1_2_3_4_5_7_8_9_10_11_12_one_search_killed_at_every_point_in_turn_changes_nothing(
    hbtrack: Hbtrack, once: Callable[[], Hbtrack]
) -> None:
    words = ("run", "--max-epochs", 9, "--passes", 3, "--workers", 2, TOY, "--space", 30)
    undisturbed = once()
    undisturbed(*words)
    words = tuple(2 if word == 3 else word for word in words)  # passes, until it is extended
    begun = False
    hold, hurry = (hbtrack.folder / "toy" / name for name in ("hold", "hurry"))
    hold.parent.mkdir()  # no script may have come so far when it is to be held
    extend = ("extend", "--identity", "toy", "--passes", 3)
    for point in [point for point in POINTS if point not in ELSEWHERE]:
        command: tuple[object, ...] = ("resume",) if begun else (*words, "--epoch_seconds", 0.1)
        if scene_of(point) == "extend":
            hbtrack("stop", "--grace", 0)
            command = extend
        elif scene_of(point) != "run":
            hold.touch()  # scripts do not end, so that there is something to adopt and to stop
            orphan(hbtrack)
            command = SCENES[scene_of(point)].command
        kill_at(hbtrack, point, *command)
        hold.unlink(missing_ok=True)
        begun = begun or point == "create.after"
    hurry.touch()
    hbtrack(*extend)
    check(hbtrack, undisturbed.dump(), "warden.")


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "raise", "stop"])
@pytest.mark.parametrize(
    ("name", "point"),
    # What an extended search does then, the others do as well.
    [
        (name, point)
        for name in SCENES
        for point in POINTS
        if name != "extend" and point not in ELSEWHERE
    ]
    + [("extend", point) for point in SCENES["extend"].points],
)
def test_whatever_happens_at_any_passage_of_any_point_changes_nothing(
    once: Callable[[], Hbtrack],
    golden: list[tuple[object, ...]],
    name: str,
    point: str,
    action: str,
) -> None:
    count = passages(once, name)[point]
    every = range(1, count + 1)
    for number in every if action == "kill" else sorted({*every[:1], *every[-1:]}):
        hbtrack, fault = once(), f"{point}:{number}:{action}"
        act_and_go_on(hbtrack, SCENES[name], fault)
        check(hbtrack, golden, fault)
