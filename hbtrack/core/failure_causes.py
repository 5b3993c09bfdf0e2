"""Why an evaluation failed, as far as its error tells: pure.

Only what is said by the machine, not by the config, may be tried again by itself: memory that ran
out, a GPU that has gone. An illegal access or a failed assertion on the GPU is the script's own.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from hbtrack.core.attempt_states import FAILURES, ended
from hbtrack.core.printed_error import error_of
from hbtrack.core.records import AttemptStatus, Verdict


class Cause(StrEnum):
    """Whose fault a failure is, by the one word that decides what is done about it."""

    GPU_MEMORY = "gpu_memory"
    GPU_LOST = "gpu_lost"
    MEMORY = "memory"  # of the machine
    MACHINE = "machine"  # a disk, a mount, the network, or what --retry-on names
    TIMEOUT = "timeout"
    CONFIG = "config"  # or the script's: the same would happen again

    @property
    def is_device_error(self) -> bool:
        """Whether it may be the GPU's fault."""
        return self in (Cause.GPU_MEMORY, Cause.GPU_LOST)


# What PyTorch, TensorFlow, JAX, CuPy, XGBoost and the CUDA and HIP runtimes say.
_GPU_MEMORY = (
    r"(?is)(CUDA|HIP|GPU|XPU)\b.{0,40}out of memory|out of memory.{0,40}\b(CUDA|HIP|GPU)"
    r"|(cuda|hip)Error(MemoryAllocation|OutOfMemory)|CUDA_ERROR_OUT_OF_MEMORY"
    r"|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED|OOM when allocating"
    r"|RESOURCE_EXHAUSTED.{0,80}(memory|alloc)|\bcuda\S*OutOfMemoryError|torch\.OutOfMemoryError"
)
_GPU_LOST = (
    r"(?is)\bXid\b|GPU is lost|fallen off the bus|no CUDA-capable device|No CUDA GPUs are available"
    r"|invalid device ordinal|(cuda|hip)Error(NoDevice|InvalidDevice|DevicesUnavailable|ECC\w*)"
    r"|devices? (is|are) busy or unavailable|uncorrectable ECC|CUDA_ERROR_(NO_DEVICE|ECC\w*)"
    r"|CUDA driver initialization failed|CUDA unknown error|No HIP GPUs are available"
    r"|hardware (stack )?error.{0,40}(GPU|CUDA)|device.{0,20}\bnot found\b.{0,20}CUDA"
)
_MEMORY = (
    r"(?s)\bMemoryError\b|Cannot allocate memory|bad_alloc|Unable to allocate .{1,40}for an array"
    r"|DefaultCPUAllocator"
)
# What the kernel says of disks, mounts, shared memory and the network, and who hands it on.
_MACHINE = (
    r"(?s)No space left on device|Disk quota exceeded|Stale (NFS )?file handle"
    r"|Read-only file system"
    r"|\b(OSError|IOError|errno)\b[^\n]*Input/output error|: Input/output error(?m:$)"
    r"|\[Errno (5|19|28|30|70|112|113|116|122)\]|: No such device(?m:$)"
    r"|Transport endpoint is not connected|Host is down"
    r"|PytorchStreamWriter failed writing|inline_container.{0,200}file write failed"
    r"|DataLoader worker .{0,80}(killed by signal|exited unexpectedly)"
    r"|(died with <Signals\.SIGKILL|terminated with signal SIGKILL|Signal 9 \(SIGKILL\) received)"
    r"|\bBus error\b|insufficient shared memory|unable to (open|mmap) shared memory"
    r"|No route to host|Network is (unreachable|down)|Connection (refused|reset|timed out|aborted)"
    r"|\bConnection(Refused|Reset|Aborted)?Error\b|\bConnect(ion)?Timeout\b|RemoteDisconnected"
    r"|Max retries exceeded with url|Failed to establish a new connection"
    r"|name resolution|Name or service not known|nodename nor servname|getaddrinfo failed"
)
_SAID = 4000  # characters: the end of what a script without a traceback said


def cause_of(verdict: Verdict, retry_on: Sequence[str] = ()) -> Cause:
    """Why an attempt that failed did so.

    `retry_on` are texts by which the user knows that the machine is at fault, in the error or in
    the last that was printed.
    """
    printed = (verdict.error or "", verdict.stdout[-_SAID:], verdict.stderr[-_SAID:])
    if any(text in part for text in retry_on for part in printed):
        return Cause.MACHINE
    if verdict.status is AttemptStatus.TIMEOUT:
        return Cause.TIMEOUT
    said = _said(verdict)
    if re.search(_GPU_MEMORY, said):
        return Cause.GPU_MEMORY
    if re.search(_GPU_LOST, said):
        return Cause.GPU_LOST
    if verdict.signal == "SIGBUS" or re.search(_MACHINE, said):
        return Cause.MACHINE
    return Cause.MEMORY if re.search(_MEMORY, said) else Cause.CONFIG


def _said(verdict: Verdict) -> str:
    """The error, those that led to it, and the last words of a script without a traceback."""
    error = verdict.error or ""
    told = error_of(error)
    led_to = told.led_to if told else ()
    last = error[-_SAID:] if verdict.error_type in ("exit_code", "signal") else ""
    return "\n".join([f"{verdict.error_type}: {verdict.error_message}", *led_to, last])


def fingerprint_of(verdict: Verdict) -> str | None:
    """What failures of one cause have in common; None for an attempt that did not fail.

    The kind, the exit status or signal, the exception's type and its place in the user's own code,
    but not the message: that often names the config.
    """
    if ended(verdict.status) not in FAILURES:
        return None
    how = verdict.signal or f"exit {verdict.exit_code}"
    return "; ".join(filter(None, [verdict.error_type or "failed", how, verdict.place]))
