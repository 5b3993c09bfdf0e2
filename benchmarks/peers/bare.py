"""The reference: `subprocess.run` of the script in a pool of threads, and nothing else."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

from peers.task import Task, evaluate

TITLE = "bare `subprocess.run`"
DISTRIBUTION = None


def search(task: Task) -> None:
    """As many calls as a search makes; nothing is decided, nothing is kept."""
    draws = Random(task.seed)
    with ThreadPoolExecutor(task.workers) as pool:
        list(pool.map(lambda _: evaluate(task, draws.random(), 1), range(task.calls)))
