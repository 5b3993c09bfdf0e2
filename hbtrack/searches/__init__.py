"""What people do to a search, one verb per file.

Read in this order: file, session, terms, start, places, extend, retry, saved, clean, remove,
verify.
"""
