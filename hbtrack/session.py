"""One start of hbtrack on one search: own it, join store, plan, executor and sampler, drive."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hbtrack.database.location import make_search_folder
from hbtrack.database.upgrade import writable
from hbtrack.driver import Driver
from hbtrack.executors.gpus import gpu_places
from hbtrack.executors.local import LocalExecutor
from hbtrack.launch import command_around
from hbtrack.ownership import Ownership
from hbtrack.plan import Plan, Start, rebuild
from hbtrack.records import Facts, Sampled, Search, SearchStatus
from hbtrack.schedule import schedule_of
from hbtrack.script.sampler import PassSampler
from hbtrack.seams import Limits, Observer, StopRequest
from hbtrack.store.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Settings:
    """How this start is to be run, apart from what is stored with the search."""

    import_timeout: float
    grace: float
    max_lost: int
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
    script_changed: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.search.status is SearchStatus.FINISHED

    def places(self) -> list[str]:
        """The GPU of each worker: one per GPU, or `--workers` of them on GPU 0 without GPUs."""
        gpus = gpu_places(self.search.resources.gpus)
        workers = self.search.resources.workers
        if not gpus:
            return ["0"] * (workers or 1)
        if workers and workers > len(gpus):
            self.settings.say(
                f"{workers} workers were asked for, but there are {len(gpus)} GPUs: {len(gpus)} "
                "workers run. With --gpus none they would not be counted against GPUs."
            )
        return gpus[: workers or len(gpus)]

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
        places = self.places()
        folder = make_search_folder(self.path, self.search.pk)
        with ExitStack() as stack:
            ownership = Ownership(folder, self.search.run_identity)
            stack.callback(ownership.release)
            engine = stack.enter_context(writable(self.path, self.settings.say))
            ledger = Ledger(engine, self.search.pk)
            facts = self._own(ledger, ownership)
            plan = rebuild(schedule_of(self.search.terms), self.search.terms.passes, facts)
            sampler = self._sampler(len(facts.passes))
            stack.callback(sampler.cancel)
            observer = make_observer(folder)
            stack.callback(observer.close)
            if self.script_changed:
                _say_changed(observer, self.search, plan)
            launch = self.search.launch
            executor = LocalExecutor(folder, cwd=launch.cwd, token=self.search.token)
            stack.callback(executor.close)
            on_wake(executor.wake_fd())
            stack.callback(on_wake, -1)
            driver = Driver(
                self.search,
                plan,
                ledger=ledger,
                executor=executor,
                sampler=sampler,
                observer=observer,
                places=places,
                limits=Limits(self.settings.grace, self.settings.max_lost),
                stop=stop,
            )
            status = driver.run(facts)
            ledger.release(time.time())
            return status

    def _own(self, ledger: Ledger, ownership: Ownership) -> Facts:
        return ledger.own(
            host=ownership.owner.host,
            pid=ownership.owner.pid,
            launch=self.search.launch,
            resources=self.search.resources,
            command=command_around(self.search.launch),
            now=time.time(),
        )

    def _sampler(self, opened: int) -> PassSampler:
        """Where the ids of the passes after the first `opened` come from."""
        sampled = self.sampled
        return PassSampler(
            self.search.launch,
            self.search.run_identity,
            schedule=schedule_of(self.search.terms),
            seed=self.search.terms.seed,
            time_limit=self.settings.import_timeout,
            first=sampled if sampled and sampled.pass_ == opened + 1 else None,
        )


def _say_changed(observer: Observer, search: Search, plan: Plan) -> None:
    """Name the evaluation from which the edited script counts."""
    facts: dict[str, object] = {"script": search.launch.script}
    if isinstance(start := plan.next(), Start):
        facts |= {"from_config": start.config_id, "epochs": start.epochs}
    observer.said("script_changed", **facts)
