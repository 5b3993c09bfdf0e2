"""The contract as pure functions: how an attempt is called, and names."""

import pytest

from hbtrack.core.contract import (
    attempt_argv,
    config_id_problem,
    name_problem,
)

# --- the command of an attempt -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpus", "passed"), [(["0"], ["--gpu", "0"]), (["2", "3"], ["--gpu", "2", "--multi_gpu"])]
)
def test_an_attempt_is_called_as_the_contract_says(gpus: list[str], passed: list[str]) -> None:
    argv = attempt_argv("py", "s.py", "x:1", epochs=27, gpus=gpus, script_args=["--model", "a b"])
    assert argv == ["py", "s.py", "x:1", "--epochs", "27", *passed, "--model", "a b"]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "lr:0.01.batch_size:256",
        " ",
        "a\nb\tc\x1b",
        "$(rm -rf /)",
        "\u65e5\u672c \U0001f389",
        "x" * 4096,
        "\u00e9" * 2048,
    ],
)
def test_every_other_string_is_a_config_id_and_an_identity(name: str) -> None:
    assert config_id_problem(name) is None
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogate"),
        ("x" * 4097, "4097 bytes"),
        ("\u00e9" * 2049, "4098 bytes"),
    ],
)
def test_fault_58_62_what_no_command_line_can_carry_names_nothing(name: str, says: str) -> None:
    assert says in (config_id_problem(name) or "")
    assert says in (name_problem(name) or "")


@pytest.mark.parametrize("name", ["-", "-1", "--lr=3"])
def test_fault_60_only_a_config_id_must_not_look_like_an_option(name: str) -> None:
    assert "option" in (config_id_problem(name) or "")
    assert name_problem(name) is None
