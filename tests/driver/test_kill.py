"""The heart of hbtrack: killed anywhere, it ends as if nothing had happened."""

import os
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack
from kill_loop import MUST_BE_ZERO, Report, kill_loop


def survive(
    hbtrack: Hbtrack,
    kinds: str,
    workers: int,
    kills: int,
    env: dict[str, str] | None = None,
    *,
    maximize: bool = False,
) -> Report:
    """Kill so often, and require that every search ended as if nothing had happened."""
    report = kill_loop(
        kinds,
        workers,
        kills=kills,
        seed=1,
        folder=hbtrack.folder,
        environment=hbtrack.environment(env),
        maximize=maximize,
    )
    counts = {name: report.counts[name] for name in MUST_BE_ZERO}
    for folder in map(Path, report.post_mortems):
        print(
            folder, *(Path(folder, name).read_text() for name in ("kills.log", "stderr")), sep="\n"
        )
    assert counts == dict.fromkeys(MUST_BE_ZERO, 0)
    assert report.kills == kills
    assert report.counts["adoptions"] > 0
    assert report.counts["harvests"] > 0
    return report


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_fault_6_71_killed_drivers_lose_nothing_and_train_no_epoch_twice(
    hbtrack: Hbtrack, workers: int
) -> None:
    report = survive(hbtrack, "driver", workers, kills=6)
    assert report.counts["driver"] == 6


@pytest.mark.parametrize("workers", [2])
def test_fault_17_18_whatever_is_killed_the_search_ends_as_if_nothing_had_happened(
    hbtrack: Hbtrack, workers: int
) -> None:
    report = survive(hbtrack, "any", workers, kills=6)
    assert {"warden", "script", "all"} & report.counts.keys()


@pytest.mark.slow
@pytest.mark.parametrize("kinds", ["driver", "any"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_long_kill_loop_changes_nothing(
    hbtrack: Hbtrack, kinds: str, workers: int, request: pytest.FixtureRequest
) -> None:
    survive(hbtrack, kinds, workers, kills=-(-request.config.getoption("--kills") // 6))


@pytest.mark.slow
@pytest.mark.parametrize("kinds", ["driver", "any"])
def test_a_maximised_search_that_is_killed_ends_as_the_minimised_one_of_the_negated_losses(
    hbtrack: Hbtrack, kinds: str, request: pytest.FixtureRequest
) -> None:
    kills = -(-request.config.getoption("--kills") // 6)
    survive(hbtrack, kinds, 3, kills=kills, maximize=True)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", ["driver", "any"])
def test_fault_95_with_a_rollback_journal_kills_change_nothing_either(
    hbtrack: Hbtrack, kinds: str, request: pytest.FixtureRequest
) -> None:
    shared = f"{ROOT / 'tests' / 'shared_files'}{os.pathsep}{ROOT}"
    kills = -(-request.config.getoption("--kills") // 6)
    survive(hbtrack, kinds, 3, kills=kills, env={"PYTHONPATH": shared})
    undisturbed = next(hbtrack.folder.glob("*-golden/hbtrack.db"))
    assert undisturbed.read_bytes()[18:20] == b"\1\1", "not with a rollback journal"


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_script_that_kills_its_parent_fails_alone(hbtrack: Hbtrack, workers: int) -> None:
    script = TOY.with_name("kills_its_parent.py")
    env = {"HBTRACK_MAX_LOST": "2"}
    hbtrack("run", "--seed", 3, "--max-epochs", 3, "--workers", workers, script, env=env)
    failed = hbtrack.rows("SELECT DISTINCT config_id FROM failures WHERE error_type = 'killed'")
    sampled = hbtrack.rows("SELECT config_id FROM results WHERE rung = 0")
    guilty = [row for row in sampled if int(str(row[0])[2:]) % 5 == 0]
    assert sorted(failed) == sorted(guilty)
    assert guilty
