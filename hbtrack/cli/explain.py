"""`hbtrack --explain NAME`: what an error means, by the name that its last line gives.

The explanations are the sections of docs/troubleshooting.md, which travels inside the wheel.
"""

import difflib
import re
import textwrap
from pathlib import Path

from hbtrack.cli import tables
from hbtrack.errors import NotFound
from hbtrack.text import printable

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


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
        near = difflib.get_close_matches(name, found, n=3, cutoff=0.4)
        raise NotFound(
            f"No error is called {printable(repr(name))}. "
            + (f"The nearest: {', '.join(near)}. " if near else "")
            + "All of them: hbtrack --explain",
            see="no-explanation",
        )


def _as_text(section: str) -> str:
    """Without the marks of Markdown that a terminal does not need."""
    plain = _LINK.sub(r"\1", section).replace("**", "")
    parts = re.split(r"\n(?=[->\n])", plain)
    return "\n".join(_wrapped(" ".join(part.split())) for part in parts)


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
