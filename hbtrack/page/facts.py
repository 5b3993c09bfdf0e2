"""What the page is made from: everything that was read of one search, at one moment. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hbtrack.report.failures import FailureGroup

Row = dict[str, Any]


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
    """A process run. Times are Unix seconds; `end` of what still runs is when this was read."""

    worker: int
    gpu: str
    config_id: str
    epochs: int
    status: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Driver:
    """An hbtrack process that owned the search, from when to when."""

    number: int
    host: str
    workers: int | None
    start: float
    end: float
    silent: bool  # it died without a word: `end` is when it was last seen


@dataclass(frozen=True, slots=True)
class Facts:
    """One search at one moment."""

    search: Row
    state: str  # running, orphaned, interrupted, stopped, finished
    left: str | None  # how long it still takes, if that can be told
    written_at: float  # Unix seconds
    version: str
    rungs: Sequence[Row]
    results: Sequence[Result]
    incumbents: Sequence[Row]
    leaders: Sequence[Row]  # the best of `ranked`
    ranked: int
    params: Mapping[str, Mapping[str, object]]  # by config_id
    attempts: Sequence[Attempt]
    drivers: Sequence[Driver]
    failures: Sequence["FailureGroup"]
    best_attempt: Row | None
    scripts: Sequence[Row]
    ended: Mapping[str, int]  # attempts by status

    @property
    def identity(self) -> str:
        """The name of the search."""
        return str(self.search["run_identity"])

    @property
    def best_config_id(self) -> str | None:
        """The config with the smallest loss."""
        return self.search["best_config_id"]  # type: ignore[no-any-return]
