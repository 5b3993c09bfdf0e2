"""What one driver writes about its search, fact by fact, within one transaction.

Every write checks that it changed the row that it meant.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from hbtrack.core.consequences import Consequences, Summary
from hbtrack.core.derived import ORPHAN
from hbtrack.core.records import (
    AttemptStatus,
    Place,
    RungKey,
    Sampled,
    SearchStatus,
    Verdict,
    facts_of,
    position,
    rung_of,
)
from hbtrack.core.repeats import Repeat
from hbtrack.core.script_text import Hashes
from hbtrack.core.times import iso
from hbtrack.errors import HbtrackError
from hbtrack.faults import fault_point
from hbtrack.store.catalogue import add_configs
from hbtrack.store.statements import SQL


class Hold:
    """By which keys a driver's rows are found: those of its search, of itself and of the rungs."""

    def __init__(
        self, search_pk: int, driver_pk: int = -1, rung_pks: Mapping[RungKey, int] = {}
    ) -> None:
        self.search_pk, self.driver_pk, self.rung_pks = search_pk, driver_pk, rung_pks
        budgets = sorted({key.first_epochs for key in rung_pks})
        self._order = {first_epochs: number for number, first_epochs in enumerate(budgets)}

    def position(self, place: Place) -> int:
        """A place as one number that sorts in canonical order."""
        return position(place, self._order[place.first_epochs])


