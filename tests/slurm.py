"""A Slurm of one node, from programs that are installed, in a folder of its own; needs root."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from conftest import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=100
"""


def missing() -> str | None:
    """What is not here; None when a cluster can be started."""
    if os.geteuid():
        return "root"
    return next((name for name in PROGRAMS if not shutil.which(name)), None)


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """A cluster that takes jobs; the environment in which its commands find it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    for path, mode in ((folder, 0o755), (key, 0o600)):
        path.chmod(mode)
    host = socket.gethostname().partition(".")[0]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, folder=folder, ports=free_ports()))
    environment = {**os.environ, "SLURM_CONF": str(config)}
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with ExitStack() as ends:
        for name, command in {
            "munged": ["munged", "-F", "--force", f"--socket={folder}/munge.socket", *munge],
            "slurmctld": ["slurmctld", "-D", "-i"],
            "slurmd": ["slurmd", "-D"],
        }.items():
            log = ends.enter_context((folder / f"{name}.log").open("wb"))
            daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            ends.callback(daemon.wait, 120)
            ends.callback(daemon.terminate)
            if name == "munged":
                wait_for((folder / "munge.socket").exists)
        state = ["sinfo", "--noheader", "--format=%T"]
        wait_for(
            lambda: (
                "idle"
                in subprocess.run(state, env=environment, capture_output=True, text=True).stdout
            )
        )
        yield environment


def free_ports() -> list[int]:
    """Two ports that nobody listens on, nor gets from the kernel until they are used."""
    found: list[int] = []
    while len(found) < 2:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found += [port] * (port not in found)
    return found
