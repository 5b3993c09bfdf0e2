"""Configs beside each other, and only what they differ in: pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hbtrack.report.config import Config
from hbtrack.store.reading import Row
from hbtrack.text import budget

_OURS = ("search", "rank", "loss", "epochs", "seconds", "peak_memory", "error")

_NOTHING = object()
"""The value of a parameter that a config does not have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What some configs differ in and what not."""

    differ: dict[str, list[object]]  # by a name, the value of each config; None where it has none
    equal: Row  # the parameters that all have alike


def side_by_side(configs: Sequence[Config]) -> Comparison:
    """Search, rank, best loss and its budget; parameters; losses at budgets that several have.

    Then the metrics at the largest such budget, the seconds of all attempts, the peak memory in
    bytes of the largest, and the last error.
    """
    equal = _equal_params(configs)
    rows = dict(_all(configs, equal))
    return Comparison({name: row for name, row in rows.items() if _differs(row)}, equal)


def _equal_params(configs: Sequence[Config]) -> Row:
    first, *others = (config.params for config in configs)
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name, _NOTHING) == value for other in others)
    }


def _differs(row: Sequence[object]) -> bool:
    return any(value != row[0] for value in row[1:])


def _all(configs: Sequence[Config], equal: Row) -> Iterator[tuple[str, list[object]]]:
    yield "search", [config.run_identity for config in configs]
    for name in ("rank", "loss", "epochs"):
        yield name, [config.best[name] if config.best else None for config in configs]
    for name in dict.fromkeys(name for config in configs for name in config.params):
        if name not in equal:
            column = f"param:{name}" if name in _OURS else name
            yield column, [config.params.get(name) for config in configs]
    losses = [_losses(config) for config in configs]
    common = _common(losses)
    for epochs in common:
        yield f"loss at {budget(epochs)}", [one.get(epochs) for one in losses]
    yield from _metrics(configs, common[-1:])
    yield "seconds", [sum(row["seconds"] or 0 for row in one.attempts) for one in configs]
    yield "peak_memory", [_peak(config) for config in configs]
    yield "error", [_error(config) for config in configs]


def _losses(config: Config) -> dict[int, float]:
    """The loss at each budget that it was measured at."""
    return {row["epochs"]: row["loss"] for row in config.attempts if row["status"] == "done"}


def _common(losses: Sequence[dict[int, float]]) -> list[int]:
    """The budgets that more than one of them has."""
    every = sorted({epochs for one in losses for epochs in one})
    return [epochs for epochs in every if sum(epochs in one for one in losses) > 1]


def _metrics(
    configs: Sequence[Config], budgets: Sequence[int]
) -> Iterator[tuple[str, list[object]]]:
    for epochs in budgets:
        found = [
            {
                name: value
                for row in one.metrics
                if row["epochs"] == epochs
                for name, value in row["metrics"].items()
            }
            for one in configs
        ]
        for name in dict.fromkeys(name for one in found for name in one):
            if len({one[name] for one in found if name in one}) > 1:
                yield f"{name} at {budget(epochs)}", [one.get(name) for one in found]


def _peak(config: Config) -> int | None:
    return max((row["peak_memory"] for row in config.attempts if row["peak_memory"]), default=None)


def _error(config: Config) -> str | None:
    """The last line of the error that the config ended with."""
    failed = config.failed
    if failed is None:
        return None
    return str(failed["error"]).strip().split("\n")[-1]
