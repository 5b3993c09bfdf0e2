"""Later passes: sampled when they open, one more import of the script for each."""

from collections.abc import Callable

from conftest import TOY, Hbtrack

SEARCH = ("run", "--max-epochs", 3, "--passes", 2)


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
