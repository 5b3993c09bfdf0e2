"""Why a script ended otherwise than with status 0, from what it printed: pure.

Most raised an exception (`printed_error.py`). Others do not take their command line, or what they
are written in was aborted; and what a library did with the status is told, where that is known.
"""

import re
import signal

from hbtrack.core.loss import LossRefused, read_loss
from hbtrack.core.printed_error import PrintedError, error_of, place_of, without_escapes

# How the parsers of command lines begin the sentence about what they do not take.
_USAGE = r"(?m)^(?:\S+: error: |Error: |ERROR: |FATAL Flags parsing error:\s*)(\S.*)"
_USAGE_BOX = r"(?m)^[╭┌+][─-]+ [\w ]+ [─-]+[╮┐+]\n((?:[│|].*[│|]\n)+)"
_USAGE_ALONE = r"\s*usage:"  # docopt's: status 1, and not a word of what is wrong
_RULE = r"\s[─-]{5,}"  # below it is how to get help
_OF_FLAGS = "FATAL Flags parsing error:"  # absl's: status 1

_THROWN = (
    r"(?m)^terminate called after throwing an instance of '([^'\n]+)'(?:\n *what\(\): +(.*))?"
    r"|^libc\+\+abi: terminating (?:due to|with) uncaught exception of type ([^:\n]+)(?:: (.*))?"
)
_ABORTED = (
    r"(?m)^(?:Fatal Python error: (?!Aborted|Segmentation fault|Bus error).+"
    r"|.*: Assertion .+ failed\.?|\*\*\* .+ \*\*\*: terminated"
    r"|(?:free|malloc|realloc|munmap_chunk)\(\): .+|double free or corruption.*|corrupted .+"
    r"|terminate called without an active exception)$"
)
_TRACEBACK = "Traceback (most recent call last)"
_NO_WORDS = r"[\W_]*|<no Python frame>"
_OF_HYDRA = "Set the environment variable HYDRA_FULL_ERROR"  # its first line says what is wrong
_NUMBER = (
    "sys.exit(number) prints the number on stderr and ends with status 1, and so does a main() "
    "that returns it: print the loss on stdout instead, and let main() return None"
)
_AT_THE_END = (
    "it crashed after that, as Python ended. Close what crashes before, or leave the rest out by "
    "os._exit(0) after print(loss, flush=True)"
)


def exit_error(status: int, stderr: str, last_line: bytes = b"", stdout: str = "") -> PrintedError:
    """The error of a script that ended with this status: negative is a signal.

    `last_line` is that of stdout: it may have been the loss. Logs that are kept there tell what
    stderr does not.
    """
    said = without_escapes(stderr)
    told = error_of(stderr)
    if status == 2 or _OF_FLAGS in said or (told and told.is_launchers):
        told = _usage(said) or told
    told = told or _thrown(said) or _usage_alone(said)
    if status > 0 and (told is None or told.is_launchers):
        told = swallowed(stdout) or told
    if told:
        return told
    if status < 0:
        return _printed("signal", _signalled(status, said, last_line), stderr, place_of(said))
    return _printed("exit_code", f"exit code {status}: {_last_words(said)}", stderr)


def swallowed(*printed: str) -> PrintedError | None:
    """The exception that a script printed, on either stream, which did not end by it."""
    found = (error_of(text) for text in printed if _TRACEBACK in text)
    return next(filter(None, found), None)


def warning_of(*printed: str) -> str | None:
    """What to say of a loss beside which an exception was printed; None as a rule."""
    told = swallowed(*printed)
    if told is None:
        return None
    return (
        f"{told.brief} was printed, and a loss all the same, which counts. Where it is "
        "not that of the whole training, let the exception pass"
    )


def signal_name(number: int) -> str:
    """SIGKILL for 9; the number in words if this system has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _usage(said: str) -> PrintedError | None:
    """What the parser of its command line says, if one does."""
    boxes = [
        " ".join(line[1:-1].strip() for line in box.splitlines())
        for box in re.findall(_USAGE_BOX, said)
    ]
    for sentence in [*boxes, *re.findall(_USAGE, said)][-1:]:
        first = re.split(_RULE, sentence)[0].strip()
        message = f"The script did not take its command line: {first}"
        return _printed("usage", message, said)
    return None


def _usage_alone(said: str) -> PrintedError | None:
    """How the script is to be called, where it says nothing else."""
    if not re.match(_USAGE_ALONE, said, re.IGNORECASE):
        return None
    message = f"The script did not take its command line: {' '.join(said.split())}"
    return _printed("usage", message, said)


def _thrown(said: str) -> PrintedError | None:
    """What C++ or what it calls was aborted by."""
    if thrown := re.search(_THROWN, said):
        error_type, message = thrown[1] or thrown[3], thrown[2] or thrown[4] or ""
        return PrintedError(error_type, message.strip(), said.strip(), place_of(said))
    return None


def _signalled(status: int, said: str, last_line: bytes) -> str:
    name = signal_name(-status)
    if not isinstance(loss := read_loss(last_line), LossRefused):
        return f"The script was ended by {name}. It had printed {loss!r}: {_AT_THE_END}."
    aborted = re.search(_ABORTED, said)
    return f"The script was ended by {name}{f': {aborted[0]}' if aborted else ''}".rstrip(".") + "."


def _last_words(said: str) -> str:
    """The last line with a word in it; what it means where that is known."""
    lines = [line.strip() for line in said.splitlines() if not re.fullmatch(_NO_WORDS, line)]
    if not lines:
        return "nothing on stderr"
    if lines[-1].startswith(_OF_HYDRA):
        return lines[0]
    if isinstance(read_loss(lines[-1].encode()), LossRefused):
        return lines[-1]
    return f"{lines[-1]}. {_NUMBER}"


def _printed(error_type: str, message: str, said: str, place: str | None = None) -> PrintedError:
    text = f"{message}\n{said.rstrip()}" if said.strip() else message
    return PrintedError(error_type, message, text, place)
