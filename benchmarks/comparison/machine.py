"""On what it was measured."""

import importlib
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stores import WITHOUT

from comparison.running import PeerFailed, peer


def describe() -> dict[str, object]:
    """The machine, and how busy it is."""
    names = [
        line.partition(":")[2].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo")), 0)
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "folder": filesystem(),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "load_before": round(os.getloadavg()[0], 2),
    }


def filesystem() -> str:
    """The kind of file system under the folder for temporary files."""
    folder, best = tempfile.gettempdir(), ("", "unknown")
    for line in _lines("/proc/mounts"):
        _, place, kind = line.split()[:3]
        if folder.startswith(place) and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


def introduce(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Each peer's title, version and what is to be said of it; of one that cannot be loaded why."""
    found = {}
    for name in names:
        one = {"title": name, "version": "", "about": "not run here.", "failed": ""}
        try:
            module = peer(name)
            one |= {
                "title": module.TITLE,
                "about": module.ABOUT,
                "version": version(module.DISTRIBUTION),
            }
        except (PeerFailed, PackageNotFoundError) as error:
            one["failed"] = f"{error}"
        found[name] = one | {"stored": how_stored(name)}
    return found


def how_stored(name: str) -> str:
    """How its store is filled."""
    if name in WITHOUT:
        return WITHOUT[name]
    try:
        return str(importlib.import_module(f"stores.{name}").HOW)
    except ImportError as error:
        return f"not measured: {error}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
