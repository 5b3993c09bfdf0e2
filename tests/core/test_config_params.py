"""Which parameters an id spells out, and how they are kept."""

import pytest

from hbtrack.core.config_params import param_value, params_of


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
        ("lr=0.1,wd=1e-4", {"lr": 0.1, "wd": 1e-4}),
        ("lr=0.1, opt=adam-w", {"lr": 0.1, "opt": "adam-w"}),
        ("lr=0.01_batch_size=32_opt=sgd", {"lr": 0.01, "batch_size": 32, "opt": "sgd"}),
        ("lr:0.1-wd:1e-4", {"lr": 0.1, "wd": 1e-4}),
        ("lr=0.1 wd=0", {"lr": 0.1, "wd": 0}),
        ("a=1&b=x.y", {"a": 1, "b": "x.y"}),
        ("at:10:20.b:1", {"at": "10:20", "b": 1}),
        (
            '{"lr": 0.1, "opt": "adam", "sizes": [1, 2], "bias": true}',
            {"lr": 0.1, "opt": "adam", "sizes": "[1, 2]", "bias": "true"},
        ),
    ],
)
def test_an_id_of_pairs_or_of_json_spells_out_its_parameters(
    config_id: str, params: dict[str, object]
) -> None:
    found = params_of(config_id)
    assert [(name, type(value), value) for name, value in found.items()] == [
        (name, type(value), value) for name, value in params.items()
    ]


@pytest.mark.parametrize(
    "config_id",
    ["", "0012", "12e4", "resnet-50", "0.001_64_0.9", "{0.1}", ":1", "1:2", "a", "a.b:1"],
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
