"""Which GPUs there are, and that no two evaluations use one at once."""

import errno
import json
import os
import resource
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import wait_for
from local import UNTIL_GO, Local

from hbtrack.core.execution import Job
from hbtrack.core.gpu import NO_GPU, Gpu, call_of, shown
from hbtrack.errors import HbtrackError
from hbtrack.executors import gpu_locks, gpus
from hbtrack.executors.gpus import find_gpus
from hbtrack.executors.lock_folder import lock_folder

A, B, C = (f"GPU-{letter * 8}-0000-1111-2222-333333333333" for letter in "abc")
ALIKE = "GPU-abababab-0000-1111-2222-333333333333"
MIG_1, MIG_2 = (f"MIG-{digit * 8}-0000-1111-2222-333333333333" for digit in "12")


def listing(*uuids: str) -> str:
    return "".join(
        f"GPU {number}: NVIDIA A100-SXM4-40GB (rev 2) (UUID: {uuid})\n"
        for number, uuid in enumerate(uuids)
    )


def with_instances(*uuids: str) -> str:
    return "".join(
        f"  MIG 1g.5gb      Device  {number}: (UUID: {uuid})\n" for number, uuid in enumerate(uuids)
    )


THREE = listing(A, B, C)
SPLIT = listing(A) + with_instances(MIG_1, MIG_2) + listing(A, B).splitlines()[1] + "\n"

