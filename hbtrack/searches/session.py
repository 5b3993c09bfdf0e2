"""One start of hbtrack on one search: own it, join store, plan, executor and sampler, drive."""

import errno
import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.decisions import Start
from hbtrack.core.execution import Slot, attempt_name
from hbtrack.core.gpu import Gpu
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Facts, Sampled, Search, SearchStatus
from hbtrack.core.schedule import schedule_of
from hbtrack.database.filesystem import is_shared, kind_of
from hbtrack.database.location import make_search_folder
from hbtrack.database.upgrade import writable
from hbtrack.driver.interfaces import Edges, Observer, StopRequest, Tolerances
from hbtrack.driver.lock import DriverLock
from hbtrack.driver.loop import Driver
from hbtrack.errors import HbtrackError, Unavailable
from hbtrack.executors.devices import devices_of_workers
from hbtrack.executors.gpu_locks import holder_of
from hbtrack.executors.gpus import find_gpus
from hbtrack.executors.local import LocalExecutor
from hbtrack.faults import fault_point
from hbtrack.script.command import command_around
from hbtrack.script.sampler import PassSampler
from hbtrack.store.ledger import Ledger

BUSY_SECONDS = 5.0
"""How long the driver waits in one piece for another writer; no signal is heard meanwhile."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this start is to be run, apart from what is stored with the search."""

    import_timeout: float
    tolerances: Tolerances
    patience: float  # seconds to wait for a disk that is full or a database that is locked
    say: Callable[[str], None]  # a sentence for the user, on stderr


@dataclass(frozen=True, slots=True)
class Session:
    """A search whose script was asked and found good, ready to be driven.

    `sampled` is the pass that opens next, if there is one; `script_changed` since the search last
    ran.
    """

    path: Path
    search: Search
    sampled: Sampled | None
    settings: Settings
    lock: DriverLock | None = None  # None: it is taken when the search is driven
    script_changed: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.search.status is SearchStatus.FINISHED

    def devices(self) -> list[Gpu]:
        """The GPU of each worker: --per-gpu of them on each, or --workers without GPUs."""
        resources = self.search.resources
        gpus = find_gpus(resources.gpus, isolate=resources.isolate_gpus)
        for gpu in gpus:
            holder_of(gpu.key)  # where locks cannot be kept, that is said before anything starts
        devices = devices_of_workers(gpus, resources.per_gpu, resources.workers)
        if resources.workers and resources.workers > len(devices):
            self.settings.say(
                f"{resources.workers} workers were asked for, but there are {len(gpus)} GPUs with "
                f"{resources.per_gpu} at a time: {len(devices)} workers run. More share a GPU with "
                "--per-gpu; with --gpus none they are not counted against GPUs."
            )
        return devices

    def drive(
        self,
        make_observer: Callable[[Path], Observer],
        stop: StopRequest,
        on_wake: Callable[[int], None],
    ) -> SearchStatus:
        """Run the search until it is finished or stopped; its status then.

        `make_observer` gets the search's folder; `on_wake` the descriptor that signal handlers
        write to.
        """
        devices = [] if stop.at is not None else self.devices()
        folder = make_search_folder(self.path, self.search.pk)
        self._warn_of_shared_disk()
        with ExitStack() as stack:
            lock = self.lock or DriverLock(folder, self.search.run_identity)
            stack.callback(lock.release)
            observer = make_observer(folder)
            stack.callback(observer.close)
            patience = _Patience(self.settings, observer, stop)
            owned = _Owned(self, folder, lock, observer, stop)
            while True:
                try:
                    return owned.go_on(devices, on_wake)
                except (Unavailable, OSError) as error:
                    _give_up(error, folder)
                    patience.wait(error)

    def _warn_of_shared_disk(self) -> None:
        if is_shared(kind := kind_of(self.path)):
            self.settings.say(
                f"{self.path} lies on a file system that other machines may mount ({kind}): one "
                "machine at a time may use it. A local disk is faster and safer."
            )


class _Patience:
    """Waits for a disk that is full or a database that is locked, for a while in all.

    What was under way is forgotten, and the search begun again from its facts: scripts that go on
    meanwhile are adopted, as after a crash.
    """

    def __init__(self, settings: Settings, observer: Observer, stop: StopRequest) -> None:
        self._seconds, self._grace = settings.patience, settings.tolerances.grace
        self._observer = observer
        self._stop = stop
        self._since: float | None = None  # monotonic; the first trouble of a series
        self._last = 0.0
        self._pause = 0.5
        self._stopped_since: float | None = None

    def wait(self, error: Exception) -> None:
        """Return after a pause that grows; raise the error when patience is at an end."""
        now = time.monotonic()
        if self._since is None or now - self._last > self._pause + 2 * BUSY_SECONDS:
            self._since, self._pause = now, 0.5  # it had been well for some time
        if now - self._since > self._seconds or self._stop.at_once or self._must_stop(now):
            text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
            raise Unavailable(
                f"{text} Scripts that run go on; `hbtrack resume` takes them over, `hbtrack stop` "
                "ends them.",
                see=error.see if isinstance(error, Unavailable) else "system-error",
            ) from error
        self._pause = min(2 * self._pause, 10.0)
        message = error.reason if isinstance(error, Unavailable) else str(error)
        self._observer.event("wait", message=message, seconds=self._pause)
        until = now + (self._pause if self._stop.at is None else 0.5)
        while time.monotonic() < until and (self._stop.at is None or self._stopped_since):
            time.sleep(0.05)
        self._last = time.monotonic()

    def _must_stop(self, now: float) -> bool:
        """Whether a stop was asked for and could not be recorded for all of the grace period."""
        if self._stop.at is not None and self._stopped_since is None:
            self._stopped_since = now
        return self._stopped_since is not None and now - self._stopped_since >= self._grace


