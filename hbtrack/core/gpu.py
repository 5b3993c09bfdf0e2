"""What a GPU is, and what a script is told about those that it gets. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

MIG = "MIG-"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or a MIG instance of one, as scripts reach it from where hbtrack was started."""

    name: str  # what the script gets as --gpu
    device: str  # CUDA_VISIBLE_DEVICES for this one alone
    key: str  # by what it is locked: which one it physically is; empty: not locked
    isolated: bool  # must be reached through CUDA_VISIBLE_DEVICES

    @property
    def is_instance(self) -> bool:
        """Whether it is a MIG instance, of which CUDA sees one per process."""
        return self.device.startswith(MIG)


NO_GPU = Gpu("0", "", "", isolated=False)
"""Where attempts run on a machine without GPUs."""


def call_of(gpus: Sequence[Gpu]) -> tuple[list[str], dict[str, str]]:
    """The GPUs by the numbers that an attempt on them uses, and what its environment gets."""
    if not any(gpu.isolated for gpu in gpus):
        return [gpu.name for gpu in gpus], {}
    numbers = [str(number) for number in range(len(gpus))]  # it sees no others
    return numbers, {"CUDA_VISIBLE_DEVICES": ",".join(gpu.device for gpu in gpus)}


def shown(gpus: Sequence[Gpu]) -> str:
    """What is recorded as the GPUs of an attempt."""
    return ",".join(gpu.device if gpu.isolated else gpu.name for gpu in gpus)
