"""What PYTHONUNBUFFERED=1, with which attempts start, costs a script that prints much.

    python benchmarks/unbuffered.py [--lines 100000] [--blocks 10]

The same script prints so many lines into a file, with and without it in turn. CPU microseconds per
line beyond those with a buffer: medians and quartiles over the blocks.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

WAYS = {
    'print(f"epoch {i} loss {i / 7}")': "one string",
    'print("epoch", i, "loss", i / 7)': "four words",
}


def seconds(statement: str, lines: int, unbuffered: str) -> float:
    """CPU seconds of a script that executes the statement so often; of its children none."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            [sys.executable, "-c", f"for i in range({lines}): {statement}"],
            stdout=output,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=True,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each way to print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--blocks", type=int, default=10)
    args = parser.parse_args()
    for statement, name in WAYS.items():
        differences = [
            1e6 * (seconds(statement, args.lines, "1") - seconds(statement, args.lines, ""))
            for _ in range(args.blocks)
        ]
        low, median, high = statistics.quantiles([one / args.lines for one in differences], n=4)
        print(f"{name}: {median:.1f} us per line [{low:.1f}, {high:.1f}]  {statement}")


if __name__ == "__main__":
    main()
