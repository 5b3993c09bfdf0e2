"""What `hbtrack init` writes and what is in examples/ keeps the contract and does what it says."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import slurm
from conftest import ROOT, Hbtrack, wait_for
from test_docs import blocks

from hbtrack.cli.init import LIBRARIES

EXAMPLES = ROOT / "examples"


def needs(*libraries: str) -> list[pytest.MarkDecorator]:
    """Scripts that import a library are slow, and cannot be run without it."""
    missing = [name for name in libraries if not importlib.util.find_spec(name)]
    skip = pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")
    return [pytest.mark.slow, skip] if libraries else []


PERL = pytest.mark.skipif(not shutil.which("perl"), reason="needs perl")

TEMPLATES = [
    pytest.param(
        ROOT / "hbtrack" / "cli" / "templates" / f"{kind}_script.py", id=kind, marks=needs(*imports)
    )
    for kind, *imports in [("plain",), *zip(LIBRARIES, LIBRARIES, strict=True)]
]
WRAPPED = pytest.param(EXAMPLES / "any_language" / "wrapped.py", id="any_language", marks=PERL)
REAL = [
    pytest.param(EXAMPLES / name / script, id=f"{name}/{script}", marks=needs(*imports))
    for name, script, *imports in [
        ("sklearn", "digits.py", "sklearn"),
        ("torch", "digits.py", "torch", "sklearn"),
        ("xgboost", "boost.py", "xgboost", "sklearn"),
        ("lightgbm", "boost.py", "lightgbm", "sklearn"),
    ]
]

SAMPLE = """
import importlib.util, sys, numpy
spec = importlib.util.spec_from_file_location("script", sys.argv[1])
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
for seed in range(1, 4):
    print(script.get_random_config_id(numpy.random.RandomState(seed)))
