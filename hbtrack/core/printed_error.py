"""The error that a script's output tells of, in whatever form it was printed: pure.

Colours go first. What stands before a traceback's header (the name of a rank, the border of an
exception group) stands before all of its lines, and goes with them; of a box the frames are read.
What is left is Python's own form, and one reader does. A launcher's error says only that another
process failed: then the one that was printed before it is meant.

The forms, and the libraries with the versions that print them, are in tests/samples/.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple


class PrintedError(NamedTuple):
    """What went wrong, as the script told it."""

    error_type: str
    message: str
    text: str  # as it was printed, with what led to it
    place: str | None = None  # FILE:LINE, the innermost of the user's own code, if any is named
    led_to: tuple[str, ...] = ()  # each error that led to it, type and message, and itself last

    @property
    def is_launchers(self) -> bool:
        """Whether it says only that another process failed, and nothing tells why."""
        return self.error_type.rpartition(".")[2] in LAUNCHERS

    @property
    def brief(self) -> str:
        """Its type with the first line of its message."""
        return ": ".join([self.error_type, *self.message.splitlines()[:1]])


class _Traceback(NamedTuple):
    first: int  # the number of its first line
    end: int  # of the line after which another may begin
    error_type: str
    message: str
    frames: list[str]  # FILE:LINE, the innermost last
    speaker: str = ""  # the name of a rank, as it stands before each line

    @property
    def says(self) -> tuple[str, str]:
        """The type and the first line, which are the same where it is raised again."""
        return self.error_type.rpartition(".")[2], self.message.split("\n")[0]


_ESCAPES = r"\x1b\[[0-9;:?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
_HEADER = r"(.*?)(Exception Group )?Traceback \(most recent call last\):"
_FRAME = r'[> ]*File "(.*)", line (\d+)'
_EXCEPTION = r"([^\W\d](?:[\w.]|<locals>)*)(?:: (.*))?"
_NAMED = r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt)(?::(?: .*)?)?"
# As IPython and pretty_errors draw a frame.
_DRAWN = rf"{_FRAME}|File (\S.*):(\d+)(?:, in .*)?$|(\S.*\.py) (\d+) \S+$"
_BORDER = r" +[|+] ?"
_BOX = r"[╭┌+][─-]* ?Traceback \(most recent call last\) ?[─-]*[╮┐+]"
_BOX_END = r"[╰└+][─-]+[╯┘+]"
_BOX_FRAME = r"(.+):(\d+)(?: in *\S.*)?"
_BOX_BELOW = r"[╭┌+][─-]+[╮┐+]"  # where the syntax is wrong
_BAR = r"^.*(?=Traceback \(most recent call last\):)"
_QUOTED = "Original "  # by a loader, of its worker
# After the last: a box, and what is said while Python or a launcher ends.
_NO_MORE = (
    r"[╭┌+][─-]|Exception ignored |\S+:\d+: \w*Warning: |[EWI]\d{4} \d\d:\d\d:"
    r"|Set the environment variable HYDRA_FULL_ERROR"
)
_LINKS = ("direct cause of the following exception:", "another exception occurred:")

# Whose message only repeats that another process has failed.
LAUNCHERS = ("ChildFailedError", "CalledProcessError", "ProcessRaisedException")
_OF_LIBRARIES = r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3[^/\\]*[/\\]|^<"


def error_of(printed: str) -> PrintedError | None:
    """The error by which a script ended, if there is a traceback of it, or of bad syntax."""
    lines = without_escapes(printed).split("\n")
    found = list(_tracebacks(lines))
    if not found:
        return None
    number = _cause(found, lines)
    first = number
    while first and _leads_on(lines, found[first].first):
        first -= 1
    chain = found[first : number + 1]
    same = [one for one in chain if one.says == found[number].says]
    error = found[number]
    text = "\n".join(printed.replace("\r\n", "\n").split("\n")[found[first].first :]).rstrip()
    if _speaker(lines, found[first].first) == "":
        text = re.sub(_BAR, "", text, count=1)
    led_to = tuple(f"{one.error_type}: {one.message}" for one in chain)
    return PrintedError(error.error_type, error.message, text, _innermost(same), led_to)


def _cause(found: Sequence[_Traceback], lines: Sequence[str]) -> int:
    """Which one says why: the last that is no launcher's, but of several ranks the first.

    The others fail because that one has gone.
    """
    own = [n for n, one in enumerate(found) if one.says[0] not in LAUNCHERS]
    number = own[-1] if own else len(found) - 1
    if found[number].speaker:
        number = next(n for n in own if found[n].speaker)
        for after in range(number + 1, len(found)):
            if found[after].speaker == found[number].speaker and _leads_on(
                lines, found[after].first
            ):
                number = after
    return number


def _leads_on(lines: Sequence[str], first: int) -> bool:
    """Whether the traceback that begins there came of the one before it, or is quoted by it."""
    if lines[first].startswith(_QUOTED):
        return True
    bare = (re.sub(_BORDER, "", line, count=1).strip() for line in reversed(lines[:first]))
    return next(filter(None, bare), "").endswith(_LINKS)


def _innermost(errors: Sequence[_Traceback]) -> str | None:
    """Of the user's own code in the first that has some, or of any code in the last."""
    for error in errors:
        if own := [frame for frame in error.frames if not re.search(_OF_LIBRARIES, frame)]:
            return own[-1]
    return next(reversed(errors[-1].frames), None)


