"""Who holds a database locked, as far as the kernel tells (Linux). Standard library only."""

from pathlib import Path

LOCKS = Path("/proc/locks")

WAL_WRITER = 120
"""The byte of the -shm file that a writer locks: https://sqlite.org/walformat.html."""

RESERVED = 0x40000001
"""The byte of the database that one locks where there is no WAL: https://sqlite.org/lockingv3.html.
"""


def holder_of(path: Path) -> str:
    """The process that writes to the database just now, in words."""
    for file, byte in ((path.with_name(path.name + "-shm"), WAL_WRITER), (path, RESERVED)):
        if (pid := _writer(file, byte)) is not None:
            return f"Process {pid} ({_command(pid)})"
    return "Another process"


def _writer(file: Path, byte: int) -> int | None:
    """Who has a write lock on that byte of a file. Only looks: opening it would drop our own."""
    try:
        inode, lines = str(file.stat().st_ino), LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, kind, _, mode, pid, where, first, last = line.replace("-> ", "").split()
        if (kind, mode, where.rpartition(":")[2]) == ("POSIX", "WRITE", inode):
            until = float("inf") if last == "EOF" else int(last)
            if int(first) <= byte <= until:
                return int(pid)
    return None


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return "not visible from here"
    return " ".join(words).strip()[:100]
