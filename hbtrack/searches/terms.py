"""What was typed, beside what a search was started with: taken over, or refused."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hbtrack.core.records import Command, Limits, Resources, Search, Terms, facts_of
from hbtrack.errors import Conflict
from hbtrack.text import option

STATED = ("maximize", "min_epochs")
"""The terms that are worth saying again where a search only goes on."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where a search is to run and what it may take, with the defaults where nothing was typed.

    `given` names what was typed: only that is compared with what is stored, or replaces it.
    `stated` are terms that were typed for a search that exists, and must be its own.
    """

    resources: Resources
    limits: Limits
    given: frozenset[str]
    stated: Mapping[str, object] = field(default_factory=dict)


def with_given(stored: Search, options: Options) -> Search:
    """The search with the resources and limits last used, unless they were typed."""

    def chosen(values: Resources | Limits) -> dict[str, Any]:
        return {name: value for name, value in facts_of(values).items() if name in options.given}

    return replace(
        stored,
        resources=replace(stored.resources, **chosen(options.resources)),
        limits=replace(stored.limits, **chosen(options.limits)),
    )


def as_before(command: Command, before: Command, given: frozenset[str]) -> Command:
    """The command with the working directory and the interpreter of before, while they are there.

    In the one lie the checkpoints, which the other has trained.
    """
    cwd = before.cwd if Path(before.cwd).is_dir() else command.cwd
    keep_python = "python" not in given and os.access(before.python, os.X_OK)
    return replace(command, cwd=cwd, python=before.python if keep_python else command.python)


def require_same(stored: Search, command: Command, terms: Terms, given: frozenset[str]) -> None:
    """Raise Conflict, with each difference, if the search was started under other terms."""
    differences = _differences(
        stored.terms, {name: value for name, value in facts_of(terms).items() if name in given}
    )
    moved = not Path(stored.command.script).exists()
    same_script = command.script == stored.command.script or (
        moved and command.script_sha256 == stored.command.script_sha256
    )
    if not same_script:
        differences.append(f"script: stored {stored.command.script}, given {command.script}")
    if command.script_args != stored.command.script_args:
        differences.append(
            f"arguments: stored {shlex.join(stored.command.script_args) or 'none'}, "
            f"given {shlex.join(command.script_args) or 'none'}"
        )
    if differences:
        identity = shlex.join(option("--identity", stored.run_identity))
        larger = _larger(stored.terms, terms, given)
        growing = f", make it larger by `hbtrack extend {identity} {' '.join(larger)}`"
        raise Conflict(
            f"The search {stored.run_identity!r} was started otherwise:\n"
            + "".join(f"    {difference}\n" for difference in differences)
            + f"Nothing was changed. Go on with it as stored by `hbtrack resume {identity}`"
            + (growing if len(larger) == len(differences) else "")
            + ", or keep the new search in another file with --db PATH, or let run_identity give "
            "it another name. What the script saves elsewhere than in HBTRACK_CHECKPOINT, the new "
            "search would take for its own.",
            see="other-parameters",
        )


def require_stated(stored: Search, stated: Mapping[str, object]) -> None:
    """Raise Conflict, with each difference, if the search was not started so."""
    if differences := _differences(stored.terms, stated):
        raise Conflict(
            f"The search {stored.run_identity!r} was started otherwise:\n"
            + "".join(f"    {difference}\n" for difference in differences)
            + "Nothing was changed: it is fixed from the first start on. Leave the option out to "
            "go on with the search as it is, or start another one in another file with --db PATH.",
            see="other-parameters",
        )


def _differences(stored: Terms, typed: Mapping[str, object]) -> list[str]:
    return [
        f"{_typed_as(name)}: stored {_as_typed(getattr(stored, name))}, given {_as_typed(value)}"
        for name, value in typed.items()
        if getattr(stored, name) != value
    ]


def _larger(stored: Terms, terms: Terms, given: frozenset[str]) -> list[str]:
    """The options by which a search of the given terms would be the stored one, but larger."""
    return [
        f"{_typed_as(name)} {getattr(terms, name)}"
        for name in ("max_epochs", "passes")
        if name in given and getattr(terms, name) > getattr(stored, name)
    ]


def _typed_as(name: str) -> str:
    return "--config" if name == "configs" else f"--{name.replace('_', '-')}"


def _as_typed(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (shlex.join(value) or "none") if isinstance(value, tuple) else value
