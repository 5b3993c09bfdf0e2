"""What owning an attempt costs: hbtrack's executor, without a database, against the bare script.

    python benchmarks/attempt.py [--blocks 21] [--size 10]

Blocks of evaluations alternate between `subprocess.run` and the executor (own session, streams to
files, inherited lock, exit record, last line), so that both see the same machine. Milliseconds of
wall time per evaluation; medians and quartiles of the differences between neighbours.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hbtrack.executors.local import LocalExecutor


def per_evaluation(run: Callable[[], None], size: int) -> float:
    """Milliseconds that a call takes, on average over so many in a row."""
    begun = time.perf_counter()
    for _ in range(size):
        run()
    return (time.perf_counter() - begun) / size * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=21)
    parser.add_argument("--size", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "script.py"
        script.write_text("print(0.5)\n")
        command = [sys.executable, str(script)]
        executor = LocalExecutor(folder, cwd=name, token="bench", max_log=2**31, holder="bench")
        count = 0

        def bare() -> None:
            subprocess.run(command, capture_output=True, check=True)

        def owned() -> None:
            nonlocal count
            count += 1
            executor.start(count, executor.take_worker(), command, {})
            ended = []
            while not ended:
                ended = executor.wait(None)
            assert executor.output(ended[0]).last_line == b"0.5"
            executor.clear(ended[0])

        bare()
        owned()
        pairs = [
            (per_evaluation(bare, args.size), per_evaluation(owned, args.size))
            for _ in range(args.blocks)
        ]
        executor.close()
    over = sorted(owned_ms - bare_ms for bare_ms, owned_ms in pairs)
    quarter = len(over) // 4
    print(f"bare   {statistics.median(pair[0] for pair in pairs):6.2f} ms")
    print(f"owned  {statistics.median(pair[1] for pair in pairs):6.2f} ms")
    print(
        f"over   {statistics.median(over):+6.2f} ms  "
        f"[{over[quarter]:+.2f}, {over[-quarter - 1]:+.2f}]"
    )


if __name__ == "__main__":
    main()
