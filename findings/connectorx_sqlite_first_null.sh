#!/usr/bin/env bash
# connectorx 0.4.6: in SQLite a computed column must have a value in the first row.
#
# Expected: its type is found in the first row that has a value, or asked for.
# Seen: RuntimeError "Cannot infer type from null for SQLite", also for CAST(... AS REAL), which says it.
# Helps: rows with a value first (ORDER BY column IS NULL), or a column of a table as it is declared.
#
# Exits with 0 while it is so, with 1 when it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q connectorx==0.4.6 pyarrow==26.0.1

cat >read.py <<'PY'
import sqlite3
import sys

import connectorx

with sqlite3.connect("rows.db") as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS t (number, row INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(None, 1), (0.5, 2)])
connection.close()
query = f"SELECT CAST(number AS REAL) AS number FROM t ORDER BY {sys.argv[1]}"
table = connectorx.read_sql("sqlite://rows.db", query, return_type="arrow")
print(table.schema.field("number").type)
PY

test "$(venv/bin/python read.py 'number IS NULL')" = double
if venv/bin/python read.py row 2>stderr; then
    echo "changed: a column that begins with NULL is read"
    exit 1
fi
grep -o "Cannot infer type from null for SQLite" stderr