def place_of(said: str) -> str | None:
    """FILE:LINE of what ran when Python itself crashed, where faulthandler tells."""
    _, _, innermost_first = said.rpartition(" (most recent call first):\n")
    found = [re.match(_FRAME, line) for line in innermost_first.split("\n")]
    frames = ["{}:{}".format(*match.groups()) for match in found[::-1] if match]
    return _innermost([_Traceback(0, 0, "", "", frames)])


def without_escapes(text: str) -> str:
    """The text without colours, links and the like; lines end with a newline alone."""
    return re.sub(_ESCAPES, "", text).replace("\r\n", "\n")


# --- one traceback after the other ---------------------------------------------------------------


def _tracebacks(lines: Sequence[str]) -> Iterator[_Traceback]:
    """Every whole traceback; of an exception group the first that is in it."""
    number, some = 0, False
    while number < len(lines):
        found = _group(lines, number) or _plain(lines, number) or _boxed(lines, number)
        found = found or (None if some else _headless(lines, number))
        if found and not lines[max(number - 1, 0)].startswith("Exception ignored "):
            yield found
        number = found.end if found else number + 1
        some = some or found is not None


def _speaker(lines: Sequence[str], number: int) -> str | None:
    """What stands before each line of the traceback whose header this is; None: it is no header.

    One inside a message is none, but the original one of a worker, and one behind a progress bar.
    """
    match = re.fullmatch(_HEADER, lines[number])
    if not match or match[2]:
        return None
    before, below = match[1], "".join(lines[number + 1 : number + 2])
    if below.startswith(before):
        return before
    return None if before[-1] in " \t\"'`" and before != _QUOTED else ""


def _plain(lines: Sequence[str], number: int) -> _Traceback | None:
    speaker = _speaker(lines, number)
    if speaker is None:
        return None
    frames = []
    for at, line in _spoken(lines, number + 1, speaker):
        if match := re.match(_FRAME, line):
            frames.append("{}:{}".format(*match.groups()))
        elif line and not line[0].isspace() and (match := re.fullmatch(_EXCEPTION, line)):
            rest = [text for _, text in _spoken(lines, at + 1, speaker)]
            end = number + 1 if speaker else at + 1  # those of two ranks may be mixed
            message = _message(match[2], rest)
            return _Traceback(number, end, match[1], message, frames, speaker)
    return None


def _spoken(lines: Sequence[str], start: int, speaker: str) -> Iterator[tuple[int, str]]:
    """The lines of one speaker with their numbers, up to the next traceback."""
    for number in range(start, len(lines)):
        if lines[number].startswith(speaker):
            line = lines[number].removeprefix(speaker)
            if line.endswith(_LINKS) or _speaker([line, ""], 0) == "" or re.match(_NO_MORE, line):
                return
            yield number, line
        elif re.match(_BORDER, speaker):
            return


