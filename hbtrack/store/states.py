"""The states of attempts in SQL, made from the core's table of them."""

from collections.abc import Set

from hbtrack.core.attempt_states import NEXT, OPEN, RETRIED, State

_PHASES = {
    "open": "{row}finished_at IS NULL",
    "ended": "{row}finished_at IS NOT NULL AND {row}retried IS NULL",
    "retried": "{row}finished_at IS NOT NULL AND {row}retried IS NOT NULL",
}


def is_in(states: Set[State], row: str = "") -> str:
    """A condition: a row of `attempt`, called `row` and a dot, is in one of these states."""
    tests = []
    for phase, test in _PHASES.items():
        if words := [f"'{one.status}'" for one in State if one in states and one.phase == phase]:
            tests.append(f"{row}status IN ({', '.join(words)}) AND {test.format(row=row)}")
    return f"({' OR '.join(tests)})"


def may_become(states: Set[State]) -> str:
    """A condition: an open row may be followed by that of these states with :status and :retried.

    So what writes checks the table without looking first.
    """
    tests = [
        f"status = '{one.status}' AND :status = '{after.status}' "
        f"AND :retried IS {'NOT NULL' if after in RETRIED else 'NULL'}"
        for one in State
        for after in State
        if one in OPEN and after in NEXT[one] & states
    ]
    return f"finished_at IS NULL AND ({' OR '.join(tests)})"
