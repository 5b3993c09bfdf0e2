"""One peer's search in a process of its own: `python -m peers NAME TASK`."""

import importlib
import json
import sys

from peers.task import Task

importlib.import_module(f"peers.{sys.argv[1]}").search(Task(**json.loads(sys.argv[2])))
