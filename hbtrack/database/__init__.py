"""The SQLite file: schema, views, opening, upgrading.

Read in this order: location, filesystem, reader, revision, tables, dictionary, views, connection,
upgrade.
"""
