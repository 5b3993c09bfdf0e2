"""Why losses of one search may not be comparable, as far as it is known: a sentence each."""

import sqlite3
from collections.abc import Mapping

from hbtrack.store.reading import rows

# The first improvement of the best is the first result; a search is not extended before it.
_FIRST = """
SELECT a.max_epochs FROM incumbents i JOIN attempts a USING (run_identity, config_id, epochs)
WHERE run_identity = :identity AND a.status = 'done' ORDER BY i.epochs_spent LIMIT 1"""

TOLD = """
SELECT max_epochs, count(*) AS results FROM attempts
WHERE run_identity = :identity AND status = 'done' AND max_epochs IS NOT NULL
GROUP BY max_epochs ORDER BY max_epochs"""


_FOUND = "SELECT found_checkpoints FROM _search WHERE run_identity = :identity"


def found_checkpoints(connection: sqlite3.Connection, identity: str) -> str | None:
    """Why the search seems to have begun on checkpoints that it did not make, if it does."""
    (row,) = rows(connection, _FOUND, {"identity": identity})
    return row["found_checkpoints"]  # type: ignore[no-any-return]


def told_max_epochs(connection: sqlite3.Connection, identity: str, now: int) -> dict[int, int]:
    """How many results there are for each max_epochs that scripts were told, if for several.

    `now` is that of the search. What was measured by an hbtrack that did not note it is left out.
    """
    first = rows(connection, _FIRST, {"identity": identity})
    if not first or first[0]["max_epochs"] == now:
        return {}
    told = rows(connection, TOLD, {"identity": identity})
    return {row["max_epochs"]: row["results"] for row in told} if len(told) > 1 else {}


def mixture_sentence(told: Mapping[int, int]) -> str:
    """What a mixture means."""
    parts = [f"{count:,} with {max_epochs:,}" for max_epochs, count in told.items()]
    return (
        f"Results were trained for different max_epochs: {', '.join(parts)}. Where a script uses "
        "HBTRACK_MAX_EPOCHS, as for its learning rate, their losses are not comparable."
    )
