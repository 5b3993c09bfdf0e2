"""Does a script keep the contract? It is tried, point by point, in copies of its folder.

Read in this order: finding, budgets, outlook, scratch, told, script_run, command_line, advice,
functions, workspaces, sources, abbreviations, training, noise, trainer, calls, losses,
checkpoints, other_search, candidates, neighbours, kills, procedure, checks.
"""
