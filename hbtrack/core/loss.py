"""The loss that a script prints as its last line, or what stands there instead: pure.

It is never guessed which number was meant. One that stood alone above is quoted with what came
after it, and the line that helps is told where it is known whose words these are.
"""

import math
import re
from dataclasses import dataclass

from hbtrack.core.printed_error import without_escapes

MAX_LOSS_LINE_BYTES = 4096
"""No loss is longer; of an endless line only a part is ever looked at, which must not pass."""

_LOSS = re.compile(rb"[ \t\r]*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[ \t\r]*")
_NOT_FINITE = rb"(?i)[ \t\r]*[+-]?(nan|inf|infinity)[ \t\r]*"
# What is drawn without an end of line: bars, borders, [tags].
_UNENDED = re.compile(r"\r|[\])}\u2500-\u259f](?! )")
_ADVICE = "print the loss alone on the last line, as in print(float(loss))"
_OWN_LINE = "end that line first, as in print(); print(float(loss))"


@dataclass(frozen=True, slots=True)
class LossRefused:
    """Why the last line of stdout is not a loss."""

    error_type: str
    message: str


def read_loss(last_line: bytes, stdout: str = "") -> float | LossRefused:
    """The loss that the last non-empty line of stdout says, or why it says none.

    `last_line` is without its newline; empty means that nothing was printed. The grammar is
    plain ASCII decimal notation: what float() accepts beyond it (1_000, other scripts' digits,
    nan) is refused rather than guessed. `stdout`, or its end, tells more of why.
    """
    if not last_line.strip():
        return LossRefused("no_output", f"The script printed nothing on stdout; {_ADVICE}.")
    quoted = _quote(last_line)
    if len(last_line) > MAX_LOSS_LINE_BYTES:
        return LossRefused(
            "bad_last_line",
            f"The last line of stdout, {quoted}, is too long for a loss; {_ADVICE}.",
        )
    if match := _LOSS.fullmatch(last_line):
        loss = float(match[1])
        if math.isfinite(loss):
            return loss
        return LossRefused("not_finite", f"The loss {quoted} is too large for a number.")
    if re.fullmatch(_NOT_FINITE, last_line):
        return LossRefused("not_finite", f"The loss is {quoted}, which ranks nowhere.")
    why = _after_the_loss(stdout) or _hint(last_line)
    return LossRefused("bad_last_line", f"The last line of stdout is {quoted}, not a loss{why}.")


def _is_loss(line: str) -> bool:
    return _LOSS.fullmatch(line.encode("utf-8", "replace")) is not None


def significant_digits(loss: str) -> int:
    """How many digits of a printed loss say something: 3 for -0.0120e5."""
    mantissa = re.split("[eE]", loss)[0].lstrip("+-").replace(".", "")
    return len(mantissa.lstrip("0"))


# --- what stands there instead -------------------------------------------------------------------

_EARLIER = "before print(loss)"
_WORDS = (
    (r"\bwandb\b", "wandb", f"call wandb.finish() {_EARLIER}"),
    (r"(?i)trackio", "trackio", f"call trackio.finish() {_EARLIER}"),
    (r"(?i)swanlab", "swanlab", f"call swanlab.finish() {_EARLIER}"),
    (r"(?i)clearml", "clearml", f"call task.close() {_EARLIER}"),
    (r"(?i)neptune", "neptune", f"call run.stop() {_EARLIER}"),
    (
        r"View (run|experiment)\b.* at: ",
        "mlflow",
        f"end the run {_EARLIER}, and set MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true",
    ),
    (r"\(\w+ pid=\d+\)", "ray", "call ray.init(log_to_driver=False)"),
    (r"^\[default\d+\]:", "torchrun", "leave --tee out"),
    (r"\[Lib(SVM|Linear)\]", "scikit-learn's solver", "leave its verbose out"),
    (
        r"^(Epoch \d+, change: |max_iter reached|convergence after )",
        "scikit-learn's solver",
        "leave its verbose out",
    ),
    (r"^\[(Parallel\(n_jobs|CV)", "joblib", "leave its verbose out"),
    (r"\d+%\|.*\| *\d+/\d+ \[", "tqdm", "leave file=sys.stdout out"),
    (r"\d+/\d+ \[\d+%\] in ", "alive-progress", "print the loss after its `with` block"),
    (r"^\[\d\d:\d\d:\d\d\] \w+: [\d.e-]+s, \d+ calls", "xgboost", "leave verbosity=3 out"),
    (r"^Epoch \d+/\d+ .*━.*it/s", "lightning", "print the loss after trainer.fit()"),
    ("━━", "rich", "print the loss after its `with` block"),
)
"""By the words that each prints after or around a loss: who it is, and what helps.

Here and in the modules of errors expressions are compiled when a failure first needs them.
"""

_ANYBODY = (
    "something",
    f"let what prints there end {_EARLIER}; a parent of other processes prints with flush=True",
)


def _after_the_loss(stdout: str) -> str:
    """How a number that stood alone was printed over, or printed around; nothing if none was."""
    lines = [line for line in without_escapes(stdout).split("\n") if line.strip()]
    alone = next((n for n in range(len(lines) - 2, -1, -1) if _is_loss(lines[n])), None)
    after = lines[-1:] if alone is None else lines[alone + 1 :]
    own = re.search(r"\d\W*$", "".join(after[-1:]))  # it may be the loss, with text around it
    said = "\n".join(after[-1:] if own else after)
    found = ((who, cure) for words, who, cure in _WORDS if re.search(words, said, re.MULTILINE))
    who, cure = next(found, _ANYBODY)
    if own and who == "something":
        cure = f"{cure}; {_ADVICE}"
    if alone is not None:
        above = "on the line" if len(after) == 1 else f"{len(after)} lines"
        printed = f"{lines[alone].strip()} stood alone {above} above, and {who} printed after it"
        return f": {printed}. {cure[0].upper()}{cure[1:]}"
    if who != "something" and re.search(r"\d", said):
        return f", for {who} prints there: {cure}"
    return ""


def _hint(line: bytes) -> str:
    text = without_escapes(line.decode("utf-8", "replace"))
    if _is_loss(text):
        return f" (a number wrapped in colour codes); {_ADVICE}"
    if _is_loss(_UNENDED.split(text)[-1]):
        what = "a progress bar" if "\r" in text else "text that has no end of line"
        return f" (a number after {what} on the same line); {_OWN_LINE}"
    if re.search("[0-9]", text):
        return f" (a number with other text around it, or not in plain ASCII digits); {_ADVICE}"
    return f"; {_ADVICE}"


def _quote(line: bytes, limit: int = 200) -> str:
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= limit else text[:limit] + "...")
