"""Which GPUs attempts may use."""

import os
import subprocess


def gpu_places(option: str) -> list[str]:
    """The GPUs that `--gpus` names: all that are there, none, or a list taken at its word."""
    if option == "none":
        return []
    if option == "all":
        return detected_gpus()
    return list(dict.fromkeys(option.split(",")))


def detected_gpus() -> list[str]:
    """The numbers that a script may use as --gpu: those nvidia-smi lists.

    Where CUDA_VISIBLE_DEVICES hides some, the script counts the visible ones from 0.
    """
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],  # noqa: S607 - on the PATH
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(listing)
    if visible is not None:
        count = min(
            count, len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
        )
    return [str(number) for number in range(count)]
