"""The one loop, and what it asks before and after each start.

Read in this order: interfaces, lock, rederive, recorder, checkpoints, admission, outage, versions,
harvest, termination, lifetime, rest, driven, starts, loop.
"""
