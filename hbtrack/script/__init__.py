"""Asks the user's script, in a process of its own.

Read in this order: kinds, command, inside, conversation, probe, sampler, compiles, files.
"""
