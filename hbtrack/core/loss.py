"""The loss that a script prints as its last line, or what stands there instead: pure."""

import math
import re
from dataclasses import dataclass

MAX_LOSS_LINE_BYTES = 4096
"""No loss is longer; of an endless line only a part is ever looked at, which must not pass."""

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
