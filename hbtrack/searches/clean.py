"""Freeing the checkpoints that no place can need under the present schedule."""

import time
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core import known
from hbtrack.core.rebuild import rebuild
from hbtrack.core.schedule import schedule_of
from hbtrack.database.location import require_there
from hbtrack.faults import fault_point
from hbtrack.searches.saved import Saved, size_of
from hbtrack.searches.session import Session
from hbtrack.searches.start import load_settled
from hbtrack.store.catalogue import note_cleaned


@dataclass(frozen=True, slots=True)
class Unneeded:
    """The checkpoints that no place can need, and what it would cost if they were needed again."""

    saved: Saved
    folders: dict[str, Path]  # of these configs
    size: int  # bytes
    epochs: int  # that `extend` would train again if all of these configs went on
    failed: dict[str, int]  # configs that `retry` would run again: the epochs before their failure
    best: str | None  # the best config, if it is one of these


def find_unneeded(session: Session) -> Unneeded:
    """What can be freed of a search of which no script runs. Raises HbtrackError."""
    stored = session.search
    with session.file.transaction() as connection:
        facts = load_settled(connection, stored)
    plan = rebuild(schedule_of(stored.terms), stored.terms.passes, facts)
    require_there(stored.resources.checkpoints)
    saved = Saved.of(session.file.path, stored)
    folders = saved.configs(known.ended_configs(plan))
    trained: dict[str, int] = {}
    failed: set[str] = set()
    for config_id, epochs, loss in known.recorded(plan):  # epochs ascend
        if config_id in folders:
            failed.discard(config_id)
            if loss is None:
                failed.add(config_id)
            else:
                trained[config_id] = epochs
    best = plan.best[2] if plan.best else None
    return Unneeded(
        saved,
        folders,
        sum(map(size_of, folders.values())),
        sum(trained.values()),
        {config_id: trained.get(config_id, 0) for config_id in failed},
        best if best in folders else None,
    )


def clean(session: Session, unneeded: Unneeded) -> None:
    """Free them, and record it. Whenever it is killed: a folder is there whole, or not at all."""
    with session.file.transaction() as connection:
        note_cleaned(connection, session.search.pk, unneeded.folders, time.time())
        unneeded.saved.put_aside(unneeded.folders.values())
        fault_point("clean.inside")
    unneeded.saved.sweep()
