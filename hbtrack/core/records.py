"""The frozen records and closed sets of words that all layers share.

The words are those of the database's views, too: one word per thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from hbtrack.core.streams import stream_of

Loss = float | None
"""What an evaluation came to, as the script printed it; None is a failure."""

Objective = float | None
"""What it is ranked by, the smaller the better; None is a failure."""


def turned(value: float | None, *, maximize: bool) -> float | None:
    """The objective of a loss, or the loss of an objective; exact, and 0 stays 0 without a sign."""
    return 0.0 - value if maximize and value is not None else value


def facts_of(record: Any) -> dict[str, Any]:
    """The fields of a record by name; what is inside them stays as it is."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


class SearchStatus(StrEnum):
    """Whether a search has more to do."""

    UNFINISHED = "unfinished"
    STOPPED = "stopped"  # by `hbtrack stop` or a limit, as is stored; resume goes on
    FINISHED = "finished"


class BracketStatus(StrEnum):
    """How far a bracket is."""

    WAITING = "waiting"  # nothing of it has started
    RUNNING = "running"
    DONE = "done"


class AttemptStatus(StrEnum):
    """What became of one process run."""

    RUNNING = "running"  # started and not yet settled
    STOPPING = "stopping"  # hbtrack is about to signal it: nothing it says counts any more
    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"  # ended because hbtrack stopped it; runs again on resume
    LOST = "lost"  # ended without a word, or by a signal that hbtrack did not send; runs again


class Place(NamedTuple):
    """A config's place in a rung. Tuples sort in canonical order.

    A bracket is keyed by its first budget, which grows as the paper's s falls: ascending
    `first_epochs` is "largest s first".
    """

    pass_: int  # from 1
    first_epochs: int
    rung: int  # 0 is the cheapest
    slot: int  # from 0


class RungKey(NamedTuple):
    """A level of a bracket of a pass."""

    pass_: int
    first_epochs: int
    rung: int


class SlotKey(NamedTuple):
    """A config's place in its bracket, whatever the rung."""

    pass_: int
    first_epochs: int
    slot: int


def rung_of(place: Place) -> RungKey:
    """The rung that a place is in."""
    return RungKey(place.pass_, place.first_epochs, place.rung)


def slot_of(place: Place) -> SlotKey:
    """The slot that a place belongs to."""
    return SlotKey(place.pass_, place.first_epochs, place.slot)


def position(place: Place, order: int) -> int:
    """A place as one number that sorts canonically; its bracket is the order-th of a pass."""
    return ((place.pass_ * 64 + order) * 64 + place.rung) << 32 | place.slot


# --- what a search is ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked for; fixed from the first start on."""

    max_epochs: int
    eta: str  # exact decimal text
    seed: int
    passes: int
    failure_loss: float
    configs: tuple[str, ...] = ()  # the user's own, in the first slots of the first bracket
    maximize: bool = False  # the larger a loss, the better
    min_epochs: int = 1  # the paper's r: no rung has a smaller budget


@dataclass(frozen=True, slots=True)
class Command:
    """How the script is run."""

    script: str  # absolute path
    script_sha256: str
    script_args: tuple[str, ...]
    python: str
    cwd: str


