"""What runs of one config say about going on from a checkpoint: pure, from what each run came to.

What only the time of a run would tell cannot be told.
"""

from collections.abc import Iterator, Sequence

from hbtrack.check import advice, losses
from hbtrack.check.finding import Advice, Finding, Status, failed, passed, skipped, warned
from hbtrack.check.script_run import ScriptRun
from hbtrack.check.training import FEW_DIGITS, Stuck, Training, by_noise, most_digits, spread
from hbtrack.core.loss import LossRefused, read_loss
from hbtrack.core.verdict import STOP_EXIT_CODES

# --- more and more epochs ------------------------------------------------------------------------


def stuck(at: Stuck) -> Finding:
    """More epochs did not work, or the same again, or as many from nothing."""
    before, run = at.before, at.run
    evidence = (*before.shown(), *run.shown())
    if run.call.epochs > before.call.epochs:
        says = f"--epochs {run.call.epochs} fails where "
        says += f"--epochs {before.call.epochs} was trained before"
        return failed("resume", says, *evidence, advice=_unless_too_long(run, advice.LOAD))
    says = "the same call gives a loss once, and fails another time"
    return failed("again", says, *evidence, advice=_unless_too_long(run, advice.AGAIN))


def _unless_too_long(run: ScriptRun, change: Advice) -> Advice:
    """What to do about a run that gave no loss: its time, if that was it, what it said, or this."""
    if run.timed_out:
        return advice.too_long(run)
    return advice.why_not_on(run.verdict.error or "", change)


def trained(training: Training, runs: Sequence[ScriptRun]) -> Iterator[Finding]:
    """What training a config step by step shows."""
    yield _precision(runs)
    yield losses.last_line(training)
    yield losses.minimised(training)
    yield _saved(training)
    yield _resumed(training)
    yield _total(training, runs)
    yield _again(training)


def _saved(training: Training) -> Finding:
    files = training.checkpoint
    if files:
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return passed("checkpoint", f"saves {', '.join(files[:3])}{more}")
    if training.saves_late:
        few = f"--epochs {training.first.call.epochs}"
        says = f"it saves nothing after {few}, and trains that again; for more epochs it saves"
        return failed("checkpoint", says, *_trained(training), advice=advice.SAVE)
    what = "checkpoint" if training.first.touched.written else "file"
    says = f"it wrote no {what} in its working directory"
    if training.repeats is False:
        return passed(
            "checkpoint",
            f"{says}, but goes on from what it has elsewhere; losses could not be compared",
            *training.long.shown(),
            *training.long_again.shown(),
        )
    if training.repeats is None:
        says = f"{says}; whether it saves elsewhere cannot be told"
        return warned("checkpoint", says, *_trained(training), advice=advice.TELL)
    return failed("checkpoint", says, *_trained(training), advice=advice.SAVE)


def _resumed(training: Training) -> Finding:
    first, second, fresh = training.first, training.second, training.fresh
    read, files = second.touched.read, training.checkpoint
    what = f"--epochs {second.call.epochs} after --epochs {first.call.epochs}"
    if training.saves_late:
        return skipped("resume", "not tried, since checkpoint fails")
    if read is not None and not read and (other := _renamed(training)):
        says = f"it saved {min(first.touched.saved)}, and under another name in the next run: "
        return failed("resume", says + other, *second.shown(), advice=advice.SAME_FILE)
    if training.elsewhere or (read is not None and not read and training.repeats is False):
        return passed("resume", "goes on from what it has elsewhere; losses could not be compared")
    if not (read or files):
        read = None  # logs are no checkpoint
    if read is not None and not read and not (training.heeded or training.lines_tell):
        says = f"whether {what} goes on or starts again cannot be told: no loss changes"
        return warned("resume", says, *first.shown(), *second.shown(), advice=advice.TELL)
    if read is not None and not read:
        says = f"{what} never read {', '.join(files[:3])}: it starts again"
        return failed("resume", says, *second.shown(), advice=advice.LOAD)
    if read is None and training.repeats is None:
        says = f"whether {what} goes on or starts again cannot be told"
        return warned("resume", says, *_trained(training), advice=advice.TELL)
    if read is None and training.repeats:
        says = f"{what} starts again, as far as files, lines and losses tell"
        return failed("resume", says, *_trained(training), advice=advice.LOAD)
    if not training.comparable:
        return passed("resume", "goes on from its checkpoint; losses could not be compared")
    evidence = (*first.shown(), *second.shown(), "and from nothing:", *fresh.shown())
    if training.additional or training.counts_anew:
        return passed("resume", "goes on from its checkpoint")
    if second.loss == fresh.loss:
        return _promoted(training)
    if second.loss == first.loss and not (training.by_chance or training.moved):
        return _stands_still(training, what, evidence)
    says = f"--epochs {second.call.epochs} after {first.call.epochs}"
    return _off("resume", says, second, fresh, training.noise, training.boosting)


