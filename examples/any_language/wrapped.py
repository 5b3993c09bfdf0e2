"""Lets hbtrack search what train.pl needs, a program in another language."""

import os
import subprocess
import sys
from pathlib import Path


def get_random_config_id(rng):
    """A step size, log-uniform, and a momentum."""
    return f"lr:{10 ** rng.uniform(-5, -2):.3g}.momentum:{rng.uniform(0, 0.99):.3f}"


def run_identity(argv):
    """One experiment; what argv says makes no difference."""
    return "valley"


if __name__ == "__main__":
    config_id, epochs = sys.argv[1], sys.argv[sys.argv.index("--epochs") + 1]
    lr, momentum = config_id.removeprefix("lr:").split(".momentum:")
    folder = Path(os.environ.get("HBTRACK_CHECKPOINT", "."))  # run by hand it saves here
    state = folder / f"{config_id}.state"  # these ids are short and have no /
    program = Path(__file__).with_name("train.pl")
    command = ["perl", program, lr, momentum, epochs, state, f"{state}.new"]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    Path(f"{state}.new").replace(state)  # a kill at any moment leaves one whole state
