"""One start of hbtrack on one search: from what the user asked to the driver's loop and back.

Everything is checked before anything is written: the script, its identity, its first ids; then the
parameters against what is stored; then who owns the search.
"""

import hashlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from hbtrack.database.engine import open_engine
from hbtrack.database.location import make_search_folder, search_folder
from hbtrack.database.revision import explain
from hbtrack.database.upgrade import prepare_for_writing
from hbtrack.driver import Driver, Limits, Observer, StopRequest
from hbtrack.errors import Conflict, HbtrackError, ScriptError, UsageError
from hbtrack.executors.gpus import gpu_places
from hbtrack.executors.local import LocalExecutor
from hbtrack.ownership import Ownership, owned, owner_of
from hbtrack.plan import Plan, Start, rebuild
from hbtrack.records import Facts, Launch, Resources, Sampled, Search, SearchStatus, Terms
from hbtrack.schedule import Schedule, make_schedule, parse_eta
from hbtrack.script.probe import ScriptProbe
from hbtrack.script.sampler import PassSampler
from hbtrack.store import catalogue
from hbtrack.store.facts import load_facts
from hbtrack.store.ledger import Ledger
from hbtrack.summary import summarise_search


@dataclass(frozen=True, slots=True)
class Settings:
    """How this start is to be run, apart from what is stored with the search."""

    import_timeout: float
    grace: float
    max_lost: int
    say: Callable[[str], None]  # a sentence for the user, on stderr


@contextmanager
def writable(path: Path, say: Callable[[str], None]) -> Iterator[Engine]:
    """The database at `path`, created or upgraded, with its errors in the user's words."""
    backup = prepare_for_writing(path)
    if backup:
        say(f"Upgraded {path}; what it was before is kept in {backup}.")
    engine = open_engine(path)
    try:
        yield engine
    except DBAPIError as error:
        raise explain(error, path) from error
    finally:
        engine.dispose()


# --- the script ----------------------------------------------------------------------------------


def make_launch(script: str, script_args: Sequence[str], python: str | None, cwd: str) -> Launch:
    """How the script is run. Raises UsageError when it or the interpreter is not there."""
    path = os.path.abspath(os.path.join(cwd, script))  # noqa: PTH100, PTH118 - links stay as typed
    return Launch(
        script=path,
        script_sha256=_sha256(path),
        script_args=tuple(script_args),
        python=_interpreter(python),
        cwd=cwd,
    )


def _sha256(script: str) -> str:
    try:
        return hashlib.sha256(Path(script).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"The script {script} cannot be read: {error.strerror}. Nothing was started."
        ) from error


def _interpreter(python: str | None) -> str:
    found = shutil.which(python or sys.executable)
    if found is None:
        raise UsageError(
            f"The interpreter {python} was not found. Nothing was started; name one with --python."
        )
    return os.path.abspath(found)  # noqa: PTH100 - a virtual environment's link must stay one


# --- run and resume ------------------------------------------------------------------------------


def start_search(
    path: Path,
    launch: Launch,
    *,
    terms: Terms,
    typed: set[str],
    resources: Resources,
    settings: Settings,
) -> "Session":
    """The search that the script names, new or stored, ready to be driven.

    `typed` names the terms that the user gave: only those are compared with what is stored.
    """
    schedule = make_schedule(terms.max_epochs, parse_eta(terms.eta))
    with ScriptProbe(launch, settings.import_timeout) as probe:
        identity = probe.identity()
        stored = _stored(path, identity, settings) if path.exists() else None
        if stored is None:
            sampled = probe.sample(schedule, terms.seed, 1, ())
            _show_printed(probe, settings)
            return Session.create(path, identity, launch, terms, resources, sampled, settings)
        _compare(stored, launch, terms, typed)
        refuse_if_owned(path, stored)
        launch = _as_before(launch, stored.launch, typed)
        search = replace(stored, launch=launch, resources=_kept(resources, stored, typed))
        return Session.reopen(path, stored, search, probe, settings)


