"""What the page is made from: everything that was read of one search, at one moment. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TypeGuard

from hbtrack.report.described import described
from hbtrack.report.failures import FailureGroup
from hbtrack.report.page.wording import cut, short
from hbtrack.report.ranking import in_order_of
from hbtrack.report.script_changes import ScriptChange
from hbtrack.report.snapshot import Attempt, Result, Snapshot
from hbtrack.store.reading import Row

CAUSES = 8
"""At most so many causes of failure are shown."""

METRICS = 8
"""At most so many metrics of a config are shown."""

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


@dataclass(frozen=True, slots=True)
class Used:
    """What attempts used, as the kernel tells it; None where it was never told."""

    peak_memory: int | None  # bytes, of the largest
    cpu_seconds: float | None  # of all


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
    metrics: Mapping[str, Mapping[str, float]]  # of the leaders, by config_id
    used: Mapping[int, Used]  # by worker
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
    def only_failed(self) -> bool:
        """Whether evaluations have failed and none has a loss."""
        return self.failed > 0 and not self.search["evaluations_done"]

    @property
    def no_loss(self) -> str:
        """What is said where there is nothing to show."""
        yet = "" if self.search["status"] == "finished" else " yet"
        return f"No evaluation has a loss{yet}."

    @property
    def maximize(self) -> bool:
        """Whether the largest loss is the best."""
        return bool(self.search["maximize"])

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each config: what #3 means."""
        found = {one.config_id: one.config for one in self.results}
        found |= {row["config_id"]: row["config"] for row in self.leaders}
        return {config_id: number for config_id, number in found.items() if number is not None}

    def called(self, config_id: str, most: int = 90) -> str:
        """A config in at most so many characters: its number and parameters, or its id."""
        known = self.params.get(config_id, {})
        params = {name: known[name] for name in self.names if name in known}
        text = described(self.numbers.get(config_id), params, config_id)
        return cut(text, most) if params else short(text, most)

    def brief(self, config_id: str) -> str:
        """What a config is called where its parameters stand beside it or are a look away."""
        number = self.numbers.get(config_id)
        return short(config_id, 24) if number is None else f"#{number}"

    @cached_property
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
        """The names of all parameters: as the id of the best has them, then all others."""
        one = self.best_config_id or next(iter(self.params), "")
        first = self.params.get(one, {})
        others = (name for params in self.params.values() for name in params)
        return in_order_of(one, dict.fromkeys([*first, *others]))

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
    def losses_at(self) -> dict[int, dict[str, float]]:
        """The loss of each config at each budget; budgets grow."""
        found: dict[int, dict[str, float]] = {}
        for config_id, curve in self.curves.items():
            for epochs, value in curve:
                found.setdefault(epochs, {})[config_id] = value
        return dict(sorted(found.items()))


def numeric(value: object) -> TypeGuard[int | float]:
    """Whether a parameter's value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
