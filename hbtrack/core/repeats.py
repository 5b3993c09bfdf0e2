"""Whether a search began on checkpoints that it did not make: pure.

Such a config has its last epoch already. Asked for more epochs than before it gives exactly the
loss of before, and takes no longer.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hbtrack.core.contract import significant_digits
from hbtrack.core.known import is_measured
from hbtrack.core.plan import Plan
from hbtrack.text import budget

WANTED = 4
"""So many evaluations in a row that repeat a loss are a sign; fewer are chance."""
FEW_DIGITS = 4
"""Losses of so few digits are equal by chance, too."""
FASTER = 1.25
SLACK = 0.1  # seconds: what starting a script differs by


class Repeat(NamedTuple):
    """A config that gave the same loss for more epochs as for fewer."""

    config_id: str
    fewer: int
    epochs: int
    loss: float


def first_repeats(plan: Plan) -> list[Repeat] | None:
    """The first WANTED evaluations beyond first rungs, as far as each has repeated its loss.

    Shorter: the next one is not settled yet. None: one has not, or they tell nothing.
    """
    found: list[Repeat] = []
    for repeat in _went_on(plan):
        if repeat is None:
            return None
        found.append(repeat)
        if len(found) == WANTED:
            return found if _tell(found) else None
    return found


def _went_on(plan: Plan) -> Iterator[Repeat | None]:
    """Those that went on, in canonical order, as far as they are settled; None for another loss."""
    for key, rung in plan.rungs.items():
        below = plan.rungs.get(key._replace(rung=key.rung - 1))
        if below is None:
            continue
        if not rung.members and rung.expected:
            return
        for slot, config_id in rung.members.items():
            if slot not in rung.losses:
                return
            loss = rung.losses[slot]
            own = is_measured(plan, config_id, rung.epochs, below.epochs)
            if loss is not None and own:
                same = loss == below.losses[slot]
                yield Repeat(config_id, below.epochs, rung.epochs, loss) if same else None


def _tell(repeats: Sequence[Repeat]) -> bool:
    """Whether losses are such that they are not equal by chance."""
    losses = {repeat.loss for repeat in repeats}
    return len(losses) > 2 and max(significant_digits(repr(loss)) for loss in losses) > FEW_DIGITS


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
        "changes nothing. `hbtrack check` tells which. Let it save in HBTRACK_CHECKPOINT, where a "
        "new search finds nothing."
    )