def _as_before(launch: Launch, before: Launch, typed: set[str]) -> Launch:
    """Where checkpoints lie, and what trained them, stays as long as it is there."""
    cwd = before.cwd if Path(before.cwd).is_dir() else launch.cwd
    keep_python = "python" not in typed and os.access(before.python, os.X_OK)
    return replace(launch, cwd=cwd, python=before.python if keep_python else launch.python)


def _kept(resources: Resources, stored: Search, typed: set[str]) -> Resources:
    """The workers and GPUs last used, unless they were typed."""
    return Resources(
        resources.workers if "workers" in typed else stored.resources.workers,
        resources.gpus if "gpus" in typed else stored.resources.gpus,
    )


def refuse_if_owned(path: Path, search: Search) -> None:
    """Raise Conflict when another driver runs this search: before its script is imported."""
    if owner := owner_of(search_folder(path, search.pk)):
        raise owned(search.run_identity, owner)


def resume_search(
    path: Path, stored: Search, *, resources: Resources, typed: set[str], settings: Settings
) -> "Session":
    """A stored search, ready to be driven on with nothing but what is stored."""
    launch = stored.launch
    for what, place in (("script", launch.script), ("interpreter", launch.python)):
        if not os.access(place, os.R_OK):
            raise UsageError(
                f"The {what} of {stored.run_identity}, {place}, is gone, so the search was left "
                f"as it is. Type `hbtrack run --db {shlex.quote(str(path))} SCRIPT "
                f"{shlex.join(launch.script_args)}` with its new path to go on."
            )
    if not Path(launch.cwd).is_dir():
        raise UsageError(
            f"The working directory of {stored.run_identity}, {launch.cwd}, is gone, so the search "
            "was left as it is. Make it again, or use `hbtrack run` from its new place."
        )
    launch = replace(launch, script_sha256=_sha256(launch.script))
    search = replace(stored, launch=launch, resources=_kept(resources, stored, typed))
    with ScriptProbe(launch, settings.import_timeout) as probe:
        identity = probe.identity()
        if identity != stored.run_identity:
            raise ScriptError(
                f"run_identity of {launch.script} says {identity!r} now, but the search is "
                f"{stored.run_identity!r}: the script has changed. The search was left as it is; "
                "`hbtrack run` would start one of the new name."
            )
        return Session.reopen(path, stored, search, probe, settings)


def _stored(path: Path, identity: str, settings: Settings) -> Search | None:
    with writable(path, settings.say) as engine, engine.begin() as connection:
        return catalogue.load_search(connection, identity)


def _show_printed(probe: ScriptProbe, settings: Settings) -> None:
    """What the script printed while it was imported is not lost, nor among hbtrack's results."""
    if printed := probe.printed().strip():
        settings.say(printed)


def _next_pass(
    path: Path, search: Search, probe: ScriptProbe, settings: Settings
) -> Sampled | None:
    """The configs of the pass that opens next, while the script is imported anyway."""
    with writable(path, settings.say) as engine, engine.begin() as connection:
        facts = load_facts(connection.exec_driver_sql, search.pk)
    opened = len(facts.passes)
    if opened == search.terms.passes:
        return None
    used = {config_id for ids in facts.passes for config_id in ids}
    return probe.sample(_schedule(search), search.terms.seed, opened + 1, used)


def _compare(stored: Search, launch: Launch, terms: Terms, typed: set[str]) -> None:
    """Refuse to go on with a search under other terms than it was started with."""
    differences = [
        f"--{name.replace('_', '-')}: stored {getattr(stored.terms, name)}, "
        f"given {getattr(terms, name)}"
        for name in Terms.__dataclass_fields__
        if name in typed and getattr(stored.terms, name) != getattr(terms, name)
    ]
    moved = not Path(stored.launch.script).exists()
    same_script = launch.script == stored.launch.script or (
        moved and launch.script_sha256 == stored.launch.script_sha256
    )
    if not same_script:
        differences.append(f"script: stored {stored.launch.script}, given {launch.script}")
    if launch.script_args != stored.launch.script_args:
        differences.append(
            f"arguments: stored {shlex.join(stored.launch.script_args) or 'none'}, "
            f"given {shlex.join(launch.script_args) or 'none'}"
        )
    if differences:
        raise Conflict(
            f"The search {stored.run_identity!r} was started otherwise:\n"
            + "".join(f"    {difference}\n" for difference in differences)
            + "Nothing was changed. Go on with it as stored by `hbtrack resume --identity "
            f"{shlex.quote(stored.run_identity)}`, or keep the new search in another file with "
            "--db PATH, or let run_identity give it another name."
        )


