"""The cells of a terminal, and text laid out on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from hbtrack.text import printable

_SIGNS = {"→": "->", "▶": ">", "…": "...", "━": "#", "─": "-"}


@dataclass(frozen=True, slots=True)
class Canvas:
    """The cells that may be drawn on, and the encoding of what is drawn."""

    width: int
    height: int
    encoding: str = "utf-8"

    def shown(self, text: str) -> str:
        """The user's text, harmless and in this encoding."""
        return printable(text).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def sign(self, character: str) -> str:
        """One of our own signs, in letters where the encoding has no better."""
        try:
            character.encode(self.encoding)
        except UnicodeEncodeError:
            return _SIGNS[character]
        return character

    def cut(self, line: Text) -> Text:
        """The line within the width; an ellipsis says that there was more."""
        if cell_len(line.plain) <= self.width:
            return line
        more = self.sign("…")
        line.truncate(max(0, self.width - len(more)), overflow="crop")
        return line.append(more[: self.width])


def aligned(table: Sequence[Sequence[Text]]) -> list[Text]:
    """The rows of a table as lines, each column as wide as its widest cell."""
    widths = [max(cell_len(cell.plain) for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell_len(cell.plain) + 2))
        line.rstrip()
        lines.append(line)
    return lines


def flow(pieces: Iterable[Text], width: int, gap: int = 2) -> list[Text]:
    """The pieces one after the other, on as many lines as they need."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and cell_len(lines[-1].plain) + gap + cell_len(piece.plain) <= width:
            lines[-1].append(" " * gap).append_text(piece)
        else:
            lines.append(piece.copy())
    return lines