def _stands_still(training: Training, what: str, evidence: Sequence[str]) -> Finding:
    """It has the loss of fewer epochs, which it does not have from nothing."""
    one = training.first.call.epochs
    says = f"{what} prints the loss of {one} epoch{'s' if one > 1 else ''}"
    change = advice.LOAD
    if not training.second.touched.written.isdisjoint(training.checkpoint):
        says, change = f"{says}, though it trains and saves", advice.SCHEDULE
    if training.moved is None:
        says += ": it does not go on, unless that is its best one so far"
        return warned("resume", says, *evidence, advice=change)
    return failed("resume", says, *evidence, advice=change)


def _renamed(training: Training) -> str | None:
    """Where the second run saved, if that has another name than what the first has saved.

    What goes on from something else may write a file of another name beside it.
    """
    first, second = training.first, training.second
    anew = sorted(second.touched.saved & second.touched.created)
    same = not first.touched.saved.isdisjoint(second.touched.changed)
    elsewhere = not (training.comparable or training.starts_over) and training.repeats is False
    return None if same or elsewhere or not anew else anew[0]


def _promoted(training: Training) -> Finding:
    """Two epochs after one are as good as two from nothing; so should be many."""
    onward, long = training.onward, training.long
    if not onward.done:
        *before, epochs = training.in_turn.split(", ")
        says = f"--epochs {epochs} fails where --epochs {before[-1]} was trained before"
        return failed("resume", says, *onward.shown(), advice=_unless_too_long(onward, advice.LOAD))
    if onward.loss == long.loss:
        says = f"--epochs {training.in_turn} in turn give the losses of whole runs"
        further = advice.FURTHER.get(training.boosting, "")
        return passed("resume", f"{says}{further}")
    *before, epochs = training.in_turn.split(", ")
    says = f"--epochs {epochs} after {', '.join(before[:-1])} and {before[-1]}"
    return _off("resume", says, onward, long, training.long_noise, training.boosting)


def _off(
    name: str, what: str, run: ScriptRun, wanted: ScriptRun, noise: float, boosting: str = ""
) -> Finding:
    """The loss differs: by how much, and whether that is the training's own noise."""
    off = spread(run, wanted)
    says = f"{what} gives {run.last_line.strip()}, uninterrupted it is {wanted.last_line.strip()}"
    if by_noise(run, wanted, noise):
        return passed(name, f"{says}: within the noise of this training, {noise:.2g}")
    says += f": off by {off:.2g}, while runs from nothing differ by {noise:.2g}"
    change = advice.ROWS if boosting else advice.WHOLE_STATE
    return warned(name, says, *run.shown(), *wanted.shown(), advice=change)


def _trained(training: Training) -> tuple[str, ...]:
    """What shows whether a config is trained again: lines and losses."""
    once, again, fewer = training.long, training.long_again, training.fewer
    both = f"{once.lines} lines of output, then {again.lines}"
    return (*once.shown(), *again.shown(), both, *(fewer.shown() if fewer else ()))


def _total(training: Training, runs: Sequence[ScriptRun]) -> Finding:
    first, second, three = training.first, training.second, training.three
    long = training.long if training.comparable else second  # else of another config
    if three and training.additional:
        says = f"--epochs {second.call.epochs} after --epochs {first.call.epochs} trained "
        says += f"{three.call.epochs} epochs in all: --epochs is not the total"
        evidence = (*second.shown(), "and from nothing:", *three.shown())
        return failed("total", says, *evidence, advice=advice.TOTAL)
    if training.instead:
        says = f"it has no option --epochs: {training.instead.other} gets the number of epochs"
        found = warned if training.heeded else failed
        return found("total", says, *training.instead.run.shown(), advice=advice.ABBREVIATED)
    if training.counts_anew:
        says = f"--epochs {second.call.epochs} after --epochs {first.call.epochs} trained "
        says += f"{second.call.epochs} epochs more: --epochs is the total"
        lines = f"{first.lines} lines of output, then {second.lines}, and as many from nothing"
        return failed("total", says, *first.shown(), *second.shown(), lines, advice=advice.TOTAL)
    if training.heeded:
        return passed("total", "--epochs is heeded, and is the total")
    says = f"the loss is the same for {first.call.epochs} and {long.call.epochs} epochs"
    trains = second.touched.written or training.lines_tell
    # Configs that all have one loss may have converged, and one of few digits may hide the rest.
    differ = len({run.loss for run in runs if run.done}) > 1
    if training.comparable and differ and not trains and most_digits(runs) > FEW_DIGITS:
        says = f"--epochs changes nothing: {says}"
        return failed("total", says, *first.shown(), *long.shown(), advice=advice.TOTAL)
    return warned("total", says, *first.shown(), *long.shown(), advice=advice.CONVERGED)


