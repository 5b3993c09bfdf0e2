"""How busy the workers are: the real plan, against brackets that run one after another.

    python benchmarks/utilisation.py [--seeds 20] [--max-epochs 81]
    python benchmarks/utilisation.py --real [--workers 8] [--seconds-per-epoch 0.5] [--passes 1]

Each config has its own seconds per epoch: log-normal, sigma 0.6, mean 1. The share of the workers'
time in use is busy time / (wall time x workers). One after another means that a bracket begins when
the one before has wholly ended. Without `--real` all of it is simulated, each seed with configs of
its own. With it `hbtrack run` drives scripts that sleep; what the database says of them is compared
with the simulation of exactly these configs and losses.
"""

import argparse
import hashlib
import inspect
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from random import Random

from hbtrack.core.plan import Plan
from hbtrack.core.schedule import Schedule, make_schedule
from hbtrack.core.simulation import Simulation, simulate

SIGMA = 0.6
TARGETS = {(2, 1): 0.95, (4, 1): 0.88, (8, 1): 0.74, (16, 1): 0.50, (8, 4): 0.92}
"""What (workers, passes) should reach for max_epochs 81."""

SCRIPT = """
import hashlib, os, sys, time

def get_random_config_id(rng):
    return f"{{rng.lognormal({mean!r}, {sigma!r}):.6f}}:{{rng.randint(10**9)}}"

def run_identity(argv):
    return "sleeps"

{functions}

if __name__ == "__main__":
    config_id, epochs = sys.argv[1], int(sys.argv[sys.argv.index("--epochs") + 1])
    checkpoint = "checkpoint-" + config_id.replace(":", "-")
    trained = int(open(checkpoint).read()) if os.path.exists(checkpoint) else 0
    time.sleep((epochs - trained) * rate_of(config_id) * {seconds!r})
    with open(checkpoint, "w") as file:
        file.write(str(epochs))
    print(loss_of(config_id, epochs))
"""


# --- what is drawn: the script has the same functions --------------------------------------------


def rate_of(config_id):  # type: ignore[no-untyped-def]
    """How much longer than the mean an epoch of this config takes."""
    return float(config_id.partition(":")[0])


