"""The figures of the results that a table or a picture shows."""

import statistics
from collections.abc import Sequence

Row = dict[str, object]
Results = dict[str, object]


class Selection:
    """The rows of one measure, by peer and by what else tells them apart."""

    def __init__(self, results: Results) -> None:
        self._rows: list[Row] = results["rows"]  # type: ignore[assignment]
        self.peers: dict[str, dict[str, str]] = results["peers"]  # type: ignore[assignment]

    def rows(self, measure: str, **facts: object) -> list[Row]:
        """Those with these facts."""
        wanted = {"measure": measure, **facts}
        return [row for row in self._rows if all(row.get(key) == wanted[key] for key in wanted)]

    def values(self, measure: str, key: str, **facts: object) -> list[float]:
        """One figure of each."""
        found = [row.get(key) for row in self.rows(measure, **facts)]
        return [value for value in found if isinstance(value, (int, float))]

    def over_bare(self, peer: str, workers: int) -> list[float]:
        """Milliseconds per call beyond the bare script of the same block."""
        return [own - bare for own, bare in self._pairs(peer, workers)]

    def ratios(self, peer: str, workers: int) -> list[float]:
        """Times the bare script of the same block."""
        return [own / bare for own, bare in self._pairs(peer, workers)]

    def _pairs(self, peer: str, workers: int) -> list[tuple[float, float]]:
        bare = {
            row["block"]: row["period_ms"]
            for row in self.rows("overhead", peer="bare", workers=workers)
        }
        own = self.rows("overhead", peer=peer, workers=workers)
        return [(row["period_ms"], bare[row["block"]]) for row in own]  # type: ignore[misc]

    def failures(self, of: str | None = None, peer: str | None = None) -> list[Row]:
        """What did not run, of a measure and peer or of all."""
        found = [row for row in self._rows if "failed" in row]
        return [row for row in found if of in (None, row["of"]) and peer in (None, row["peer"])]

    def sizes(self) -> list[int]:
        """Of stores."""
        return sorted({row["results"] for row in self.rows("storage")})  # type: ignore[type-var]

    def best(self, peer: str) -> list[str]:
        """The best configs of undisturbed runs with two workers."""
        return [str(row["best"]) for row in self.rows("utilisation", peer=peer, workers=2)]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