class Writer:
    """The writes of one transaction. None of them decides anything."""

    def __init__(self, connection: Connection, hold: Hold) -> None:
        self.connection = connection
        self._hold = hold

    def start(
        self,
        place: Place,
        config_id: str,
        epochs: int,
        *,
        worker: int,
        gpu: str,
        now: float,
        **facts: Any,
    ) -> int:
        """An attempt is about to start; its private key.

        `facts` are since_boot, max_epochs, epochs_before and script_version, as they are stored.
        """
        where = self._place(place, config_id=config_id, epochs=epochs)
        evaluation, number = one(self.connection, "evaluation", where)
        started = {"evaluation": evaluation, "attempt": number, "worker": worker, "gpu": gpu}
        started |= {"driver": self._hold.driver_pk, "now": iso(now)}
        facts = {**facts, **started, "microseconds": int(now * 1e6)}
        attempt = one(self.connection, "attempt", facts)[0]
        self.change("last_attempt", {"attempt": attempt, "evaluation": evaluation})
        self.change("settle", where)
        return int(attempt)

    def script_version(
        self, number: int, files: Hashes, texts: Mapping[str, str | None], now: float
    ) -> None:
        """A version of the script that is started for the first time, and its texts by hash."""
        facts = {"search": self._hold.search_pk, "number": number, "now": iso(now)}
        facts |= {"script_sha256": next(iter(files.values())), "files": json.dumps(dict(files))}
        run(self.connection, "script_version", facts)  # it inserts, or raises
        kept = {sha256: text for sha256, text in texts.items() if text is not None}
        self._many("script_text", [{"sha256": one, "text": kept[one]} for one in kept])

    def ending(self, attempts: Iterable[int], status: AttemptStatus) -> None:
        """Nothing that these attempts print or return counts from here on."""
        for attempt in attempts:
            self.change("ending", {"attempt": attempt, "status": status, "retried": None})

    def epochs_saved(self, config_id: str) -> int:
        """The largest budget with a loss since the config was last trained from nothing."""
        return int(one(self.connection, "epochs_saved", self._config(config_id))[0])

    def ran(self, config_id: str, epochs: int) -> tuple[float, int | None]:
        """How many seconds an evaluation took, and the epochs that it was told of before."""
        seconds, before = one(self.connection, "ran", self._config(config_id, epochs=epochs))
        return seconds, before

    def longer_elsewhere(self) -> dict[str, list[Repeat]]:
        """Losses that are those of more epochs in other searches of the script, by their names."""
        found: dict[str, list[Repeat]] = {}
        for identity, *repeat in run(self.connection, "longer", {"search": self._hold.search_pk}):
            found.setdefault(identity, []).append(Repeat(*repeat))
        return found

    def found_checkpoints(self, found: str) -> None:
        """The search seems to have begun on checkpoints that it did not make."""
        self.change("found_checkpoints", {"search": self._hold.search_pk, "found": found})

    def times_lost(self, attempt: int) -> int:
        """How often this attempt's evaluation was lost under a driver's eyes."""
        return int(one(self.connection, "lost", {"attempt": attempt})[0])

    def times_tried(self, attempt: int) -> int:
        """After how many rests this attempt's evaluation was tried while others succeeded."""
        return int(one(self.connection, "tried", {"attempt": attempt})[0])

    def rest(self, until: float | None, because: str | None, since: float | None) -> None:
        """Nothing starts until then (None: it is over), for what failed since is doubted."""
        facts = {"until": _iso(until), "because": because, "since": _iso(since)}
        self.change("rest", {**facts, "driver": self._hold.driver_pk})

    def outage(self, until: float | None, because: str | None) -> None:
        """Nothing starts until then at most (None: it is over), for what starts need is away."""
        facts = {"until": _iso(until), "because": because, "driver": self._hold.driver_pk}
        self.change("outage", facts)

    def times_retried(self, attempt: int) -> int:
        """How often this attempt's evaluation was run again by --retries."""
        return int(one(self.connection, "retried", {"attempt": attempt})[0])

    def withdraw(self, config_id: str, epochs: int, why: str) -> bool:
        """Take a failure back, so that the evaluation runs again; False where it cannot be."""
        return withdraw(self.connection, self._hold.search_pk, config_id, epochs, why)

    def fingerprint(self, config_id: str, epochs: int) -> tuple[str | None, str | None]:
        """What the failure of an evaluation has in common with others of its cause; its error."""
        facts = self._config(config_id, epochs=epochs)
        fingerprint, error = one(self.connection, "fingerprint", facts)
        return fingerprint, error

    def end(self, attempt: int, verdict: Verdict, retried: str | None = None) -> None:
        """An attempt has come to its end; `retried` is why a failure is not the result yet."""
        facts = {**facts_of(verdict), "finished_at": iso(verdict.finished_at), "attempt": attempt}
        facts["retried"] = retried
        self.change("end", facts)
        metrics = verdict.metrics.items()
        self._many("metric", [{"attempt": attempt, "name": n, "value": v} for n, v in metrics])
        if verdict.stdout or verdict.stderr:
            run(self.connection, "output", facts)  # it inserts, or raises

    def result(
        self,
        place: Place | None,
        config_id: str,
        epochs: int,
        *,
        loss: float | None,
        seconds: float | None,
    ) -> None:
        """The summary of a config whose attempt has ended (loss None if it has no loss).

        `place` is where it counts; None while nobody asks for so many epochs.
        """
        facts = self._config(config_id, epochs=epochs)
        facts |= {"loss": loss, "seconds": seconds or 0.0}
        facts["position"] = ORPHAN if place is None else self._hold.position(place)
        self.change("config", facts)
        if loss is not None:
            run(self.connection, "best", facts)

    def orphan(self, config_id: str, epochs: int) -> None:
        """An evaluation belongs to no place, until one of its own budget takes it."""
        self.change("orphan", self._config(config_id, epochs=epochs))

    def open_pass(self, sampled: Sampled) -> None:
        """The configs of a pass; `apply` writes their places."""
        add_configs(self.connection, self._hold.search_pk, sampled)
        fault_point("pass.inside")

    def apply(self, consequences: Consequences, now: float, called: Place | None = None) -> None:
        """What followed from a fact: from the end of the attempt that was `called` for a place."""
        entered = consequences.entered
        self._many("enter", [self._place(new.place, config_id=new.config_id) for new in entered])
        settled = [
            (one, self._place(one.place, config_id=one.config_id, epochs=one.source_epochs))
            for one in consequences.settled
        ]
        self._many("settle", [facts for _, facts in settled])
        owners = [facts for one, facts in settled if not one.reused and one.place != called]
        self._many("owner", owners)
        self._many("best", owners)
        for closed in consequences.closed:
            rung = self._hold.rung_pks[closed.rung]
            run(self.connection, "drop", {"rung": rung})
            fault_point("promote.inside")
            self._many("promote", [{"rung": rung, "slot": slot} for slot in closed.promoted])
        self._many(
            "incumbent",
            [
                {**facts_of(improved), "search": self._hold.search_pk, "finished_at": iso(now)}
                for improved in consequences.improved
            ],
        )

    def summarise(self, summary: Summary) -> None:
        """The summary rows that views read."""
        search = {"search": self._hold.search_pk}
        self.change("search_summary", {**facts_of(summary.search), **search})
        for bracket in summary.brackets:
            self.change("bracket_summary", {**facts_of(bracket), **search})
        for rung in summary.rungs:
            facts = {**facts_of(rung), "rung": self._hold.rung_pks[rung.key]}
            self.change("rung_summary", facts)

    def status(self, status: SearchStatus, now: float, reason: str | None = None) -> None:
        """The search is finished, or stopped for a reason."""
        finished_at = iso(now) if status is SearchStatus.FINISHED else None
        facts = {"status": status, "reason": reason, "finished_at": finished_at}
        self.change("status", {**facts, "search": self._hold.search_pk})
        self.rank()

    def rank(self) -> None:
        """Store the ranks of the leaderboard, which change no more for now."""
        search = {"search": self._hold.search_pk}
        if run(self.connection, "ranked", search).rowcount:
            run(self.connection, "rank", search)

    def heartbeat(self, now: float, lived: float) -> None:
        """This driver lives, for so many seconds by now."""
        facts = {"driver": self._hold.driver_pk, "now": iso(now), "lived": lived}
        self.change("heartbeat", facts)

    def change(self, name: str, facts: dict[str, Any]) -> None:
        """Run a statement that must change exactly one row."""
        changed = run(self.connection, name, facts).rowcount
        if changed != 1:
            raise HbtrackError(
                f"The database is not as this driver left it ({name} changed {changed} rows), so "
                "the search stops; everything recorded is kept. Type `hbtrack db check`.",
                see="inconsistent",
            )

    def _many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self.connection.executemany(SQL[name], rows)

    def _config(self, config_id: str, **more: int) -> dict[str, Any]:
        """A config as statements name it, and what else they need."""
        return {"search": self._hold.search_pk, "config_id": config_id, **more}

    def _place(self, place: Place, **more: str | int) -> dict[str, Any]:
        """A place as statements name it, and what else they need."""
        where = {"search": self._hold.search_pk, "rung": self._hold.rung_pks[rung_of(place)]}
        return {**where, "slot": place.slot, "position": self._hold.position(place), **more}


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def withdraw(connection: Connection, search_pk: int, config_id: str, epochs: int, why: str) -> bool:
    """Take a failure back, so that the evaluation runs again; False where it cannot be."""
    facts = {"search": search_pk, "config_id": config_id, "epochs": epochs, "why": why}
    return bool(run(connection, "withdraw", facts).rowcount == 1)


def run(connection: Connection, name: str, facts: dict[str, Any]) -> Any:
    """What the statement of this name gives."""
    return connection.execute(SQL[name], facts)


def one(connection: Connection, name: str, facts: dict[str, Any]) -> Any:
    """The one row that it gives."""
    (row,) = run(connection, name, facts)
    return row
