"""Which GPUs attempts may use, and what a script is told about those that it gets."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hbtrack.core.gpu import MIG, Gpu

SMI_SECONDS = 30.0
"""How long nvidia-smi may take; on a machine with a broken GPU it may take for ever."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A GPU that nvidia-smi lists."""

    index: str
    uuid: str  # empty where it does not tell
    instances: tuple[str, ...] | None  # UUIDs of its MIG instances; None where it does not tell


def find_gpus(
    option: str, *, isolate: bool, say: Callable[[str], None] = lambda _text: None
) -> list[Gpu]:
    """The GPUs that `--gpus` names: all that a script would see, none, or a list of numbers.

    The list is taken at its word: nvidia-smi is then asked only for what they are locked by. `say`
    tells the user what could not be found out.
    """
    if option == "none":
        return []
    listed, entries = _listed(), _entries()
    if listed is None:
        say(_SMI_FAILED)
    elif not listed and option == "all" and AMD.exists():
        say(_OTHERS)
    if option == "all":
        found = _believed(entries or []) if listed is None else _visible(listed, entries)
    else:
        numbers = dict.fromkeys(map(int, option.split(",")))
        found = [gpu for number in numbers for gpu in _numbered(number, listed or [], entries)]
    # One that has two numbers is still one.
    once = list({gpu.key: gpu for gpu in reversed(found)}.values())[::-1]
    isolated = isolate or any(gpu.is_instance for gpu in once)
    return [replace(gpu, isolated=isolated) for gpu in once]


_SMI_FAILED = (
    "nvidia-smi fails or does not answer, so CUDA_VISIBLE_DEVICES is used as it is; without it "
    "there are no GPUs but those that are named, as with --gpus 0,1."
)
_OTHERS = (
    "There is an AMD GPU here. hbtrack counts GPUs of NVIDIA only; name the others by number, as "
    "with --gpus 0,1: scripts get them by --gpu, one evaluation on each."
)
AMD = Path("/dev/kfd")
"""What the driver of AMD's GPUs makes."""
_ENTRY = re.compile(r"[0-9]+|(GPU|MIG)-.+")
"""What names a GPU; NoDevFiles and the like name none."""


# --- what CUDA_VISIBLE_DEVICES says --------------------------------------------------------------


def _entries() -> list[str] | None:
    """Its entries up to the first that can mean nothing, where CUDA stops; None if not set."""
    text = os.environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return None
    entries: list[str] = []
    for entry in map(str.strip, text.split(",")):
        if not entry or entry.startswith("-") or entry in entries:
            break
        entries.append(entry)
    return entries


def _visible(listed: Sequence[_Listed], entries: Sequence[str] | None) -> list[Gpu]:
    """All that a script sees; it counts the entries of CUDA_VISIBLE_DEVICES from 0."""
    if entries is None:
        return [gpu for one in listed for gpu in _meant(one.index, one.index, listed)]
    found: list[Gpu] = []
    for position, entry in enumerate(entries):
        meant = _meant(entry, str(position), listed)
        if not meant:  # CUDA stops here as well
            break
        found += meant
    return found


def _believed(entries: Sequence[str]) -> list[Gpu]:
    """What the entries say where nobody can tell what there is, up to one that says nothing."""
    found: list[Gpu] = []
    for number, entry in enumerate(entries):
        if not _ENTRY.fullmatch(entry):
            break
        name, instance = str(number), entry.startswith(MIG)
        found.append(Gpu(entry if instance else name, entry, entry, isolated=instance))
    return found


def _numbered(number: int, listed: Sequence[_Listed], entries: Sequence[str] | None) -> list[Gpu]:
    """What a script reaches by a number, whether it is there or not."""
    name = str(number)
    device = entries[number] if entries and number < len(entries) else name
    return _meant(device, name, listed) or [Gpu(name, device, device, isolated=False)]


def _meant(entry: str, name: str, listed: Sequence[_Listed]) -> list[Gpu]:
    """What an entry stands for: a GPU or its MIG instances; nothing if there is no such GPU."""
    if entry.startswith(MIG):
        return _instances(_known(entry, listed))
    found = [gpu for gpu in listed if _is_called(gpu, entry)]
    if len(found) > 1:  # the beginning of several UUIDs
        return []
    if not found:
        hidden = entry.startswith("GPU-") and any(not gpu.uuid for gpu in listed)
        return [Gpu(name, entry, entry, isolated=False)] if hidden else []
    if found[0].instances:
        return _instances(found[0].instances)
    return [Gpu(name, entry, found[0].uuid or entry, isolated=False)]


def _is_called(gpu: _Listed, entry: str) -> bool:
    if entry.startswith("GPU-"):
        return gpu.uuid.startswith(entry)
    return entry == gpu.index


def _known(entry: str, listed: Sequence[_Listed]) -> list[str]:
    """The MIG instance of that UUID, or of the only one that begins so."""
    if any(gpu.instances is None for gpu in listed):
        return [entry]
    found = [uuid for gpu in listed for uuid in gpu.instances or () if uuid.startswith(entry)]
    return found if len(found) == 1 else []


def _instances(uuids: Sequence[str]) -> list[Gpu]:
    return [Gpu(uuid, uuid, uuid, isolated=True) for uuid in uuids]


# --- what nvidia-smi says ------------------------------------------------------------------------

_GPU_LINE = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^\s)]+)\)\s*")
_MIG_LINE = re.compile(r"\s+MIG .*\(UUID: (MIG-[^\s)]+)\)\s*")
_CSV_LINE = re.compile(r"\s*(\d+)\s*(?:,\s*(GPU-\S+)?.*)?")


def _listed() -> list[_Listed] | None:
    """The GPUs of this machine; none where nvidia-smi is absent, None where it hangs or fails."""
    if shutil.which("nvidia-smi") is None:
        return []
    said = _ask("-L")
    if said is None:
        return None
    if listed := _read_list(said):
        return listed
    csv = _ask("--query-gpu=index,uuid", "--format=csv,noheader")
    return _read_csv(csv) if csv else None


def _read_list(said: str) -> list[_Listed]:
    """The GPUs of `nvidia-smi -L`, each followed by its MIG instances on lines of their own."""
    listed: list[_Listed] = []
    for line in said.splitlines():
        if match := _GPU_LINE.fullmatch(line):
            listed.append(_Listed(match[1], match[2], ()))
        elif listed and (match := _MIG_LINE.fullmatch(line)):
            instances = (*(listed[-1].instances or ()), match[1])
            listed[-1] = replace(listed[-1], instances=instances)
    return listed


def _read_csv(said: str) -> list[_Listed]:
    matches = filter(None, map(_CSV_LINE.fullmatch, said.splitlines()))
    return [_Listed(match[1], match[2] or "", None) for match in matches]


def _ask(*words: str) -> str | None:
    """What nvidia-smi prints; nothing if it fails, None if it is not there or does not answer."""
    try:
        asked = subprocess.Popen(
            ["nvidia-smi", *words],  # noqa: S607 - wherever it lies on the PATH
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
    except OSError:
        return None
    try:
        said, _ = asked.communicate(timeout=SMI_SECONDS)
    except subprocess.TimeoutExpired:
        _abandon(asked)
        return None
    return said if asked.returncode == 0 else ""


def _abandon(asked: subprocess.Popen[str]) -> None:
    """Kill nvidia-smi. Stuck in the kernel it does not even die: that is not waited for long."""
    asked.kill()
    if asked.stdout:
        asked.stdout.close()
    try:
        asked.wait(1.0)
    except subprocess.TimeoutExpired:
        asked.returncode = -1  # left behind on purpose: Popen shall not warn
