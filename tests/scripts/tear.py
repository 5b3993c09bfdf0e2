"""Write to the database that is named, without a -wal, and be killed in the midst of it."""

import os
import signal
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in ("journal_mode = DELETE", "foreign_keys = 0", "cache_size = 1"):
    connection.execute(f"PRAGMA {statement}").fetchall()
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE filling (a)")
connection.execute("INSERT INTO filling SELECT randomblob(9000) FROM pragma_module_list")
tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
for (table,) in tables:
    connection.execute(f"DELETE FROM {table}")
os.kill(os.getpid(), signal.SIGKILL)
