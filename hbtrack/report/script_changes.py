"""The edits of a search's script: from which evaluation on they count, and what they were."""

import json
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.script_text import Hashes, changed
from hbtrack.store.reading import Row, rows

_KEPT = 1 << 20
"""Bytes of a file that is compared."""

_VERSIONS = """
SELECT number AS version, files FROM _script_version v JOIN _search s ON s.pk = v.search_pk
WHERE s.run_identity = ?"""

# Of older drivers, which did not look (looks = 0), only the text that they began with is known.
_BEFORE = """
SELECT DISTINCT d.script_sha256 AS version, d.script AS path
FROM _driver d JOIN _search s ON s.pk = d.search_pk WHERE s.run_identity = ? AND NOT d.looks"""

_STARTS = """
SELECT config_id, epochs, started_at, version, before FROM (
    SELECT c.config_id, e.epochs, a.started_at, r.version,
        lag(r.version) OVER (ORDER BY a.pk) AS before
    FROM (SELECT a.pk, CASE WHEN d.looks THEN a.script_version ELSE d.script_sha256 END AS version
            FROM _search s CROSS JOIN _driver d ON d.search_pk = s.pk
                CROSS JOIN _attempt a ON a.driver_pk = d.pk
            WHERE s.run_identity = ?) r
        JOIN _attempt a ON a.pk = r.pk
        JOIN _evaluation e ON e.pk = a.evaluation_pk JOIN _config c ON c.pk = e.config_pk
    WHERE r.version IS NOT NULL)
WHERE before IS NOT version"""

_RAN = """
SELECT v.files, a.started_at, e.epochs FROM _search s
    JOIN _config c ON c.search_pk = s.pk JOIN _evaluation e ON e.config_pk = c.pk
    JOIN _attempt a ON a.evaluation_pk = e.pk
    JOIN _script_version v ON v.search_pk = s.pk AND v.number = a.script_version
WHERE s.run_identity = ? AND c.config_id = ? ORDER BY a.pk DESC LIMIT 1"""

_TEXT = "SELECT text FROM _script_text WHERE sha256 = ?"


@dataclass(frozen=True, slots=True)
class ScriptChange:
    """An edit: the first evaluation that surely ran with it, and the files that it was in."""

    files: tuple[str, ...]
    config_id: str
    epochs: int
    started_at: str


def script_changes(connection: sqlite3.Connection, identity: str) -> list[ScriptChange]:
    """The edits of a search's script, in the order in which they came to count."""
    texts: dict[int | str, Hashes] = {}
    for row in rows(connection, _BEFORE, [identity]):
        texts[row["version"]] = {row["path"]: row["version"]}
    for row in rows(connection, _VERSIONS, [identity]):
        texts[row["version"]] = json.loads(row["files"])
    if len(texts) < 2:  # so that no attempt need be read
        return []
    found = []
    for row in rows(connection, _STARTS, [identity]):
        # Version 1 was the first to start, be it that nobody knows what its attempts read.
        before = texts.get(row["before"] or 1, {})
        if files := changed(before, texts[row["version"]]):
            where = (row["config_id"], row["epochs"], row["started_at"])
            found.append(ScriptChange(tuple(files), *where))
    return found


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran for a config last: each file by its path, with its text where that was kept."""

    epochs: int
    started_at: str
    files: Mapping[str, Row]  # sha256, text


def what_ran(connection: sqlite3.Connection, identity: str, config_id: str) -> Ran | None:
    """The script as the last attempt of a config had it of which that is known."""
    for row in rows(connection, _RAN, [identity, config_id]):
        files = {
            path: {"sha256": sha256, "text": _kept(connection, sha256)}
            for path, sha256 in json.loads(row["files"]).items()
        }
        return Ran(row["epochs"], row["started_at"], files)
    return None


def _kept(connection: sqlite3.Connection, sha256: str) -> str | None:
    return next((row["text"] for row in rows(connection, _TEXT, [sha256])), None)


def since_then(ran: Ran) -> Iterator[str]:
    """The lines by which the files are others now: a unified diff."""
    from difflib import unified_diff  # noqa: PLC0415 - a report does without

    for path, row in ran.files.items():
        now = _text_now(path)
        if now is None or row["text"] is None:
            yield f"{path}: {'cannot be read now' if now is None else 'its text was not kept'}"
            continue
        before = row["text"].splitlines(), now.splitlines()
        yield from unified_diff(*before, f"{path} as it ran", f"{path} now", lineterm="")


def _text_now(path: str) -> str | None:
    """The text of a file, as far as one is kept."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would never end
            return None
        with Path(path).open("rb") as file:
            return file.read(_KEPT).decode()
    except (OSError, ValueError):
        return None
