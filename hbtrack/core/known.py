"""What a plan knows: for those that look at it, and change nothing.

The loop lives by `Plan` alone; here is what is asked once in a while.
"""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from hbtrack.core.consequences import Settled
from hbtrack.core.records import Facts, Objective, Place, passes_of, rung_of

if TYPE_CHECKING:
    from hbtrack.core.plan import Plan


def facts(plan: "Plan") -> Facts:
    """The facts that a plan follows from; what is running is no part of them."""
    entered = {key: rung.members for key, rung in plan.rungs.items() if rung.members}
    begun = tuple((name, config.begun) for name, config in plan.configs.items() if config.begun)
    return Facts(passes_of(entered), tuple(recorded(plan)), {}, (), begun)


def counted(plan: "Plan") -> tuple[int, int]:
    """How many places have a result, and how many there will be as far as is known now."""
    return plan.places_done + plan.places_failed, plan.places_expected


def recorded(plan: "Plan") -> Iterator[tuple[str, int, Objective]]:
    """Every recorded evaluation, orphans too: config_id, epochs (they ascend), objective."""
    for config_id, config in plan.configs.items():
        for epochs, objective in zip(config.budgets, config.objectives, strict=True):
            yield config_id, epochs, objective


def settled(plan: "Plan") -> Iterator[Settled]:
    """Every place that has a result, and which."""
    for key, rung in plan.rungs.items():
        for slot in rung.objectives:
            place, config_id = Place(*key, slot), rung.members[slot]
            config = plan.configs[config_id]
            source = config.source_for(rung.epochs)
            owner = (config.owners or {}).get(source, place)
            yield Settled(place, config_id, source, (source, owner) != (rung.epochs, place))


# --- of configs ----------------------------------------------------------------------------------


def has_loss(plan: "Plan", config_id: str) -> bool:
    """Whether the config has a loss at any budget."""
    return any(objective is not None for objective in plan.configs[config_id].objectives)


def is_measured(plan: "Plan", config_id: str, *budgets: int) -> bool:
    """Whether the config has a result of its own at each of these budgets."""
    return set(budgets) <= set(plan.configs[config_id].budgets)


def ended_configs(plan: "Plan") -> list[str]:
    """The configs that no place can ask for again, but after the search has changed.

    While a pass is still to be opened it may draw the id again, unless that has all epochs.
    """
    last = plan.opened == plan.passes
    return [
        config_id
        for config_id, config in plan.configs.items()
        if config.live == len(config.slots)
        and (last or config.has_result_for(plan.schedule.max_epochs))
    ]


def larger(plan: "Plan", config_ids: Collection[str]) -> list[Place]:
    """The places of these configs that take, or will, the result of a larger budget than theirs."""
    sources = {one.place: (one.config_id, one.source_epochs) for one in settled(plan)}
    for start in map(plan.start_of, plan.callable()):
        sources[start.place] = (start.config_id, start.epochs)
    return [
        place
        for place, (config_id, epochs) in sources.items()
        if config_id in config_ids and epochs > plan.rungs[rung_of(place)].epochs
    ]


# --- of failures ---------------------------------------------------------------------------------


def first_failures(plan: "Plan", wanted: int) -> list[tuple[str, int]] | None:
    """The first evaluations in canonical order, up to `wanted`, as far as each has failed.

    Shorter than `wanted`: the next one is not settled yet. None: they will never all have
    failed, for one of them is done or the search has fewer. An evaluation is a (config_id,
    epochs) that was measured; places that reuse it do not count again.
    """
    found: dict[tuple[str, int], None] = {}
    for rung in plan.rungs.values():  # in canonical order, and so are their members
        for slot, config_id in rung.members.items():
            if slot not in rung.objectives:
                return list(found)
            if rung.objectives[slot] is not None:
                return None
            found[config_id, plan.configs[config_id].source_for(rung.epochs)] = None
            if len(found) == wanted:
                return list(found)
        if not rung.members and rung.expected:
            return list(found)
    return None


def withdrawal_problem(plan: "Plan", config_id: str, epochs: int) -> str | None:
    """Why this failed result must not be taken back, as a sentence's end; None if it may.

    What was decided with it is decided again, without it.
    """
    config = plan.configs[config_id]
    if (epochs, None) not in zip(config.budgets, config.objectives, strict=True):
        return "it is no failure that counts"
    if any(plan.rungs[rung_of(at)].members[at.slot] == config_id for at in plan.running):
        return "it is running"
    used = any(
        config.source_for(plan.rungs[key].epochs) == epochs
        for slot in config.slots
        for key in plan.settled_rungs(slot)
    )
    return None if used else "no place uses it any more"
