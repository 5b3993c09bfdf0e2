"""What was found, read from the public views.

Read in this order: width, state, time_left, snapshot, ranking, agreement, direction, comparability,
traits, failures, script_changes, config, logs, queries, live, page.
"""
