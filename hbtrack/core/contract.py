"""What the user's script must do, as far as it can be judged without running anything.

The contract itself is in docs/contract.md. Here: how an attempt is called, which ids and
identities are refused, what counts as a loss, and which parameters an id speaks of.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

RESERVED_OPTIONS = ("--epochs", "--gpu", "--multi_gpu")
"""Options that hbtrack itself passes to the script."""

MAX_NAME_BYTES = 4096
"""The longest config_id or run_identity, in UTF-8."""

MAX_LOSS_LINE_BYTES = 4096
"""No loss is longer; of an endless line only a part is ever looked at, which must not pass."""

ParamValue = int | float | str


def attempt_argv(
    python: str,
    script: str,
    config_id: str,
    *,
    epochs: int,
    gpus: Sequence[str],
    script_args: Sequence[str],
) -> list[str]:
    """The command of one attempt: `python SCRIPT CONFIG_ID --epochs N --gpu G [...]`.

    More than one GPU is passed as the first one and `--multi_gpu`.
    """
    multi = ["--multi_gpu"] if len(gpus) > 1 else []
    call = ["--epochs", str(epochs), "--gpu", gpus[0]]
    return [python, script, config_id, *call, *multi, *script_args]


def attempt_environment(
    name: str, run_identity: str, checkpoint: str, *, max_epochs: int, epochs_done: int
) -> dict[str, str]:
    """What is added to the environment of the attempt of that name.

    `checkpoint` is the folder of its config, in which `epochs_done` are known to lie.
    """
    return {
        "HBTRACK_ATTEMPT": name,
        "HBTRACK_IDENTITY": run_identity,
        "HBTRACK_CHECKPOINT": checkpoint,
        "HBTRACK_MAX_EPOCHS": str(max_epochs),
        "HBTRACK_EPOCHS_DONE": str(epochs_done),
    }


def checkpoint_name(config_id: str) -> str:
    """The name of the folder of a config's checkpoints: short, and safe on every file system.

    The id itself may hold slashes, be too long, or differ from another one only in case.
    """
    return hashlib.sha256(config_id.encode()).hexdigest()[:20]


def name_problem(value: str) -> str | None:
    """Why a config_id or run_identity cannot be used, as the end of a sentence; None if it can."""
    if not value:
        return "is empty"
    if "\0" in value:
        return "contains a NUL character, which no command line can carry"
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not a character"
    if size > MAX_NAME_BYTES:
        return f"is {size} bytes long; at most {MAX_NAME_BYTES} are allowed"
    return None


def config_id_problem(value: str) -> str | None:
    """Why a config_id cannot be used; None if it can."""
    if value.startswith("-"):
        return "begins with '-', so the script's argparse would take it for an option"
    return name_problem(value)


# --- the loss ------------------------------------------------------------------------------------

_LOSS = re.compile(rb"[ \t\r]*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[ \t\r]*")
_NOT_FINITE = re.compile(rb"[ \t\r]*[+-]?(nan|inf|infinity)[ \t\r]*", re.IGNORECASE)
_ANSI = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_ADVICE = "print the loss alone on the last line, as in print(float(loss))"


@dataclass(frozen=True, slots=True)
class LossRefused:
    """Why the last line of stdout is not a loss."""

    error_type: str
    message: str


def read_loss(last_line: bytes) -> float | LossRefused:
    """The loss that the last non-empty line of stdout says, or why it says none.

    `last_line` is without its newline; empty means that nothing was printed. The grammar is
    plain ASCII decimal notation: what float() accepts beyond it (1_000, other scripts' digits,
    nan) is refused rather than guessed.
    """
    if not last_line.strip():
        return LossRefused("no_output", f"The script printed nothing on stdout; {_ADVICE}.")
    quoted = _quote(last_line)
    if len(last_line) > MAX_LOSS_LINE_BYTES:
        return LossRefused(
            "bad_last_line",
            f"The last line of stdout, {quoted}, is too long for a loss; {_ADVICE}.",
        )
    if match := _LOSS.fullmatch(last_line):
        loss = float(match[1])
        if math.isfinite(loss):
            return loss
        return LossRefused("not_finite", f"The loss {quoted} is too large for a number.")
    if _NOT_FINITE.fullmatch(last_line):
        return LossRefused("not_finite", f"The loss is {quoted}, which ranks nowhere.")
    hint = _hint(last_line)
    return LossRefused(
        "bad_last_line", f"The last line of stdout is {quoted}, not a loss{hint}; {_ADVICE}."
    )


def significant_digits(loss: str) -> int:
    """How many digits of a printed loss say something: 3 for -0.0120e5."""
    mantissa = re.split("[eE]", loss)[0].lstrip("+-").replace(".", "")
    return len(mantissa.lstrip("0"))


def _hint(line: bytes) -> str:
    if _ANSI.search(line) and _LOSS.fullmatch(_ANSI.sub(b"", line)):
        return " (a number wrapped in colour codes)"
    if b"\r" in line.strip() and _LOSS.fullmatch(line.strip().rsplit(b"\r", 1)[-1]):
        return " (a number after a progress bar on the same line)"
    if re.search(rb"[0-9]", line):
        return " (a number with other text around it, or not in plain ASCII digits)"
    return ""


def _quote(line: bytes, limit: int = 200) -> str:
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= limit else text[:limit] + "...")


# --- the error -----------------------------------------------------------------------------------

# A traceback at the beginning of a line, or right behind a progress bar that is on it. One inside a
# message ("Original Traceback ...") is not the error, nor one that Python ignored as it ended.
_TRACEBACK = re.compile(
    r"""(?:^|(?<=[^ \t"'`]))Traceback \(most recent call last\):$""", re.MULTILINE
)
_IGNORED = re.compile(r"^Exception ignored [^\n]*\n\Z", re.MULTILINE)
_EXCEPTION_LINE = re.compile(r"([^\W\d](?:[\w.]|<locals>)*)(?:: (.*))?")
_LINKS = ("direct cause of the following exception:", "another exception occurred:")


def exception_of(stderr: str) -> tuple[str, str, str] | None:
    """(type, message, traceback) of the last Python traceback in `stderr`, if there is one."""
    starts = [
        match.start()
        for match in _TRACEBACK.finditer(stderr)
        if not _IGNORED.search(stderr, 0, match.start())
    ]
    if not starts:
        return None
    lines = stderr[starts[-1] :].rstrip().splitlines()
    for number, line in enumerate(lines[1:], 1):
        if line and not line[0].isspace() and (match := _EXCEPTION_LINE.fullmatch(line)):
            message = "\n".join([match[2] or "", *lines[number + 1 :]]).strip()
            return match[1], message, stderr[_chain_start(stderr, starts) :].rstrip()
    return None


def _chain_start(stderr: str, starts: list[int]) -> int:
    """Where the first of the chained tracebacks ("During handling of ...") begins."""
    first = starts[-1]
    for start in reversed(starts[:-1]):
        if not stderr[:first].rstrip().endswith(_LINKS):
            break
        first = start
    return first


# --- the parameters ------------------------------------------------------------------------------

_PAIR = re.compile(r"([A-Za-z_]\w*):(.*?)(?=\.[A-Za-z_]\w*:|\Z)", re.DOTALL)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
LONGEST_NUMBER = 400  # digits; floats end at 10**308
_INT64 = range(-(2**63), 2**63)


def params_of(config_id: str) -> dict[str, ParamValue]:
    """The parameters that a `name:value.name:value` id spells out; {} for an opaque id."""
    params: dict[str, ParamValue] = {}
    position = 0
    while match := _PAIR.match(config_id, position):
        params[match[1]] = param_value(match[2])
        if match.end() == len(config_id):
            return params
        position = match.end() + 1  # past the dot
    return {}


def param_value(value: object) -> ParamValue:
    """A parameter as SQL can hold it: a number where the text is one as JSON writes it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        match = _JSON_NUMBER.fullmatch(value)
        if not match or len(value) > LONGEST_NUMBER:
            return value
        number = float(value) if match[1] or match[2] else int(value)
        return value if param_value(number) == repr(number) else number
    if isinstance(value, int):
        return value if value in _INT64 else repr(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return json.dumps(value, ensure_ascii=False)
