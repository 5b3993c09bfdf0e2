"""What the runs of a training say about its last line: point 3, but for its form."""

from collections.abc import Sequence

from hbtrack.check import advice
from hbtrack.check.finding import Finding, failed, passed, skipped, warned
from hbtrack.check.script_run import ScriptRun
from hbtrack.check.training import FEW_DIGITS, Training
from hbtrack.core.loss import LossRefused, read_loss, significant_digits

NOT_TRIED = "not tried"
"""What runs that were not made do not tell."""
FEW_CONFIGS = 2
"""That have one loss by chance."""


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


def another(training: Training, runs: Sequence[ScriptRun]) -> Finding | None:
    """The last line is a number, but not the loss: the one that stands alone above it may be.

    That one falls or rises with training and is the same in equal runs, to many digits.
    """
    first, second, again = training.first, training.second, training.again
    above = [_above(run) for run in (first, second, again)]
    if min(map(significant_digits, above)) <= FEW_DIGITS:
        return None
    if above[0] == above[1] or above[1] != above[2]:
        return None
    if not (what := _no_loss(first, second, again, [run for run in runs if run.done])):
        return None
    says = f"the last line is {what}; {above[1]} stands alone above it: is that the loss?"
    shown = [part for run in (first, second, again) for part in run.shown()]
    return failed("last_line", says, *shown, advice=advice.LOSS)


def _no_loss(
    first: ScriptRun, second: ScriptRun, again: ScriptRun, runs: Sequence[ScriptRun]
) -> str:
    """What the last line is, that is no loss; nothing where it may be one."""
    last = second.last_line.strip()
    if all(run.loss == run.call.epochs for run in runs):
        return f"{last}, the number of epochs that it was called with"
    if _above(second) == _above(again) and second.loss != again.loss:
        return f"{last} and, in an equal run, {again.last_line.strip()}"
    configs = {run.call.config_id for run in runs}
    if len(configs) > FEW_CONFIGS and len({run.loss for run in (first, *runs)}) == 1:
        return f"{last} in all runs of {len(configs)} configs"
    return ""


def _above(run: ScriptRun) -> str:
    """The loss that stands alone on the line above the last one; empty if none does."""
    lines = [line.strip() for line in (run.verdict.stdout or "").splitlines() if line.strip()]
    alone = lines[-2] if len(lines) > 1 else ""
    return "" if isinstance(read_loss(alone.encode()), LossRefused) else alone


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
