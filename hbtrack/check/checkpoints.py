"""What runs of one config say about going on from a checkpoint: pure, from what each run came to.

A script is not accused on the ground of time alone unless the difference is plain: machines are
shared, and first epochs are slow.
"""

from collections.abc import Iterator, Sequence

from hbtrack.check import advice
from hbtrack.check.calls import too_long
from hbtrack.check.finding import Finding, failed, passed, skipped, warned
from hbtrack.check.script_run import ScriptRun
from hbtrack.check.training import FEW_DIGITS, PLAIN, Training, by_noise, most_digits, spread

# --- more and more epochs ------------------------------------------------------------------------


def no_second(first: ScriptRun, second: ScriptRun) -> Finding:
    """Two epochs after one did not work."""
    evidence = (*first.shown(), *second.shown())
    says = "--epochs 2 fails where --epochs 1 was trained before"
    return failed("resume", says, *evidence, **_to_change(second, advice.LOAD, advice.LOADING))


def no_again(second: ScriptRun, run: ScriptRun) -> Finding:
    """The same epochs again, or the same epochs from nothing, did not work."""
    evidence = (*second.shown(), *run.shown())
    says = "the same call gives a loss once, and fails another time"
    return failed("again", says, *evidence, **_to_change(run, advice.AGAIN, advice.ANSWERING))


def _to_change(run: ScriptRun, change: str, example: str) -> dict[str, str]:
    """What to do about a run that gave no loss: its time, if that was it, or this."""
    if run.timed_out:
        return {"change": too_long(run)}
    return {"change": change, "example": example}


def trained(training: Training, runs: Sequence[ScriptRun]) -> Iterator[Finding]:
    """What training a config step by step shows."""
    yield _precision(runs)
    yield _saved(training)
    yield _resumed(training)
    yield _total(training, runs)
    yield _again(training)


def _saved(training: Training) -> Finding:
    files = training.checkpoint
    if files:
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return passed("checkpoint", f"saves {', '.join(files[:3])}{more}")
    says = "it wrote no file in its working directory"
    if training.repeats is False:
        return passed(
            "checkpoint",
            f"{says}, but goes on from what it has elsewhere; losses could not be compared",
            *training.long.shown(),
            *training.long_again.shown(),
        )
    evidence = training.first.shown()
    if training.elsewhere and training.repeats is None:
        says += f"; {training.elsewhere} changed meanwhile, which may be its checkpoint"
        return warned("checkpoint", says, *evidence, change=advice.UNSEEN)
    return failed("checkpoint", says, *evidence, change=advice.SAVE, example=advice.SAVING)


def _resumed(training: Training) -> Finding:
    first, second, fresh = training.first, training.second, training.fresh
    loading = {"change": advice.LOAD, "example": advice.LOADING}
    read, files = second.touched.read, training.checkpoint
    if read is not None and not read:
        says = f"--epochs 2 after --epochs 1 never read {', '.join(files[:3])}: it starts again"
        return failed("resume", says, *second.shown(), **loading)
    if read is None and training.repeats is not False:
        says = "--epochs 2 after --epochs 1 starts again, as far as its time and files tell"
        if (files or training.elsewhere) and training.repeats is None:
            return warned("resume", f"{says}: neither tells much", *second.shown(), **loading)
        return failed("resume", says, *_times(training), **loading)
    if not training.comparable:
        return passed("resume", "goes on from its checkpoint; losses could not be compared")
    evidence = (*first.shown(), *second.shown(), "and from nothing:", *fresh.shown())
    if training.additional:
        return passed("resume", "goes on from its checkpoint")
    if second.loss == fresh.loss:
        return _promoted(training)
    if second.loss == first.loss and not training.by_chance:
        says = "--epochs 2 after --epochs 1 prints the loss of 1 epoch"
        return failed("resume", says, *evidence, **loading)
    return _off("resume", "--epochs 2 after 1", second, fresh, training.noise)


def _promoted(training: Training) -> Finding:
    """Two epochs after one are as good as two from nothing; so should be many."""
    onward, long = training.onward, training.long
    epochs = long.call.epochs
    if not onward.done:
        says = f"--epochs {epochs} fails where --epochs 2 was trained before"
        loading = _to_change(onward, advice.LOAD, advice.LOADING)
        return failed("resume", says, *onward.shown(), **loading)
    if onward.loss == long.loss:
        return passed("resume", f"--epochs 1, 2, {epochs} in turn give the losses of whole runs")
    says = f"--epochs {epochs} after 1 and 2"
    return _off("resume", says, onward, long, training.long_noise)


def _off(name: str, what: str, run: ScriptRun, wanted: ScriptRun, noise: float) -> Finding:
    """The loss differs: by how much, and whether that is the training's own noise."""
    off = spread(run, wanted)
    says = f"{what} gives {run.last_line.strip()}, uninterrupted it is {wanted.last_line.strip()}"
    if by_noise(run, wanted, noise):
        return passed(name, f"{says}: within the noise of this training, {noise:.2g}")
    says += f": off by {off:.2g}, while runs from nothing differ by {noise:.2g}"
    return warned(name, says, *run.shown(), *wanted.shown(), change=advice.WHOLE_STATE)


