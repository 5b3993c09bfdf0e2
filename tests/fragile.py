"""A search whose machine is not well at times, and what it comes to all the same."""

from conftest import Hbtrack

_SCRIPT = """
import argparse, hashlib, os, sys, time

def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"

def run_identity(argv):
    return "fragile"

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--gpu")
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--outage", type=int, nargs=2, default=(0, 0))
    args = parser.parse_args()
TRAIN
    digest = hashlib.sha256(f"{args.config_id} {args.epochs}".encode()).digest()
    print(int.from_bytes(digest[:6], "big") / 2**48)
"""

_RESULTS = "SELECT pass, bracket, rung, slot, config_id, loss, promoted, reused FROM results"


def fragile(train: str) -> str:
    """A script that does this before it prints its loss, which says nothing of what went wrong."""
    return _SCRIPT.replace("TRAIN", train.strip("\n"))


def results(hbtrack: Hbtrack) -> list[tuple[object, ...]]:
    """What a search came to that is sound."""
    assert "sound" in hbtrack("db", "check").stderr
    return sorted(hbtrack.rows(_RESULTS), key=str)


def undisturbed(hbtrack: Hbtrack, script: str, max_epochs: int) -> list[tuple[object, ...]]:
    """The results of a search with this script that never failed."""
    (hbtrack.folder / "script.py").write_text(script)
    hbtrack("run", "-q", "--max-epochs", max_epochs, "script.py")
    return results(hbtrack)
