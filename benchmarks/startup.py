"""How long commands take on a small database, against Python with the libraries they cannot avoid.

    python benchmarks/startup.py [--rounds 15]

The database holds a finished search of 206 evaluations. Each round runs every command once, in
turn, so that all see the same machine. CPU and wall milliseconds: medians, and the CPU time as a
multiple of that of the reference. On a busy machine trust the CPU times. The Tab key runs no
Python: a shell completes with what `hbtrack completion` printed once.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SCRIPT = """
import sys

def get_random_config_id(rng):
    return f"x:{rng.uniform():.9f}"

def run_identity(argv):
    return "startup"

if __name__ == "__main__":
    print(sys.argv[1][2:])
"""

ARGPARSE = (sys.executable, "-c", "import argparse")
TABULATE = (sys.executable, "-c", "import sqlite3, tabulate")
RUN = ("run", "--max-epochs", "81", "script.py")

TAB = (
    "bash",
    "--norc",
    "-c",
    "source completion; COMP_WORDS=(hbtrack re); COMP_CWORD=1; _shtab_hbtrack hbtrack re hbtrack; "
    '[ "${COMPREPLY[0]}" ]',
)
"""A shell that starts, and completes a word."""

COMMANDS: list[tuple[tuple[str, ...], tuple[str, ...], float]] = [
    (("--help",), ARGPARSE, 2),
    (("--version",), ARGPARSE, 2),
    (("status",), TABULATE, 2),
    (("report",), TABULATE, 2),
    (("show", "best"), TABULATE, 2),
    (("sql", "SELECT * FROM brackets"), TABULATE, 2),
    (RUN, TABULATE, 3),
    (("resume",), TABULATE, 3),
]
"""Command, reference, and how many times as long as that it may take."""


HBTRACK = os.fspath(Path(sys.executable).with_name("hbtrack"))


def spent(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """Milliseconds of CPU, its children's with it, and by the wall."""
    begun = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, cwd=folder, **quiet) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return 1000 * (used.ru_utime + used.ru_stime), 1000 * (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.py").write_text(SCRIPT)
        spent((HBTRACK, *RUN), folder)
        with (folder / "completion").open("w") as file:
            subprocess.run([HBTRACK, "completion", "bash"], stdout=file, check=True)
        asked = [(HBTRACK, *command) for command, _, _ in COMMANDS]
        programs = [ARGPARSE, TABULATE, TAB, *asked]
        found: dict[tuple[str, ...], list[tuple[float, float]]] = {one: [] for one in programs}
        for _ in range(rounds):
            for one in programs:
                found[one].append(spent(one, folder))
    middle = {
        one: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for one, rows in found.items()
    }
    print(f"{'':32}   CPU   wall")
    for one in (ARGPARSE, TABULATE):
        print(f"{'python ' + ' '.join(one[1:]):32}{middle[one][0]:6.1f}{middle[one][1]:7.1f}")
    print(f"{'the Tab key in a new bash':32}{middle[TAB][0]:6.1f}{middle[TAB][1]:7.1f}")
    for words, (command, reference, most) in zip(asked, COMMANDS, strict=True):
        cpu, wall = middle[words]
        ratio = cpu / middle[reference][0]
        print(f"{' '.join(command)[:30]:32}{cpu:6.1f}{wall:7.1f}  {ratio:.1f} x (<= {most:g})")


if __name__ == "__main__":
    main()
