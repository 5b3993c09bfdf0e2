"""Which configs are tried, and which files are whose: pure, from what runs came to."""

from pathlib import Path

from hbtrack.check import calls
from hbtrack.check.script_run import ScriptRun
from hbtrack.core.limits import FIRST

CANDIDATES = 4  # configs that are tried for one that runs and has no checkpoint yet
MOST_CANDIDATES = 20  # while none runs at all: in some searches most configs fail
LOSSES_REFUSED = ("bad_last_line", "no_output")
"""How a script ends whose last line is none, of two configs: it is so with the others, too."""
PATIENCE = 60.0  # seconds of runs that fail, after which no more than CANDIDATES are tried


def worth_trying(runs: list[ScriptRun]) -> bool:
    """Whether to try another config after these, for one that runs and is new here."""
    if any(from_nothing(run) or (says_enough(run) and not run.done) for run in runs):
        return False
    if sum(run.verdict.error_type in LOSSES_REFUSED for run in runs) > 1:
        return False
    if len(runs) == FIRST and len(set(map(_how_it_failed, runs))) == 1:
        return False  # a search stops then, too: the script is plainly broken
    if len(runs) < CANDIDATES:
        return True
    none_runs = not any(run.done for run in runs)
    spent = sum(run.seconds for run in runs)
    return none_runs and len(runs) < MOST_CANDIDATES and spent < PATIENCE


def _how_it_failed(run: ScriptRun) -> tuple[str | None, str]:
    """The error's type, and its file without the copy that it lies in, and line."""
    return run.verdict.error_type, Path(run.verdict.place or "").name


def says_enough(run: ScriptRun) -> bool:
    """Whether it works, or fails in a way that is no config's fault."""
    return run.done or run.timed_out or calls.refused(run)


def alike(config_id: str, ids: list[str]) -> list[str]:
    """The ids that begin most like this one, and that end most like it."""
    if not ids:
        return []
    begins = max(ids, key=lambda other: _common(config_id, other))
    ends = max(ids, key=lambda other: _common(config_id[::-1], other[::-1]))
    return list(dict.fromkeys([begins, ends]))


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def from_nothing(run: ScriptRun) -> bool:
    """Whether the config runs and had no checkpoint, as far as its files tell."""
    return run.done and bool(run.touched.created) and not run.touched.changed


def used_by_one(run: ScriptRun, runs: list[ScriptRun]) -> frozenset[str]:
    """The files that this run read or changed, and no other."""
    others = [one for one in runs if one is not run]
    return used(run).difference(*map(used, others)) if others else frozenset()


def used(run: ScriptRun) -> frozenset[str]:
    """The files of before that it read or changed, as far as that was seen."""
    return run.touched.changed | (run.touched.read or frozenset())
