"""What is written to the database and read back; decides nothing.

Read in this order: states, durations, facts, streaks, statements, derived, reading, catalogue,
writer, ledger.
"""
