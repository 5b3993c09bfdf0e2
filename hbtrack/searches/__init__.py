"""What people do to a search, one verb per file.

Read in this order: session, terms, start, extend, retry, remove, verify.
"""
