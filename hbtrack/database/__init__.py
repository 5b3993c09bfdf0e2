"""The SQLite file: schema, views, opening, upgrading.

Read in this order: location, trust, filesystem, reader, revision, schema, dictionary, views, ddl,
connection, backup, upgrade.
"""
