"""Plants breaks in a copy of hbtrack, one at a time, and shows that the tests catch each.

    python tests/mutants.py [WORD ...]

The breaks are in mutants.toml; with words only those whose claim has one of them. Their tests must
pass without a break. It fails if one survives or has no place any more, as does
script/test_habits.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SECONDS = 900
"""How long the tests of one break may take: one that hangs them is caught as well."""


@dataclass(frozen=True)
class Break:
    """An entry of mutants.toml."""

    claim: str
    file: str
    old: str
    new: str
    tests: str

    def planted(self, text: str) -> str:
        assert text.count(self.old) == 1, f"{text.count(self.old)} times in {self.file}: {self.old}"
        return text.replace(self.old, self.new)


BREAKS = [
    Break(claim, **facts)
    for claim, facts in tomllib.loads(Path(__file__).with_suffix(".toml").read_text()).items()
]


def files() -> list[Path]:
    """What git knows of the working tree, and what is new in it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return [Path(os.fsdecode(name)) for name in names.split(b"\0")[:-1]]


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the working tree, in which breaks can be planted."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for file in files():
            if (ROOT / file).is_file():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, folder / file)
        yield folder


def failing(folder: Path, tests: str) -> str | None:
    """The first of the tests that fails, None if all pass. Whatever else happens is an error."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--numprocesses=0", "--tb=no"]
    command += ["-p", "no:cacheprovider", *(f"tests/{name}" for name in tests.split())]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"hangs for {SECONDS} seconds"
    if result.returncode == 0:
        return None
    said = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert result.returncode == 1, result.stdout + result.stderr
    return said[0].partition(" ")[2].partition(" - ")[0]


def main() -> int:
    words = sys.argv[1:]
    breaks = [one for one in BREAKS if not words or any(word in one.claim for word in words)]
    survivors = []
    with copied() as folder:
        tests = {name for one in breaks for name in one.tests.split()}
        if found := failing(folder, " ".join(sorted(tests))):
            print(f"{found} fails without any break")
            return 1
        for one in breaks:
            file = folder / "hbtrack" / one.file
            file.write_text(one.planted(file.read_text()))
            found = failing(folder, one.tests)
            shutil.copy2(ROOT / "hbtrack" / one.file, file)
            print(f"{one.claim}\n    {found or 'SURVIVES'}", flush=True)
            survivors += [one] if found is None else []
    print(f"{len(breaks) - len(survivors)} of {len(breaks)} breaks are caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
