"""The functions that hbtrack calls in a script, and the ids that come from them: anything may."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MAIN, SAMPLER, TOY, Hbtrack

Script = Callable[..., Path]

IDENTITY = """
def run_identity(argv):
    return "hooks"
"""


def draws(ids: list[str]) -> str:
    """A script that draws these ids in their order; each has its number as its loss."""
    return f"""
import sys
IDS = {ids!r}
left = iter(IDS * 100)
def get_random_config_id(rng):
    return next(left)
{IDENTITY}
if __name__ == "__main__":
    with open("called", "ab") as file:
        file.write(sys.argv[1].encode() + b"\\0")
    print(IDS.index(sys.argv[1]))
"""


# --- hooks that break ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A database with a finished search of another script."""
    search = Hbtrack(tmp_path_factory.mktemp("kept"))
    search("run", "--max-epochs", 1, TOY)
    return search


ENDS = {
    "raise LookupError('no such model')": "LookupError: no such model",
    "import sys; sys.exit('no such model')": "sys.exit('no such model')",
    "import os; os._exit(7)": "exit code 7",
    "import ctypes; ctypes.string_at(0)": "SIGSEGV",
}


@pytest.mark.parametrize("hook", ["run_identity(argv)", "get_random_config_id(rng)"])
@pytest.mark.parametrize("end", ENDS)
def test_fault_53_a_hook_that_breaks_is_named_and_the_database_stays_as_it_was(
    kept: Hbtrack, hook: str, end: str
) -> None:
    before = hashlib.sha256(kept.database.read_bytes()).digest()
    path = kept.folder / "breaks.py"
    path.write_text(f"{IDENTITY}{SAMPLER}\ndef {hook}:\n    {end}\n{MAIN}")
    said = kept("run", path, code=2).stderr
    assert f"{hook.partition('(')[0]} of {path}" in said
    assert ENDS[end] in said
    assert "Nothing was started" in said
    assert hashlib.sha256(kept.database.read_bytes()).digest() == before


# --- ids of every kind ---------------------------------------------------------------------------


CHECKPOINTS = "hbtrack.db.d/checkpoints(/[0-9a-f]{12}(/[0-9a-f]{20})?)?"


def test_fault_63_an_id_never_becomes_part_of_a_path(hbtrack: Hbtrack, script: Script) -> None:
    ids = ["../../x", "/etc/passwd", "con", "n" * 300, "..", "a/b", "~", "hbtrack.db", "log"]
    path = script(draws(ids))
    hbtrack("run", "--max-epochs", 9, path)
    assert hbtrack.rows("SELECT count(*) FROM leaderboard") == [(len(ids),)]
    found = {str(each.relative_to(hbtrack.folder)) for each in hbtrack.folder.rglob("*")}
    found = {name for name in found if not re.fullmatch(r"locks(/db-\d+-\d+)?", name)}
    of_the_search = {"driver.lock", "log", "warden.err", "0.lock", "0.out", "0.err"}
    own = {"hbtrack.db", "hbtrack.db.d", "hbtrack.db.d/1", "script.py", "called"}
    kept = {name for name in found if re.fullmatch(CHECKPOINTS, name)}
    assert found - kept - {"hbtrack.db-wal", "hbtrack.db-shm"} <= own | {
        f"hbtrack.db.d/1/{name}" for name in of_the_search
    }
    assert len(kept) == 2 + len(ids)
    outside = {each.name for each in hbtrack.folder.parent.iterdir()}
    assert not outside & {"x", "passwd", "con", "n" * 300}


def test_fault_64_ids_that_differ_in_case_or_normal_form_are_different_configs(
    hbtrack: Hbtrack, script: Script
) -> None:
    ids = ["a", "A", "\u00e9", "e\u0301", "\u0130", "i", "a ", " a", "1", "1.0", "\u212b", "\u00c5"]
    hbtrack("run", "--max-epochs", 9, script(draws(ids)), env={"LC_ALL": "C"})
    found = hbtrack.rows("SELECT config_id, loss FROM leaderboard ORDER BY loss")
    assert found == [(each, number) for number, each in enumerate(ids)]


def test_fault_65_an_id_that_looks_like_sql_is_data_in_every_query_and_every_table(
    hbtrack: Hbtrack, script: Script
) -> None:
    ids = [
        "'; DROP TABLE _evaluation; --",
        "x' OR '1'='1",
        '" OR ""="',
        "1); DELETE FROM _attempt; --",
        "?",
        ":pk",
        "%(name)s {0} %s",
        "x\\'; SELECT 1",
        "* FROM results",
        "NULL",
        '[a] `b` "c"',
        "%_",
    ]
    hbtrack("run", "--max-epochs", 9, script(draws(ids)))
    (hbtrack.folder / "called").unlink()
    [search] = hbtrack.json("report", "--top", 100)["searches"]  # type: ignore[misc]
    assert [row["config_id"] for row in search["leaderboard"]] == ids  # type: ignore[index]
    for each in ids:
        quoted = each.replace("'", "''")
        query = f"SELECT loss FROM leaderboard WHERE config_id = '{quoted}'"
        assert hbtrack.rows(query) == [(ids.index(each),)]
    said = hbtrack("status", "--identity", ids[1], code=3).stderr
    assert json.dumps(ids[1])[1:-1] in said
    hbtrack("resume")
    assert not os.path.exists(hbtrack.folder / "called"), "nothing is left to do"
