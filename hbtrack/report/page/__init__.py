"""One self-contained page of a search: what was found, drawn, and the SQL behind it.

Read in this order: wording, facts, gather, svg, section, commands, headline, attention, threads,
brackets, best_so_far, curves, early_stopping, effects, panels, parameters, workers, leaderboard,
page, write.
"""
