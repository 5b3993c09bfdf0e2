"""What the page is made from: everything that was read of one search, at one moment. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hbtrack.report.ranking import in_order_of

if TYPE_CHECKING:
    from hbtrack.report.failures import FailureGroup

CAUSES = 8
"""At most so many causes of failure are shown."""

Row = dict[str, Any]
Curve = list[tuple[int, float]]
"""A config's losses: budgets in epochs, growing, and the loss at each."""


@dataclass(frozen=True, slots=True)
class Result:
    """A place, and what came of it: a row of the view `results`."""

    pass_: int
    bracket: int
    rung: int
    slot: int
    config_id: str
    epochs: int
    status: str
    loss: float
    promoted: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A process run. Times are Unix seconds; what is open ends where the facts end."""

    worker: int
    gpu: str
    config_id: str
    epochs: int
    status: str
    script: str  # its sha256
    start: float
    end: float

    @property
    def gpus(self) -> int:
        """How many GPUs, and so how many workers' places, it had."""
        return self.gpu.count(",") + 1

    @property
    def is_open(self) -> bool:
        """Whether it still runs."""
        return self.status in ("running", "stopping")


@dataclass(frozen=True, slots=True)
class Driver:
    """An hbtrack process that owned the search, from when to when."""

    number: int
    host: str
    workers: int | None
    start: float
    end: float
    silent: bool  # it died without a word: `end` is when it was last seen


@dataclass(frozen=True)
class Facts:
    """One search at one moment."""

    search: Row
    state: str  # running, orphaned, interrupted, stopped, finished
    left: str | None  # how long it still takes, if that can be told
    written_at: float  # Unix seconds
    until: float  # the last moment that is known of: `written_at` while something runs
    version: str
    database: str  # its path, absolute
    cwd: str  # where its script runs
    rungs: Sequence[Row]
    results: Sequence[Result]
    incumbents: Sequence[Row]
    leaders: Sequence[Row]  # the best 300 of `ranked`
    ranked: int
    params: Mapping[str, Mapping[str, object]]  # by config_id; of the first and of the best
    sampled: bool  # whether there were too many to read all
    attempts: Sequence[Attempt]
    drivers: Sequence[Driver]
    failures: Sequence["FailureGroup"]  # one more than CAUSES where there are more
    best_attempt: Row | None

    @property
    def identity(self) -> str:
        """The name of the search."""
        return str(self.search["run_identity"])

    @property
    def best_config_id(self) -> str | None:
        """The config with the smallest loss."""
        return self.search["best_config_id"]  # type: ignore[no-any-return]

    @property
    def no_loss(self) -> str:
        """What is said where there is nothing to show."""
        yet = "" if self.search["status"] == "finished" else " yet"
        return f"No evaluation has a loss{yet}."

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
        for one in self.attempts:
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