def _schedule(search: Search) -> Schedule:
    return make_schedule(search.terms.max_epochs, parse_eta(search.terms.eta))


# --- driving -------------------------------------------------------------------------------------


class Session:
    """A search whose script was asked and found good, ready to be driven."""

    def __init__(
        self, path: Path, search: Search, sampled: Sampled | None, settings: Settings
    ) -> None:
        self.path = path
        self.search = search
        self.script_changed = False
        self._sampled = sampled
        self._settings = settings

    @classmethod
    def create(
        cls,
        path: Path,
        identity: str,
        launch: Launch,
        terms: Terms,
        resources: Resources,
        sampled: Sampled,
        settings: Settings,
    ) -> "Session":
        """Write a new search; or find that another process did so just now, on the same terms."""
        schedule = make_schedule(terms.max_epochs, parse_eta(terms.eta))
        with writable(path, settings.say) as engine:
            with suppress(IntegrityError), engine.begin() as connection:
                catalogue.create_search(
                    connection,
                    identity,
                    terms=terms,
                    launch=launch,
                    resources=resources,
                    schedule=schedule,
                    summary=summarise_search(Plan(schedule, terms.passes)),
                    now=time.time(),
                )
            with engine.begin() as connection:
                search = catalogue.load_search(connection, identity)
        if search is None:
            raise HbtrackError(f"The search {identity!r} was removed as it was being started.")
        _compare(search, launch, terms, set(Terms.__dataclass_fields__))
        return cls(path, replace(search, launch=launch, resources=resources), sampled, settings)

    @classmethod
    def reopen(
        cls, path: Path, stored: Search, search: Search, probe: ScriptProbe, settings: Settings
    ) -> "Session":
        """A stored search, to be run as `search` says."""
        if stored.status is SearchStatus.FINISHED:
            return cls(path, search, None, settings)
        session = cls(path, search, _next_pass(path, search, probe, settings), settings)
        _show_printed(probe, settings)
        session.script_changed = stored.launch.script_sha256 != search.launch.script_sha256
        return session

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
            self._settings.say(
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
            engine = stack.enter_context(writable(self.path, self._settings.say))
            ledger = Ledger(engine, self.search.pk)
            facts = self._own(ledger, ownership)
            plan = rebuild(_schedule(self.search), self.search.terms.passes, facts)
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
                limits=Limits(self._settings.grace, self._settings.max_lost),
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
            command=_command(self.search.launch),
            now=time.time(),
        )

    def _sampler(self, opened: int) -> PassSampler:
        """Where the ids of the passes after the first `opened` come from."""
        sampled = self._sampled
        return PassSampler(
            self.search.launch,
            self.search.run_identity,
            schedule=_schedule(self.search),
            seed=self.search.terms.seed,
            time_limit=self._settings.import_timeout,
            first=sampled if sampled and sampled.pass_ == opened + 1 else None,
        )


def _say_changed(observer: Observer, search: Search, plan: Plan) -> None:
    """Name the evaluation from which the edited script counts."""
    facts: dict[str, object] = {"script": search.launch.script}
    if isinstance(start := plan.next(), Start):
        facts |= {"from_config": start.config_id, "epochs": start.epochs}
    observer.said("script_changed", **facts)


def _command(launch: Launch) -> tuple[str, str]:
    tail = shlex.join(launch.script_args)
    return shlex.join([launch.python, launch.script]), f" {tail}" if tail else ""
