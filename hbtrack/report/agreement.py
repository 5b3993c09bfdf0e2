"""Was early stopping right: how far ranks at a rung and at the next agree."""

import sqlite3
from dataclasses import dataclass
from math import sqrt

from hbtrack.store.reading import rows

GOOD, FAIR = 0.7, 0.4
"""From so much agreement on, small budgets tell good configs from bad ones; or tell something."""

COMPARED = 50_000
"""Of a search with more evaluations, so many are compared, more or less: of each k-th slot."""

# Ranks are shares of their own rung, for passes may promote differently many; equal shares have the
# mean of their ranks. Two configs of a rung make a rank, three of all passes a correlation.
_STEPS = """
WITH pairs AS (
    SELECT pass, bracket, rung, slot, loss,
        lead(loss) OVER (PARTITION BY pass, bracket, slot ORDER BY rung) AS next_loss
    FROM results WHERE run_identity = :search AND status = 'done' AND (promoted = 1 OR rung > 0)
        AND slot % (SELECT 1 + (evaluations_done + evaluations_failed) / :compared
            FROM searches WHERE run_identity = :search) = 0
), shares AS (
    SELECT bracket, rung, count(*) OVER here AS configs,
        (row_number() OVER (here ORDER BY loss, slot) - 0.5) / count(*) OVER here AS low,
        (row_number() OVER (here ORDER BY next_loss, slot) - 0.5) / count(*) OVER here AS high
    FROM pairs WHERE next_loss IS NOT NULL WINDOW here AS (PARTITION BY pass, bracket, rung)
), ranked AS (
    SELECT bracket, rung,
        rank() OVER (PARTITION BY bracket, rung ORDER BY low)
            + (count(*) OVER (PARTITION BY bracket, rung, low) - 1) / 2.0 AS x,
        rank() OVER (PARTITION BY bracket, rung ORDER BY high)
            + (count(*) OVER (PARTITION BY bracket, rung, high) - 1) / 2.0 AS y
    FROM shares WHERE configs >= 2
)
SELECT count(*) AS n, avg(x * y) - avg(x) * avg(y) AS xy,
    (avg(x * x) - avg(x) * avg(x)) * (avg(y * y) - avg(y) * avg(y)) AS spread
FROM ranked GROUP BY bracket, rung HAVING n >= 3 AND spread > 0"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Spearman's correlation of the ranks, the mean of all steps from a rung to the next."""

    rho: float  # -1 to 1
    n: int  # promoted configs that were compared: they have a loss at the next rung, too

    def __str__(self) -> str:
        verdict = "doubtful: rungs rank differently"
        if self.rho >= FAIR:
            verdict = "mostly: rungs rank somewhat alike"
        if self.rho >= GOOD:
            verdict = "yes: rungs rank alike"
        few = ", a hint only" if self.n < 30 else ""
        return f"{verdict}, rho {self.rho:.2f} (n = {self.n}{few})"


def agreement(connection: sqlite3.Connection, run_identity: str) -> Agreement | None:
    """How far they agree; None where too few configs were promoted and measured again."""
    steps = rows(connection, _STEPS, {"search": run_identity, "compared": COMPARED})
    n = sum(step["n"] for step in steps)
    if not n:
        return None
    return Agreement(sum(step["n"] * step["xy"] / sqrt(step["spread"]) for step in steps) / n, n)
