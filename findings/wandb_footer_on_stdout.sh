#!/usr/bin/env bash
# wandb 0.31.0: a script that does not call finish() gets wandb's footer on stdout, after its last line.
#
# Expected: what wandb says to people goes to stderr, as all of it does where finish() is called or the
#   run is a `with`; at least with console="off", "do not capture console output".
# Seen: at exit four coloured lines ("wandb: You can sync this run to the cloud ...") on stdout, below
#   what the script printed last, for a program that reads the last line. console="off" changes nothing.
# Helps: wandb.finish() before the last print.
#
# Exits with 0 while it is so, with 1 when it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export WANDB_MODE=offline HOME=$work
unset WANDB_SILENT WANDB_CONSOLE
python3 -m venv venv
venv/bin/python -m pip install -q wandb==0.31.0

cat >train.py <<'PY'
import sys

import wandb

settings = wandb.Settings(console="off") if sys.argv[1] == "off" else None
run = wandb.init(project="digits", settings=settings)
run.log({"loss": 0.4375})
if sys.argv[1] == "finish":
    wandb.finish()
print(0.4375)
PY

for how in plain off finish; do
    venv/bin/python train.py "$how" >"$how" 2>stderr
    echo "$how: $(awk 'after; /^0.4375$/ { after = 1 }' "$how" | wc -l) lines after the last print"
done
test "$(tail -n 1 finish)" = 0.4375
grep -q "wandb.*sync" plain && grep -q "wandb.*sync" off || { echo "changed: nothing comes after"; exit 1; }