def loss_of(config_id, epochs):  # type: ignore[no-untyped-def]
    """Any loss, always the same, that says nothing about the rate."""
    digest = hashlib.sha256(f"{config_id} {epochs}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def drawn_ids(seed: int, count: int) -> list[str]:
    """Ids that carry their rate, as the script samples them."""
    draws = Random(seed)
    return [
        f"{draws.lognormvariate(-(SIGMA**2) / 2, SIGMA):.6f}:{number}" for number in range(count)
    ]


# --- simulated -----------------------------------------------------------------------------------


def run_through(schedule: Schedule, ids: Sequence[str], workers: int) -> Simulation:
    """One search whose passes are filled by `ids`; makespans in mean epochs."""
    passes = len(ids) // schedule.configs
    return simulate(
        Plan(schedule, passes),
        workers,
        sample=lambda pass_: ids[(pass_ - 1) * schedule.configs : pass_ * schedule.configs],
        objective=loss_of,
        duration=lambda start, trained: (start.epochs - trained) * rate_of(start.config_id),
    )


def one_after_another(schedule: Schedule, ids: Sequence[str], workers: int) -> float:
    """The makespan when each bracket waits for the one before, with the same configs."""
    makespan, rest = 0.0, list(ids)
    while rest:
        for bracket in schedule.brackets:
            alone = Schedule(schedule.max_epochs, schedule.eta, (bracket,))
            makespan += run_through(alone, rest[: bracket.configs], workers).makespan
            del rest[: bracket.configs]
    return makespan


def spread(values: Sequence[float], form: str) -> str:
    """The median and the range."""
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def show_simulated(schedule: Schedule, seeds: int) -> None:
    """A line for each number of workers and passes."""
    print(f"max_epochs {schedule.max_epochs}, {seeds} seeds: median [least, most]; time in epochs")
    print(f"workers passes  {'busy':31}{'makespan':22}{'one after another':23} shorter by")
    for (workers, passes), target in TARGETS.items():
        busy, makespans, others, shorter = [], [], [], []
        for seed in range(seeds):
            ids = drawn_ids(seed, passes * schedule.configs)
            simulation = run_through(schedule, ids, workers)
            busy.append(simulation.utilisation)
            makespans.append(simulation.makespan)
            others.append(one_after_another(schedule, ids, workers))
            shorter.append(1 - makespans[-1] / others[-1])
        goal = f"(>= {target:.0%})" if schedule.max_epochs == 81 else ""
        print(
            f"{workers:7} {passes:6}  {spread(busy, '.1%'):22} {goal:8} "
            f"{spread(makespans, '.0f'):22}{spread(others, '.0f'):22} {spread(shorter, '.0%')}"
        )


# --- real ----------------------------------------------------------------------------------------


def show_real(schedule: Schedule, workers: int, passes: int, seconds: float, seed: int) -> None:
    """Drive sleeping scripts, and simulate the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        functions = inspect.getsource(rate_of) + "\n\n" + inspect.getsource(loss_of)
        text = SCRIPT.format(
            mean=-(SIGMA**2) / 2, sigma=SIGMA, functions=functions, seconds=seconds
        )
        (folder / "sleeps.py").write_text(text)
        command = [sys.executable, "-m", "hbtrack", "run", "--quiet", "--gpus", "none"]
        options = {"workers": workers, "max-epochs": schedule.max_epochs, "passes": passes}
        options |= {"seed": seed}
        command += [f"--{key}={value}" for key, value in options.items()]
        command += [f"--db={folder / 'hbtrack.db'}", "sleeps.py"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        subprocess.run(command, cwd=folder, env=environment, check=True)
        ids, busy, wall, attempts = _measured(folder / "hbtrack.db")
    simulation = run_through(schedule, ids, workers)
    real = busy / (wall * workers)
    print(
        f"max_epochs {schedule.max_epochs}, {workers} workers, {passes} passes, "
        f"{seconds} s per epoch, seed {seed}: {attempts} attempts\n"
        f"real       {real:.1%} busy, {wall:.1f} s\n"
        f"simulated  {simulation.utilisation:.1%} busy, {simulation.makespan * seconds:.1f} s\n"
        f"difference {(real - simulation.utilisation) * 100:+.2f} points"
    )


def _measured(database: Path) -> tuple[list[str], float, float, int]:
    """The sampled ids in canonical order, busy and wall seconds, attempts."""
    with closing(sqlite3.connect(database)) as connection:
        ids = connection.execute(
            "SELECT config_id FROM results WHERE rung = 0 ORDER BY pass, bracket DESC, slot"
        ).fetchall()
        busy, begun, ended, attempts = connection.execute(
            "SELECT sum(seconds), min(started_at), max(finished_at), count(*) FROM attempts"
        ).fetchone()
    wall = datetime.fromisoformat(ended) - datetime.fromisoformat(begun)
    return [config_id for (config_id,) in ids], busy, wall.total_seconds(), attempts


def main() -> None:
    """Simulate, or measure and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--max-epochs", type=int, default=81)
    parser.add_argument("--eta", type=Fraction, default=Fraction(3))
    parser.add_argument("--seeds", type=int, default=20, help="so many simulations; default 20")
    parser.add_argument("--real", action="store_true", help="drive real, sleeping scripts")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--seconds-per-epoch", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0, help="of the real search")
    args = parser.parse_args()
    schedule = make_schedule(args.max_epochs, args.eta)
    if args.real:
        show_real(schedule, args.workers, args.passes, args.seconds_per_epoch, args.seed)
    else:
        show_simulated(schedule, args.seeds)


if __name__ == "__main__":
    main()
