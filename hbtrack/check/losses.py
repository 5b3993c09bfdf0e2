"""What the runs of a training say about its last line: point 3, but for its form."""

from hbtrack.check import advice
from hbtrack.check.finding import Finding, passed, skipped, warned
from hbtrack.check.script_run import ScriptRun
from hbtrack.check.training import Training

NOT_TRIED = "not tried"
"""What runs that were not made do not tell."""


def minimised(training: Training) -> Finding:
    """Whether the number falls with training, at least for some config: losses may rise."""
    rising = training.rising
    if rising is None:
        return skipped("minimised", NOT_TRIED)
    if len(rising) < 2:
        return passed("minimised", "nothing says that larger numbers are the better ones")
    says = f"the number rises with --epochs in {len(rising)} configs, and falls in none: a loss?"
    evidence = [part for pair in rising[:2] for run in pair for part in run.shown()]
    return warned("minimised", says, *evidence, advice=advice.MINIMISED)


def last_line(training: Training) -> Finding:
    """Whether the loss is the last line also where output is held back."""
    held, fresh = training.held, training.fresh
    if held is None:
        return skipped("last_line", NOT_TRIED)
    other = _of_another(held, training)
    if not (held.done or other):
        return skipped("last_line", "the run with PYTHONUNBUFFERED unset failed")
    if not other:
        return passed("last_line", "the loss is the last line, also where output is held back")
    says = (
        f"the last line is {held.last_line.strip()[:60]!a} where PYTHONUNBUFFERED is unset, "
        "and not the loss: hbtrack sets it, others may not"
    )
    evidence = ("$ PYTHONUNBUFFERED= " + held.command, held.came_to, *fresh.shown())
    return warned("last_line", says, *evidence, advice=advice.HELD_BACK)


def _of_another(held: ScriptRun, training: Training) -> bool:
    """Whether its last line is not that which the run from nothing ended with."""
    fresh = training.fresh
    if not fresh.done or held.exit_status != 0:
        return False
    if not held.done:
        return held.verdict.error_type in ("bad_last_line", "no_output")
    loss, printed = fresh.last_line.strip(), (held.verdict.stdout or "").splitlines()
    above = [line.strip() for line in printed if line.strip()][:-1]
    return held.last_line.strip() != loss and loss in above and not training.by_chance
