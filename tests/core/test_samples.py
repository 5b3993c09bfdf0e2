"""What real libraries print of their errors and after the loss is read as what it is.

tests/samples/ holds what each wrote, and make.py there makes it anew.
"""

import json
import re
from typing import Any

import pytest
from conftest import ROOT

from hbtrack.core.exit_error import exit_error, swallowed
from hbtrack.core.loss import LossRefused, read_loss

SAMPLES = ROOT / "tests" / "samples"
EXPECTED = json.loads((SAMPLES / "expected.json").read_text())

WITHOUT_A_TYPE = {"usage", "exit_code", "signal"}
"""What an error is called where no exception is told of."""

UNREAD = {
    "fatal_python_init": "no script was begun",
    "ignored_atexit": "Python ignored it, and a loss counts",
    "ignored_in_del": "Python ignored it, and a loss counts",
}

PLACES = {"joblib_loky": "train.py:8"}  # the worker's frames name no file

SAID = {"segfault": "SIGSEGV", "segfault_extensions": "SIGSEGV"}

NOT_NAMED = {
    "rich_print_colour": "colour codes",
    "rich_print_text": "other text around it",
    "fire_returns_dict": "other text around it",
    # Words of the user's own: whoever printed them.
    **dict.fromkeys(
        ["atexit", "child", "multiprocessing_pool", "multiprocessing_pool_open", "os_system"],
        "something printed after it",
    ),
    **dict.fromkeys(["process_pool_open", "torchrun_ranks"], "something printed after it"),
}

TAKEN = "joblib_fold_prints_its_score"
"""What it prints last is a number: nothing tells that it is none of the parent's."""


def printed(kind: str, name: str) -> bytes:
    return (SAMPLES / kind / f"{name}.txt").read_bytes()


def squeezed(text: str) -> str:
    """What the width of a box does not change."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("name", sorted(EXPECTED["errors"].keys() - UNREAD.keys()))
def test_an_error_has_its_type_its_message_and_its_place(name: str) -> None:
    expected: dict[str, Any] = EXPECTED["errors"][name]
    text, status = printed("errors", name).decode(errors="replace"), expected["status"]
    stderr, stdout = ("", text) if expected.get("stream") == "stdout" else (text, "")
    found = exit_error(status, stderr, stdout=stdout) if status else swallowed(text)
    if status == 0 and expected["error_type"] is None:
        assert found is None
        return
    assert found
    told = expected["message"] or expected.get("message_has") or ""
    leaves = expected.get("leaves", [[expected["error_type"], told]])  # the first is the error
    error_type, message = leaves[0]
    if error_type is None:
        assert found.error_type in WITHOUT_A_TYPE
    else:
        assert re.split(r"\.|::", found.error_type)[-1] == re.split(r"\.|::", error_type)[-1]
    said = "".join([found.message, *found.led_to])
    assert squeezed(SAID.get(name, message)) in squeezed(said)
    if expected["frame"] and "leaves" not in expected:
        assert (found.place or "").endswith(PLACES.get(name, expected["frame"]))


@pytest.mark.parametrize("name", sorted(EXPECTED["last_line"].keys() - {TAKEN}))
def test_what_stands_after_or_around_a_loss_is_told_with_the_cure(name: str) -> None:
    expected: dict[str, Any] = EXPECTED["last_line"][name]
    out = printed("last_line", name)
    last = [line for line in out.splitlines() if line.strip()][-1]
    refused = read_loss(last, out.decode(errors="replace"))
    assert isinstance(refused, LossRefused)
    assert NOT_NAMED.get(name, expected["library"]) in refused.message
    if after := expected["lines_after"]:
        above = "the line" if after == 1 else f"{after} lines"
        assert (
            f"{expected['loss']} stood alone {'on ' if after == 1 else ''}{above}"
            in refused.message
        )
