"""The ranked table: all configs with a loss, their parameters beside them."""

from hbtrack.report.page import gather
from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.parameters import PARAMETERS
from hbtrack.report.page.section import Section, Table
from hbtrack.report.page.wording import count, short
from hbtrack.report.ranking import unused_sentence


def figure(facts: PageFacts) -> Section | None:
    """The leaderboard with the parameters as columns; None without a loss."""
    if not facts.leaders:
        return None
    names = facts.names[:PARAMETERS]
    most = 36 if names else 80  # where its parameters stand beside it, less of an id will do
    fixed = ("rank", "config_id", "loss", "epochs", "epochs_reached", "bracket", "seconds")
    rows = tuple(
        (
            *(short(row[name], most) if name == "config_id" else row[name] for name in fixed),
            *(facts.params.get(row["config_id"], {}).get(name) for name in names),
        )
        for row in facts.leaders
    )
    text = f"{count(facts.ranked, 'config')}, ranked by the smallest loss at any budget."
    if facts.ranked > len(rows):
        text = f"The {len(rows):,} best of {text}"
    texts = [text]
    if unused := unused_sentence(facts.leaders):
        texts.append(unused)
    titles = ("rank", "config", "loss", "at epochs", "reached", "bracket", "seconds")
    columns = (*titles, *(short(name, 40) for name in names))
    return Section(
        "ranked",
        "All configs, ranked",
        texts,
        [],
        {},
        Table(columns, rows, facts.ranked),
        gather.LEADERBOARD,
    )
