"""Later passes: sampled when they open, one more import of the script for each."""

from collections.abc import Callable
from pathlib import Path

from conftest import TOY, Hbtrack

SEARCH = ("run", "--max-epochs", 3, "--passes", 2)
FRAGILE = """
import os, sys
if __name__ != "__main__" and os.path.exists("broken"):
    raise ImportError("the library has gone")
def run_identity(argv): return "fragile"
def get_random_config_id(rng): return f"x:{rng.randint(10**9)}"
if __name__ == "__main__":
    open("broken", "w").close()
    print(int(sys.argv[1][2:]) % 97)
"""


def test_a_script_that_breaks_in_mid_search_stops_it_with_all_results_kept(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    result = hbtrack(*SEARCH, script(FRAGILE), code=2)
    assert "ImportError: the library has gone" in result.stderr
    assert "all that is finished is kept" in result.stderr
    assert hbtrack.rows("SELECT DISTINCT pass FROM results") == [(1,)]
    assert hbtrack.rows("SELECT count(*) FROM results WHERE status = 'done'") == [(6,)]
    (hbtrack.folder / "broken").unlink()
    # The first import of a start samples the pass that opens next: nothing breaks any more.
    hbtrack("resume")
    assert hbtrack.rows("SELECT status, evaluations_done FROM searches") == [("finished", 12)]


def test_an_identity_that_changes_in_mid_search_stops_it(
    hbtrack: Hbtrack, script: Callable[[str], Path]
) -> None:
    text = FRAGILE.replace('raise ImportError("the library has gone")', "pass")
    text = text.replace(
        'return "fragile"', 'return "other" if os.path.exists("broken") else "fragile"'
    )
    result = hbtrack(*SEARCH, script(text), code=2)
    assert "says 'other' now, but the search is 'fragile'" in result.stderr
    assert hbtrack.rows("SELECT status FROM searches") == [("unfinished",)]


def test_a_second_pass_draws_other_configs_and_repeats_only_when_it_must(
    hbtrack: Hbtrack,
) -> None:
    hbtrack(*SEARCH, TOY, "--fail", 0)
    ids = [row[0] for row in hbtrack.rows("SELECT config_id FROM results WHERE rung = 0")]
    assert len(set(ids)) == len(ids) == 10


def test_a_seed_names_a_sample_and_another_seed_another(
    another: Callable[[], Hbtrack],
) -> None:
    def sampled(seed: int) -> list[tuple[object, ...]]:
        fresh = another()
        fresh("run", "--max-epochs", 3, "--seed", seed, TOY)
        return fresh.rows(
            "SELECT slot, config_id FROM results WHERE rung = 0 ORDER BY bracket, slot"
        )

    assert sampled(1) == sampled(1) != sampled(2)
