"""What calls of the script say about the contract: pure, from what each run came to."""

import re
from collections.abc import Iterator, Sequence

from hbtrack.check import advice
from hbtrack.check.abbreviations import Taken
from hbtrack.check.command_line import taken_for, why_refused
from hbtrack.check.finding import Advice, Finding, failed, passed, skipped, warned
from hbtrack.check.script_run import ScriptRun
from hbtrack.check.training import Training
from hbtrack.core.loss import LossRefused, read_loss
from hbtrack.core.printed_error import error_of

FEW = 3
"""Of so many configs most fail by themselves in no search that goes on."""

# --- points 2, 3, 6 ------------------------------------------------------------------------------


def called(runs: Sequence[ScriptRun]) -> Iterator[Finding]:
    """Whether the script can be called, and prints a loss."""
    works = [run for run in runs if run.done]
    if works:
        run = works[-1]
        others = [one for one in runs if not one.done]
        says = f"runs with {_called(run)}, in {run.seconds:.2f} s"
        if others:
            says += f"; {len(others)} of {len(runs)} configs failed, which is recorded, no harm"
        yield passed("call", says, *run.shown())
        yield passed("loss", f"the last line is the loss: {run.last_line.strip()}")
        return
    run = runs[0]
    if run.exit_status == 0:
        yield passed("call", f"runs with {_called(run)}, and ends with status 0")
        says = (run.verdict.error_message or "").partition("; print")[0].rstrip(".")
        yield failed("loss", says, f"$ {run.command}", advice=advice.LOSS)
        return
    tried = "" if len(runs) == 1 else f", with none of {len(runs)} configs"
    says = f"it does not run with {_called(run)}{tried}"
    if run.timed_out:
        yield failed("call", f"{says}: {run.came_to}", run.command, advice=advice.too_long(run))
    else:
        yield failed("call", says, *run.shown(), advice=_to_change(run))


def _called(run: ScriptRun) -> str:
    return f"--epochs {run.call.epochs} --gpu 0"


def refused(run: ScriptRun) -> bool:
    """Whether it does not take what hbtrack passes: that is no config's fault."""
    return why_refused(run.verdict.error or "") is not None


def _to_change(run: ScriptRun) -> Advice:
    """What to do about a run that failed."""
    error = run.verdict.error or ""
    if (told := error_of(error)) is None:
        last = run.stderr.strip().rpartition("\n")[2]
        if run.exit_status == 1 and not isinstance(read_loss(last.encode()), LossRefused):
            return advice.EXITS
    elif _misnamed(run.call.config_id, told.message):
        return advice.FILE_NAME
    return advice.why(error)


def _misnamed(config_id: str, message: str) -> bool:
    """Whether an error is about a file that cannot be named as this config_id."""
    folder, slash, _ = config_id.partition("/")
    named = re.search(rf"['/]{re.escape(folder)}['/]", message)
    return "name too long" in message or (slash != "" and named is not None)


# --- points 7, 9, 10 -----------------------------------------------------------------------------


def separate(
    training: Training, alone: ScriptRun | None, beside: ScriptRun, back: ScriptRun
) -> Finding:
    """Another config was trained `beside` the first, which was then called again (`back`)."""
    files = frozenset(training.checkpoint)
    shared = sorted(files & (beside.touched.written | (beside.touched.read or frozenset())))
    both = f" (both use {', '.join(shared[:3])})" if shared else ""
    if gone := sorted(files & beside.touched.removed):
        says = f"training a second config removes {', '.join(gone[:3])} of the first"
        return failed("separate", says, *beside.shown(), advice=advice.OWN_FILE)
    if not beside.done:
        says = f"a second config fails where a first was trained before{both}"
        return failed("separate", says, *beside.shown(), advice=advice.OWN_FILE)
    if not back.done:
        says = f"a config fails after another was trained beside it{both}"
        return failed("separate", says, *back.shown(), advice=advice.OWN_FILE)
    if training.exact and alone and beside.loss != alone.loss:
        says = f"a second config's loss depends on the first's{both}"
        evidence = (*beside.shown(), "and without the first:", *alone.shown())
        return failed("separate", says, *evidence, advice=advice.OWN_FILE)
    steady = training.again.loss == training.second.loss  # otherwise that is said already
    if (training.exact or shared) and steady and back.loss != training.again.loss:
        says = f"a config's loss changes after another was trained{both}"
        evidence = (*training.again.shown(), "and afterwards:", *back.shown())
        return failed("separate", says, *evidence, advice=advice.OWN_FILE)
    if files and files == set(shared):
        says = f"two configs are saved in one file, {', '.join(shared[:3])}"
        if training.second.touched.read and training.exact:
            return warned("separate", f"{says}: two at a time may spoil it", advice=advice.OWN_FILE)
        return failed("separate", says, *beside.shown(), advice=advice.OWN_FILE)
    return passed("separate", "two configs have separate checkpoints")


