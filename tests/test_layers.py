"""Imports point down only, and commands that only read start without what only writers need."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT, TOY, Hbtrack

# What a folder may import besides itself. All may import `errors`, `text`, `faults` and `version`.
WALLS: dict[str, list[str]] = {
    "core": [],
    "database": [],
    "store": ["core", "database"],
    "script": ["core"],
    "executors": ["core"],
    "driver": ["core", "store", "executors.flock", "executors.processes"],
    "searches": ["core", "database", "store", "script", "executors", "driver"],
    "check": ["core", "script", "executors.processes", "executors.worker_files"],
    "report": [
        *("core", "database", "store", "driver.interfaces", "driver.lock"),
        "executors.worker_files",
    ],
    "cli": [
        *("core", "database", "store", "script", "executors", "driver", "searches", "check"),
        "report",
    ],
}
WORDS = ["errors", "text", "faults", "version"]

# Pairs that must not know each other although the walls would let them.
STRANGERS: dict[str, list[str]] = {
    "hbtrack.core": ["hbtrack.faults"],
    "hbtrack.store": [f"hbtrack.core.{name}" for name in ("decisions", "plan", "plan_state")]
    + ["hbtrack.core.rebuild"],
    "hbtrack.driver.loop": ["hbtrack.executors"],
}

# No clock, no I/O, no processes, no randomness, nothing but the standard library.
IMPURE = [
    *("os", "io", "pathlib", "shutil", "tempfile", "time", "random", "secrets", "uuid"),
    *("socket", "select", "selectors", "subprocess", "threading", "asyncio", "sqlite3", "logging"),
]
SEEDED = ["hbtrack.core.estimate"]  # its random numbers have a fixed seed: the same each time

# Where what is not in the standard library is used. With `lazy`, only inside functions.
LIBRARIES: dict[str, list[str]] = {
    "alembic": ["hbtrack.database.upgrade"],
    "numpy": ["hbtrack.script.inside"],
    "jinja2": ["hbtrack.report.page.page"],
    "psutil": ["hbtrack.executors.processes"],
    "rich": [
        *("hbtrack.report.live.canvas", "hbtrack.report.live.picture"),
        *("hbtrack.report.live.screen", "hbtrack.report.width"),
    ],
    "shtab": ["hbtrack.cli.completion"],
    "tabulate": ["hbtrack.cli.tables"],
    "sqlalchemy": ["hbtrack.database.upgrade"],
}
LAZY = ["alembic", "jinja2", "numpy", "psutil", "rich", "shtab", "tabulate"]

# Imported only inside functions themselves, so that they may import at their top what they draw
# with.
LATE = [
    *("hbtrack.report.live.canvas", "hbtrack.report.live.picture"),
    "hbtrack.report.live.screen",
]

# Run in processes of their own, outside the package: in the user's interpreter, with -S -I.
ALONE = ["hbtrack.script.inside", "hbtrack.script.compiles", "hbtrack.executors.warden"]

HEAVY = {"sqlalchemy", "alembic", "jinja2", "numpy", "rich"}
HEAVY |= {"psutil"} if sys.platform == "linux" else set()


@dataclass(frozen=True)
class Import:
    """A module that another one imports, at its top or when a function is called."""

    module: str
    at_top: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def name_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {
    name_of(path): path
    for path in sorted((ROOT / "hbtrack").rglob("*.py"))
    if path.parent.name != "templates"  # what `hbtrack init` writes is nobody's module
}


@cache
def imports_of(module: str) -> list[Import]:
    """What is imported when the module runs; not what only a type checker sees."""
    return list(_imports_in(ast.parse(MODULES[module].read_text()), at_top=True))


def _imports_in(node: ast.AST, *, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are written in full"
            assert child.module is not None
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield Import(inner if inner in MODULES else child.module, at_top)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _imports_in(other, at_top=at_top)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports_in(child, at_top=at_top and not inside)


def own_imports(module: str) -> set[str]:
    return {one.module for one in imports_of(module) if one.package == "hbtrack"}


def is_within(module: str, folder: str) -> bool:
    """Whether a module is that one, or in that folder."""
    return module == folder or module.startswith(f"{folder}.")


def folder_of(module: str) -> str:
    """The folder of `hbtrack` that a module is in; empty for those beside the folders."""
    name = module.removeprefix("hbtrack").removeprefix(".").partition(".")[0]
    return name if name in WALLS else ""


FOLDERS = sorted(path.parent for path in MODULES.values() if path.stem == "__init__")


# --- the order -----------------------------------------------------------------------------------


def test_beside_the_folders_there_are_only_the_words_and_the_ways_in() -> None:
    top = {path.stem for path in (ROOT / "hbtrack").glob("*.py")}
    assert top == {*WORDS, "__init__", "__main__"}
    assert {path.parent.name for path in (ROOT / "hbtrack").glob("*/__init__.py")} == set(WALLS)


@pytest.mark.parametrize("folder", WALLS)
def test_a_folder_imports_only_what_its_walls_let_in(folder: str) -> None:
    allowed = [f"hbtrack.{name}" for name in (folder, *WORDS, *WALLS[folder])]
    for module in [name for name in MODULES if folder_of(name) == folder]:
        found = own_imports(module) - {"hbtrack"}
        beyond = {name for name in found if not any(is_within(name, one) for one in allowed)}
        assert not beyond, module


@pytest.mark.parametrize("one", STRANGERS)
def test_strangers_do_not_know_each_other(one: str) -> None:
    for module in [name for name in MODULES if is_within(name, one)]:
        known = own_imports(module)
        assert not [n for n in known if any(is_within(n, other) for other in STRANGERS[one])], (
            module
        )


def test_the_words_import_nothing_but_words() -> None:
    for word in WORDS:
        assert own_imports(f"hbtrack.{word}") <= {f"hbtrack.{other}" for other in WORDS}


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: own_imports(module) for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_every_import_of_our_own_is_a_module_that_exists() -> None:
    assert {name for module in MODULES for name in own_imports(module)} <= set(MODULES)


def test_every_name_in_the_tables_is_a_module_that_exists() -> None:
    allowed = {f"hbtrack.{name}" for names in (WALLS, *WALLS.values()) for name in names}
    libraries = {name for names in LIBRARIES.values() for name in names}
    strangers = {name for names in STRANGERS.values() for name in names}
    tables = {*allowed, *STRANGERS, *strangers, *libraries, *LATE, *ALONE, *SEEDED}
    assert tables <= set(MODULES)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_folder_lists_its_modules_in_an_order_in_which_none_needs_a_later_one(
    folder: Path,
) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    _, _, listed = text.partition("Read in this order: ")
    order = re.findall(r"\w+", listed)
    inside = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert set(order) == inside | {path.parent.name for path in folder.glob("*/__init__.py")}
    for number, name in enumerate(order):
        one = f"{name_of(folder / '__init__.py')}.{name}"
        later = [f"{name_of(folder / '__init__.py')}.{other}" for other in order[number + 1 :]]
        for module in [module for module in MODULES if is_within(module, one)]:
            found = own_imports(module)
            assert not [other for other in later if any(is_within(n, other) for n in found)], module


@pytest.mark.parametrize("module", [name for name in MODULES if folder_of(name) == "core"])
def test_the_core_knows_no_clock_no_files_no_processes_and_no_library(module: str) -> None:
    packages = {one.package for one in imports_of(module)} - {"hbtrack"}
    assert packages <= sys.stdlib_module_names
    assert packages & set(IMPURE) == ({"random"} if module in SEEDED else set())


# --- libraries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_only_where_the_table_says(module: str) -> None:
    foreign = {one.package for one in imports_of(module)} - sys.stdlib_module_names - {"hbtrack"}
    assert foreign == {name for name, users in LIBRARIES.items() if module in users}


@pytest.mark.parametrize("module", MODULES)
def test_what_few_commands_need_is_imported_only_when_it_is_used(module: str) -> None:
    at_top = [one for one in imports_of(module) if one.at_top and module not in LATE]
    assert not [one for one in at_top if one.package in LAZY or one.module in LATE]


@pytest.mark.parametrize("module", ALONE)
def test_what_runs_in_a_process_of_its_own_needs_nothing_of_hbtrack(module: str) -> None:
    at_top = {one.package for one in imports_of(module) if one.at_top}
    assert at_top <= sys.stdlib_module_names
    assert "hbtrack" not in {one.package for one in imports_of(module)}


# --- what really is loaded -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Hbtrack:
    """A folder with the database of a small finished search."""
    hbtrack = Hbtrack(tmp_path_factory.mktemp("searched"))
    hbtrack("run", "--max-epochs", 3, "--workers", 2, "--quiet", TOY, "--fail", 0.3)
    return hbtrack


def loaded_by(hbtrack: Hbtrack, *words: str) -> set[str]:
    """The packages that a command loads."""
    command = [sys.executable, "-X", "importtime", "-m", "hbtrack", *words]
    environment = hbtrack.environment()
    result = subprocess.run(
        command, cwd=hbtrack.folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    names = [line.rpartition("|")[2].strip() for line in result.stderr.splitlines()]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("help", "another-driver"),
        ("run", "--help"),
        ("plan",),
        (),
        ("status",),
        ("status", "--format", "json"),
        ("status", "--wait"),
        ("status", "--watch", "--identity", "toy"),
        ("report",),
        ("report", "--format", "html"),
        ("show", "best"),
        ("errors",),
        ("logs", "best"),
        ("sql", "SELECT * FROM leaderboard"),
        ("sql", "SELECT * FROM results", "--format", "csv"),
        ("sql", "@best"),
        ("export", "jsonl", "exported"),
        ("completion", "bash"),
        ("db", "path"),
        ("db", "check"),
        ("db", "upgrade"),
        ("run", "--max-epochs", "1", "--db", "new.db", str(TOY)),
        ("resume",),
        ("retry",),
    ],
    ids=" ".join,
)
def test_commands_load_no_heavy_library(searched: Hbtrack, words: tuple[str, ...]) -> None:
    loaded = loaded_by(searched, *words)
    assert "hbtrack" in loaded
    assert not loaded & HEAVY


def test_hbtrack_alone_loads_what_status_does(searched: Hbtrack) -> None:
    assert loaded_by(searched) == loaded_by(searched, "status")


@pytest.mark.parametrize("word", ["--help", "--version", "--explain"])
def test_help_version_and_explain_load_next_to_nothing(searched: Hbtrack, word: str) -> None:
    of_databases = {"sqlite3", "tabulate", "subprocess", "socket"}
    texts = {"typing", "pathlib", "dataclasses", "json", "inspect", "datetime"}
    unneeded = of_databases if word == "--explain" else of_databases | texts
    assert not loaded_by(searched, word) & unneeded


def test_the_way_of_looking_sees_what_the_upgrade_of_an_older_database_loads(
    hbtrack: Hbtrack,
) -> None:
    shutil.copyfile(ROOT / "tests" / "databases" / "0002.db", hbtrack.database)
    assert loaded_by(hbtrack, "db", "upgrade") >= {"sqlalchemy", "alembic"}
