"""Programs that search hyperparameters, each set up as its own documentation has it.

A peer is a module of this package with

- TITLE and ABOUT, what the page says of it; DISTRIBUTION, whose version it names,
- `search(task)`, which runs the search or goes on with it (or `command(task)`: what to start),
- `results(task)`, what it has accepted.
"""

PEERS = ("ours", "optuna_sqlite", "optuna_journal", "syne", "dehb_", "raytune")
"""In this order they take their turns, after the bare script."""
