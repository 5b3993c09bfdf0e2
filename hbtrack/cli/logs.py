"""`hbtrack logs`: what an attempt printed, also while it runs."""

import argparse
import codecs
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence

from hbtrack.cli import complain, tables
from hbtrack.database.location import database_path
from hbtrack.driver.lock import owner_of
from hbtrack.report.logs import LoggedAttempt, Printed, find_attempt, find_latest
from hbtrack.report.which_config import find_config
from hbtrack.report.width import shortened, width_of
from hbtrack.store.reading import chosen_names, connected
from hbtrack.text import budget, printable

POLL_SECONDS = 0.2

_Decoder = codecs.getincrementaldecoder("utf-8")


def main(args: argparse.Namespace) -> int:
    """Show what the attempt printed; exit 3 when there is none."""
    with connected(args.db) as connection:
        chosen = chosen_names(connection, args.identity, some=True)
        if args.config is None:
            found = find_latest(connection, chosen)
        else:
            found = find_config(connection, chosen, args.config)
        attempt = find_attempt(
            connection, database_path(args.db), *found, args.epochs, args.attempt
        )
        printed = {stream: Printed(attempt, stream) for stream in args.streams}
        if args.raw:
            _copy(connection, printed)
        elif args.follow:
            _follow(connection, attempt, printed)
        else:
            _show(connection, attempt, printed)
    return os.EX_OK


def _copy(connection: sqlite3.Connection, printed: Mapping[str, Printed]) -> None:
    for stream in printed.values():
        while piece := stream.more(connection):
            tables.put(piece)


def _show(
    connection: sqlite3.Connection, attempt: LoggedAttempt, printed: Mapping[str, Printed]
) -> None:
    for name, stream in printed.items():
        shown = _Shown(attempt)
        while piece := stream.more(connection):
            shown.add(name, piece)
        shown.end()
        if not shown.title:
            complain(f"--- nothing on {shown.titled(name)} ---")
        if stream.shortened:
            complain("--- its beginning is lost: the folder beside the database lacks its log ---")


def _follow(
    connection: sqlite3.Connection, attempt: LoggedAttempt, printed: Mapping[str, Printed]
) -> None:
    """Show what comes until the attempt has ended, or nobody is left who would record its end."""
    shown, left = _Shown(attempt), dict(printed)
    while left:
        alive = attempt.is_alive() or owner_of(attempt.folder) is not None
        pieces = {name: stream.more(connection) for name, stream in left.items()}
        for name, piece in pieces.items():
            if piece is None:
                del left[name]
            elif piece:
                shown.add(name, piece)
        if any(pieces.values()) or not left:
            continue
        if not alive:
            complain("--- it has ended; `hbtrack resume` records how ---")
            break
        shown.show_unfinished()
        time.sleep(POLL_SECONDS)
    shown.end()


class _Shown:
    """Bytes as lines that cannot steer a terminal, each stream's under a title on stderr."""

    def __init__(self, attempt: LoggedAttempt) -> None:
        self._attempt = attempt
        self.title = ""  # what the last lines are of; empty before the first
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._unfinished: dict[str, str] = {}  # what has no newline yet
        self._in_place = 0  # columns of the line that will be written over

    def titled(self, stream: str) -> str:
        """Which stream it is, of what."""
        one = self._attempt
        return f"{stream} of {one.config} at {budget(one.epochs)}, attempt {one.attempt}"

    def add(self, stream: str, piece: bytes) -> None:
        """More of a stream: its whole lines are shown."""
        decoder = self._decoders.setdefault(stream, _Decoder("replace"))
        text = self._unfinished.get(stream, "") + decoder.decode(piece)
        *lines, self._unfinished[stream] = text.split("\n")
        if lines:
            self._write(stream, lines)

    def end(self) -> None:
        """What has no newline is a line, too."""
        for stream, text in self._unfinished.items():
            if text:
                self._write(stream, [text])

    def show_unfinished(self) -> None:
        """A progress bar in place, such as only a terminal can take back."""
        width = tables.terminal_width()
        for text in self._unfinished.values():
            if width and text:
                self._clear()
                state = shortened(_last_state(text), width - 1)
                self._in_place = width_of(state)
                tables.write(state, end="\r")
                tables.flush()

    def _write(self, stream: str, lines: Sequence[str]) -> None:
        self._clear()
        if self.title != self.titled(stream):
            tables.flush()
            self.title = self.titled(stream)
            complain(f"--- {self.title} ---")
        tables.write("\n".join(map(_last_state, lines)))
        tables.flush()

    def _clear(self) -> None:
        if self._in_place:
            tables.write(" " * self._in_place, end="\r")
            self._in_place = 0


def _last_state(line: str) -> str:
    """What a terminal would have shown last of a line that was written over."""
    states = [state for state in line.split("\r") if state.strip()] or [""]
    return printable(states[-1].expandtabs())