def no_second(failing: Sequence[ScriptRun]) -> Finding:
    """No other config gave a loss; those in `failing` failed where the first had been trained."""
    if len(failing) < FEW:
        return skipped("separate", "no second config gives a loss")
    says = (
        f"none of {len(failing)} other configs gives a loss where a first was trained; whether "
        "they would alone cannot be told here"
    )
    return warned("separate", says, *failing[-1].shown(), advice=advice.OWN_FILE)


def at_once(pairs: Sequence[tuple[ScriptRun, ScriptRun]], *, exact: bool) -> Finding:
    """Configs that were trained at the same time, each with the same run alone."""
    for beside, alone in pairs:
        if alone.done and not beside.done:
            says = "a config fails while another is trained at the same time"
            return warned("at_once", says, *beside.shown(), advice=advice.AT_ONCE)
    for beside, alone in pairs if exact else ():
        if beside.loss != alone.loss:
            says = "a config's loss changes while another is trained at the same time"
            evidence = (*beside.shown(), "and alone:", *alone.shown())
            return warned("at_once", says, *evidence, advice=advice.AT_ONCE)
    if not all(alone.done for _, alone in pairs):
        return skipped("at_once", "a second config fails, also alone")
    return passed("at_once", "two configs can be trained at the same time")


GETS = {"--gpu": "gets the number of the GPU, 0 here", "--multi_gpu": "is taken for it"}
"""What an option does that stands in the place of another one."""


def multi(run: ScriptRun, training: Training, instead: Taken | None = None) -> Finding:
    """Whether --multi_gpu is understood, or ignored; nor is it, or --gpu, taken for another one."""
    if other := None if run.done else taken_for("--multi_gpu", run.stderr):
        instead = Taken("--multi_gpu", other, run)
    if instead:
        says = f"it has no option {instead.option}: {instead.other} {GETS[instead.option]}"
        found = warned if run.done else failed
        return found("multi_gpu", says, *instead.run.shown(), advice=advice.ABBREVIATED)
    if not run.done:
        says = "it fails with --multi_gpu"
        change = why_refused(run.verdict.error or "") or advice.MULTI
        return failed("multi_gpu", says, *run.shown(), advice=change)
    differs = run.loss != training.again.loss
    if differs and training.again.loss == training.second.loss:  # else that is said already
        says = f"with --multi_gpu the loss is {run.last_line.strip()}"
        evidence = (*training.again.shown(), *run.shown())
        says += " where it should train nothing"
        return warned("multi_gpu", says, *evidence, advice=advice.AGAIN)
    again = sorted(run.touched.changed.intersection(training.checkpoint))
    if again and not training.again.touched.written:
        says = f"with --multi_gpu it writes {again[0]} anew where it should train nothing"
        return warned("multi_gpu", says, *run.shown(), advice=advice.AGAIN)
    return passed("multi_gpu", "accepts --multi_gpu")


def bad_ids(runs: Sequence[ScriptRun]) -> Finding:
    """What the script does with ids that no sampler gave."""
    run = runs[0]
    if run.timed_out:
        says = "an id that it cannot understand makes it run on and on"
        return failed("bad_id", says, *run.shown(), advice=advice.RAISE)
    if run.exit_status != 0:
        return passed("bad_id", f"an id that it cannot understand ends it: {_last(run)}")
    says = "it ends with status 0 although it cannot understand the config_id"
    swallowed = error_of(run.stderr) or len({one.last_line for one in runs}) == 1
    if not run.done:
        return failed("bad_id", says, *run.shown(), advice=advice.RAISE)
    if swallowed:
        says += f", and prints {run.last_line.strip()}: failures look like losses"
        return failed("bad_id", says, *run.shown(), run.stderr[-500:].rstrip(), advice=advice.RAISE)
    return passed("bad_id", "takes any text for a config_id")


def _last(run: ScriptRun) -> str:
    """The kind of a failure in a few words."""
    verdict = run.verdict
    if verdict.error_type in (None, "exit_code"):
        return f"exit code {run.exit_status}"
    return str(verdict.error_type)


def left(runs: Sequence[ScriptRun]) -> Finding:
    """Whether anything was still running after the script had ended."""
    commands = sorted({command for run in runs for command in run.left})
    if commands:
        says = "it leaves processes running"
        return warned("left_running", says, *commands[:5], advice=advice.LEFT)
    return passed("left_running", "nothing is left running")