def _again(training: Training) -> Finding:
    for once, again, noise in (
        (training.second, training.again, training.noise),
        (training.long, training.long_again, training.long_noise),
    ):
        if once.loss != again.loss:
            says = "the same --epochs again gives another loss"
            evidence = (*once.shown(), "and again:", *again.shown())
            change = advice.LOST if not again.touched.written else advice.AGAIN
            if by_noise(once, again, noise):
                return warned("again", f"{says}, within its noise", *evidence, advice=change)
            return failed("again", says, *evidence, advice=change)
    says = "the same --epochs again gives the same loss"
    if training.repeats is None:
        says = f"{says}; whether it trains cannot be told"
        return warned("again", says, *_trained(training), advice=advice.TELL)
    if training.repeats:
        says = f"{says}, and trains again"
        return failed("again", says, *_trained(training), advice=advice.AGAIN)
    if training.last_again:
        says = f"{says}, but trains the last epoch again, as far as lines tell"
        return warned("again", says, *_trained(training), advice=advice.TOTAL)
    return passed("again", f"{says} and trains nothing")


def _precision(runs: Sequence[ScriptRun]) -> Finding:
    lines = {run.last_line.strip() for run in runs if run.done}
    digits = most_digits(runs)
    if digits <= FEW_DIGITS and len(lines) > 2:
        says = f"losses have at most {digits} digits, such as {max(lines, key=len)}"
        return warned("precision", says, advice=advice.PRECISION)
    return passed("precision", f"losses have up to {digits} digits")


# --- kills, and what they leave ------------------------------------------------------------------


def killed(name: str, ended: ScriptRun, rest: ScriptRun, training: Training) -> Finding:
    """A run was signalled in the middle of its training; `rest` is the same run after it."""
    found = _gone_on(name, ended, rest, training)
    status, answered = ended.exit_status, _printed(ended) is not None
    if found.status is not Status.PASS or status is None or status < 0:
        return found
    if status in STOP_EXIT_CODES or whole(ended, rest):
        return found
    says = f"in answer to {name.upper()} it ends with status {status}"
    if status == 0:
        says += f" and a loss, {ended.last_line.strip()}" if answered else " and no loss"
    return warned(name, says, f"$ {ended.command}  # {name.upper()}", advice=advice.STOPPED)


def whole(ended: ScriptRun, rest: ScriptRun) -> bool:
    """Whether it had come to its end before the signal, or in spite of it."""
    return _printed(ended) == rest.loss is not None


def _printed(ended: ScriptRun) -> float | None:
    """The loss that it printed, whether that counts or not."""
    loss = read_loss(ended.last_line.encode())
    return None if isinstance(loss, LossRefused) else loss


def _gone_on(name: str, ended: ScriptRun, rest: ScriptRun, training: Training) -> Finding:
    """Whether the run after the signal is what it would have been without."""
    signal_name = name.upper()
    what = f"run again after {signal_name}, {ended.seconds:.2f} s after its start"
    if not rest.done:
        says = f"it fails when {what}"
        evidence = (f"{ended.command}  # {signal_name}", *rest.shown())
        if rest.verdict.error_type == "FileExistsError":
            return failed(name, says, *evidence, advice=advice.IN_THE_WAY)
        return failed(name, says, *evidence, advice=advice.ATOMIC)
    if ended.stubborn:
        says = f"it was still running 10 s after {signal_name}"
        return warned(name, says, advice=advice.TERM)
    if not training.comparable:
        return passed(name, f"{what}, it gives a loss, which could not be compared")
    if rest.loss == training.long.loss:
        return passed(name, f"{what}, it gives the loss of an uninterrupted run")
    gained = spread(training.first, training.long)
    if training.exact and spread(rest, training.long) > gained / 2 > 0:
        says = f"{what}, it gives {rest.last_line.strip()}, not {training.long.last_line.strip()}"
        change = advice.WHOLE_STATE if training.second.touched.read else advice.LOAD
        return failed(name, says, *rest.shown(), advice=change)
    return _off(name, what, rest, training.long, training.long_noise)


def in_place(training: Training, own: Sequence[str]) -> list[str]:
    """Of the files of a checkpoint, those of which a kill may leave half.

    Where it writes none a second time, as with a file per epoch, it may be any of them.
    """
    again = training.second.touched
    if not again.changed.intersection(own):
        return list(own)
    return [name for name in own if name in again.changed - again.replaced]


def half_written(run: ScriptRun | None, training: Training, files: Sequence[str]) -> Finding:
    """These files of the checkpoint were cut in half before this run, if there are any."""
    if run is None:
        says = "never leaves half a checkpoint: it is replaced as a whole, or a database"
        return passed("half_written", says)
    if run.done and (run.loss == training.fresh.loss or not training.exact):
        return passed("half_written", "survives a checkpoint that was cut in half")
    if not training.second.touched.changed.intersection(files):
        says = "it does not survive half a checkpoint; if it renames whole ones, none is ever left"
        return skipped("half_written", says)
    names = ", ".join(files[:3])
    says = f"it fails on {names} cut in half, as a kill may leave what is written in place"
    if run.done:
        says = f"it takes {names} cut in half for a whole, and gives another loss"
    return warned("half_written", says, *run.shown(), advice=advice.ATOMIC)
