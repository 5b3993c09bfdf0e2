"""What peers keep, at any size, without scripts.

A module of this package has

- `fill(folder, count)`: so many results are there, by its own way of writing or faster;
- `write(folder, count)`: seconds of each of so many more, each with the question for the next;
- QUESTIONS: `best`, `next` (open it, say what to run), `report` (what its users look at), each of
  which opens what is stored and answers.

HOW says how it was filled. Each step runs in a process of its own, timed inside, after imports.
"""

STORES = ("ours", "optuna_sqlite", "optuna_journal", "syne", "dehb_")
WITHOUT = {"raytune": "not measured: it keeps a folder per trial, and only running trials fills it"}
