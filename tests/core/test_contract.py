"""The contract as pure functions: how an attempt is called, names, and parameters."""

import pytest

from hbtrack.core.contract import (
    attempt_argv,
    config_id_problem,
    name_problem,
    param_value,
    params_of,
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


# --- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config_id", "params"),
    [
        ("lr:0.01.batch_size:256", {"lr": 0.01, "batch_size": 256}),
        ("lr:1e-3.units:64", {"lr": 0.001, "units": 64}),
        ("shift:-3.5.steps:-2", {"shift": -3.5, "steps": -2}),
        ("optimizer:adam.lr:0.1", {"optimizer": "adam", "lr": 0.1}),
        ("version:1.2.3.depth:4", {"version": "1.2.3", "depth": 4}),
        ("file:model.pt.depth:4", {"file": "model.pt", "depth": 4}),
        ("run:0012", {"run": "0012"}),
        ("run:12e4", {"run": 120000.0}),
        ("run:1_000", {"run": "1_000"}),
        ("run:\u0663", {"run": "\u0663"}),
        ("run:99999999999999999999", {"run": "99999999999999999999"}),
        ("run:1e400", {"run": "1e400"}),
        ("loss:nan.flag:True", {"loss": "nan", "flag": "True"}),
        ("a:.b:1", {"a": "", "b": 1}),
        ("note:two\nlines.b:1", {"note": "two\nlines", "b": 1}),
    ],
)
def test_a_name_value_id_spells_out_its_parameters(
    config_id: str, params: dict[str, object]
) -> None:
    found = params_of(config_id)
    assert [(name, type(value), value) for name, value in found.items()] == [
        (name, type(value), value) for name, value in params.items()
    ]


@pytest.mark.parametrize(
    "config_id",
    ["", "0012", "12e4", "resnet-50", "0.001_64_0.9", '{"lr": 0.1}', ":1", "1:2", "a", "a.b:1"],
)
def test_any_other_id_is_opaque(config_id: str) -> None:
    assert params_of(config_id) == {}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, "true"),
        (None, "null"),
        (2**63 - 1, 2**63 - 1),
        (2**63, "9223372036854775808"),
        (float("inf"), "inf"),
        (0.1, 0.1),
        ("0.10", 0.1),
        ([1, "a"], '[1, "a"]'),
        ({"a": None}, '{"a": null}'),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_a_parameter_is_kept_as_sql_can_hold_it(value: object, stored: object) -> None:
    assert param_value(value) == stored
    assert type(param_value(value)) is type(stored)
