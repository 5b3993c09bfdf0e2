"""What one check of a script found: a verdict, what shows it, and what to change."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"  # it works; but something is likely not what the user wants
    FAIL = "fail"  # a point of the contract that must hold does not
    SKIP = "skip"  # it could not be tried


class Advice(NamedTuple):
    """What to change in a script, and lines of Python that show it."""

    change: str = ""
    example: str = ""


NOTHING = Advice()


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `says` is a sentence without its full stop."""

    name: str  # stable, for programs
    point: int  # of the contract
    status: Status
    says: str
    evidence: tuple[str, ...] = ()  # commands as a shell takes them, and what came of them
    advice: Advice = NOTHING


POINTS = {
    "import": 1,
    "identity": 5,
    "arguments": 5,
    "sampler": 4,
    "ids": 4,
    "repeats": 4,
    "params": 4,
    "call": 6,
    "loss": 3,
    "precision": 3,
    "last_line": 3,
    "minimised": 3,
    "checkpoint": 7,
    "resume": 8,
    "total": 2,
    "again": 2,
    "separate": 7,
    "at_once": 7,
    "multi_gpu": 9,
    "bad_id": 10,
    "sigterm": 8,
    "sigkill": 8,
    "half_written": 7,
    "other_search": 7,
    "left_running": 10,
}
"""The checks in their order, each with the point of the contract that it is about."""


def passed(name: str, says: str, *evidence: str) -> Finding:
    """The check passed."""
    return Finding(name, POINTS[name], Status.PASS, says, evidence)


def skipped(name: str, says: str) -> Finding:
    """The check could not be tried; `says` tells why."""
    return Finding(name, POINTS[name], Status.SKIP, says)


def warned(name: str, says: str, *evidence: str, advice: Advice = NOTHING) -> Finding:
    """It works; but the user should know."""
    return Finding(name, POINTS[name], Status.WARN, says, evidence, advice)


def failed(name: str, says: str, *evidence: str, advice: Advice = NOTHING) -> Finding:
    """A point of the contract does not hold."""
    return Finding(name, POINTS[name], Status.FAIL, says, evidence, advice)
