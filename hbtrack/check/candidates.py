"""Which configs to try a script with, and which files are whose."""

from hbtrack.check.trial import Trial

CANDIDATES = 4  # configs that are tried for one that runs and has no checkpoint yet
MOST_CANDIDATES = 20  # while none runs at all: in some searches most configs fail
PATIENCE = 60.0  # seconds of runs that fail, after which no more than CANDIDATES are tried


def worth_trying(trials: list[Trial]) -> bool:
    """Whether to try another config after these, for one that runs and is new here."""
    if any(trial.timed_out or from_nothing(trial) for trial in trials):
        return False
    if len(trials) < CANDIDATES:
        return True
    none_runs = not any(trial.done for trial in trials)
    spent = sum(trial.seconds for trial in trials)
    return none_runs and len(trials) < MOST_CANDIDATES and spent < PATIENCE


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


def from_nothing(trial: Trial) -> bool:
    """Whether the config runs and had no checkpoint, as far as its files tell."""
    return trial.done and bool(trial.touched.created) and not trial.touched.changed


def used_by_one(trial: Trial, all_trials: list[Trial]) -> frozenset[str]:
    """The files that this run read or changed, and no other."""
    others = [one for one in all_trials if one is not trial]
    return used(trial).difference(*map(used, others)) if others else frozenset()


def used(trial: Trial) -> frozenset[str]:
    """The files of before that it read or changed, as far as that was seen."""
    return trial.touched.changed | (trial.touched.read or frozenset())
