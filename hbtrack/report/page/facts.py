"""What the page is made from: everything that was read of one search, at one moment. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TypeGuard

from hbtrack.report.failures import FailureGroup
from hbtrack.report.ranking import in_order_of
from hbtrack.report.script_changes import ScriptChange
from hbtrack.report.snapshot import Attempt, Result, Snapshot
from hbtrack.store.reading import Row

CAUSES = 8
"""At most so many causes of failure are shown."""

Curve = list[tuple[int, float]]
"""A config's losses: budgets in epochs, growing, and the loss at each."""


@dataclass(frozen=True, slots=True)
class DriverRun:
    """An hbtrack process that owned the search, from when to when."""

    number: int
    host: str
    workers: int | None
    start: float
    end: float
    silent: bool  # it died without a word: `end` is when it was last seen


@dataclass(frozen=True)
class PageFacts(Snapshot):
    """One search at one moment, with all that the page draws."""

    database: str  # its path, absolute
    cwd: str  # where its script runs
    written_at: float  # Unix seconds
    until: float  # the last moment that is known of: `written_at` while something runs
    rungs: Sequence[Row]
    results: Sequence[Result]
    incumbents: Sequence[Row]
    leaders: Sequence[Row]  # the best 300 of `ranked`
    params: Mapping[str, Mapping[str, object]]  # by config_id; of the first and of the best
    sampled: bool  # whether there were too many to read all
    attempts: Sequence[Attempt]
    drivers: Sequence[DriverRun]
    failures: Sequence[FailureGroup]  # one more than CAUSES where there are more
    edits: Sequence[ScriptChange]
    best_command: str | None  # of its last attempt, for a shell
    found_checkpoints: str | None  # that the search did not make: why that is thought
    told: Mapping[int, int]  # max_epochs, if several, and how many results of each

    @property
    def ranked(self) -> int:
        """How many configs have a loss."""
        return int(self.leaders[0]["ranked"]) if self.leaders else 0

    @property
    def no_loss(self) -> str:
        """What is said where there is nothing to show."""
        yet = "" if self.search["status"] == "finished" else " yet"
        return f"No evaluation has a loss{yet}."

    @property
    def depth(self) -> int:
        """How many rungs the longest bracket has."""
        return max((int(row["rung"]) for row in self.rungs), default=0) + 1

    @cached_property
    def winner(self) -> Result | None:
        """The canonically first place of the best evaluation."""
        key = self.search["best_config_id"], self.search["best_epochs"]
        return next((one for one in self.results if (one.config_id, one.epochs) == key), None)

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """The measured losses of each config over its budgets."""
        found: dict[str, dict[int, float]] = defaultdict(dict)
        for one in self.results:
            if one.status == "done":
                found[one.config_id][one.epochs] = one.loss
        return {config_id: sorted(losses.items()) for config_id, losses in found.items()}

    @cached_property
    def reached(self) -> dict[str, int]:
        """The largest rung that each config has a loss at, in any bracket."""
        found: dict[str, int] = {}
        for one in self.results:
            if one.status == "done":
                found[one.config_id] = max(one.rung, found.get(one.config_id, 0))
        return found

    @property
    def running(self) -> list[Attempt]:
        """What runs now, the longest first."""
        return sorted((one for one in self.attempts if one.is_open), key=lambda one: one.start)

    @cached_property
    def scripts(self) -> dict[str, float]:
        """When each version of the script, known by its sha256, was first run; oldest first."""
        first: dict[str, float] = {}
        for one in (one for one in self.attempts if one.script):
            first[one.script] = min(one.start, first.get(one.script, one.start))
        return dict(sorted(first.items(), key=lambda item: item[1]))

    @cached_property
    def names(self) -> list[str]:
        """The names of all parameters: as the best config's id has them, then all others."""
        first = self.params.get(self.best_config_id or "", {})
        others = (name for params in self.params.values() for name in params)
        return in_order_of(self.best_config_id or "", dict.fromkeys([*first, *others]))

    @cached_property
    def varying(self) -> list[str]:
        """The names of the parameters that have more than one value."""
        seen: dict[str, set[str]] = defaultdict(set)
        for params in self.params.values():
            for name, value in params.items():
                if len(seen[name]) < 2:
                    seen[name].add(str(value))
        return [name for name in self.names if len(seen[name]) > 1]

    @cached_property
    def last_losses(self) -> dict[str, tuple[int, float]]:
        """The largest budget of each config whose parameters are known, and the loss there."""
        curves = self.curves
        return {one: curves[one][-1] for one in self.params if one in curves}


def numeric(value: object) -> TypeGuard[int | float]:
    """Whether a parameter's value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
