"""The script is imported, and its functions are asked: points 1, 4 and 5 of the contract."""

import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from hbtrack.check import advice
from hbtrack.check.finding import Advice, Finding, failed, passed, skipped, warned
from hbtrack.check.scratch import Touched, Watch
from hbtrack.core.config_params import ParamValue
from hbtrack.core.contract import config_id_problem
from hbtrack.core.loss import LossRefused, read_loss
from hbtrack.core.records import Command, Terms
from hbtrack.errors import ScriptError
from hbtrack.script.probe import Examined, ScriptProbe

SLOW_IMPORT = 30.0  # seconds of a processor: a busy machine makes no script slow
DRAWS = 200
_CHOICES = re.compile(r"(?:\(choose from |is not one of )([^)]*[^).\s])")
"""What argparse and click say of a value that cannot be chosen."""
TYPICAL = Terms(81, "3", 0, 1, 100.0)  # what `hbtrack run` does if nothing else is said

Tell = Callable[[str], None]
Said = TypeVar("Said")


class Experiment(NamedTuple):
    """What arguments of the script select, and the name of its search."""

    args: tuple[str, ...]
    identity: str


class Asked(NamedTuple):
    """What the script has said, as far as it can be used."""

    identity: str = ""  # empty if there is none
    ids: tuple[str, ...] = ()  # different ones, which can be passed
    others: tuple[Experiment, ...] = ()  # that other arguments select, if it takes them


def ask(command: Command, time_limit: float, tell: Tell) -> Generator[Finding, None, Asked]:
    """Import the script in processes of its own, and ask it all that a search may ask."""
    tell("import")
    watch, started = Watch(Path(command.cwd)), time.monotonic()
    with ScriptProbe(command, time_limit, still_holds="") as probe:
        try:
            work = probe.imported()
        except ScriptError as error:
            yield _refused("import", error, _why_no_import(error, Path(command.cwd)))
            return Asked()
        seconds = time.monotonic() - started
        yield imported(seconds, work, probe.printed_on_stdout(), watch.touched())
        with ScriptProbe(command, time_limit, still_holds="") as other:
            seed = secrets.randbelow(2**31)  # configs that nobody has trained here before
            examined = _said(probe.examine, seed, DRAWS)
            identity, others = yield from _ask_identity(probe, other, command.script_args, tell)
            ids = yield from _ask_sampler(probe, other, examined, seed, tell)
    return Asked(identity, ids, others)


def _why_no_import(error: ScriptError, folder: Path) -> Advice:
    """What to do about it; a module that is in the working directory is no matter of --python."""
    text = "\n".join(_refusal(error))
    missing = re.search(r"No module named '([^'.]+)", text)
    if missing and ((folder / missing[1]).is_dir() or (folder / f"{missing[1]}.py").is_file()):
        return advice.MODULE
    return advice.why(text, advice.IMPORT)


def _said(ask: Callable[..., Said], *args: object) -> Said | ScriptError:
    """What the script says, or why it does not."""
    try:
        return ask(*args)
    except ScriptError as error:
        return error


def _ask_identity(
    probe: ScriptProbe, other: ScriptProbe, args: tuple[str, ...], tell: Tell
) -> Generator[Finding, None, tuple[str, tuple[Experiment, ...]]]:
    tell("identity")
    try:
        identity = probe.identity_for(args)
        time.sleep(1.01 - time.time() % 1)  # into the next second: what has the time in it differs
        again = other.identity_for(args)
    except ScriptError as error:
        yield _refused("identity", error, advice.IDENTITY)
        return "", ()
    yield named(identity, again)
    tell("arguments")
    words = [(), *_altered(args)]
    answers = dict(_answered(probe, args, one) for one in words)
    yield told_apart(args, identity, list(answers.values()))
    return identity, tuple(_selected(identity, answers))


