"""One start of hbtrack on one search: own it, join store, plan, executor and sampler, drive."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.execution import Slot, attempt_name
from hbtrack.core.gpu import NO_GPU, Gpu
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Facts, Sampled, Search, SearchStatus
from hbtrack.core.schedule import schedule_of
from hbtrack.core.script_text import Imported
from hbtrack.database.filesystem import is_shared, kind_of
from hbtrack.database.location import (
    make_checkpoints_folder,
    make_search_folder,
    search_folder,
)
from hbtrack.driver.checkpoints import Folders
from hbtrack.driver.interfaces import Checkpoints, Edges, Observer, StopRequest
from hbtrack.driver.lifetime import boot_id
from hbtrack.driver.lock import DriverLock, owned, owner_of
from hbtrack.driver.loop import Driver
from hbtrack.errors import CannotStart, NotFound, Unavailable
from hbtrack.executors.devices import devices_of_workers
from hbtrack.executors.gpu_locks import holder_of
from hbtrack.executors.gpus import find_gpus
from hbtrack.executors.local import LocalExecutor
from hbtrack.faults import fault_point
from hbtrack.script.command import command_around
from hbtrack.script.files import ScriptFiles
from hbtrack.script.sampler import PassSampler
from hbtrack.searches import patience
from hbtrack.searches.file import DatabaseFile, Settings
from hbtrack.searches.patience import Patience, raise_if_hopeless
from hbtrack.store.catalogue import load_search
from hbtrack.store.ledger import Ledger


@contextmanager
def own(file: DatabaseFile, stored: Search) -> "Iterator[Session]":
    """This process owns the search for as long as the context lasts.

    The session has it as it is now that nobody else changes it: it may have been read hours ago,
    when another was still to be driven first. Raises Conflict when another driver runs it, NotFound
    when it has been removed meanwhile.
    """
    if owner := owner_of(search_folder(file.path, stored.pk)):  # refused at once, without a trace
        raise owned(stored.run_identity, owner)
    lock = DriverLock(make_search_folder(file.path, stored.pk), stored.run_identity)
    try:
        with file.transaction() as connection:
            now = load_search(connection, stored.run_identity)
        if now is None or now.token != stored.token:
            raise NotFound(
                f"The search {stored.run_identity!r} was removed by another hbtrack meanwhile.",
                see="removed-meanwhile",
            )
        yield Session(file, now, lock)
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class Session:
    """A search that this process owns.

    `sampled` is the pass that opens next, if there is one; `imported` what the script's import
    read, None if there was none.
    """

    file: DatabaseFile
    search: Search
    lock: DriverLock
    sampled: Sampled | None = None
    imported: Imported | None = None

    @property
    def settings(self) -> Settings:
        """How this start is to be run."""
        return self.file.settings

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.search.status is SearchStatus.FINISHED

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
        devices = self._devices() if stop.at is None else []
        self._require_locks(devices)
        self._warn_of_fewer_workers(devices)
        self._warn_of_shared_disk()
        folder = self.lock.folder
        observer = make_observer(folder)
        driving = _Driving(self, folder, observer, stop)
        waits = Patience(self.settings, observer, stop)
        try:
            while True:
                try:
                    return driving.go_on(devices, on_wake)
                except (Unavailable, OSError) as error:
                    self.file.close()
                    raise_if_hopeless(error, folder)
                    waits.wait(error)
        finally:
            observer.close()

    def _devices(self) -> list[Gpu]:
        """The GPU of each worker: --per-gpu of them on each, or --workers without GPUs."""
        resources = self.search.resources
        gpus = find_gpus(resources.gpus, isolate=resources.isolate_gpus, say=self.settings.say)
        return devices_of_workers(gpus, resources.per_gpu, resources.workers)

    def _require_locks(self, devices: list[Gpu]) -> None:
        """Raise HbtrackError where locks of GPUs cannot be kept, before anything starts."""
        for key in {device.key for device in devices} - {NO_GPU.key}:
            holder_of(key)

    def _warn_of_fewer_workers(self, devices: list[Gpu]) -> None:
        workers, per_gpu = self.search.resources.workers, self.search.resources.per_gpu
        if devices and workers and workers > len(devices):
            self.settings.say(
                f"{workers} workers were asked for, but there are {len(devices) // per_gpu} GPUs "
                f"with {per_gpu} at a time: {len(devices)} workers run. More share a GPU with "
                "--per-gpu; with --gpus none they are not counted against GPUs."
            )

    def _warn_of_shared_disk(self) -> None:
        if is_shared(kind := kind_of(self.file.path)):
            self.settings.say(
                f"{self.file.path} lies on a file system that other machines may mount ({kind}): "
                "one machine at a time may use it. A local disk is faster and safer."
            )


@dataclass(slots=True)
class _Driving:
    """A search that is being driven: begun again from its facts after each trouble."""

    session: Session
    folder: Path
    observer: Observer
    stop: StopRequest
    fence: int | None = None  # of this process, once it has written to the search
    checkpoints: Checkpoints | None = None

    def go_on(self, devices: list[Gpu], on_wake: Callable[[int], None]) -> SearchStatus:
        """From the facts until the search is finished, stopped or in trouble."""
        session, search = self.session, self.session.search
        busy_seconds = min(patience.BUSY_SECONDS, session.settings.patience)
        if self.checkpoints is None or not search.resources.checkpoints:
            # On another disk they are found once: later it may be away.
            self.checkpoints = self._checkpoints() if devices else Checkpoints()
        with session.file.database(busy_seconds) as database, ExitStack() as stack:
            ledger = Ledger(database, search.pk)
            facts = self._own(ledger, devices)
            plan = rebuild(schedule_of(search.terms), search.terms.passes, facts)
            gc.freeze()  # what was loaded stays: nobody need look for garbage in it
            sampler = PassSampler(search, session.settings.import_timeout, session.sampled)
            stack.callback(sampler.cancel)
            executor = self._executor(devices, facts)
            stack.callback(executor.close)
            executor.end_unknown(search.token)
            on_wake(executor.wake_fd())
            stack.callback(on_wake, -1)
            tolerances = session.settings.tolerances
            edges = Edges(
                *(executor, sampler, self.observer, self.stop, tolerances),
                checkpoints=self.checkpoints,
                script=self._script(ledger),
            )
            driver = Driver(search, plan, ledger, edges, devices)
            try:
                status = driver.run(facts)
            except CannotStart as error:
                ledger.release(time.time(), error.reason, lived=driver.seconds_lived())
                raise
            fault_point("release.before")
            self._release(ledger, status, driver.seconds_lived())
            return status

    def _checkpoints(self) -> Checkpoints:
        """Where scripts save. Raises HbtrackError before anything is written if that is nowhere."""
        search, path = self.session.search, self.session.file.path
        found = make_checkpoints_folder(path, search.token, search.resources.checkpoints)
        return Folders(*found, search, self.observer)

    def _script(self, ledger: Ledger) -> ScriptFiles:
        """The files of the script; those of its last start where it was not imported now."""
        versions, last = ledger.script_versions()
        compiled = {sha256 for _, files in versions for sha256 in files.values()}
        command, imported = self.session.search.command, self.session.imported
        modules = [path for path in last if path != command.script]
        if imported:
            modules = list(imported.modules)
            compiled.add(imported.script_sha256)
        return ScriptFiles(command.python, [command.script, *modules], compiled)

    def _executor(self, devices: list[Gpu], facts: Facts) -> LocalExecutor:
        search = self.session.search
        return LocalExecutor(
            self.folder,
            cwd=search.command.cwd,
            max_log=self.session.settings.tolerances.max_log,
            holder=f"{search.run_identity} of {self.session.file.path}",
            devices=devices,
            per_gpu=search.resources.per_gpu,
            adopted={
                attempt_name(search.token, open_.pk): Slot(open_.worker, open_.gpu, (), {})
                for open_ in facts.open_attempts
            },
            say=lambda message: self.observer.event("wait", message=message),
        )

    def _release(self, ledger: Ledger, status: SearchStatus, lived: float) -> None:
        """Say in the database why nobody drives the search any more."""
        stopped = status is SearchStatus.UNFINISHED and self.stop.for_good
        reached = self.stop.reached
        ledger.release(
            time.time(),
            stopped_by=self.stop.name if stopped else None,
            lived=lived,
            judged=bool(stopped and reached and reached.once),
        )

    def _own(self, ledger: Ledger, devices: list[Gpu]) -> Facts:
        search, owner = self.session.search, self.session.lock.owner
        facts = ledger.own(
            self.fence,
            host=owner.host,
            pid=owner.pid,
            command=search.command,
            resources=search.resources,
            limits=search.limits,
            workers=len(devices) or None,
            isolated=any(device.isolated for device in devices),
            command_text=command_around(search.command),
            now=time.time(),
            boot_id=boot_id(),
        )
        self.fence = ledger.fence
        return facts
