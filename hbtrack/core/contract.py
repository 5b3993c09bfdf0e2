"""What the user's script must do, as far as it can be judged without running anything.

The contract itself is in docs/contract.md. Here: how an attempt is called, and which ids and
identities are refused.
"""

import hashlib
from collections.abc import Sequence

RESERVED_OPTIONS = ("--epochs", "--gpu", "--multi_gpu")
"""Options that hbtrack itself passes to the script."""

MAX_NAME_BYTES = 4096
"""The longest config_id or run_identity, in UTF-8."""

UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
"""What an attempt's environment gets unless the user has set it.

Into a file Python writes 8 KiB at a time, or what it has when it ends: so lines of worker processes
would come after the loss, `hbtrack logs -f` show nothing, and a kill lose what was printed.
"""


def attempt_argv(
    python: str,
    script: str,
    config_id: str,
    *,
    epochs: int,
    gpus: Sequence[str],
    script_args: Sequence[str],
) -> list[str]:
    """The command of one attempt: `python SCRIPT CONFIG_ID --epochs N --gpu G [...]`.

    More than one GPU is passed as the first one and `--multi_gpu`.
    """
    multi = ["--multi_gpu"] if len(gpus) > 1 else []
    call = ["--epochs", str(epochs), "--gpu", gpus[0]]
    return [python, script, config_id, *call, *multi, *script_args]


def attempt_environment(
    name: str, run_identity: str, checkpoint: str, *, max_epochs: int, epochs_done: int
) -> dict[str, str]:
    """What is added to the environment of the attempt of that name.

    `checkpoint` is the folder of its config, in which `epochs_done` are known to lie.
    """
    return {
        "HBTRACK_ATTEMPT": name,
        "HBTRACK_IDENTITY": run_identity,
        "HBTRACK_CHECKPOINT": checkpoint,
        "HBTRACK_MAX_EPOCHS": str(max_epochs),
        "HBTRACK_EPOCHS_DONE": str(epochs_done),
    }


def checkpoint_name(config_id: str) -> str:
    """The name of the folder of a config's checkpoints: short, and safe on every file system.

    The id itself may hold slashes, be too long, or differ from another one only in case.
    """
    return hashlib.sha256(config_id.encode()).hexdigest()[:20]


def name_problem(value: str) -> str | None:
    """Why a config_id or run_identity cannot be used, as the end of a sentence; None if it can."""
    if not value:
        return "is empty"
    if "\0" in value:
        return "contains a NUL character, which no command line can carry"
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not a character"
    if size > MAX_NAME_BYTES:
        return f"is {size} bytes long; at most {MAX_NAME_BYTES} are allowed"
    return None


def config_id_problem(value: str) -> str | None:
    """Why a config_id cannot be used; None if it can."""
    if value.startswith("-"):
        return "begins with '-', so the script's argparse would take it for an option"
    return name_problem(value)
