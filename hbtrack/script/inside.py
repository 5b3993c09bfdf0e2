"""Imports the user's script and calls its functions: runs in the user's own interpreter.

Started by path, `python inside.py CHANNEL SCRIPT [ARGS]`, so this file imports the standard library
and numpy only and avoids new syntax. It answers with JSON lines on the socket CHANNEL, never on
stdout: scripts print. Before each step it says which, so that a hang or a crash can be named. What
is refused ends the import; a refused request does not end the conversation.
"""

import argparse
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import socket
import sys
import sysconfig
import time
import traceback
from typing import Any, Callable

TRIES = 20  # draws of a slot before a repeated id stays
STAND_IN = "hbtrack-import"  # config_id seen by scripts that parse sys.argv while they are imported


class Refused(Exception):
    """The script breaks the contract; `facts` tells how."""

    def __init__(self, **facts: str) -> None:
        super().__init__(facts)
        self.facts = facts


class FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the script anew each time.

    A cached file would be left beside it, and be stale after two edits within one second.
    """

    def get_code(self, fullname: str) -> Any:
        """The code of the file as it is now."""
        path = self.get_filename(fullname)
        content = self.get_data(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        return self.source_to_code(content, path)


def load(script: str, args: "list[str]") -> Any:
    """The script as a module that is not __main__, with the path that Python would give it."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    # As an attempt would be called: a parser at module level finds all that it requires.
    sys.argv = [script, STAND_IN, "--epochs", "1", "--gpu", "0", *args]
    name = os.path.splitext(os.path.basename(script))[0]
    if name == "__main__":  # under that name it would run its experiment
        name = "script"
    loader = FreshLoader(name, script)
    spec = importlib.util.spec_from_file_location(name, script, loader=loader)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[name] = module
    try:
        call("import", loader.exec_module, module)
    finally:  # the script itself may say where numpy is; without it, that is the first thing to say
        if importlib.util.find_spec("numpy") is None:
            raise Refused(step="numpy", problem="missing")
    return module


