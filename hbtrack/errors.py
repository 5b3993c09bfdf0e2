"""Everything hbtrack refuses, and the exit status that each refusal has.

HbtrackError            1   hbtrack failed
├── Unavailable         1   the disk is full, the database locked: waited for, in vain
├── CannotStart         1   what every start needs is not there, so the search is stopped
├── UsageError          2   the command line, or the script's contract, is broken
│   ├── ScriptError     2   the user's script breaks the contract
│   └── NotPython       2   it is in another language
├── NotFound            3   nothing matches
├── Conflict            4   other parameters, another live driver, another schema
│   └── Superseded      4   a newer driver took the search over
└── Interrupted        75   a signal came before anything was started

The text of an error is for the user: what happened (with names and values), what still
holds, what to type next. `see` is the name of its cause: docs/troubleshooting.md has a section of
that name, which `hbtrack help NAME` shows. Errors with one remedy share it.
"""


class HbtrackError(Exception):
    """hbtrack could not do its work."""

    exit_code = 1

    def __init__(self, message: str, *, see: str) -> None:
        super().__init__(message)
        self.see = see


class Unavailable(HbtrackError):
    """What is recorded cannot be reached for now; `reason` is no room, or who holds it locked."""

    def __init__(self, message: str, reason: str | None = None, *, see: str) -> None:
        super().__init__(message, see=see)
        self.reason = reason or message


class CannotStart(HbtrackError):
    """What every start needs is not there; `reason` is recorded as why the search stopped."""

    def __init__(self, message: str, reason: str, *, see: str) -> None:
        super().__init__(message, see=see)
        self.reason = reason


class UsageError(HbtrackError):
    """What was typed cannot be meant."""

    exit_code = 2


class ScriptError(UsageError):
    """The user's script does not keep the contract; `output` is what it printed itself."""

    def __init__(self, message: str, output: str = "", *, see: str) -> None:
        super().__init__(message, see=see)
        self.output = output


class NotPython(UsageError):
    """The script is in another language.

    The section of its name has a script in Python that starts it; `starts` is what stands there
    for the file that was typed: the words of a command, or a path.
    """

    def __init__(self, message: str, starts: list[str] | str, *, see: str) -> None:
        super().__init__(message, see=see)
        self.starts = starts


class NotFound(HbtrackError):
    """No search, database or config of that name."""

    exit_code = 3


class Conflict(HbtrackError):
    """What was asked contradicts what is stored, or who owns it."""

    exit_code = 4


class Superseded(Conflict):
    """A newer driver owns the search; nothing of this one's is written any more."""


INTERRUPTED = 75
"""Exit status of a search that was stopped cleanly: EX_TEMPFAIL, `hbtrack resume` goes on."""


class Interrupted(HbtrackError):
    """A signal came before anything was started: raised by its handler, wherever that is."""

    exit_code = INTERRUPTED
