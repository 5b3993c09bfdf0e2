"""hbtrack beside its peers, on the same script, in one run; then the page with its pictures.

    pip install -e '.[bench]'
    python benchmarks/against.py            measure all, then write docs/benchmarks.*
    python benchmarks/against.py --page     only write the page anew from docs/benchmarks.json
    python benchmarks/against.py --only storage --peers ours optuna_sqlite --json /tmp/some.json

A full run takes about a quarter of an hour on two cores; it should have the machine to itself.
Peers take turns, block by block, so that all see the same machine. A peer that is not installed or
does not run is on the page with its message.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from comparison.machine import describe, introduce
from comparison.measures import MEASURES, QUICK, Size
from comparison.page import write_page
from peers import PEERS

DOCS = Path(__file__).parent.parent / "docs"


def measure(names: list[str], measures: list[str], size: Size, path: Path) -> None:
    """Write all rows, with what they were measured on; after each what is there so far."""
    machine, begun, rows = describe(), time.monotonic(), []
    found = introduce(names)
    running = [name for name in names if not found[name]["failed"]]
    for one in measures:
        for row in MEASURES[one](running, size):
            rows.append(row)
            machine["load_after"] = round(os.getloadavg()[0], 2)
            machine["minutes"] = round((time.monotonic() - begun) / 60, 1)
            results = {"machine": machine, "peers": found, "rows": rows}
            path.write_text(json.dumps(results, indent=1) + "\n")
            print(json.dumps(row), file=sys.stderr, flush=True)


def main() -> None:
    """Measure, keep, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--quick", action="store_true", help="very little of everything: does it run?"
    )
    parser.add_argument("--blocks", type=int, default=4, help="of overhead; half as many passes")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument(
        "--json", type=Path, default=DOCS / "benchmarks.json", help="the page is written beside it"
    )
    args = parser.parse_args()
    if not args.page:
        whole = Size(blocks=args.blocks, rounds=max(args.blocks // 2, 1))
        measure(args.peers, args.only, QUICK if args.quick else whole, args.json)
    write_page(args.json)


if __name__ == "__main__":
    main()
