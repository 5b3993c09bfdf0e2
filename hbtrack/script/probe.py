"""Ask the user's script for its identity and its configs, in a process of its own.

The process has a session of its own, empty stdin and a time limit, and is killed with its process
group when the conversation is over. What it prints is kept out of hbtrack's stdout.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hbtrack.core import contract
from hbtrack.core.records import Command, Grown, Place, Sampled, Terms
from hbtrack.core.schedule import schedule_of
from hbtrack.core.script_text import Imported
from hbtrack.core.verdict import signal_name
from hbtrack.errors import ScriptError, UsageError
from hbtrack.script.command import is_text

TICK = 0.1  # seconds between two looks at whether the process still lives
PRINTED = 64 * 1024  # bytes of what the script printed that are shown

Stream = Sequence[int]
"""What keys the draws of a search beside its seed: see core/streams.py."""

_Slots = tuple[int, int, int]  # of a bracket: its first budget, from this slot, to before this one

_NEEDED = {
    "run_identity": "def run_identity(argv): return 'model:' + ...  "
    "# a string that names the experiment",
    "get_random_config_id": "def get_random_config_id(rng): return f'lr:{rng.choice([...])}'  "
    "# a string that describes one configuration",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """What a sampler gave for a number of random generators, each given to it twice."""

    ids: tuple[str, ...]
    again: tuple[str, ...]
    moved: tuple[str, ...]  # global generators that it drew from, or seeded


def check_given(terms: Terms) -> None:
    """Raise UsageError unless the user's own configs can fill the first slots of a search."""
    given, room = terms.configs, schedule_of(terms).brackets[0].configs
    for config_id in given:
        if problem := contract.config_id_problem(config_id):
            raise UsageError(f"The config_id {_short(config_id)} {problem}.", see="bad-config")
    if len(set(given)) < len(given):
        twice = next(config_id for config_id in given if given.count(config_id) > 1)
        raise UsageError(
            f"The config_id {_short(twice)} is given twice; once is enough.", see="bad-config"
        )
    if len(given) > room:
        raise UsageError(
            f"{len(given)} config_ids are given, but the first bracket has room for {room}: give "
            "fewer, or choose a larger --max-epochs.",
            see="bad-config",
        )


