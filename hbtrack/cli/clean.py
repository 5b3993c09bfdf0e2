"""`hbtrack clean`: free the checkpoints that a search does not need any more."""

import argparse
import os
from collections.abc import Iterator

from hbtrack.cli import complain
from hbtrack.cli.confirm import confirm, require_answer
from hbtrack.cli.driving import file_to_end, search_of, settle_dead
from hbtrack.cli.signals import stoppable
from hbtrack.core.records import Search
from hbtrack.searches.clean import Unneeded, clean, find_unneeded
from hbtrack.searches.session import own
from hbtrack.text import budget, data_size, printable


def main(args: argparse.Namespace) -> int:
    """Free them after asking; exit 4 when the search, or a script of it, runs."""
    with stoppable(), file_to_end(args) as file:
        search = search_of(file, args)
        settle_dead(file, search)
        with own(file, search) as session:
            found = find_unneeded(session)
            found.saved.sweep()
            if not found.folders:
                complain(f"No checkpoint of {search.run_identity} can be freed: {_why(search)}.")
                return os.EX_OK
            require_answer(args)
            complain("\n".join(_what_goes(search, found)))
            confirm(args)
            clean(session, found)
        complain(f"Freed {data_size(found.size)}.")
    return os.EX_OK


def _why(search: Search) -> str:
    where = "HBTRACK_CHECKPOINT" if not search.resources.checkpoints else "its --checkpoints"
    return f"places may still need them, or nothing was saved in {where}"


def _what_goes(search: Search, found: Unneeded) -> Iterator[str]:
    """What is freed, and what it costs if the search shall become larger all the same."""
    count = len(found.folders)
    those = "that of 1 config" if count == 1 else f"those of {count} configs"
    yield (
        f"This frees {data_size(found.size)} in {found.saved.folder}: of the checkpoints of "
        f"{search.run_identity} {those} that no place can need any more."
    )
    yield (
        "Results stay. `hbtrack extend --max-epochs` would train those that go on again from "
        f"their first epoch: {budget(found.epochs)} if all did."
    )
    if found.failed:
        failed, epochs = len(found.failed), budget(sum(found.failed.values()))
        yield f"`hbtrack retry` would train those of them that failed again, {failed}: {epochs}."
    if found.best is not None:
        path = found.folders[found.best]
        yield f"The best, {printable(found.best)}, is one of them: copy {path} to keep its model."
