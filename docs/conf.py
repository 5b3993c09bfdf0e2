"""How Sphinx makes the site: `sphinx-build -W -n docs docs/_build`, strict about every link."""

import re

from sphinx.application import Sphinx

from hbtrack.version import __version__

project = "hbtrack"
version = release = __version__
language = "en"
extensions = ["myst_parser"]
smartquotes = False  # they make a dash of two hyphens
exclude_patterns = ["_build"]

myst_heading_anchors = 3  # the same names of headings as in a repository's browser
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"hbtrack {__version__}"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False


def setup(app: Sphinx) -> None:
    """What index.md links is the navigation, in that order; a page it lacks fails the build."""
    app.connect("source-read", _add_navigation)
    app.connect("source-read", _as_files)


def _add_navigation(_app: Sphinx, page: str, text: list[str]) -> None:
    if page == "index":
        pages = "\n".join(re.findall(r"\]\((\w+)\.md\)", text[0]))
        text[0] += f"\n```{{toctree}}\n:hidden:\n{pages}\n```\n"


def _as_files(_app: Sphinx, _page: str, text: list[str]) -> None:
    """A link to a page outside of this folder leads to a copy of its file, which must be there."""
    text[0] = re.sub(r"\]\((\.\./[\w/]+\.(?:md|py))\)", r"](path:\1)", text[0])