class ScriptProbe:
    """One import of the script. Use as a context manager."""

    def __init__(
        self, command: Command, time_limit: float, *, still_holds: str = "Nothing was started."
    ) -> None:
        self._command = command
        self._still_holds = still_holds  # the last words of every refusal
        self._time_limit = time_limit
        self.found: Imported | None = None  # once it is imported
        self._step = "import"
        self._buffer = b""
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._channel, inner = socket.socketpair()
        self._channel.settimeout(TICK)
        inside = Path(__file__).with_name("inside.py")
        argv = [command.python, os.fspath(inside), str(inner.fileno()), command.script]
        try:
            self._process = subprocess.Popen(
                [*argv, *command.script_args],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                cwd=command.cwd,
                pass_fds=[inner.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            self._channel.close()
            self._printed.close()
            raise ScriptError(
                f"The interpreter {command.python} could not be started in {command.cwd}: "
                f"{error.strerror}. {still_holds} Name another with --python PATH.",
                see="no-interpreter",
            ) from error
        finally:
            inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def imported(self) -> None:
        """Wait until the script is imported. Raises ScriptError if it cannot be."""
        self._hear("imported")

    def identity(self) -> str:
        """What run_identity returns for the user's arguments, asked twice. Raises ScriptError."""
        return self.identity_for(self._command.script_args)

    def require_identity(self, run_identity: str) -> None:
        """Raise ScriptError unless the script still names the search so."""
        identity = self.identity()
        if identity != run_identity:
            raise self._error(
                f"run_identity of {self._command.script} says {identity!r} now, but the search is "
                f"{run_identity!r}: the script has changed. `hbtrack run` would start one of the "
                "new name.",
                see="script-changed",
            )

    def identity_for(self, args: Sequence[str]) -> str:
        """What run_identity returns for these arguments, asked twice. Raises ScriptError."""
        identity = str(self._ask("identity", identity=list(args)))
        if problem := contract.name_problem(identity):
            raise self._error(
                f"run_identity returned {_short(identity)}, which {problem}.", see="bad-name"
            )
        return identity

    def sample(self, terms: Terms, pass_: int, used: Iterable[str], stream: Stream = ()) -> Sampled:
        """The configs of a pass, and the parameters of those not in `used`. Raises ScriptError.

        The first slots of the first pass take the configs of the user's own.
        """
        known = set(used)
        ids = self._whole_pass(terms, pass_, known, stream)
        return Sampled(pass_, tuple(ids), self.params(ids, known))

    def grow(
        self, terms: Terms, stored: Sequence[Sequence[str]], old: Terms, stream: Stream = ()
    ) -> Grown:
        """What `terms` add to the passes that were `stored` under the old ones.

        New slots avoid every stored id. Raises ScriptError.
        """
        if terms.max_epochs == old.max_epochs:
            return Grown({}, {}, ())
        before = _all_slots(old)
        had = {first_epochs: configs for first_epochs, _, configs in before}
        added = [(first, had.get(first, 0), configs) for first, _, configs in _all_slots(terms)]
        known = {config_id for ids in stored for config_id in ids}
        used = set(known)
        slots: dict[Place, str] = {}
        kept: dict[Place, str] = {}
        for pass_, ids in enumerate(stored, 1):
            kept |= zip(_first_places(pass_, before), ids, strict=True)
            drawn = self._draw(terms.seed, pass_, added, used, stream)
            slots |= zip(_first_places(pass_, added), drawn, strict=True)
            used.update(drawn)
        fresh = self._fresh(terms, len(stored), stream)
        differing = (place for place, found in (kept | slots).items() if found != fresh[place])
        return Grown(slots, self.params(slots.values(), known), tuple(sorted(differing)))

    def examine(self, seed: int, draws: int) -> Examined:
        """How get_random_config_id behaves with that many generators. Raises ScriptError."""
        found = self._ask("examined", examine={"seed": seed, "draws": draws})
        return Examined(**{name: tuple(value) for name, value in found.items()})

    def params(
        self, ids: Iterable[str], known: Collection[str] = ()
    ) -> dict[str, dict[str, contract.ParamValue]]:
        """What get_config, or the ids themselves, say of those not known before, each once.

        Raises ScriptError.
        """
        new = [config_id for config_id in dict.fromkeys(ids) if config_id not in known]
        answers = zip(new, self._ask("params", params=new), strict=True)
        return {config_id: _params(config_id, found) for config_id, found in answers}

    def printed(self) -> str:
        """What the script has printed so far, from the end."""
        size = os.fstat(self._printed.fileno()).st_size
        tail = os.pread(self._printed.fileno(), PRINTED, max(0, size - PRINTED))
        return tail.decode("utf-8", "replace")

    def close(self) -> None:
        """End the process and what it started."""
        self._channel.close()
        self.kill()
        self._process.wait()
        self._printed.close()

    def kill(self) -> None:
        """End the process and its group; a call that waits for it fails. From any thread."""
        if self._process.returncode is None:  # not reaped yet, so the number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    # --- inside ---

    def _fresh(self, terms: Terms, passes: int, stream: Stream) -> dict[Place, str]:
        """What a search that began with these terms would have drawn."""
        used: set[str] = set()
        fresh: dict[Place, str] = {}
        for pass_ in range(1, passes + 1):
            ids = self._whole_pass(terms, pass_, used, stream)
            fresh |= zip(_first_places(pass_, _all_slots(terms)), ids, strict=True)
            used.update(ids)
        return fresh

    def _whole_pass(self, terms: Terms, pass_: int, used: set[str], stream: Stream) -> list[str]:
        check_given(terms)
        given = terms.configs if pass_ == 1 else ()
        (first_epochs, _, configs), *others = _all_slots(terms)
        brackets = [(first_epochs, len(given), configs), *others]
        return [*given, *self._draw(terms.seed, pass_, brackets, used | set(given), stream)]

    def _draw(
        self, seed: int, pass_: int, brackets: list[_Slots], used: set[str], stream: Stream
    ) -> list[str]:
        request = {"seed": seed, "pass_": pass_, "brackets": brackets, "used": sorted(used)}
        request["stream"] = list(stream)
        ids = [str(config_id) for config_id in self._ask("ids", sample=request)]
        for config_id in ids:
            if problem := contract.config_id_problem(config_id):
                raise self._error(
                    f"get_random_config_id returned {_short(config_id)}, which {problem}.",
                    see="bad-name",
                )
        return ids

    def _ask(self, wanted: str, **request: object) -> Any:
        with contextlib.suppress(BrokenPipeError):  # it has ended; _hear finds out how
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        return self._hear(wanted)

    def _hear(self, wanted: str) -> Any:
        deadline = time.monotonic() + self._time_limit
        while True:
            message = json.loads(self._line(deadline))
            self._step = message.get("step", self._step)
            if "imported" in message:
                modules = tuple(filter(is_text, message["modules"]))
                self.found = Imported(message["script_sha256"], modules)
            if refused := message.get("refused"):
                self._step = refused["step"]
                raise self._refusal(**refused)
            if wanted in message:
                return message[wanted]

    def _line(self, deadline: float) -> bytes:
        """The next line of the script's process; raises ScriptError when none comes."""
        while b"\n" not in self._buffer:
            ended = self._ending()  # before the last look, so that no last words are lost
            if self._listen():
                continue
            if ended:
                raise self._error(f"{self._doing()} {ended}.", see="script-exits")
            if time.monotonic() > deadline:
                raise self._error(
                    f"{self._doing()} took longer than {self._time_limit:g} s. "
                    "If it really needs so long, give it more with --import-timeout SECONDS.",
                    see="import-timeout",
                )
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _listen(self) -> bool:
        """Whether something was said just now. What the script forked may keep the channel open."""
        try:
            part = self._channel.recv(1 << 20)
        except (TimeoutError, ConnectionResetError):
            return False
        if not part:
            time.sleep(TICK)  # closed, perhaps by the script: its end is what counts
        self._buffer += part
        return bool(part)

    def _doing(self) -> str:
        if self._step == "import":
            return f"Importing {self._command.script}"
        return f"{self._step} of {self._command.script}"

    def _ending(self) -> str | None:
        """How the process ended, if it has."""
        status = self._exit_status()
        if status is None:
            return None
        if status < 0:
            return f"was ended by {signal_name(-status)}"
        return f"ended the whole process with exit code {status}, without an answer"

    def _exit_status(self) -> int | None:
        """As in subprocess. It is not reaped where that can be: `close` kills its group by number.

        It cannot on macOS before Python 3.13.
        """
        if not hasattr(os, "waitid"):
            return self._process.poll()
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is None:
            return None
        return int(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)

    def _refusal(self, step: str, problem: str, **facts: str) -> ScriptError:
        """What inside.py refused, in words."""
        where = self._doing()
        if problem == "missing" and step == "numpy":
            return self._error(
                f"The interpreter {self._command.python} has no numpy, which "
                "get_random_config_id(rng: np.random.RandomState) needs. Install it there, or name "
                "another interpreter with --python PATH.",
                see="no-numpy",
            )
        if problem == "missing":
            return self._error(
                f"{self._command.script} has no function {step}. Add one, such as:\n"
                f"    {_NEEDED[step]}",
                see="no-function",
            )
        if problem == "exit":
            return self._error(
                f"{where} called sys.exit({facts['value']}). Put what runs the experiment under "
                'if __name__ == "__main__": so that the file can be imported.',
                see="script-exits",
            )
        if problem == "exception":
            return self._error(
                f"{where} failed:\n{facts['traceback'].rstrip()}", see="script-raises"
            )
        if problem == "differs":
            return self._error(
                f"{where} returned {_short(facts['value'])} and then {_short(facts['other'])} for "
                "the same arguments. Searches are keyed by it: it must depend on them alone.",
                see="identity-differs",
            )
        wanted = "a dict or a sequence" if step == "get_config" else "a str"
        return self._error(
            f"{where} returned {facts['value']} of type {facts['type']}; return {wanted} instead.",
            see="wrong-type",
        )

    def _error(self, message: str, *, see: str) -> ScriptError:
        return ScriptError(f"{message}\n{self._still_holds}", output=self.printed(), see=see)


def _all_slots(terms: Terms) -> list[_Slots]:
    return [(one.first_epochs, 0, one.configs) for one in schedule_of(terms).brackets]


def _first_places(pass_: int, brackets: Iterable[_Slots]) -> Iterator[Place]:
    """The places in first rungs that these slots are, in canonical order."""
    for first_epochs, first_slot, configs in brackets:
        yield from (Place(pass_, first_epochs, 0, slot) for slot in range(first_slot, configs))


def _params(config_id: str, found: dict[str, Any] | None) -> dict[str, contract.ParamValue]:
    if found is None:
        return contract.params_of(config_id)
    return {_text(name): _value(value) for name, value in found.items()}


def _value(value: object) -> contract.ParamValue:
    stored = contract.param_value(value)
    return _text(stored) if isinstance(stored, str) else stored


def _text(text: str) -> str:
    """The text with lone surrogates, which no database can hold, made visible."""
    return text.encode("utf-8", "backslashreplace").decode()


def _short(text: str) -> str:
    quoted = ascii(text)
    return quoted if len(quoted) <= 120 else quoted[:100] + "...'"
