"""What the user has written: a script, and the modules beside it that it imports."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 200


def texts_of(script: Path, folder: Path) -> list[str]:
    """The text of the script, and of what it imports from its own folder or the working directory.

    Nothing is imported: a name leads to a file, or it is not the user's. One that cannot be read
    tells nothing, and is no module of this run either.
    """
    found: dict[Path, str] = {}
    ahead = [script]
    while ahead and len(found) < MOST_FILES:
        path = ahead.pop(0)
        if path not in found:
            found[path] = _text(path)
            ahead += _imported(found[path], path, [script.parent, folder])
    return list(found.values())


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _imported(text: str, path: Path, places: list[Path]) -> Iterator[Path]:
    """The files that a text imports, as far as they are in these places, or beside it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # nested too deeply
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _files(places, [one.name for one in node.names])
        elif isinstance(node, ast.ImportFrom):
            near = [path.parents[node.level - 1]] if 0 < node.level <= len(path.parents) else places
            prefix = f"{node.module}." if node.module else ""
            names = [node.module] if node.module else []
            yield from _files(near, [*names, *(prefix + one.name for one in node.names)])


def _files(places: list[Path], names: list[str]) -> Iterator[Path]:
    for name in names:
        inner = name.replace(".", "/")
        ends = (f"{inner}.py", f"{inner}/__init__.py")
        tried = (place / end for place in places for end in ends)
        yield from (path for path in tried if os.path.isfile(path))  # noqa: PTH113 - Path.is_file raises EACCES
