"""Whether a search began on checkpoints that it did not make: pure.

Such a config has its last epoch already. Asked for more epochs than before it gives exactly the
loss of before, and takes no longer. And where another search of the script is known to have trained
it, it gives that one's loss of more epochs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hbtrack.core.known import is_measured
from hbtrack.core.loss import significant_digits
from hbtrack.core.plan import Plan
from hbtrack.core.records import turned
from hbtrack.text import budget

WANTED = 4
"""So many evaluations in a row that repeat a loss are a sign; fewer are chance."""
FEW_DIGITS = 4
"""Losses of so few digits are equal by chance, too."""
DIFFERENT = 3
"""So many different ones are among those in a row; else all configs may have one loss."""
DIFFERENT_OF_ANOTHER = 2
FASTER = 1.25
SLACK = 0.1  # seconds: what starting a script differs by
_CHANGE = "Let it save in HBTRACK_CHECKPOINT, where a new search finds nothing."


class Repeat(NamedTuple):
    """A config that gave one loss for fewer epochs and for more, here or in another search."""

    config_id: str
    fewer: int
    epochs: int
    loss: float


def first_repeats(plan: Plan, *, maximize: bool) -> list[Repeat] | None:
    """The first WANTED evaluations beyond first rungs, as far as each has repeated its loss.

    Shorter: the next one is not settled yet. None: one has not, or they tell nothing.
    """
    found: list[Repeat] = []
    for repeat in _went_on(plan, maximize=maximize):
        if repeat is None:
            return None
        found.append(repeat)
        if len(found) == WANTED:
            return found if _tell(found, DIFFERENT) else None
    return found


def _went_on(plan: Plan, *, maximize: bool) -> Iterator[Repeat | None]:
    """Those that went on, in canonical order, as far as they are settled; None for another loss."""
    for key, rung in plan.rungs.items():
        below = plan.rungs.get(key._replace(rung=key.rung - 1))
        if below is None:
            continue
        if not rung.members and rung.expected:
            return
        for slot, config_id in rung.members.items():
            if slot not in rung.objectives:
                return
            loss = turned(rung.objectives[slot], maximize=maximize)
            own = is_measured(plan, config_id, rung.epochs, below.epochs)
            if loss is not None and own:
                same = rung.objectives[slot] == below.objectives[slot]
                yield Repeat(config_id, below.epochs, rung.epochs, loss) if same else None


def _tell(repeats: Sequence[Repeat], different: int) -> bool:
    """Whether losses are such that they are not equal by chance."""
    losses = {repeat.loss for repeat in repeats}
    digits = max(significant_digits(repr(loss)) for loss in losses)
    return len(losses) >= different and digits > FEW_DIGITS


def no_time_passed(fewer: Sequence[float], more: Sequence[float]) -> bool:
    """Whether those that went on took no longer than they had before; in seconds."""
    return sum(more) <= FASTER * sum(fewer) + SLACK * len(more)


def sentence(repeats: Sequence[Repeat]) -> str:
    """What is said of it."""
    first = repeats[0]
    return (
        f"The first {len(repeats)} evaluations of configs that went on gave exactly the loss that "
        f"these had for fewer epochs, in no more time: {first.config_id} {first.loss!r} for "
        f"{budget(first.epochs)} as for {budget(first.fewer)}. If the script finds checkpoints "
        "that this search did not make, its losses are those of longer trainings; else --epochs "
        f"changes nothing. `hbtrack check` tells which. {_CHANGE}"
    )


def sentence_of_another(repeats: Mapping[str, Sequence[Repeat]]) -> str | None:
    """The same of losses of another search, by its name; None where none tells."""
    for identity, found in repeats.items():
        if _tell(found, DIFFERENT_OF_ANOTHER):
            first = found[0]
            return (
                f"{len(found)} losses are exactly those that the search {identity} has for more "
                f"epochs, and not its own for as many: {first.config_id} {first.loss!r} for "
                f"{budget(first.fewer)} as there for {budget(first.epochs)}. The script finds the "
                f"checkpoints of that search: its losses are those of longer trainings. {_CHANGE}"
            )
    return None
