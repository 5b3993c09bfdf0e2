"""A terminal on which the picture of a search is drawn, again and again in the same place."""

from collections.abc import Sequence
from textwrap import wrap
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hbtrack.report.live.canvas import Canvas
from hbtrack.report.live.overview import Overview
from hbtrack.report.live.picture import draw, draw_several

LAST_HEIGHT = 40


class Screen:
    """The lines at the bottom of a terminal. What is said appears above them.

    Where nothing can be moved (a file, TERM=dumb) only the last picture is drawn. Raises OSError
    when the terminal is gone.
    """

    def __init__(self, file: TextIO) -> None:
        self._console = Console(file=file, markup=False, emoji=False, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        self._console.show_cursor()  # whoever kills us must not be left without one

    def show(self, overviews: Sequence[Overview], hint: str, *, last: bool) -> None:
        """Draw a search, or a line for each of several, in place of what was drawn before."""
        canvas = self._canvas(last=last)
        only = len(overviews) == 1
        lines = draw(overviews[0], canvas, hint) if only else draw_several(overviews, canvas, hint)
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
        self._live.update(Group(*lines), refresh=True)

    def _canvas(self, *, last: bool = False) -> Canvas:
        """What may be drawn on now: the terminal may have been resized.

        One column is left free, for a full line followed by what is typed would wrap, and one line,
        so that nothing scrolls: only the last picture may.
        """
        width, height = self._console.size
        height = max(height, LAST_HEIGHT) if last else height
        return Canvas(max(1, width - 1), max(1, height - 1), self._console.encoding)

    def say(self, text: str) -> None:
        """Lines that stay, above the picture."""
        canvas = self._canvas()
        for line in text.split("\n"):
            self._console.print(Text("\n".join(wrap(canvas.shown(line), canvas.width))))

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()
