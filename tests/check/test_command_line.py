"""What to change where a parser of command lines refuses: by what each library really says."""

import re
from pathlib import Path

import pytest

from hbtrack.check.command_line import OWN, suspects, taken_for, why_refused
from hbtrack.check.sources import texts_of

SAMPLES = Path(__file__).parents[1] / "samples" / "errors"


@pytest.mark.parametrize(
    ("sample", "change", "example"),
    [
        ("argparse_usage", "Accept", "parser.add_argument"),
        ("hydra_usage", "hydra takes overrides", "++config_id"),
        ("typer_usage", "typer makes dashes", 'typer.Option("--multi_gpu")'),
        ("typer_usage_ascii", "typer makes dashes", 'typer.Option("--multi_gpu")'),
        ("typer_0_9_usage", "typer makes dashes", 'typer.Option("--multi_gpu")'),
        ("typer_usage_without_rich", "typer", ""),
        ("click_usage", "Accept", "@click.option"),
        ("absl_usage", "flags", "DEFINE_integer"),
        ("fire_usage", "Accept", "def main(config_id"),
        ("cyclopts_usage", "dashes", "def main(config_id"),
        ("tyro_usage", "Accept", "def main(config_id"),
    ],
)
def test_what_to_change_is_told_for_the_library_that_refused(
    sample: str, change: str, example: str
) -> None:
    advice = why_refused((SAMPLES / f"{sample}.txt").read_text())
    assert advice is not None
    assert change in advice.change
    assert example in advice.example


@pytest.mark.parametrize("option", ["--gpu_count 2", "--checkpoints x", "--data"])
def test_an_argument_of_the_users_own_is_not_taken_for_one_of_hbtracks(option: str) -> None:
    assert why_refused(f"train.py: error: unrecognized arguments: {option}") is OWN


@pytest.mark.parametrize("sample", ["typer_usage_missing", "argparse_choice", "hydra_exception"])
def test_what_was_not_refused_has_other_advice(sample: str) -> None:
    assert why_refused((SAMPLES / f"{sample}.txt").read_text()) is None


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ("error: argument --gpu_count: expected one argument", "--gpu_count"),
        ("error: argument -g/--gpus: expected at least one argument", "--gpus"),
        ("error: argument -g/--gpu: expected one argument", None),
        ("error: argument --gpu: expected one argument", None),
        ("error: argument --data: expected one argument", None),
        ("Error: Option '--gpu' requires an argument.", None),
        ("", None),
    ],
)
def test_argparse_says_which_option_it_took_another_for(said: str, other: str | None) -> None:
    assert taken_for("--gpu", said) == other


@pytest.mark.parametrize(
    "said",
    [
        "error: argument --multi_gpu_test: ignored explicit argument '0'",
        "error: argument --multi_gpu_test: expected one argument",
    ],
)
def test_argparse_says_so_of_a_flag_that_gets_a_value_too(said: str) -> None:
    assert taken_for("--multi_gpu", said) == "--multi_gpu_test"


def test_what_a_script_imports_from_beside_it_is_the_users_own_text(tmp_path: Path) -> None:
    texts = {
        "jobs/train.py": "import os, near\nfrom package import parser\nimport train",
        "jobs/near.py": "import train",
        "package/__init__.py": "",
        "package/parser.py": "from .inner.words import WORDS\nfrom . import more",
        "package/inner/words.py": "this is not Python",
        "package/more.py": "",
        "other.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    del texts["other.py"]
    assert sorted(texts_of(tmp_path / "jobs/train.py", tmp_path)) == sorted(texts.values())


def test_an_imported_file_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("try:\n    import secret\nexcept OSError:\n    pass\n")
    (tmp_path / "secret.py").symlink_to("/proc/self/mem")  # EIO, for root as well
    assert texts_of(tmp_path / "train.py", tmp_path)[1:] == [""]


def test_only_an_option_that_could_be_abbreviated_is_suspected() -> None:
    longer, both = "add_argument('--gpu_count')", 'add_argument("--gpu", "--gpus")'
    assert suspects("--gpu", [longer])
    assert suspects("--gpu", [both, longer]), "of two parsers one may have it"
    assert not suspects("--gpu", [longer + both])
    assert not suspects("--gpu", [re.sub("gpu", "data", longer)])
