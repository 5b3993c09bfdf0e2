"""`hbtrack plan`: the schedule and what it costs, without writing anything."""

import argparse
import random

from hbtrack.cli import tables
from hbtrack.core.plan import Plan
from hbtrack.core.schedule import (
    Schedule,
    format_eta,
    from_next_budget,
    make_schedule,
    parse_eta,
)
from hbtrack.core.simulation import Simulation, distinct_ids, simulate
from hbtrack.text import budget


def main(args: argparse.Namespace) -> int:
    """Show the brackets of Algorithm 1, rung by rung, and the totals."""
    schedule = make_schedule(args.max_epochs, parse_eta(args.eta), args.min_epochs)
    rungs = [
        {"bracket": bracket.s, "rung": number, "epochs": rung.epochs, "configs": rung.configs}
        for bracket in schedule.brackets
        for number, rung in enumerate(bracket.rungs)
    ]
    totals = {
        "passes": args.passes,
        "configs": schedule.configs * args.passes,
        "evaluations": schedule.evaluations * args.passes,
        "epochs": schedule.epochs * args.passes,
        "epochs_without_checkpoints": schedule.epochs_without_checkpoints * args.passes,
    }
    simulation = _simulate(schedule, args.passes, args.workers) if args.workers else None
    if args.format == "json":
        content = {"max_epochs": args.max_epochs, "eta": float(schedule.eta), "rungs": rungs}
        content["min_epochs"] = args.min_epochs
        if simulation:
            totals |= {"workers": args.workers, "epochs_of_wall_time": round(simulation.makespan)}
            totals["utilisation"] = round(simulation.utilisation, 4)
        tables.write_document("hbtrack.plan/1", **content, totals=totals)
        return 0
    tables.write(tables.table(rungs, args.format))
    if args.format in ("simple", "github"):
        tables.write(_sentences(schedule, totals, args.workers, simulation))
    return 0


def _simulate(schedule: Schedule, passes: int, workers: int) -> Simulation:
    """The makespan in epochs, with every epoch as long as the others and no start-up time."""
    random_losses = random.Random(0)  # noqa: S311 - any order will do
    return simulate(
        Plan(schedule, passes),
        workers,
        sample=lambda pass_: list(distinct_ids(pass_, schedule.configs)),
        objective=lambda _config_id, _epochs: random_losses.random(),
        duration=lambda start, trained: start.epochs - trained,
    )


def _sentences(
    schedule: Schedule, totals: dict[str, int], workers: int | None, simulation: Simulation | None
) -> str:
    passes = "one pass" if totals["passes"] == 1 else f"{totals['passes']} passes"
    text = (
        f"\nmax_epochs {schedule.max_epochs}, eta {format_eta(schedule.eta)}, "
        + (f"min_epochs {schedule.min_epochs}, " if schedule.min_epochs > 1 else "")
        + f"{passes}: "
        f"{totals['configs']} configs, {totals['evaluations']} evaluations, "
        f"{totals['epochs']} epochs with checkpoints "
        f"({totals['epochs_without_checkpoints']} without)."
    )
    if simulation:
        text += (
            f"\nWith {workers} workers: as long as {simulation.makespan:.0f} epochs of one worker, "
            f"{simulation.utilisation:.0%} of the workers' time in use."
        )
    if other := from_next_budget(schedule):
        text += "\n" + _advice(schedule, other, totals["passes"])
    return text


def _advice(schedule: Schedule, other: Schedule, passes: int) -> str:
    """When to use --min-epochs, and what that would make of it."""
    cheapest = budget(schedule.brackets[0].first_epochs)
    return (
        f"Where a training of {cheapest} tells nothing of a config, or takes less time than a "
        f"start: --min-epochs {other.min_epochs} ({other.configs * passes} configs, "
        f"{other.evaluations * passes} evaluations, {other.epochs * passes} epochs)."
    )
