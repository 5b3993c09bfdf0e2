"""One step: `python -m stores NAME fill|write|best|next|report FOLDER COUNT`; prints seconds."""

import contextlib
import importlib
import io
import json
import sys
import time
from pathlib import Path

name, step, folder, count = sys.argv[1:]
store = importlib.import_module(f"stores.{name}")
begun = time.perf_counter()
# With a buffer below it, as a stdout has: tables are written to that.
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
    if step == "fill":
        store.fill(Path(folder), int(count))
        found = time.perf_counter() - begun
    elif step == "write":
        found = store.write(Path(folder), int(count))
    else:
        answered = store.QUESTIONS[step](Path(folder))
        found = answered if isinstance(answered, float) else time.perf_counter() - begun
print(json.dumps(found))
