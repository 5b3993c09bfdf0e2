"""Each recipe of docs/libraries.md is exact: in steps, and stopped, it comes to the same loss."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT
from test_docs import blocks
from test_examples import needs

RECIPES = ROOT / "tests" / "recipes"

# Sends SIGTERM in the middle of the second epoch that a process trains (ten batches each), and lets
# what a handler has put off (a Timer of transformers) come while the batch is still being trained.
IN_A_BATCH = """
import os, signal, threading, torch
calls, backward = iter(range(14)), torch.Tensor.backward
def stopped_at_last(*args, **kwargs):
    if next(calls, None) is None:
        os.kill(os.getpid(), signal.SIGTERM)
        for timer in threading.enumerate():
            if isinstance(timer, threading.Timer):
                timer.join()
    return backward(*args, **kwargs)
torch.Tensor.backward = stopped_at_last
"""

# The same for what has no batches: as the line of its epoch 3 is printed.
AT_A_LINE = """
import builtins, os, signal
say = print
def stopped_at_last(*words, **how):
    say(*words, **how)
    if words[0] == "epoch 3":
        os.kill(os.getpid(), signal.SIGTERM)
builtins.print = stopped_at_last
"""


@dataclass(frozen=True)
class Recipe:
    """A script, one of its configs, and how SIGTERM is to end it."""

    name: str
    config_id: str
    stopped: str = AT_A_LINE
    status: int = -signal.SIGTERM

    def __call__(self, folder: Path, epochs: int, path: str = "") -> subprocess.CompletedProcess:
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, RECIPES / self.name, self.config_id, "--epochs", f"{epochs}"],
            cwd=folder.parent,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "PYTHONUNBUFFERED": "1",
                "OMP_NUM_THREADS": "1",  # other tests run beside it
                "HBTRACK_CHECKPOINT": str(folder),
                "HBTRACK_MAX_EPOCHS": "9",
            },
            capture_output=True,
            text=True,
        )

    def loss(self, folder: Path, epochs: int) -> float:
        result = self(folder, epochs)
        assert result.returncode == 0, result.stderr
        return float(result.stdout.splitlines()[-1])


LIGHTNING = Recipe("lightning_fit.py", "lr:0.01", IN_A_BATCH, 143)
TRANSFORMERS = Recipe("transformers_trainer.py", "lr:0.01", IN_A_BATCH, 143)
ALL = [
    pytest.param(recipe, id=recipe.name.removesuffix(".py"), marks=needs(*libraries))
    for recipe, *libraries in [
        (LIGHTNING, "pytorch_lightning", "torch"),
        (TRANSFORMERS, "transformers", "accelerate", "torch"),
        (Recipe("keras_fit.py", "lr:0.01", IN_A_BATCH), "keras", "torch"),
        (Recipe("torch_cosine.py", "lr:0.1", IN_A_BATCH), "torch"),
        (Recipe("sklearn_warm_start.py", "learning_rate:0.1"), "sklearn"),
        (Recipe("lightgbm_goss.py", "learning_rate:0.3"), "lightgbm"),
        (Recipe("catboost_snapshot.py", "learning_rate:0.05"), "catboost"),
    ]
]


@pytest.mark.parametrize("recipe", ALL)
def test_in_steps_and_stopped_by_sigterm_it_comes_to_the_loss_of_training_straight(
    tmp_path: Path, recipe: Recipe
) -> None:
    steps = tmp_path / "steps"
    first = recipe.loss(steps, 2)
    (tmp_path / "sitecustomize.py").write_text(recipe.stopped)
    stopped = recipe(steps, 4, path=str(tmp_path))
    assert stopped.returncode == recipe.status, stopped.stderr
    assert first != recipe.loss(steps, 4) == recipe.loss(tmp_path / "straight", 4)


def test_what_the_page_quotes_is_what_the_recipe_says() -> None:
    quoted = blocks("docs/libraries.md", "python")
    assert quoted
    for block in quoted:  # which is not indented, and may have other empty lines
        source, *lines = stripped(block)
        recipe = "\n".join(stripped((ROOT / source.removeprefix("# from ")).read_text()))
        assert "\n".join(lines) in recipe, block


def stripped(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_page_names_every_recipe() -> None:
    text = (ROOT / "docs" / "libraries.md").read_text()
    assert [path.name for path in RECIPES.glob("*.py") if f"/{path.name})" not in text] == []
    assert {path.name for path in RECIPES.glob("*.py")} == {one.values[0].name for one in ALL}
