"""Does a script keep the contract? It is tried, point by point, in copies of its folder.

Read in this order: finding, advice, scratch, script_run, training, candidates, functions,
workspaces, calls, checkpoints, trainer, procedure, checks.
"""