def _answered(
    probe: ScriptProbe, args: tuple[str, ...], altered: tuple[str, ...]
) -> tuple[tuple[str, ...], str | ScriptError]:
    """Altered arguments and their name; where few values can be chosen, with another of these."""
    answer = _said(probe.identity_for, altered)
    if not isinstance(answer, ScriptError) or not (found := _CHOICES.search(answer.output)):
        return altered, answer
    at = next(at for at, word in enumerate(altered) if word != args[at])
    option, equals, value = args[at].rpartition("=")
    other = next((one for one in re.findall(r"[^\s,'\"]+", found[1]) if one != value), value)
    chosen = (*args[:at], f"{option}{equals}{other}", *args[at + 1 :])
    return chosen, _said(probe.identity_for, chosen)


def _selected(
    identity: str, others: dict[tuple[str, ...], str | ScriptError]
) -> Iterator[Experiment]:
    """The other experiments; those of arguments that differ least come first.

    That of no arguments only where there are values among them: a flag may say how to train.
    """
    if len(others) == 1:
        return
    for args, other in sorted(others.items(), key=lambda one: -len(one[0])):
        if not isinstance(other, ScriptError) and other != identity:
            yield Experiment(args, other)


def _altered(args: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The arguments with another value for one of them."""
    values = [number for number, word in enumerate(args) if "=" in word or not word.startswith("-")]
    return [(*args[:at], args[at] + "1", *args[at + 1 :]) for at in values]


def _ask_sampler(
    probe: ScriptProbe, other: ScriptProbe, examined: Examined | ScriptError, seed: int, tell: Tell
) -> Generator[Finding, None, tuple[str, ...]]:
    tell("sampler")
    try:
        if isinstance(examined, ScriptError):
            raise examined
        elsewhere = other.examine(seed, DRAWS)
    except ScriptError as error:
        yield _refused("sampler", error, advice.why(_refusal(error)[0], advice.IDS))
        return ()
    yield sampled(examined, elsewhere)
    yield fitting(examined.ids)
    tell("repeats")
    try:
        ids = probe.sample(TYPICAL, 1, ()).config_ids
    except ScriptError:  # ids that do not fit, or parameters: both have a line of their own
        ids = ()
    usable = [name for name in dict.fromkeys((*examined.ids, *ids)) if not config_id_problem(name)]
    yield repeating(ids) if ids else skipped("repeats", "a whole pass could not be sampled")
    tell("params")
    try:
        yield described(probe.params(usable[:DRAWS]))
    except ScriptError as error:
        yield _refused("params", error, advice.PARAMS)
    return tuple(usable)


def _refusal(error: ScriptError) -> list[str]:
    """The sentence, then what shows it."""
    first, *rest = str(error).strip().split("\n")
    if first.endswith("failed:"):  # its traceback follows, and the last line of that says most
        first = f"{first} {rest[-1]}"
    return [first.rstrip("."), "\n".join(rest), error.output[-2000:].rstrip()]


def _refused(name: str, error: ScriptError, change: Advice) -> Finding:
    """The script does not answer."""
    says, *evidence = _refusal(error)
    return failed(name, says, *evidence, advice=change)


# --- what it means -------------------------------------------------------------------------------


def imported(seconds: float, work: float, printed: str, touched: Touched) -> Finding:
    """Whether the import did more than define functions; `work` is its processor time."""
    last = (printed.strip().splitlines() or [""])[-1]
    ran = not isinstance(read_loss(last.encode()), LossRefused)
    if last.strip().isdigit() and not touched.saved:
        ran = False  # how many GPUs there are, perhaps
    took = f"in {seconds:.2f} s"
    if ran:
        says = f"the import, {took}, printed {last.strip()}, as if the experiment had run"
        return failed("import", says, printed[-500:], advice=advice.IMPORT)
    if touched.saved:
        files = ", ".join(sorted(touched.saved)[:5])
        says = f"the import, {took}, wrote {files}"
        return warned("import", says, advice=advice.IMPORT)
    if work > SLOW_IMPORT:
        says = f"the import takes {work:.0f} s of a processor, and every evaluation begins with it"
        return warned("import", says, advice=advice.SLOW_IMPORT)
    return passed("import", f"imports without running the experiment, {took}")


def named(identity: str, again: str) -> Finding:
    """Whether two processes give the search the same name."""
    if identity != again:
        says = f"run_identity says {identity!a} in one process and {again!a} in the next"
        return failed("identity", says, advice=advice.IDENTITY)
    return passed("identity", f"run_identity says {identity!a}, each time")


def told_apart(
    args: tuple[str, ...], identity: str, others: Sequence[str | ScriptError]
) -> Finding:
    """Whether the name depends on the arguments; `others` are for none, then for altered ones."""
    without = others[0]
    if isinstance(without, ScriptError):
        if not args:
            return _refused("arguments", without, advice.IDENTITY)
        says, *evidence = _refusal(without)
        if "sys.exit(" not in says:
            says = f"without arguments, {says}"
            return warned("arguments", says, *evidence, advice=advice.NO_ARGS)
        return passed("arguments", "run_identity asks for arguments when there are none")
    if not args:
        return passed("arguments", "run_identity takes an empty list of arguments")
    if all(other == identity for other in others):
        says = f"run_identity says {identity!a} also without your arguments, or with others"
        return warned("arguments", says, advice=advice.SAME_NAME)
    return passed("arguments", f"run_identity tells arguments apart; without any, {without!a}")


def sampled(examined: Examined, elsewhere: Examined) -> Finding:
    """Whether an id follows from the generator and nothing else."""
    for ids, where in ((examined.again, "again"), (elsewhere.ids, "in another process")):
        for first, second in zip(examined.ids, ids, strict=True):
            if first != second:
                says = (
                    f"get_random_config_id gave {_brief(first)} and {where} {_brief(second)} for "
                    "equal generators"
                )
                return failed("sampler", says, advice=advice.SAMPLER)
    if len(set(examined.ids)) == 1:
        says = f"get_random_config_id gave {_brief(examined.ids[0])} for {DRAWS} generators"
        return failed("sampler", says, advice=advice.SAMPLER)
    if examined.moved:
        says = f"get_random_config_id also draws from, or seeds, {' and '.join(examined.moved)}"
        return warned("sampler", says, advice=advice.SAMPLER)
    return passed("sampler", "get_random_config_id depends on its generator alone")


def fitting(ids: tuple[str, ...]) -> Finding:
    """Whether the ids can be passed on a command line and told apart."""
    for name in ids:
        if problem := config_id_problem(name):
            says = f"get_random_config_id returned {_brief(name)}, which {problem}"
            return failed("ids", says, advice=advice.IDS)
    return passed("ids", f"ids fit, such as {_brief(min(ids, key=len))}")


def repeating(ids: tuple[str, ...]) -> Finding:
    """How many configs of a usual pass there really are."""
    different, places = len(set(ids)), len(ids)
    what = f"of the {places} configs of a pass with --max-epochs 81"
    if different == places:
        return passed("repeats", f"no repeats: {what} all are different")
    says = f"{what} {different} are different; repeats share their losses at no cost"
    if different < places / 2:
        return warned("repeats", says, advice=advice.REPEATS)
    return passed("repeats", says)


def described(found: dict[str, dict[str, ParamValue]]) -> Finding:
    """Which parameters reports will show."""
    names = list(dict.fromkeys(name for params in found.values() for name in params))
    if not names:
        return passed("params", "ids are opaque: reports show no parameters without get_config")
    return passed("params", f"parameters for reports: {', '.join(names[:8])}")


def _brief(text: str) -> str:
    quoted = ascii(text)
    return quoted if len(quoted) <= 60 else quoted[:57] + "...'"
