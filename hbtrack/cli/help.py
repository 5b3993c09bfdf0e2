"""`hbtrack help NAME`: what an error means, by the name that its last line gives.

Of a command it is `hbtrack COMMAND --help`, which the parser answers. The explanations are the
sections of docs/troubleshooting.md, which travels inside the wheel.
"""

import argparse
import difflib
import json
import re
import textwrap
from pathlib import Path

from hbtrack.cli import tables
from hbtrack.cli.parser import make_parser
from hbtrack.errors import NotFound, NotPython
from hbtrack.text import printable

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def main(args: argparse.Namespace) -> int:
    """Show what `args.name` means; exit 3 when nothing is called that."""
    explain(args.name)
    return 0


def page() -> Path:
    """The page of all explanations: the packaged copy if there is one, else the checkout's."""
    package = Path(__file__).parent.parent
    packaged = package / "troubleshooting.md"
    return packaged if packaged.is_file() else package.parent / "docs" / packaged.name


def sections() -> dict[str, str]:
    """The explanations by their names, each a heading of the third level."""
    _, *parts = re.split(r"^### ", page().read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = (re.split(r"^## ", part, maxsplit=1, flags=re.MULTILINE)[0] for part in parts)
    return {text.partition("\n")[0]: text.strip() for text in texts}


def explain(name: str) -> None:
    """Print the explanation of that name; all names where it is empty. Raises NotFound."""
    found = sections()
    if not name:
        tables.write("\n".join(found))
    elif name in found:
        tables.write(_as_text(found[name]))
    else:
        near = difflib.get_close_matches(name, [*make_parser()[1], *found], n=3, cutoff=0.4)
        raise NotFound(
            f"No command and no error is called {printable(repr(name))}. "
            + (f"The nearest: {', '.join(near)}. " if near else "")
            + "All commands: hbtrack help; all errors: hbtrack --explain",
            see="no-explanation",
        )


def wrapper(error: NotPython) -> str:
    """The script in Python that the section of an error has, with what the user typed."""
    _, code, *_ = _CODE.split(sections()[error.see])
    name, mark, value = code.partition(" = ")
    _, comment, rest = value.partition("  # ")
    return f"{name}{mark}{json.dumps(error.starts)}{comment}{rest}".rstrip() + "\n"


def _as_text(section: str) -> str:
    """Without the marks of Markdown that a terminal does not need; code is as it is."""
    prose, *rest = _CODE.split(section)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return _filled(prose) + "".join(f"\n\n{code}{_filled(after)}" for code, after in pairs).rstrip()


def _filled(text: str) -> str:
    plain = _LINK.sub(r"\1", text).replace("**", "")
    parts = re.split(r"\n(?=[->\n])", plain)
    return "\n".join(_wrapped(" ".join(part.split())) for part in parts).rstrip()


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
