"""From all recorded facts to the plan that lived through them, and to the one of a start."""

from hbtrack.core.gc_paused import gc_paused
from hbtrack.core.plan import Plan
from hbtrack.core.records import Facts, RungKey
from hbtrack.core.schedule import Schedule
from hbtrack.errors import HbtrackError


def recompute(schedule: Schedule, passes: int, facts: Facts) -> Plan:
    """The plan that lived through `facts`, whatever places are stored above the first rungs."""
    plan = Plan(schedule, passes)
    with gc_paused():
        for config_id, epochs, objective in facts.results:
            plan.record(config_id, epochs, objective)
        for pass_, config_ids in enumerate(facts.passes, 1):
            plan.open_pass(pass_, config_ids)
        for config_id, epochs in facts.begun:
            config = plan.configs[config_id]
            config.begun = max(config.begun, epochs)
    return plan


def rebuild(schedule: Schedule, passes: int, facts: Facts) -> Plan:
    """The plan of a start: recomputed, and the same as what is stored.

    Raises HbtrackError when the places it arrives at are not the stored ones.
    """
    plan = recompute(schedule, passes, facts)
    for key in sorted(plan.rungs.keys() | facts.entered.keys()):
        _compare(key, plan.rungs[key].members if key in plan.rungs else {}, facts)
    return plan


def _compare(key: RungKey, recomputed: dict[int, str], facts: Facts) -> None:
    entered = facts.entered.get(key, {})
    if entered != recomputed:
        slot, config_id = min(recomputed.items() ^ entered.items())
        stored = "stored but not recomputed" if entered.get(slot) == config_id else "missing"
        raise HbtrackError(
            f"The stored places are not those that follow from the stored losses: {config_id!r} in "
            f"pass {key.pass_}, first budget {key.first_epochs}, rung {key.rung}, slot "
            f"{slot} is {stored}. Nothing was changed; type `hbtrack db check`.",
            see="inconsistent",
        )
