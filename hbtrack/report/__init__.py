"""What was found, read from the public views.

Read in this order: width, described, state, time_left, snapshot, columns, ranking, called,
agreement, direction, starts, comparability, traits, failures, script_changes, which_config,
config, side_by_side, logs, wide, queries, answers, live, page.
"""
