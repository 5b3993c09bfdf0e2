"""What is a loss on the last line, and what is refused rather than guessed."""

import time

import pytest

from hbtrack.core.loss import LossRefused, read_loss


@pytest.mark.parametrize(
    ("line", "loss"),
    [
        (b"0.3", 0.3),
        (b"+1", 1.0),
        (b"-2.5", -2.5),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"007", 7.0),
        (b"1e-3", 0.001),
        (b"1.5E+2", 150.0),
        (b"5e-324", 5e-324),
        (b"1e-400", 0.0),
        (b"0.1234567890123456789", 0.12345678901234568),
        (b" \t0.3 \t", 0.3),
        (b"0.3\r", 0.3),
        (b"\r\r 0.3\r", 0.3),
    ],
)
def test_plain_decimal_notation_is_a_loss(line: bytes, loss: float) -> None:
    assert read_loss(line) == loss


@pytest.mark.parametrize(
    ("line", "error_type"),
    [
        (b"nan", "not_finite"),
        (b" NaN\r", "not_finite"),
        (b"inf", "not_finite"),
        (b"-inf", "not_finite"),
        (b"+Infinity", "not_finite"),
        (b"1e400", "not_finite"),
        (b"-1e400", "not_finite"),
        (b"9" * 400, "not_finite"),
        (b"loss: 0.3", "bad_last_line"),
        (b"0,3", "bad_last_line"),
        (b"tensor(0.3)", "bad_last_line"),
        (b"[0.3]", "bad_last_line"),
        (b"0.3 0.4", "bad_last_line"),
        (b"0.3\x0b", "bad_last_line"),
        (b"0.3\0", "bad_last_line"),
        (b"True", "bad_last_line"),
        (b"None", "bad_last_line"),
        (b"1_000", "bad_last_line"),
        (b"1e", "bad_last_line"),
        (b".", "bad_last_line"),
        (b"- 1", "bad_last_line"),
        (b"--1", "bad_last_line"),
        (b"0x1p3", "bad_last_line"),
        ("\u0660.\u0663".encode(), "bad_last_line"),
        ("\u22120.3".encode(), "bad_last_line"),
        ("\u00a00.3".encode(), "bad_last_line"),
        (b"\x1b[32m0.3\x1b[0m", "bad_last_line"),
        (b"epoch 1\r0.3", "bad_last_line"),
        (b"\xff\xfe0.3", "bad_last_line"),
        (b"", "no_output"),
        (b" \t\r", "no_output"),
    ],
)
def test_fault_27_28_30_31_anything_else_is_refused_rather_than_guessed(
    line: bytes, error_type: str
) -> None:
    refused = read_loss(line)
    assert isinstance(refused, LossRefused)
    assert refused.error_type == error_type


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"loss: 0.3", "'loss: 0.3'"),
        (b"\x1b[32m0.3\x1b[0m", "colour"),
        (b"\x1b]8;;https://a\x1b\\0.3\x1b]8;;\x1b\\", "colour"),
        (b"epoch 1\r0.3", "progress bar"),
        (b"epoch 1\r0.3", "print(); "),
        ("\u2500\u25180.3".encode(), "print(); "),  # a table of rich's Live
        (b"[fold]0.3", "print(); "),
        (b"loss (val) 0.3", "other text around it"),
        ("\u22120.3".encode(), "ASCII"),
        (b"done", "'done'"),
        (b"\xff", "\ufffd"),
        (b"", "nothing"),
    ],
)
def test_fault_29_30_34_35_a_refused_line_is_quoted_with_how_to_print_a_loss(
    line: bytes, says: str
) -> None:
    refused = read_loss(line)
    assert isinstance(refused, LossRefused)
    assert says in refused.message
    assert "print(float(loss))" in refused.message


def test_a_long_line_is_refused_at_once_and_quoted_in_part() -> None:
    begun = time.process_time()
    refused = read_loss(b"1" * 20_000 + b"x")
    assert isinstance(refused, LossRefused)
    assert len(refused.message) < 1000
    assert "print(float(loss))" in refused.message
    assert time.process_time() - begun < 1


BAR = "Epoch 0: 100%|██████████| 2/2 [00:00<00:00, 84.06it/s]"


@pytest.mark.parametrize("above", [f"{BAR}\n", f"0.7\n{BAR}\n"])
def test_a_last_line_of_the_scripts_own_is_blamed_on_no_library(above: str) -> None:
    refused = read_loss(b"tensor(0.5)", f"{above}tensor(0.5)\n")
    assert isinstance(refused, LossRefused)
    assert "print(float(loss))" in refused.message
    assert "tqdm" not in refused.message