def own_modules(script: str) -> "list[str]":
    """The files of the modules that the import loaded and that are the user's own.

    They lie beside the script, below it, or below the working directory; what is installed does
    not count, wherever that is.
    """
    folders = {os.path.dirname(os.path.realpath(script)), os.getcwd()}
    installed = {
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    if sys.prefix != sys.base_prefix:  # a virtual environment
        installed.add(sys.prefix)
    # By vars: to ask some for an attribute would load what they stand for.
    known = (
        vars(one).get("__file__") for one in list(sys.modules.values()) if hasattr(one, "__dict__")
    )
    found = {path for path in known if isinstance(path, str)} - {__file__, script}
    return sorted(path for path in found if is_own(path, folders, installed))


def is_own(path: str, folders: "set[str]", installed: "set[str]") -> bool:
    """Whether a module's file is source text below these folders that nobody installed there."""
    path = os.path.realpath(path)

    def below(folder: str) -> bool:
        return path.startswith(os.path.join(os.path.realpath(folder), ""))

    if not path.endswith(".py") or "site-packages" in path or "dist-packages" in path:
        return False
    return any(map(below, folders)) and not any(map(below, installed))


def function_of(module: Any, name: str) -> "Callable[..., Any]":
    """A function that the script must have."""
    function = getattr(module, name, None)
    if not callable(function):
        raise Refused(step=name, problem="missing")
    return function  # type: ignore[no-any-return]


def call(step: str, function: "Callable[..., Any]", *args: Any) -> Any:
    """Call the user's code; whatever it raises becomes Refused, with its own traceback."""
    try:
        return function(*args)
    except SystemExit as error:
        raise Refused(step=step, problem="exit", value=repr(error.code)) from None
    except BaseException as error:
        rest = error.__traceback__
        while rest and rest.tb_frame.f_code.co_filename in (
            __file__,
            "<frozen importlib._bootstrap>",
            "<frozen importlib._bootstrap_external>",
        ):
            rest = rest.tb_next
        lines = traceback.format_exception(type(error), error, rest)
        raise Refused(step=step, problem="exception", traceback="".join(lines)) from None


def text(step: str, value: Any) -> str:
    """A value that must be a str, and nothing that only behaves like one."""
    if type(value) is not str:
        kind = type(value).__name__
        raise Refused(step=step, problem="type", value=shown(value), type=kind)
    return value


def shown(value: Any) -> str:
    """The value as Python shows it, as far as it lets itself be shown."""
    try:
        return repr(value)[:200]
    except Exception:
        return "something"


def identity(module: Any, args: "list[str]") -> str:
    """What run_identity says, asked twice."""
    says = function_of(module, "run_identity")
    first, second = (text("run_identity", call("run_identity", says, list(args))) for _ in "12")
    if first != second:
        raise Refused(step="run_identity", problem="differs", value=first, other=second)
    return first


def sample(
    module: Any,
    seed: int,
    pass_: int,
    brackets: "list[list[int]]",
    used: "list[str]",
    stream: "list[int]",
) -> "list[str]":
    """The ids of a pass: one for each slot of each bracket, in canonical order.

    A bracket is (its first budget, the first slot to draw, the slot to end before).
    A slot draws from a generator of its own, keyed by (seed, pass, the bracket's first budget,
    slot, try) and the numbers of the search's stream. An id that was used before is drawn again, up
    to TRIES times; then the first draw stays.
    """
    seen, ids = set(used), []
    for first_epochs, first_slot, configs in brackets:
        for slot in range(first_slot, configs):
            for number in range(TRIES):
                drawn = draw(module, generator(seed, pass_, first_epochs, slot, number, *stream))
                if number == 0:
                    config_id = drawn
                if drawn not in seen:
                    config_id = drawn
                    break
            seen.add(config_id)
            ids.append(config_id)
    return ids


def generator(*key: int) -> Any:
    """The random generator of that key."""
    import numpy

    return numpy.random.RandomState(list(key))


def draw(module: Any, rng: Any) -> str:
    """One id."""
    step = "get_random_config_id"
    return text(step, call(step, function_of(module, step), rng))


def examine(module: Any, seed: int, draws: int) -> "dict[str, Any]":
    """How the sampler behaves: the ids of that many generators, each asked twice.

    `ids` and `again` are equal if it depends on the generator alone; `moved` names the global
    generators that it drew from, or seeded.
    """
    ids, again = [], []
    before = global_states()
    for number in range(draws):
        ids.append(draw(module, generator(seed, number)))
        again.append(draw(module, generator(seed, number)))
    after = global_states()
    moved = [name for name, state in before.items() if after.get(name) != state]
    return {"ids": ids, "again": again, "moved": moved}


def global_states() -> "dict[str, str]":
    """The states of the random generators that belong to nobody."""
    import random

    import numpy

    states = {"random": repr(random.getstate()), "numpy.random": state_of(numpy.random)}
    if "torch" in sys.modules:
        states["torch"] = repr(sys.modules["torch"].get_rng_state().tolist())
    return states


def state_of(rng: Any) -> str:
    """The state of a numpy generator, to be compared."""
    kind, keys, *rest = rng.get_state()
    return repr((kind, keys.tobytes(), rest))


def params(module: Any, config_id: str) -> Any:
    """What get_config says of an id: names and plain values; None where it says nothing."""
    value = call("get_config", module.get_config, config_id)
    if value is None:
        return None
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not hasattr(value, "items"):
        kind = type(value).__name__
        raise Refused(step="get_config", problem="type", value=shown(value), type=kind)
    return {str(name): plain(item) for name, item in value.items()}


def plain(value: Any) -> Any:
    """A value that JSON can carry."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    try:
        json.dumps(value, allow_nan=True)
        return value
    except (TypeError, ValueError):
        return shown(value)


def flush() -> None:
    """Write out what the script has printed, if it has left the streams as they were."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S112 - closed, or replaced by anything
            continue


def die_with_hbtrack() -> None:
    """Where the system can (Linux): an import must not go on when nobody waits for it any more."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    except Exception:
        return


def answer(module: Any, request: "dict[str, Any]", say: "Callable[..., None]") -> None:
    """Do what one request asks for."""
    if "identity" in request:
        say(step="run_identity")
        say(identity=identity(module, request["identity"]))
    elif "sample" in request:
        say(step="get_random_config_id")
        say(ids=sample(module, **request["sample"]))
    elif "examine" in request:
        say(step="get_random_config_id")
        say(examined=examine(module, **request["examine"]))
    elif callable(getattr(module, "get_config", None)):
        say(step="get_config")
        say(params=[params(module, config_id) for config_id in request["params"]])
    else:
        say(params=[None] * len(request["params"]))


def main() -> None:
    """Import the script, then answer for as long as there are requests."""
    die_with_hbtrack()
    channel = socket.socket(fileno=int(sys.argv[1]))
    script, args = sys.argv[2], sys.argv[3:]
    requests = channel.makefile("r", encoding="ascii")

    def say(**message: Any) -> None:
        flush()  # what is printed before an answer is read with it
        try:
            channel.sendall(json.dumps(message).encode("ascii") + b"\n")
        except OSError:  # hbtrack has gone, or the script has closed what was not its own
            os._exit(1)

    try:
        say(step="import")
        module = load(script, args)
        compiled = module.__spec__.loader.sha256
        took = time.process_time()
        say(imported=took, script_sha256=compiled, modules=own_modules(script))
    except Refused as refused:
        say(refused=refused.facts)
        os._exit(0)
    for line in requests:
        request = json.loads(line)
        try:
            answer(module, request, say)
        except Refused as refused:
            say(refused=refused.facts)
    os._exit(0)  # nothing that the script registered at exit may hold this process up


if __name__ == "__main__":
    main()
