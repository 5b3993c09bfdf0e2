"""What the views show of a plan's progress: pure, recomputed by `hbtrack db check`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hbtrack.core.consequences import BracketSummary, RungSummary, SearchSummary, Summary
from hbtrack.core.records import BracketStatus, RungKey

if TYPE_CHECKING:
    from hbtrack.core.plan import Plan
    from hbtrack.core.plan_state import RungState


def summarise(plan: "Plan", touched: Iterable[RungKey]) -> Summary:
    """The summary rows of the search, and of the touched rungs and their brackets."""
    rungs = sorted(set(touched))
    brackets = sorted({(key.pass_, key.first_epochs) for key in rungs})
    return Summary(
        search=_search(plan),
        brackets=tuple(_bracket(plan, *key) for key in brackets),
        rungs=tuple(_rung(plan, key) for key in rungs),
    )


def _search(plan: "Plan") -> SearchSummary:
    objective, _, config_id, epochs = plan.best or (None, None, None, None)
    return SearchSummary(
        evaluations_planned=plan.places_expected,
        evaluations_done=plan.places_done,
        evaluations_failed=plan.places_failed,
        epochs_planned=plan.epochs_done + plan.epochs_left,
        epochs_done=plan.epochs_done,
        best_objective=objective,
        best_config_id=config_id,
        best_epochs=epochs,
    )


def _bracket(plan: "Plan", pass_: int, first_epochs: int) -> BracketSummary:
    bracket = plan.schedule.bracket(first_epochs)
    numbers = range(len(bracket.rungs))
    rungs = [plan.rungs[RungKey(pass_, first_epochs, number)] for number in numbers]
    return BracketSummary(
        pass_,
        first_epochs,
        configs=bracket.configs,
        rungs=len(rungs),
        status=_status(plan, pass_, first_epochs, rungs),
        evaluations_planned=sum(rung.expected for rung in rungs),
        evaluations_done=sum(rung.done for rung in rungs),
        best_objective=min(
            (rung.best_objective for rung in rungs if rung.best_objective is not None), default=None
        ),
    )


def _status(
    plan: "Plan", pass_: int, first_epochs: int, rungs: "Sequence[RungState]"
) -> BracketStatus:
    """How far a bracket with these rungs is."""
    if all(rung.ended for rung in rungs):
        return BracketStatus.DONE
    key = (pass_, first_epochs)
    started = rungs[0].objectives or any(place[:2] == key for place in plan.running)
    return BracketStatus.RUNNING if started else BracketStatus.WAITING


def _rung(plan: "Plan", key: RungKey) -> RungSummary:
    rung = plan.rungs[key]
    return RungSummary(
        key,
        epochs=rung.epochs,
        configs_planned=plan.schedule.bracket(key.first_epochs).rungs[key.rung].configs,
        configs_entered=len(rung.members),
        done=rung.done,
        failed=rung.failed,
        promoted=len(rung.closed.promoted) if rung.closed else None,
        best_objective=rung.best_objective,
        cutoff_objective=rung.closed.cutoff_objective if rung.closed else None,
    )
