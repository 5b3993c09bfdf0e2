"""Whether texts are Python: runs in the user's own interpreter, whose Python that is.

Started by path, `python -I -S compiles.py`, so this file imports the standard library only and
avoids new syntax. It reads one JSON document, {"texts": [[PATH, TEXT], ...], "gone": [PATH, ...]}
with bytes as the characters of their numbers, and prints the first problem as one line of JSON, or
nothing. Nothing of the user's runs here, and nothing is written.
"""

import ast
import json
import os
import sys
from typing import Any, Iterator


def problem(texts: "list[list[str]]", gone: "list[str]") -> "str | None":
    """What the first of them that does not compile has; or which missing module is imported."""
    imported = set()
    for path, text in texts:
        try:
            content = text.encode("latin-1")
            compile(content, path, "exec", dont_inherit=True)
            imported |= set(names(ast.parse(content)))
        except SyntaxError as error:
            return "{}, line {}: {}".format(path, error.lineno, error.msg)
        except Exception as error:  # null bytes, an unknown encoding, too deep for the parser
            return "{}: {}".format(path, error)
    for path in gone:
        if module_name(path) in imported:
            return "{} is gone, and still imported".format(path)
    return None


def names(tree: ast.AST) -> "Iterator[str]":
    """Every word of what is imported anywhere: a, b and c of `from a.b import c`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield from alias.name.split(".")
            yield from (getattr(node, "module", None) or "").split(".")


def module_name(path: str) -> str:
    """The last word of the name that a module in this file has."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    return os.path.basename(folder) if stem == "__init__" else stem


def main() -> None:
    """Answer one question."""
    asked: "dict[str, Any]" = json.load(sys.stdin)
    found = problem(asked["texts"], asked["gone"])
    if found:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
