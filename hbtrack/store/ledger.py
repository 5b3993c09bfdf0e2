"""One driver's hold on its search: it becomes the driver, reads what it needs, and lets go.

A transaction of a driver that has been superseded writes nothing.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import Connection
from typing import TypeVar

from hbtrack.core.records import (
    AttemptStatus,
    Command,
    Facts,
    Limits,
    Resources,
    SearchStatus,
    Verdict,
    facts_of,
)
from hbtrack.core.script_text import Hashes
from hbtrack.core.times import iso
from hbtrack.database.connection import Database
from hbtrack.errors import Superseded
from hbtrack.faults import fault_point
from hbtrack.store.durations import Rows
from hbtrack.store.facts import load_facts, rung_pks
from hbtrack.store.writer import Hold, Writer, one, run

Answer = TypeVar("Answer")


class Ledger:
    """One driver's hold on its search: take it with `own`, then write by `transaction`."""

    def __init__(self, database: Database, search_pk: int) -> None:
        self.fence = -1  # the number of this driver
        self._hold = Hold(search_pk)
        self._database = database
        self.boot_id: str | None = None  # of this machine
        self._host = ""

    def own(
        self,
        before: int | None,
        *,
        host: str,
        pid: int,
        command: Command,
        resources: Resources,
        limits: Limits,
        workers: int | None,
        isolated: bool,
        command_text: tuple[str, str],
        now: float,
        boot_id: str | None = None,
    ) -> Facts:
        """Become the search's driver: older ones write nothing from here on. Its facts.

        `before` is the fence of this process, if it was the driver already: it does not take the
        search from a newer one.
        `workers` is how many it has, None if it only ends what runs; `isolated` if attempts get
        their GPUs by CUDA_VISIBLE_DEVICES; `command_text` is the shell-quoted text before and
        after CONFIG_ID --epochs N --gpu G. `boot_id` is since when this machine counts seconds.
        """
        facts = facts_of(command) | facts_of(resources) | facts_of(limits)
        facts |= {"search": self._hold.search_pk, "driver_workers": workers, "isolated": isolated}
        facts |= {"script_args": json.dumps(command.script_args), "host": host, "pid": pid}
        facts |= {"retry_on": json.dumps(limits.retry_on), "boot_id": boot_id, "now": iso(now)}
        facts |= {"command_head": command_text[0], "command_tail": command_text[1]}
        self._host, self.boot_id = host, boot_id
        with self._database.transaction() as connection:
            if before is not None:
                self._require(connection, before)
            self.fence = one(connection, "own", facts)[0]
            driver_pk = one(connection, "driver", {**facts, "fence": self.fence})[0]
            search_pk = self._hold.search_pk
            self._hold = Hold(search_pk, driver_pk, rung_pks(connection.execute, search_pk))
            found = load_facts(connection.execute, search_pk)
            fault_point("own.before")
        fault_point("own.after")
        return found

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """One commit. Raises Superseded, with nothing written, when a newer driver took over."""
        with self._database.transaction() as connection:
            self._require(connection, self.fence)
            yield Writer(connection, self._hold)
            fault_point("commit.before")
        fault_point("commit.after")

    def _require(self, connection: Connection, fence: int) -> None:
        if one(connection, "fence", {"search": self._hold.search_pk})[0] != fence:
            raise Superseded(
                "Another hbtrack has taken this search over, so this one stops; "
                "nothing of what it did since is recorded. `hbtrack status` names the other.",
                see="superseded",
            )

    def recent_ends(self) -> list[tuple[int, str, str, int, Verdict]]:
        """The last attempts on this host, as they ended: driver, GPU, config_id, epochs, verdict.

        Of the verdicts only what tells why they failed.
        """
        with self._database.transaction() as connection:
            facts = {"search": self._hold.search_pk, "host": self._host}
            ends = sorted(run(connection, "ends", facts))
        return [
            (
                *where,
                Verdict(AttemptStatus(status), error_type=kind, error_message=message, error=error),
            )
            for _, *where, status, kind, message, error in ends
        ]

    def read(self, question: Callable[[Rows], Answer]) -> Answer:
        """What a function that asks the database finds."""
        with self._database.transaction() as connection:
            return question(connection.execute)

    def wal_bytes(self) -> int:
        """How long the file is that commits go to first; it shrinks when no reader needs it."""
        return self._database.wal_bytes

    def script_versions(self) -> tuple[list[tuple[int, Hashes]], Hashes]:
        """The versions of the script that were started, by number; what was started last."""
        facts = {"search": self._hold.search_pk}
        with self._database.transaction() as connection:
            rows = run(connection, "script_versions", facts)
            found = {number: json.loads(files) for number, files in rows}
            for number, script, sha256 in run(connection, "last_script", facts):
                return list(found.items()), found.get(number, {script: sha256})
        return list(found.items()), found.get(len(found), {})

    def release(
        self,
        now: float,
        stopped_by: str | None = None,
        *,
        lived: float | None = None,
        judged: bool = False,
    ) -> None:
        """This driver has come to its end; its attempts too, or the next one adopts them.

        It has `lived` for so many seconds; `judged` if the search was found to be broken, which is
        said once.
        """
        with self.transaction() as writer:
            if judged:
                writer.change("judged", {"search": self._hold.search_pk})
            if stopped_by:
                writer.status(SearchStatus.STOPPED, now, stopped_by)
            writer.rank()
            writer.change(
                "release", {"driver": self._hold.driver_pk, "now": iso(now), "lived": lived}
            )