@dataclass(slots=True)
class _Owned:
    """A search that this process owns."""

    session: Session
    folder: Path
    lock: DriverLock
    observer: Observer
    stop: StopRequest
    fence: int | None = None  # of this process, once it has written to the search

    def go_on(self, devices: list[Gpu], on_wake: Callable[[int], None]) -> SearchStatus:
        """From the facts until the search is finished, stopped or in trouble."""
        session, search = self.session, self.session.search
        with ExitStack() as stack:
            database = stack.enter_context(
                writable(
                    session.path,
                    session.settings.say,
                    busy_seconds=min(BUSY_SECONDS, session.settings.patience),
                )
            )
            ledger = Ledger(database, search.pk)
            facts = self._own(ledger, devices)
            plan = rebuild(schedule_of(search.terms), search.terms.passes, facts)
            gc.freeze()  # what was loaded stays: nobody need look for garbage in it
            sampler = self._sampler(len(facts.passes))
            stack.callback(sampler.cancel)
            if session.script_changed:
                _say_changed(self.observer, search, plan)
            executor = self._executor(devices, facts)
            stack.callback(executor.close)
            executor.end_unknown(search.token)
            on_wake(executor.wake_fd())
            stack.callback(on_wake, -1)
            edges = Edges(executor, sampler, self.observer, self.stop, session.settings.tolerances)
            driver = Driver(search, plan, ledger, edges, devices)
            status = driver.run(facts)
            fault_point("release.before")
            self._release(ledger, status)
            return status

    def _executor(self, devices: list[Gpu], facts: Facts) -> LocalExecutor:
        search = self.session.search
        return LocalExecutor(
            self.folder,
            cwd=search.command.cwd,
            max_log=self.session.settings.tolerances.max_log,
            holder=f"{search.run_identity} of {self.session.path}",
            devices=devices,
            per_gpu=search.resources.per_gpu,
            adopted={
                attempt_name(search.token, open_.pk): Slot(open_.worker, open_.gpu, (), {})
                for open_ in facts.open_attempts
            },
            say=lambda message: self.observer.event("wait", message=message),
        )

    def _release(self, ledger: Ledger, status: SearchStatus) -> None:
        """Say in the database why nobody drives the search any more."""
        stopped = status is SearchStatus.UNFINISHED and self.stop.for_good
        reached = self.stop.reached
        ledger.release(
            time.time(),
            stopped_by=self.stop.name if stopped else None,
            judged=bool(stopped and reached and reached.once),
        )

    def _own(self, ledger: Ledger, devices: list[Gpu]) -> Facts:
        search = self.session.search
        facts = ledger.own(
            self.fence,
            host=self.lock.owner.host,
            pid=self.lock.owner.pid,
            command=search.command,
            resources=search.resources,
            limits=search.limits,
            workers=len(devices) or None,
            isolated=any(place.isolated for place in devices),
            command_text=command_around(search.command),
            now=time.time(),
        )
        self.fence = ledger.fence
        return facts

    def _sampler(self, opened: int) -> PassSampler:
        """Where the ids of the passes after the first `opened` come from."""
        search, sampled = self.session.search, self.session.sampled
        return PassSampler(
            search.command,
            search.run_identity,
            schedule=schedule_of(search.terms),
            seed=search.terms.seed,
            time_limit=self.session.settings.import_timeout,
            first=sampled if sampled and sampled.pass_ == opened + 1 else None,
        )


def _give_up(error: Exception, folder: Path) -> None:
    """Raise what waiting does not mend."""
    kept = "Everything recorded is kept and scripts that run go on"
    if getattr(error, "errno", 0) in (errno.EMFILE, errno.ENFILE):
        raise HbtrackError(
            f"Too many open files ({error}). {kept}; allow more (ulimit -n), or type "
            "`hbtrack resume` with fewer --workers.",
            see="too-many-files",
        ) from error
    if not folder.is_dir():
        raise HbtrackError(
            f"The folder {folder} went away while the search ran, so it stops. {kept}; "
            "type `hbtrack resume`.",
            see="file-replaced",
        ) from error


def _say_changed(observer: Observer, search: Search, plan: Plan) -> None:
    """Name the evaluation from which the edited script counts."""
    facts: dict[str, object] = {"script": search.command.script}
    if isinstance(start := plan.next(), Start):
        facts |= {"from_config": start.config_id, "epochs": start.epochs}
    observer.event("script_changed", **facts)
