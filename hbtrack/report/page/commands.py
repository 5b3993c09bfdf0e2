"""What can be typed: to go on, to look further, to run the same again; and what that needs."""

import json
import shlex

from hbtrack.report.page.facts import PageFacts
from hbtrack.report.page.svg.scales import number
from hbtrack.report.page.wording import short, stamp
from hbtrack.text import in_folder, option, printable
from hbtrack.version import __version__

SCRIPTS = """
SELECT script_sha256, min(started_at) AS first_at, max(started_at) AS last_at,
    count(*) AS attempts
FROM attempts WHERE run_identity = :identity GROUP BY script_sha256 ORDER BY first_at"""


def hbtrack(facts: PageFacts, *words: str) -> str:
    """A command of hbtrack for this search, whatever folder it is typed in."""
    options = [*option("--identity", facts.identity), *option("--db", facts.database)]
    return shlex.join(["hbtrack", *words, *options])


def go_on(facts: PageFacts) -> str | None:
    """What to type where the search could go on and no hbtrack works on it."""
    over = facts.state in ("running", "finished") or facts.only_failed
    return None if over else hbtrack(facts, "resume")


def mend(facts: PageFacts) -> list[tuple[str, str]]:
    """What to type once what failed is mended, each with what it does; nothing without failures."""
    if not facts.failed:
        return []
    alive = facts.state in ("running", "orphaned")
    return [
        *([("First stop it:", hbtrack(facts, "stop"))] if alive else []),
        ("When it is mended, take the failures back:", hbtrack(facts, "retry")),
        ("Then go on:", hbtrack(facts, "resume")),
    ]


def reproduce(facts: PageFacts) -> list[tuple[str, str]]:
    """The search's parameters, a name and a value each."""
    search = facts.search
    hosts = sorted({driver.host for driver in facts.drivers})
    return [
        ("script", printable(search["script"])),
        ("working directory", printable(facts.cwd)),
        ("its arguments", printable(shlex.join(json.loads(search["script_args"]))) or "none"),
        ("sha256 of the script", ", ".join(facts.scripts) or "not known yet"),
        ("seed", str(search["seed"])),
        ("max_epochs", f"{search['max_epochs']:,}"),
        ("min_epochs", f"{search['min_epochs']:,}"),
        ("eta", number(search["eta"])),
        ("best is", "the largest loss (--maximize)" if facts.maximize else "the smallest loss"),
        ("passes", f"{search['passes']:,}"),
        ("failure loss", number(search["failure_loss"])),
        ("started", stamp(search["created_at"])),
        ("finished", stamp(search["finished_at"]) or "not yet"),
        ("machines", ", ".join(map(short, hosts))),
        ("hbtrack", __version__),
    ]


def again(facts: PageFacts) -> str:
    """The command that runs the same search, in a database of its own."""
    search = facts.search
    words = ["hbtrack", "run", "--db", "again.db", "--max-epochs", str(search["max_epochs"])]
    words += ["--eta", number(search["eta"]), "--seed", str(search["seed"])]
    words += ["--passes", str(search["passes"])]
    if search["maximize"]:
        words.append("--maximize")
    if search["min_epochs"] != 1:
        words += option("--min-epochs", str(search["min_epochs"]))
    if search["failure_loss"] != (-100 if search["maximize"] else 100):
        words += option("--failure-loss", repr(search["failure_loss"]))
    args = json.loads(search["script_args"])
    # Words of the script's that hbtrack would take for its own stand after a --.
    words += [search["script"], *(["--", *args] if args else [])]
    return in_folder(facts.cwd, shlex.join(words))
