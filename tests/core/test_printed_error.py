"""The error that a script ended by is read from its stderr, in whatever form it was printed."""

import traceback
from collections.abc import Callable

import pytest

from hbtrack.core.printed_error import error_of


def told(stderr: str) -> tuple[str, str, str] | None:
    """Its type, message and text."""
    found = error_of(stderr)
    return found and found[:3]


def stderr_of(function: Callable[[], object]) -> str:
    """What Python prints when `function` ends a script."""
    try:
        function()
    except Exception as error:
        return "".join(traceback.format_exception(error))
    raise AssertionError("nothing was raised")


def fail() -> None:
    raise ValueError("no luck")


def fail_while_failing() -> None:
    try:
        fail()
    except ValueError:
        {}["second"]


def fail_because() -> None:
    try:
        fail_while_failing()
    except KeyError as error:
        raise OSError(5, "third") from error


def test_the_last_exception_is_found_with_its_traceback() -> None:
    stderr = stderr_of(fail)
    assert told("a warning\n" + stderr) == ("ValueError", "no luck", stderr.rstrip())


def test_chained_tracebacks_are_kept_from_the_first_to_the_last() -> None:
    stderr = stderr_of(fail_because)
    assert stderr.count("Traceback") == 3
    assert told("a warning\n" + stderr) == ("OSError", "[Errno 5] third", stderr.rstrip())


def test_an_earlier_traceback_that_was_survived_is_not_part_of_it() -> None:
    first, last = stderr_of(fail), stderr_of(fail_because)
    assert told(f"{first}going on\n{last}") == (
        "OSError",
        "[Errno 5] third",
        last.rstrip(),
    )


@pytest.mark.parametrize("message", [[], ["first\n  second\n\nlast: line"]])
def test_a_message_may_be_empty_or_have_many_lines(message: list[str]) -> None:
    def fail_with_it() -> None:
        raise RuntimeError(*message)

    stderr = stderr_of(fail_with_it)
    assert told(stderr) == ("RuntimeError", "".join(message), stderr.rstrip())


@pytest.mark.parametrize(
    "bar", ["epoch 1/3", "\repoch 1/3", "epoch 1/3\r", " 33%|###   | 1/3 [00:01]"]
)
def test_a_progress_bar_without_a_newline_hides_no_traceback(bar: str) -> None:
    stderr = stderr_of(fail)
    assert told(bar + stderr) == ("ValueError", "no luck", stderr.rstrip())


def test_text_after_the_traceback_hides_nothing() -> None:
    stderr = stderr_of(fail) + "wandb: finished\n"
    found = error_of(stderr)
    assert found
    assert found[0] == "ValueError"
    assert found[1].startswith("no luck")
    assert found[2] == stderr.rstrip()


def test_an_exception_class_of_a_function_has_its_whole_name() -> None:
    def fail_with_a_class_of_its_own() -> None:
        class Diverged(Exception):
            pass

        raise Diverged("loss is nan")

    found = error_of(stderr_of(fail_with_a_class_of_its_own))
    assert found
    assert found[0].endswith("<locals>.Diverged")
    assert found[1] == "loss is nan"


def test_what_is_ignored_while_python_ends_is_not_the_error() -> None:
    def fail_at_the_end() -> None:
        raise AttributeError("already gone")

    ignored = f"Exception ignored in: <function Loader.__del__>\n{stderr_of(fail_at_the_end)}"
    found = error_of(stderr_of(fail) + ignored)
    assert found
    assert found[0] == "ValueError"
    assert "raise ValueError" in found[2]


def test_what_a_worker_of_a_loader_raised_is_the_error() -> None:
    def fail_for_a_worker() -> None:
        inner = stderr_of(fail)
        raise RuntimeError(f"Caught ValueError in worker 0.\nOriginal {inner}")

    stderr = stderr_of(fail_for_a_worker)
    assert told(stderr) == ("ValueError", "no luck", stderr.rstrip())


def test_a_traceback_inside_of_a_message_belongs_to_the_message() -> None:
    def fail_with_a_quotation() -> None:
        raise RuntimeError(f"It said '{stderr_of(fail)}'")

    found = error_of(stderr_of(fail_with_a_quotation))
    assert found
    assert found.error_type == "RuntimeError"
    assert found.message.startswith("It said 'Traceback")


@pytest.mark.parametrize(
    "stderr",
    ["", "ValueError: but no traceback", "Traceback (most recent call last):\n  File 'cut off'"],
)
def test_without_a_whole_traceback_there_is_no_exception(stderr: str) -> None:
    assert told(stderr) is None