def _times(training: Training) -> tuple[str, ...]:
    return (*training.long.shown(), "and the same again:", *training.long_again.shown())


def _total(training: Training, runs: Sequence[ScriptRun]) -> Finding:
    first, second, long, three = training.first, training.second, training.long, training.three
    totalling = {"change": advice.TOTAL, "example": advice.TOTALLING}
    if three and training.additional:
        says = "--epochs 2 after --epochs 1 trained 3 epochs in all: --epochs is not the total"
        evidence = (*second.shown(), "and from nothing:", *three.shown())
        return failed("total", says, *evidence, **totalling)
    if training.heeded:
        return passed("total", "--epochs is heeded, and is the total")
    says = f"the loss is the same for 1 and {max(2, long.call.epochs)} epochs"
    trains = long.seconds - first.seconds >= max(PLAIN, 0.25 * long.seconds)
    # Configs that all have one loss may have converged, and one of few digits may hide the rest.
    differ = len({run.loss for run in runs if run.done}) > 1
    if training.comparable and differ and not trains and most_digits(runs) > FEW_DIGITS:
        says = f"--epochs changes nothing: {says}"
        return failed("total", says, *first.shown(), *long.shown(), **totalling)
    return warned("total", says, *first.shown(), *long.shown(), **totalling)


def _again(training: Training) -> Finding:
    answering = {"change": advice.AGAIN, "example": advice.ANSWERING}
    for once, again, noise in (
        (training.second, training.again, training.noise),
        (training.long, training.long_again, training.long_noise),
    ):
        if once.loss != again.loss:
            says = "the same --epochs again gives another loss"
            evidence = (*once.shown(), "and again:", *again.shown())
            if by_noise(once, again, noise):
                return warned("again", f"{says}, within its noise", *evidence, **answering)
            return failed("again", says, *evidence, **answering)
    if training.repeats:
        says = "the same --epochs again takes as long as training from nothing"
        return failed("again", says, *_times(training), **answering)
    return passed("again", "the same --epochs again gives the same loss and trains nothing")


def _precision(runs: Sequence[ScriptRun]) -> Finding:
    lines = {run.last_line.strip() for run in runs if run.done}
    digits = most_digits(runs)
    if digits <= FEW_DIGITS and len(lines) > 2:
        says = f"losses have at most {digits} digits, such as {max(lines, key=len)}"
        return warned("precision", says, change=advice.PRECISION, example=advice.PRINT)
    return passed("precision", f"losses have up to {digits} digits")


# --- kills, and what they leave ------------------------------------------------------------------


def killed(name: str, ended: ScriptRun, rest: ScriptRun, training: Training) -> Finding:
    """A run was signalled in the middle of its training; `rest` is the same run after it."""
    signal_name = name.upper()
    what = f"run again after {signal_name}, {ended.seconds:.2f} s after its start"
    if not rest.done:
        says = f"it fails when {what}"
        evidence = (f"{ended.command}  # {signal_name}", *rest.shown())
        if rest.verdict.error_type == "FileExistsError":
            return failed(name, says, *evidence, change=advice.IN_THE_WAY)
        return failed(name, says, *evidence, change=advice.ATOMIC, example=advice.SAVING)
    if ended.stubborn:
        says = f"it was still running 10 s after {signal_name}"
        return warned(name, says, change=advice.TERM)
    if not training.comparable:
        return passed(name, f"{what}, it gives a loss, which could not be compared")
    if rest.loss == training.long.loss:
        return passed(name, f"{what}, it gives the loss of an uninterrupted run")
    gained = spread(training.first, training.long)
    if training.exact and spread(rest, training.long) > gained / 2:
        says = f"{what}, it gives {rest.last_line.strip()}, not {training.long.last_line.strip()}"
        return failed(name, says, *rest.shown(), change=advice.LOAD, example=advice.LOADING)
    return _off(name, what, rest, training.long, training.long_noise)


def half_written(run: ScriptRun, training: Training, files: frozenset[str]) -> Finding:
    """These files, the checkpoint, were cut in half before this run."""
    second = training.second.touched
    if run.done and (run.loss == training.fresh.loss or not training.exact):
        return passed("half_written", "survives a checkpoint that was cut in half")
    if files & second.changed <= second.replaced:
        if files & second.replaced:
            says = "never leaves half a checkpoint: it is replaced as a whole"
            return passed("half_written", says)
        says = "it does not survive half a checkpoint; if it renames whole ones, none is ever left"
        return skipped("half_written", says)
    says = "it fails on a checkpoint that a kill has cut in half"
    if run.done:
        says = "it takes half a checkpoint for a whole one, and gives another loss"
    atomic = {"change": advice.ATOMIC, "example": advice.SAVING}
    return warned("half_written", says, *run.shown(), **atomic)