def _group(lines: Sequence[str], number: int) -> _Traceback | None:
    """The first error in an exception group, which itself only says how many there are."""
    match = re.fullmatch(_HEADER, lines[number])
    if not match or not match[2]:
        return None
    inside = number + 1
    while inside < len(lines) and re.match(_BORDER, lines[inside]):
        inside += 1
    leaf: _Traceback | None = None
    for at in range(number + 1, inside):
        one = _plain(lines[:inside], at)
        if one and (leaf is None or _leads_on(lines, at)):
            leaf = one
    bare = ["Traceback (most recent call last):"]  # none of them was raised
    bare += [re.sub(_BORDER, "", line, count=1) for line in lines[number + 1 : inside]]
    leaf = leaf or _plain(bare, 0)
    return leaf and leaf._replace(first=number, end=inside, speaker="")


def _boxed(lines: Sequence[str], number: int) -> _Traceback | None:
    indent = len(lines[number]) - len(lines[number].lstrip())
    if not re.fullmatch(_BOX, lines[number].strip()):
        return None
    if indent:  # it stands in a column of a log
        column = [line[indent:].rstrip() for line in lines[number:]]
        found = _boxed(column, 0)
        return found and found._replace(first=number, end=number + found.end)
    frames, part, at = [], "", number + 1
    while at < len(lines) and not _ends(lines, at):
        line = lines[at][1:-1].strip()
        part += line if part or line.startswith("/") else ""  # a long path is wrapped
        if match := re.fullmatch(_BOX_FRAME, part):
            frames.append("{}:{}".format(*match.groups()))
            part = ""
        at += 1
    for below in range(at + 1, len(lines)):
        if match := re.fullmatch(_EXCEPTION, lines[below]):
            rest = [lines[below], *(text for _, text in _spoken(lines, below + 1, ""))]
            message = _unwrapped(rest, len(lines[number])).removeprefix(match[1]).lstrip(": ")
            outer = _Traceback(number, below + 1, match[1], message.strip(), frames)
            return _in_box(lines, outer) or outer
    return None


def _ends(lines: Sequence[str], number: int) -> bool:
    """Whether the box ends there, and none below belongs to it."""
    below = "".join(lines[number + 1 : number + 2])
    return bool(re.fullmatch(_BOX_END, lines[number]) and not re.fullmatch(_BOX_BELOW, below))


def _in_box(lines: Sequence[str], group: _Traceback) -> _Traceback | None:
    """The first error in an exception group that is drawn as boxes in a box."""
    start = group.end
    while start < len(lines) and not lines[start]:
        start += 1
    if not "".join(lines[start : start + 1]).count(" Sub-exception #1 "):
        return None
    inside = [
        line[2:-2].rstrip()
        for line in takewhile(lambda line: not re.fullmatch(_BOX_END, line), lines[start + 1 :])
    ]
    first = next(_tracebacks(inside), None)
    return first and first._replace(first=group.first, end=start + len(inside))


def _unwrapped(lines: Sequence[str], width: int) -> str:
    """The text of lines that were wrapped between words to fit into so many columns."""
    text, last = "", ""
    for line in lines:
        wrapped = len(last.rstrip()) + 1 + len(line.split(" ")[0]) > width
        text = text.rstrip() + (" " if wrapped else "\n") + line if text else line
        last = line
    return text


def _headless(lines: Sequence[str], number: int) -> _Traceback | None:
    """One whose frames have no header: of the script's own syntax, or drawn by a library.

    It is the first: what comes after a traceback may be the rest of its message.
    """
    if not re.fullmatch(_NAMED, lines[number]):
        return None
    found = [(at, match) for at in range(number) if (match := re.match(_DRAWN, lines[at]))]
    if not found:
        return None
    frames = [":".join(filter(None, match.groups())) for _, match in found]
    error_type, colon, message = lines[number].partition(":")
    below = takewhile(bool, lines[number + 1 :]) if colon and not message else []
    return _Traceback(found[0][0], number + 1, error_type, _message(message, list(below)), frames)


def _message(first: str | None, rest: Sequence[str]) -> str:
    return "\n".join([first or "", *rest]).strip()
