#!/usr/bin/env bash
# adbc-driver-sqlite 1.13.0: a column that is NULL in the first 1,024 rows is taken for whole numbers.
#
# Expected: a column that the table declares as TEXT is read as text, whatever its first rows hold.
# Seen: "[SQLite] Type mismatch in column 0: expected INT64 but got STRING/BINARY" at the first text,
#   for the type of each column comes from the first batch of rows alone.
# Helps: larger batches, set_options(**{"adbc.sqlite.query.batch_rows": "1000000"}) of the cursor's
#   adbc_statement; or rows with a value first.
#
# Exits with 0 while it is so, with 1 when it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q adbc-driver-sqlite==1.13.0 adbc-driver-manager==1.13.0 pyarrow==26.0.1

cat >read.py <<'PY'
import sqlite3
import sys

import adbc_driver_sqlite.dbapi

with sqlite3.connect("rows.db") as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS t (error TEXT)")
    connection.executemany("INSERT INTO t VALUES (?)", [(None,)] * 1024 + [("broken",)])
connection.close()
with adbc_driver_sqlite.dbapi.connect("rows.db") as connection, connection.cursor() as cursor:
    if sys.argv[1:]:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": sys.argv[1]})
    cursor.execute("SELECT error FROM t")
    print(cursor.fetch_arrow_table().schema.field("error").type)
PY

test "$(venv/bin/python read.py 1000000)" = string
if venv/bin/python read.py 2>stderr; then
    echo "changed: it is read as it is declared"
    exit 1
fi
grep -o "Type mismatch in column 0: expected INT64 but got STRING/BINARY" stderr
