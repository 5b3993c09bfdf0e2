"""As if all files lay where several machines may use them: SQLite keeps a rollback journal then."""

import hbtrack.database.filesystem

hbtrack.database.filesystem.is_shared = lambda _kind: True