@dataclass(frozen=True, slots=True)
class Resources:
    """Where attempts run, and of which script: what was typed, None for the default."""

    workers: int | None
    gpus: str  # all, none, or 0,2
    per_gpu: int = 1  # evaluations at once
    isolate_gpus: bool = False  # by CUDA_VISIBLE_DEVICES
    multi_gpu: str = "auto"  # or never
    checkpoints: str | None = None  # an absolute path: where the folders of checkpoints are put
    script_changes: str = "go-on"  # or stop: what an edit of the script does


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user allows a search to take: totals; None is no limit."""

    timeout: float | None = None  # seconds of an attempt
    retries: int = 0  # of an evaluation that failed through no fault of its config
    retry_timeouts: bool = False  # a timeout is no fault of the config's
    max_failures: str | None = None  # "5", or "10%" of the evaluations planned
    max_time: float | None = None  # seconds in which a driver lived
    target_loss: float | None = None
    max_streak: int | None = 10  # failures in a row from which they are doubted; None: never
    max_rest: float = 1800.0  # seconds of rest in all while they are
    retry_on: tuple[str, ...] = ()  # texts of errors that are the machine's


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it is stored."""

    pk: int
    run_identity: str
    token: str
    terms: Terms
    command: Command
    resources: Resources
    status: SearchStatus
    stop_reason: str | None
    fence: int
    limits: Limits = field(default_factory=Limits)
    broken_script_checked: bool = False  # stopped as plainly broken before: not again
    found_checkpoints: str | None = None  # that it began on some that it did not make: why
    streams: str = "seed"  # the rule by which its slots draw

    @property
    def stream(self) -> tuple[int, ...]:
        """What keys its draws beside the seed."""
        return stream_of(self.streams, self.run_identity)


@dataclass(frozen=True, slots=True)
class Sampled:
    """The ids of one pass in canonical order, and the parameters of those not seen before."""

    pass_: int
    config_ids: tuple[str, ...]
    params: dict[str, dict[str, int | float | str]]


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that nobody has settled yet."""

    pk: int
    config_id: str
    epochs: int
    status: AttemptStatus
    worker: int
    gpu: str
    host: str
    started_at: str
    since_boot: float | None = None  # when it started: seconds since the boot
    boot_id: str | None = None  # of its driver's machine; None where nobody can tell
    script_version: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is recorded of a search and bears on what it does next."""

    passes: tuple[tuple[str, ...], ...]  # sampled ids of each opened pass, in canonical order
    results: tuple[tuple[str, int, Objective], ...]  # config_id, epochs, objective
    entered: dict[RungKey, dict[int, str]]  # of each rung that was entered: slot -> config_id
    open_attempts: tuple[OpenAttempt, ...]
    begun: tuple[tuple[str, int], ...] = ()  # evaluations that were started, and have no result
    earlier_seconds: float = 0.0  # seconds in which drivers that have ended lived


def passes_of(entered: Mapping[RungKey, Mapping[int, str]]) -> tuple[tuple[str, ...], ...]:
    """The sampled ids of each opened pass, in canonical order: what stands in the first rungs."""
    sampled: dict[int, list[str]] = {}
    for key in sorted(key for key in entered if key.rung == 0):
        members = entered[key]
        sampled.setdefault(key.pass_, []).extend(members[slot] for slot in sorted(members))
    return tuple(map(tuple, sampled.values()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt came to."""

    status: AttemptStatus
    finished_at: float = 0.0  # Unix time
    watched: bool = False  # by a driver, when it ended
    loss: Loss = None
    pid: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    seconds: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    error: str | None = None
    place: str | None = None  # FILE:LINE of the error, the innermost of the user's own code
    fingerprint: str | None = None  # the same for failures of one cause
    warning: str | None = None  # what was printed besides a loss that counts
    metrics: Mapping[str, float] = field(default_factory=dict)  # printed beside the loss
    peak_memory: int | None = None  # bytes, of its largest process
    cpu_seconds: float | None = None  # of all its processes
    stdout: str = ""
    stderr: str = ""
    log: str | None = None
    one_script: bool = True  # the script at its start was that at its end

    @property
    def is_result(self) -> bool:
        """Whether it says something of the evaluation; what was lost or interrupted does not."""
        return self.status not in (AttemptStatus.LOST, AttemptStatus.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Grown:
    """What a larger schedule adds to the opened passes of a search."""

    slots: dict[Place, str]  # new places of first rungs and their config_ids
    params: dict[str, dict[str, int | float | str]]  # of the ids that are new to the search
    differing: tuple[Place, ...]  # slots where a fresh search would have another id