"""

# Stands in Python's way when a checkpoint is to be renamed: the worst moment for a kill.
KILLS = """
import os, signal
def replace(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
"""


@dataclass
class ByHand:
    """A script as a user calls it, with one of its own configs, in folders of its own."""

    script: Path
    folder: Path
    config_id: str

    def run(
        self, epochs: int, where: str = "a", config_id: str | None = None, path: str = ""
    ) -> subprocess.CompletedProcess[str]:
        (self.folder / where).mkdir(exist_ok=True)
        words = [config_id or self.config_id, "--epochs", str(epochs), "--gpu", "0"]
        return subprocess.run(
            [sys.executable, self.script, *words],
            cwd=self.folder / where,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )

    def loss(self, epochs: int, where: str = "a") -> str:
        result = self.run(epochs, where)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()[-1]

    def saved(self, where: str = "a") -> dict[str, bytes]:
        files = (self.folder / where).rglob("*")
        return {file.name: file.read_bytes() for file in files if file.is_file()}


@cache
def sampled(script: Path) -> list[str]:
    """Three config_ids of the script's own."""
    command = [sys.executable, "-c", SAMPLE, script]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return said.splitlines()[-3:]


@pytest.fixture(params=[*TEMPLATES, WRAPPED])
def by_hand(request: pytest.FixtureRequest, tmp_path: Path) -> ByHand:
    return ByHand(request.param, tmp_path, sampled(request.param)[0])


def test_going_on_after_a_kill_gives_what_training_at_a_stretch_gives(by_hand: ByHand) -> None:
    first = by_hand.loss(1)
    (by_hand.folder / "sitecustomize.py").write_text(KILLS)
    killed = by_hand.run(3, path=str(by_hand.folder))
    assert killed.returncode == -signal.SIGKILL
    assert len(by_hand.saved()) == 2
    assert first != by_hand.loss(3) == by_hand.loss(3, "fresh")


def test_as_many_epochs_again_train_nothing(by_hand: ByHand) -> None:
    loss, saved = by_hand.loss(2), by_hand.saved()
    assert (by_hand.loss(2), by_hand.saved()) == (loss, saved)
    assert len(saved) == 1


def test_a_config_that_it_cannot_have_sampled_ends_with_a_traceback(by_hand: ByHand) -> None:
    result = by_hand.run(1, config_id="nonsense")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert not by_hand.saved()


@pytest.mark.slow
@pytest.mark.parametrize("script", TEMPLATES)
def test_training_lowers_the_loss_of_most_configs(tmp_path: Path, script: Path) -> None:
    """Else `check` asks, by the configs that it happens to try, whether it is a loss at all."""
    tried = [ByHand(script, tmp_path, config_id) for config_id in sampled(script)]
    falls = [float(one.loss(9)) < float(one.loss(1, "fresh")) for one in tried]
    assert falls.count(True) > len(falls) // 2


@pytest.mark.slow
@pytest.mark.parametrize("script", [*TEMPLATES, WRAPPED, *REAL])
def test_hbtrack_check_has_nothing_to_say_against_it(tmp_path: Path, script: Path) -> None:
    shutil.copytree(script.parent, tmp_path, dirs_exist_ok=True)
    quick = ["--quick"] if script in REAL else []  # they save and load as the templates do
    said = Hbtrack(tmp_path)("check", "--format", "json", *quick, script.name).stdout
    assert not [one for one in json.loads(said)["checks"] if one["status"] not in {"pass", "skip"}]


# --- the pages -----------------------------------------------------------------------------------


@dataclass
class Shell:
    """Types commands into bash, where `hbtrack` is ours."""

    hbtrack: Hbtrack
    environment: dict[str, str]

    def __call__(self, commands: str) -> str:
        result = subprocess.run(
            ["bash", "-euc", commands],
            cwd=self.hbtrack.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Callable[[str], Shell]]:
    """A shell in a copy of an example's folder."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "hbtrack"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hbtrack "$@"\n')
    program.chmod(0o755)
    hbtrack = Hbtrack(tmp_path / "folder")

    def copy(name: str) -> Shell:
        shutil.copytree(EXAMPLES / name, hbtrack.folder)
        own = {"PATH": f"{programs}:{os.environ['PATH']}", "TMUX_TMPDIR": str(tmp_path)}
        return Shell(hbtrack, hbtrack.environment(own))

    yield copy
    if hbtrack.database.exists():
        hbtrack("stop", "-q")  # nothing that a test began goes on


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("any_language", marks=PERL),
        pytest.param("sklearn", marks=needs("sklearn")),
        pytest.param("torch", marks=needs("torch", "sklearn")),
        pytest.param("xgboost", marks=needs("xgboost", "sklearn")),
        pytest.param("lightgbm", marks=needs("lightgbm", "sklearn")),
    ],
)
def test_an_example_gives_the_report_that_its_page_shows(
    shell: Callable[[str], Shell], name: str
) -> None:
    page = EXAMPLES / name / "README.md"
    assert_as_shown(page, shell(name)("".join(blocks(page, "sh"))))


def assert_as_shown(page: Path, said: str) -> None:
    """The report of a page is of the same search: its size, its failures, its parameters."""
    (shown,) = blocks(page, "text")
    for pattern in (r"^.*: finished, .*$", r"^rank .*$"):
        lines = [re.findall(pattern, text, re.MULTILINE) for text in (shown, said)]
        shown_words, said_words = ([line.split() for line in found] for found in lines)
        assert shown_words
        assert shown_words == said_words


def finished(hbtrack: Hbtrack) -> bool:
    """Whether the one search is finished; it may not have begun yet."""
    return hbtrack.database.exists() and hbtrack("status", code=None).stdout.count("finished") == 1


@pytest.mark.slow
@pytest.mark.parametrize("program", ["nohup", "tmux"])
def test_a_search_goes_on_in_the_background(shell: Callable[[str], Shell], program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"needs {program}")
    page = EXAMPLES / "background" / "README.md"
    typed = shell("background")
    begin, nohup, tmux, look = blocks(page, "sh")
    typed(begin + {"nohup": nohup, "tmux": tmux}[program])
    wait_for(lambda: finished(typed.hbtrack), 120)
    assert_as_shown(page, typed(look))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    text = (EXAMPLES / "background" / "hbtrack.service").read_text()
    assert text.count("%h/search/.venv/bin/hbtrack ") == 1
    unit = tmp_path / "hbtrack.service"
    unit.write_text(text.replace("%h/search/.venv/bin/hbtrack", "/bin/true"))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--user", unit],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def slurm_shell(shell: Callable[[str], Shell]) -> Iterator[Shell]:
    """A shell in the example for Slurm, with a cluster of one node."""
    if lacking := slurm.missing():
        pytest.skip(f"needs {lacking} for a Slurm of its own")
    with TemporaryDirectory(prefix="slurm-") as folder, slurm.cluster(Path(folder)) as environment:
        typed = shell("slurm")
        typed.environment["SLURM_CONF"] = environment["SLURM_CONF"]
        yield typed


def job_is(typed: Shell, state: str) -> bool:
    return f"JobState={state} " in typed("scontrol show job 1")


@pytest.mark.slow
def test_a_slurm_job_whose_time_is_over_is_queued_again_until_its_search_is_finished(
    slurm_shell: Shell,
) -> None:
    page = EXAMPLES / "slurm" / "README.md"
    submit, look = blocks(page, "sh")
    hold = submitted(slurm_shell, submit)
    slurm_shell("scancel --signal=USR1 1")
    wait_for(lambda: job_is(slurm_shell, "PENDING"))
    assert not finished(slurm_shell.hbtrack)
    hold.unlink()
    # Slurm lets it wait for two minutes, counted from when it has cleaned up; a start in the very
    # second of the end would be refused, for the node still knows that the job was ended.
    wait_for(lambda: "COMPLETING" not in slurm_shell("squeue --noheader --states=all -o %T"))
    slurm_shell("scontrol update JobId=1 StartTime=now+5")
    wait_for(lambda: not job_is(slurm_shell, "PENDING"), 60)
    wait_for(lambda: job_is(slurm_shell, "COMPLETED"), 120)
    assert "Restarts=1" in slurm_shell("scontrol show job 1")
    assert "is finished" in slurm_shell(look)
    assert_as_shown(page, slurm_shell("hbtrack report --top 3"))


@pytest.mark.slow
def test_a_slurm_job_that_is_cancelled_is_not_queued_again(slurm_shell: Shell) -> None:
    (submit, _) = blocks(EXAMPLES / "slurm" / "README.md", "sh")
    submitted(slurm_shell, submit)
    slurm_shell("scancel 1")
    wait_for(lambda: "Stopped by SIGTERM" in slurm_shell("cat search.log"))
    wait_for(lambda: job_is(slurm_shell, "CANCELLED"))
    wait_for(lambda: not slurm_shell("squeue --noheader"))
    assert "Restarts=0" in slurm_shell("scontrol show job 1")


def submitted(typed: Shell, commands: str) -> Path:
    """Type them. The job's search has finished something, but does not end before this is gone."""
    init, sbatch = commands.splitlines()
    typed(init)
    script, hold = (typed.hbtrack.folder / name for name in ("myexp.py", "hold"))
    parsed = "args = make_parser().parse_args()\n"
    waits = f"    while args.epochs > 1 and Path({str(hold)!r}).exists():\n"
    waits += "        __import__('time').sleep(0.01)\n"
    text = script.read_text()
    assert parsed in text
    script.write_text(text.replace(parsed, parsed + waits))
    hold.touch()
    typed(sbatch)
    wait_for(lambda: typed.hbtrack.database.exists() and "event=done " in typed.hbtrack.log(), 120)
    return hold


def test_every_example_is_on_the_page_of_all() -> None:
    text = (EXAMPLES / "README.md").read_text()
    pages = list(EXAMPLES.glob("*/README.md"))
    assert len(pages) == 7
    assert not [page for page in pages if f"]({page.relative_to(EXAMPLES)})" not in text]
