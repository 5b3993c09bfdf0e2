#!/usr/bin/env bash
# rich 15.0.0: what a Live block shows last has no end of line where stdout is no terminal, so that the next
# print goes on in it.
#
# Expected: after the block a line of its own begins, as it does on a terminal; a number that is printed
#   then stands alone.
# Seen: into a file "epoch 3" and print(0.4375) become "epoch 30.4375". Where what is shown ends with digits,
#   or is a number, another number stands there and nothing tells.
# Helps: print() after the block, or transient=True.
#
# Exits with 0 while it is so, with 1 when it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset FORCE_COLOR TTY_COMPATIBLE TTY_INTERACTIVE
python3 -m venv venv
venv/bin/python -m pip install -q rich==15.0.0

cat >train.py <<'PY'
import sys

from rich.live import Live
from rich.text import Text

with Live(Text("epoch 0"), transient=sys.argv[1] == "transient") as live:
    for epoch in (1, 2, 3):
        live.update(Text(f"epoch {epoch}"))
if sys.argv[1] == "print":
    print()
print(0.4375)
PY

for how in plain print transient; do
    venv/bin/python train.py "$how" >"$how"
    echo "$how: $(tail -n 1 "$how")"
done
test "$(tail -n 1 print)" = 0.4375
test "$(tail -n 1 transient)" = 0.4375
test "$(tail -n 1 plain)" = "epoch 30.4375" || { echo "changed: the line ends"; exit 1; }
