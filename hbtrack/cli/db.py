"""`hbtrack db`: the database file itself."""

import argparse
from pathlib import Path

from hbtrack.cli import complain, tables
from hbtrack.database.location import database_path, existing_database
from hbtrack.text import printable


def main(args: argparse.Namespace) -> int:
    """Do what `args.action` names."""
    actions = {"path": _path, "upgrade": _upgrade, "backup": _backup, "check": _check}
    return actions[args.action](args)


def _path(args: argparse.Namespace) -> int:
    tables.write(str(database_path(args.db)))
    return 0


def _upgrade(args: argparse.Namespace) -> int:
    from hbtrack.database.revision import peek  # noqa: PLC0415 - reads no more
    from hbtrack.database.upgrade import prepare_for_writing  # noqa: PLC0415
    from hbtrack.searches.file import require_idle  # noqa: PLC0415
    from hbtrack.searches.one_name import under_one_name  # noqa: PLC0415

    path = existing_database(args.db)
    peek(path)  # nothing is made for a file that is not ours
    with under_one_name(path):
        backup = prepare_for_writing(path, complain, require_idle)
    if backup:
        complain(f"Upgraded {path}; what it was before is kept in {backup}.")
    else:
        complain(f"{path} is up to date.")
    return 0


def _backup(args: argparse.Namespace) -> int:
    from hbtrack.database.backup import copy_database  # noqa: PLC0415 - as above
    from hbtrack.store.reading import connected  # noqa: PLC0415

    with connected(args.db):
        pass  # it is ours, and whole enough to read
    source, target = existing_database(args.db), Path(args.file).absolute()
    copy_database(source, target)
    complain(f"Copied {source} to {target}.")
    return 0


def _check(args: argparse.Namespace) -> int:
    from hbtrack.searches.verify import check_database  # noqa: PLC0415 - as above

    path = existing_database(args.db)
    problems = check_database(args.db, args.identity)
    for problem in problems:
        tables.write(printable(problem))
    if not problems:
        complain(f"{path} is sound: everything follows from what was measured.")
    return 1 if problems else 0
