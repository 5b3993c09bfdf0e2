"""What was found, read from the public views.

Read in this order: width, state, time_left, logs, ranking, traits, agreement, config, failures,
queries, live, page.
"""
