"""What people do to a search, one verb per file.

Read in this order: one_name, file, patience, session, terms, saved, start, extend, retry, clean,
remove, verify.
"""
