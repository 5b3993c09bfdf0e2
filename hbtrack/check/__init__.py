"""Does a script keep the contract? It is tried, point by point, in copies of its folder.

Read in this order: finding, outlook, budgets, scratch, told, script_run, advice, functions,
workspaces, training, calls, checkpoints, other_search, procedure, checks.
"""
