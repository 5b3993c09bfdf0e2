"""What was meant by a word that hbtrack does not know."""

from collections.abc import Iterable

MEANT = {
    "status": "list ls ps",
    "status --watch": "dashboard top ui watch",
    "run": "fit optimise optimize search start train tune",
    "resume": "continue restart",
    "stop": "abort cancel kill",
    "rm": "delete remove",
    "report": "leaderboard results summary",
    "show best": "best",
    "errors": "failures",
    "sql": "query",
    "init": "create new",
    "check": "test validate",
    "help": "explain man",
    "db upgrade": "migrate upgrade",
    "--version": "version",
}
"""What is typed here for the words that other tools have for it."""


def nearest_commands(prog: str, word: str, commands: Iterable[str]) -> str:
    """The end of a sentence that names the commands that may have been meant; empty for none."""
    known = [command for command in MEANT if command.split()[0] in commands]
    meant = [command for command in known if word.lower() in MEANT[command].split()]
    if not meant and word.endswith(".py"):
        return f"; a script is searched by `{prog} run {word}`"
    return _named(f"`{prog} {name}`" for name in meant or _near(word, commands))


def nearest_options(name: str, options: Iterable[str]) -> str:
    """The same for an option, which may have been cut short."""
    longer = [option for option in options if option.startswith(name)]
    return _named(longer or _near(name, options))


def _near(word: str, words: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415 - only what is mistyped needs it

    return get_close_matches(word.lower(), list(words), n=1, cutoff=0.6)


def _named(names: Iterable[str]) -> str:
    found = ", or ".join(names)
    return f"; the nearest is {found}" if found else ""
