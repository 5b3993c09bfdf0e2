"""`hbtrack status --watch` and `--wait`: searches that other processes run."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from hbtrack.cli import tables
from hbtrack.core.estimate import Countdown
from hbtrack.core.limits import at_limit, failed_by
from hbtrack.core.times import iso
from hbtrack.database.location import database_path, search_folder
from hbtrack.driver.lock import wait_for_owner
from hbtrack.errors import INTERRUPTED, HbtrackError, NotFound, UsageError
from hbtrack.report.live.overview import Overview, read_overview
from hbtrack.report.live.progress import LINE_SECONDS, can_redraw
from hbtrack.report.live.sentences import best_so_far, progress_line, to_the_second
from hbtrack.report.state import find_search, state_of
from hbtrack.report.time_left import remaining
from hbtrack.store.reading import chosen_names, connected, rows
from hbtrack.text import printable

REFRESH_SECONDS = 0.5
HINT = "Ctrl-C ends watching; the search goes on."
HINT_OF_SEVERAL = "Ctrl-C ends watching; they go on. --identity ID shows all of one."
UNDER_WAY = ("running", "stopping")

_STATUS = "SELECT status, stop_reason FROM searches WHERE run_identity = ?"


def watch(args: argparse.Namespace) -> int:
    """Show the searches that are meant until none of them runs any more."""
    if "format" in args.given:
        raise UsageError(
            "--watch draws a screen, or prints lines; leave --format out.", see="command-line"
        )
    watched = _Watched(args.db, _chosen(args, only_running=args.identity is None))
    try:
        show = _on_screen if can_redraw(sys.stdout) else _in_lines
        show(watched)
    except KeyboardInterrupt:
        return 130
    for overview in watched.overviews.values():
        tables.write(_how_it_ended(overview))
    return os.EX_OK


def wait(args: argparse.Namespace, show: Callable[[], int]) -> int:
    """Return when none of the searches that are meant runs any more, and show them."""
    path = database_path(args.db)
    chosen = _chosen(args)
    while running := _running(args, chosen):
        for name in running:
            with connected(args.db) as connection:
                folder = search_folder(path, find_search(connection, name)["pk"])
            wait_for_owner(folder)
    show()
    with connected(args.db) as connection:
        codes = [_exit_status(**rows(connection, _STATUS, [name])[0]) for name in chosen]
    worst = (HbtrackError.exit_code, INTERRUPTED)
    return next((code for code in worst if code in codes), os.EX_OK)


def _chosen(args: argparse.Namespace, *, only_running: bool = False) -> list[str]:
    """The searches that are meant. Raises NotFound when there is none."""
    with connected(args.db) as connection:
        chosen = chosen_names(connection, args.identity, some=True)
    if only_running and not (chosen := _running(args, chosen)):
        raise NotFound(
            "No search is running. `hbtrack status` shows all there are; `hbtrack resume` goes on.",
            see="nothing-runs",
        )
    return chosen


def _running(args: argparse.Namespace, names: Sequence[str]) -> list[str]:
    path = database_path(args.db)
    with connected(args.db) as connection:
        return [name for name in names if state_of(connection, path, name).word == "running"]


def _exit_status(status: str, stop_reason: str | None) -> int:
    if status == "finished":
        return os.EX_OK
    if stop_reason and at_limit(stop_reason):
        return HbtrackError.exit_code if failed_by(stop_reason) else os.EX_OK
    return INTERRUPTED


# --- watching ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Watched:
    """The searches that are watched, and what is known of them so far."""

    db: str | None
    names: list[str]
    countdowns: dict[str, Countdown] = field(default_factory=dict)
    overviews: dict[str, Overview] = field(default_factory=dict)

    def looks(self) -> Iterator[tuple[list[Overview], bool]]:
        """Looks at all of them, now and then, and whether any is still under way; else the last."""
        going_on = True
        while going_on:
            self._look()
            going_on = any(one.state in UNDER_WAY for one in self.overviews.values())
            yield list(self.overviews.values()), going_on
            if going_on:
                time.sleep(REFRESH_SECONDS)

    def _look(self) -> None:
        path = database_path(self.db)
        with connected(self.db) as connection:
            for name in self.names:
                state = state_of(connection, path, name).word
                countdown = self.countdowns.setdefault(name, Countdown())
                left = None
                if state == "running":
                    now = time.monotonic()
                    left = countdown.renewed(now, partial(remaining, connection, name))
                self.overviews[name] = read_overview(
                    connection,
                    name,
                    state=state,
                    now=time.time(),
                    left=left,
                    earlier=self.overviews.get(name),
                )


def _on_screen(watched: _Watched) -> None:
    from hbtrack.report.live.screen import Screen  # noqa: PLC0415 - rich is slow to import

    screen = Screen(sys.stdout)
    try:
        for overviews, going_on in watched.looks():
            hint = HINT if len(overviews) == 1 else HINT_OF_SEVERAL
            screen.show(overviews, hint if going_on else "", last=not going_on)
    finally:
        with contextlib.suppress(OSError):
            screen.close()


def _in_lines(watched: _Watched) -> None:
    """A line for each search at most once in a minute, and when its state changes."""
    told: dict[str, tuple[str, float]] = {}
    for overviews, _ in watched.looks():
        now = time.monotonic()
        for overview in overviews:
            state, at = told.get(overview.identity, ("", 0.0))
            if overview.state != state or now - at >= LINE_SECONDS:
                told[overview.identity] = (overview.state, now)
                tables.write(_line(overview))
                tables.flush()


def _line(overview: Overview) -> str:
    search = overview.search
    state = overview.state + (f" ({search['stop_reason']})" if search["stop_reason"] else "")
    best = best_so_far(
        search["best_loss"], search["best_epochs"], overview.best, maximize=search["maximize"]
    )
    how_far = progress_line(
        evaluations=overview.evaluations,
        epochs=overview.epochs,
        failed=overview.failed,
        busy=overview.busy,
        left=overview.left,
        best=best,
    )
    now = to_the_second(iso(overview.now))
    return printable(f"{now} {overview.identity} is {state}: {how_far}")


def _how_it_ended(overview: Overview) -> str:
    name, next_step = printable(overview.identity), "`hbtrack report` shows what was found"
    if overview.state != "finished":
        next_step = "`hbtrack resume` goes on"
    return f"{name} is {overview.state}: {next_step}."