Smi = Callable[..., None]


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smi:
    """Put an nvidia-smi on the PATH that prints this; without it there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def write(said: str, csv: str = "", status: int = 0, csv_status: int = 0) -> None:
        (folder / "list").write_text(said)
        (folder / "csv").write_text(csv)
        program = folder / "nvidia-smi"
        program.write_text(
            "#!/bin/sh\n"
            f"say() {{ while IFS= read -r line; do echo \"$line\"; done < '{folder}'/$1; }}\n"
            f'[ "$*" = -L ] && {{ say list; exit {status}; }}\n'
            '[ "$*" = "--query-gpu=index,uuid --format=csv,noheader" ] &&'
            f" {{ say csv; exit {csv_status}; }}\n"
            "exit 9\n"
        )
        program.chmod(0o755)

    return write


FoundOf = Callable[..., list[Gpu]]


@pytest.fixture
def found_of(smi: Smi, monkeypatch: pytest.MonkeyPatch) -> FoundOf:
    """The GPUs that are found where nvidia-smi says this and so much is visible."""

    def find(said: str, visible: str | None, option: str = "all") -> list[Gpu]:
        smi(said)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        return find_gpus(option, isolate=False)

    return find


def whole(name: str, device: str, key: str) -> Gpu:
    return Gpu(name, device, key, isolated=False)


def instance(uuid: str) -> Gpu:
    return Gpu(uuid, uuid, uuid, isolated=True)


# --- which there are -----------------------------------------------------------------------------


@pytest.mark.usefixtures("smi")
def test_without_nvidia_smi_there_are_no_gpus_but_those_named() -> None:
    assert find_gpus("all", isolate=False) == []
    assert find_gpus("none", isolate=False) == []
    assert find_gpus("0,3,0", isolate=False) == [whole("0", "0", "0"), whole("3", "3", "3")]


@pytest.mark.parametrize(
    ("said", "csv", "status", "csv_status", "found"),
    [
        (THREE, "", 0, 0, [("0", A), ("1", B), ("2", C)]),
        ("", "", 9, 9, []),
        (THREE, "", 1, 1, []),
        ("No devices were found\n", "No devices were found\n", 0, 0, []),
        ("GPU 0: strange\n", f"0, {A}\n1, {B}\n", 0, 0, [("0", A), ("1", B)]),
        ("", f"0, {A}\n", 6, 0, [("0", A)]),
        ("", "0\n1\n", 6, 0, [("0", "0"), ("1", "1")]),
        ("", "0, [N/A]\n", 6, 0, [("0", "0")]),
    ],
)
def test_nvidia_smi_is_understood_or_there_are_no_gpus(
    smi: Smi,
    said: str,
    csv: str,
    status: int,
    csv_status: int,
    found: list[tuple[str, str]],
) -> None:
    smi(said, csv, status, csv_status)
    assert find_gpus("all", isolate=False) == [whole(index, index, key) for index, key in found]


def test_an_nvidia_smi_that_hangs_is_not_waited_for(
    smi: Smi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi(THREE)
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexec /bin/sleep 1000\n")
    monkeypatch.setattr(gpus, "SMI_SECONDS", 0.05)
    assert find_gpus("all", isolate=False) == []


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, []),
        ("NoDevFiles", []),
        ("-1", []),
        ("2,0", [whole("0", "2", "2"), whole("1", "0", "0")]),
        (f"{B},none,0", [whole("0", B, B)]),
        ("MIG-1", [Gpu("MIG-1", "MIG-1", "MIG-1", isolated=True)]),
    ],
)
def test_where_nvidia_smi_fails_the_environment_is_believed_and_that_is_said(
    smi: Smi, monkeypatch: pytest.MonkeyPatch, visible: str | None, found: list[Gpu]
) -> None:
    smi("", "", 9, 9)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    said: list[str] = []
    assert find_gpus("all", isolate=False, say=said.append) == [
        replace(gpu, isolated=any(one.is_instance for one in found)) for gpu in found
    ]
    assert ["nvidia-smi fails" in sentence for sentence in said] == [True]


def test_where_there_are_gpus_of_others_it_is_said_what_is_not_counted(
    smi: Smi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi("No devices were found\n", "No devices were found\n")
    monkeypatch.setattr(gpus, "AMD", tmp_path)
    said: list[str] = []
    assert find_gpus("all", isolate=False, say=said.append) == []
    assert ["AMD" in sentence for sentence in said] == [True]
    assert find_gpus("0,1", isolate=False, say=said.append) == [
        whole("0", "0", "0"),
        whole("1", "1", "1"),
    ]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", [("1", B)]),
        ("2,0", [("2", C), ("0", A)]),
        (" 2 , 0 ", [("2", C), ("0", A)]),
        ("1,-1,0", [("1", B)]),
        ("1,,0", [("1", B)]),
        ("1,7,0", [("1", B)]),
        ("1,1", [("1", B)]),
        (f"{B},0", [(B, B), ("0", A)]),
        ("GPU-cccc", [("GPU-cccc", C)]),
        ("GPU-dddd,0", []),
        ("1,GPU-bbbb", [("1", B)]),
        ("MIG-1,0", []),
    ],
)
def test_a_script_counts_the_visible_gpus_from_0_up_to_the_first_that_is_not_there(
    found_of: FoundOf, visible: str, found: list[tuple[str, str]]
) -> None:
    expected = [whole(str(number), *pair) for number, pair in enumerate(found)]
    assert found_of(THREE, visible) == expected


def test_the_beginning_of_two_uuids_is_none_of_them(found_of: FoundOf) -> None:
    two = listing(A, ALIKE)
    assert found_of(two, "GPU-a") == []
    assert found_of(two, "GPU-ab") == [whole("0", "GPU-ab", ALIKE)]


def test_a_uuid_is_believed_where_nvidia_smi_tells_none(
    smi: Smi, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi("", "0\n1\n", status=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{B},1,{MIG_1}")
    found = find_gpus("all", isolate=True)
    assert [(gpu.device, gpu.key) for gpu in found] == [(B, B), ("1", "1"), (MIG_1, MIG_1)]


@pytest.mark.parametrize(
    ("visible", "option", "found"),
    [
        (None, "1", [whole("1", "1", B)]),
        (None, "2,0,00", [whole("2", "2", C), whole("0", "0", A)]),
        (None, "0,5", [whole("0", "0", A), whole("5", "5", "5")]),
        ("2,0", "1", [whole("1", "0", A)]),
        ("2,0", "0,1", [whole("0", "2", C), whole("1", "0", A)]),
        (B, "0", [whole("0", B, B)]),
        ("1", "0,4", [whole("0", "1", B), whole("4", "4", "4")]),
        ("1", "0,1", [whole("0", "1", B)]),
        ("GPU-dddd", "0", [whole("0", "GPU-dddd", "GPU-dddd")]),
        ("", "1", [whole("1", "1", B)]),
    ],
)
def test_numbers_are_positions_among_what_is_visible_and_taken_at_their_word(
    found_of: FoundOf, visible: str | None, option: str, found: list[Gpu]
) -> None:
    assert found_of(THREE, visible, option) == found


@pytest.mark.parametrize(
    ("visible", "option", "found"),
    [
        (None, "all", [instance(MIG_1), instance(MIG_2), Gpu("1", "1", B, isolated=True)]),
        (MIG_2, "all", [instance(MIG_2)]),
        (f"{MIG_2},1", "all", [instance(MIG_2), Gpu("1", "1", B, isolated=True)]),
        ("MIG-1", "all", [instance(MIG_1)]),
        ("MIG-3,1", "all", []),
        ("1", "all", [whole("0", "1", B)]),
        (None, "0", [instance(MIG_1), instance(MIG_2)]),
        (f"{MIG_1},{MIG_2}", "1", [instance(MIG_2)]),
    ],
)
def test_mig_instances_stand_for_their_gpu_and_are_reached_by_the_environment_only(
    found_of: FoundOf, visible: str | None, option: str, found: list[Gpu]
) -> None:
    assert found_of(SPLIT, visible, option) == found


# --- what scripts are told -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("isolate", "which", "call", "text"),
    [
        (False, [1], (["1"], {}), "1"),
        (False, [0, 1], (["0", "1"], {}), "0,1"),
        (True, [1], (["0"], {"CUDA_VISIBLE_DEVICES": "0"}), "0"),
        (True, [0, 1], (["0", "1"], {"CUDA_VISIBLE_DEVICES": "2,0"}), "2,0"),
    ],
)
def test_an_isolated_attempt_sees_its_gpus_only_and_counts_them_from_0(
    smi: Smi,
    monkeypatch: pytest.MonkeyPatch,
    isolate: bool,
    which: list[int],
    call: tuple[list[str], dict[str, str]],
    text: str,
) -> None:
    smi(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    found = find_gpus("all", isolate=isolate)
    given = [found[number] for number in which]
    assert (call_of(given), shown(given)) == (call, text)


def test_without_gpus_scripts_are_told_0_and_nothing_else() -> None:
    assert (call_of([NO_GPU]), shown([NO_GPU])) == ((["0"], {}), "0")


# --- locks ---------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "locks"
    monkeypatch.setenv("HBTRACK_LOCKS", str(folder))
    return folder


def take(key: str, per_gpu: int = 1, holder: str = "x") -> int:
    lock = gpu_locks.take(key, per_gpu, holder)
    assert lock is not None
    return lock


def test_a_gpu_is_given_once_and_again_when_it_is_let_go() -> None:
    lock = take(A)
    assert gpu_locks.take(A, 1, "y") is None
    os.close(take(B))
    os.close(lock)
    os.close(take(A))


@pytest.mark.parametrize("key", ["../../etc", "a b\n", "é" * 300, "0.1"])
def test_any_text_may_be_a_key(locks: Path, key: str) -> None:
    lock = take(key)
    assert gpu_locks.take(key, 1, "y") is None
    os.close(take("0"))
    assert {file.parent for file in locks.rglob("*")} == {locks}
    os.close(lock)


def test_what_a_search_that_allows_more_has_on_a_gpu_counts_for_one_that_allows_less() -> None:
    first, second = take(A, 2), take(A, 2)
    assert gpu_locks.take(A, 2, "y") is None
    os.close(first)
    assert gpu_locks.take(A, 1, "y") is None, "one is still there, in the second place"
    first = take(A, 2)
    os.close(second)
    os.close(first)
    os.close(take(A, 1))


def test_who_holds_a_gpu_is_told_in_one_line() -> None:
    assert gpu_locks.holder_of(A) is None
    lock = take(A, holder="model:resnet\n, pid 123456789")
    assert gpu_locks.holder_of(A) == "model:resnet , pid 123456789"
    os.close(lock)
    assert gpu_locks.holder_of(A) is None
    lock = take(A, holder="b")
    assert gpu_locks.holder_of(A) == "b"
    os.close(lock)


def test_the_lock_is_as_new_whenever_it_is_taken(locks: Path) -> None:
    os.close(take(A))
    (file,) = locks.iterdir()
    os.utime(file, (0, 0))
    os.close(take(A))
    assert file.stat().st_mtime > 10**9
    assert (file.stat().st_mode & 0o777, locks.stat().st_mode & 0o777) == (0o600, 0o700)


def test_without_a_folder_that_is_named_the_locks_lie_where_the_session_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HBTRACK_LOCKS")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert lock_folder() == runtime / "hbtrack"
    assert (runtime / "hbtrack").stat().st_mode & 0o777 == 0o700
    for unfit in (tmp_path / "none", runtime):
        runtime.chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(unfit))
        assert lock_folder().parent == Path("/tmp")


def test_a_folder_that_another_user_made_first_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / "1", tmp_path / "2", tmp_path / "3"]
    monkeypatch.delenv("HBTRACK_LOCKS")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("hbtrack.executors.lock_folder._names", lambda: iter(names))
    names[0].symlink_to(tmp_path)
    assert lock_folder() == names[1]
    names[0].unlink()
    assert lock_folder() == names[1], "those who came before have their locks there"
    names[1].chmod(0o777)
    assert lock_folder() == names[0]


def test_a_folder_that_others_could_have_made_is_refused(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    locks.symlink_to("real")
    with pytest.raises(HbtrackError, match=r"is a link .*set HBTRACK_LOCKS"):
        gpu_locks.take(A, 1, "x")
    locks.unlink()
    locks.write_text("")
    with pytest.raises(HbtrackError, match="cannot be used: File exists"):
        gpu_locks.take(A, 1, "x")
    locks.unlink()
    locks.mkdir()
    locks.chmod(0o777)
    with pytest.raises(HbtrackError, match="chmod 700"):
        gpu_locks.take(A, 1, "x")


def test_a_lock_file_behind_a_link_is_not_opened(locks: Path, tmp_path: Path) -> None:
    os.close(take(A))
    (file,) = locks.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        gpu_locks.take(A, 1, "x")
    assert not (tmp_path / "other").exists()


# --- attempts that hold them ---------------------------------------------------------------------


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Local]]:
    """Make executors, each of a search of its own; their scripts are ended with the test."""
    made: list[Local] = []

    def make_one(*keys: str, per_gpu: int = 1) -> Local:
        folder = tmp_path / f"search{len(made)}"
        folder.mkdir()
        made.append(Local(folder, tmp_path, *keys, token=secrets.token_hex(6), per_gpu=per_gpu))
        return made[-1]

    yield make_one
    for executor in made:
        executor.end_all()


Make = Callable[..., Local]


def is_free(key: str) -> bool:
    return gpu_locks.holder_of(key) is None


def test_two_searches_do_not_take_one_gpu_and_a_refusal_takes_nothing(make: Make) -> None:
    assert make(A).take()
    assert make(A).take() is None
    other = make(B, A)
    assert other.take() == (0, B, [B], {}), "all are not to be had, one is"
    assert other.take() is None
    other.close()
    assert make(B, C).take() == (0, f"{B},{C}", [B, C], {}), "what was refused was let go"


def test_what_is_reserved_is_in_use_before_it_starts(make: Make) -> None:
    executor = make(A, B)
    slots = [executor.reserve() for _ in range(3)]
    assert [slot and slot.gpu for slot in slots] == [A, B, None]
    assert executor.heard == []


def test_who_uses_a_gpu_is_said_once_until_it_is_ours(make: Make) -> None:
    one, other = make(A), make(A)
    assert one.take()
    for _ in range(2):
        assert other.take() is None
        other._devices._occupied.clear()  # as after a moment
    assert other.heard == [f"GPU {A} is used by {one.token}"]
    one.close()
    assert other.take()


def test_what_was_taken_and_never_started_is_given_back(make: Make) -> None:
    executor = make(A, B)
    executor.take()
    assert not is_free(A)
    executor.close()
    assert is_free(A)
    assert is_free(B)


def test_a_gpu_is_in_use_until_its_attempt_has_ended_and_free_when_that_is_heard(
    make: Make, tmp_path: Path
) -> None:
    executor = make(A, B)
    executor.at_work(UNTIL_GO)
    assert executor.take() is None
    assert not is_free(B)
    (tmp_path / "go").touch()
    assert executor.next_end().record.exit_status == 0
    assert executor.take()


def test_sixteen_gpus_go_to_one_attempt(make: Make) -> None:
    keys = [f"GPU-{number}" for number in range(16)]
    ended = make(*keys).run("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))")
    numbers = json.loads(ended.output.last_line)
    assert len([number for number in numbers if number > 2]) == 16 + 1 + 1  # its lock, the listing
    assert all(map(is_free, keys))


def test_other_scripts_do_not_inherit_the_locks_of_a_gpu(make: Make, tmp_path: Path) -> None:
    executor = make(A, B)
    for attempt in (1, 2):
        slot = executor.reserve()
        assert slot
        name = executor.name_of(attempt)
        code = f"open('{attempt}', 'w').close()\n{UNTIL_GO}"
        job = Job(name, [sys.executable, "-c", code], {"HBTRACK_ATTEMPT": name})
        executor.start(job, slot)
        wait_for((tmp_path / str(attempt)).exists)
    executor.kill(1)
    executor.next_end()
    assert is_free(A)
    assert not is_free(B)


def test_a_gpu_is_free_once_it_is_read_that_its_attempt_has_ended(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HBTRACK_FAULT", "warden.record.after:1:freeze")
    executor = make(A)
    executor.at_work("import time; time.sleep(1000)")
    executor.kill(1)
    executor.next_end()
    assert is_free(A)
    assert executor._link.process
    executor._link.process.send_signal(signal.SIGCONT)


def test_a_script_that_closes_all_files_still_has_its_gpu(make: Make, tmp_path: Path) -> None:
    executor = make(A)
    close_all = "import os\nos.closerange(3, 1000)\nopen('closed', 'w').close()\n"
    executor.at_work(close_all + UNTIL_GO)
    wait_for((tmp_path / "closed").exists)
    assert not is_free(A)
    (tmp_path / "go").touch()
    executor.next_end()
    assert is_free(A)


def test_a_gpu_is_in_use_as_long_as_the_script_lives_although_its_parent_was_killed(
    make: Make, tmp_path: Path
) -> None:
    executor = make(A)
    executor.at_work(UNTIL_GO)
    assert executor._link.process
    executor._link.process.kill()
    executor._link.process.wait()
    assert not is_free(A)
    (tmp_path / "go").touch()
    executor.next_end()
    wait_for(lambda: is_free(A))


def test_a_gpu_is_in_use_after_the_search_was_closed_until_the_script_ends(
    make: Make, tmp_path: Path
) -> None:
    one = make(A)
    one.at_work(UNTIL_GO)
    one.close()
    assert make(A).take() is None
    (tmp_path / "go").touch()
    wait_for(lambda: is_free(A))
    assert make(A).take()


def test_two_evaluations_share_a_gpu_that_may_have_two(make: Make) -> None:
    executor = make(A, per_gpu=2)
    executor.at_work("import time; time.sleep(1000)", attempt=1)
    assert make(A, per_gpu=1).take() is None
    executor.at_work("import time; time.sleep(1000)", attempt=2)
    assert make(A, per_gpu=2).take() is None
    assert make(A, per_gpu=3).take()


def test_what_cannot_be_started_lets_its_gpus_go(make: Make) -> None:
    executor = make(A, B)
    executor.begin(1, ["/no/such/python"])
    assert executor.next_end().record.failed
    assert is_free(A)
    assert is_free(B)


def test_a_start_for_which_too_many_files_are_open_fails_and_lets_its_gpus_go(
    make: Make, tmp_path: Path
) -> None:
    keys = [f"GPU-{number}" for number in range(16)]
    executor = make(*keys)
    executor.at_work(UNTIL_GO)
    (tmp_path / "go").touch()
    executor.next_end()
    assert executor._link.process
    pid = executor._link.process.pid
    limit = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 6  # room for some, not for all
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
    executor.python("pass", attempt=2)
    ended = executor.next_end()
    assert (ended.attempt, ended.record.failed) == (2, errno.EMFILE)
    assert all(map(is_free, keys))
