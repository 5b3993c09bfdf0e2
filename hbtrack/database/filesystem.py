"""What kind of file system a database lies on. Standard library only.

SQLite's write-ahead log needs memory that all its users share, so it works on one machine only. On
file systems that several machines may mount the older rollback journal is used.
"""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

_SHARED = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "ceph", "lustre"),
    *("gpfs", "beegfs", "pvfs2", "orangefs", "glusterfs", "ocfs2", "gfs2", "virtiofs", "vboxsf"),
    *("prl_fs", "fuse"),
}


def is_shared(kind: str) -> bool:
    """Whether several machines may use a file system of that kind at once."""
    return kind in _SHARED or kind.startswith("fuse.")


def kind_of(path: Path, mounts: Path = MOUNTS) -> str:
    """The kind of file system under `path`, such as ext4 or nfs4; empty where nobody tells."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    path = path.resolve()  # a link may lead to another file system
    found: tuple[int, str] = (-1, "")
    for line in lines:
        mount, _, kind = line.partition(" - ")
        # The fifth field is the mount point, with \040 for a space; later mounts hide earlier ones.
        point = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), mount.split()[4]))
        if path.is_relative_to(point) and len(point.parts) >= found[0]:
            found = len(point.parts), kind.split()[0]
    return found[1]


LOCKS = Path("/proc/locks")


WAL_WRITER = 120
"""The byte of the -shm file that a writer locks: https://sqlite.org/walformat.html."""


RESERVED = 0x40000001
"""The byte of the database that one locks where there is no WAL: https://sqlite.org/lockingv3.html.
"""


def writer_of(path: Path) -> str:
    """The process that writes to the database just now, in words."""
    for file, byte in ((path.with_name(path.name + "-shm"), WAL_WRITER), (path, RESERVED)):
        if (pid := _lock_holder(file, byte)) is not None:
            return f"Process {pid} ({_command(pid)})"
    return "Another process"


def _lock_holder(file: Path, byte: int) -> int | None:
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
