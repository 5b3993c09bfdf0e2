"""What all peers call: it sleeps for every epoch it trains, with the standard library alone."""

import os
import sys
import time

SECONDS = 0.0
HERE = os.path.dirname(os.path.abspath(__file__))


def get_random_config_id(rng):  # type: ignore[no-untyped-def]
    """A number."""
    return f"x:{rng.uniform():.9f}"


def run_identity(argv):  # type: ignore[no-untyped-def]
    """There is one experiment."""
    return "against"


def note(*words):  # type: ignore[no-untyped-def]
    """A line of the ledger."""
    with open(os.path.join(HERE, "ledger"), "a") as ledger:
        print(*words, file=ledger)


def argument(name):  # type: ignore[no-untyped-def]
    """What follows an option."""
    return sys.argv[sys.argv.index(name) + 1]


def evaluate(config_id, budgets):  # type: ignore[no-untyped-def]
    """Train up to each budget; yields it and the loss."""
    x, checkpoint = float(config_id[2:]), os.path.join(HERE, config_id[2:])
    trained = int(open(checkpoint).read()) if os.path.exists(checkpoint) else 0
    for budget in budgets:
        note("start", config_id, budget, os.getpid(), time.monotonic(), 0)
        slept = max(budget - trained, 0) * SECONDS
        if slept:
            time.sleep(slept)
            with open(f"{checkpoint}.{os.getpid()}", "w") as file:
                file.write(str(budget))
            os.replace(file.name, checkpoint)
        trained = max(budget, trained)
        note("end", config_id, budget, os.getpid(), time.monotonic(), slept)
        yield budget, (x - 0.3) ** 2 + (x * 7919 % 1) / budget


if __name__ == "__main__":
    if "--reports" in sys.argv:  # Syne Tune: options only, and its Reporter's line at every rung
        budgets = [int(budget) for budget in argument("--reports").split("-")]
        for epochs, loss in evaluate(f"x:{float(argument('--x')):.9f}", budgets):
            facts = f'"epochs": {epochs}, "loss": {loss!r}, "st_worker_timestamp": {time.time()}'
            print(f"[tune-metric]: {{{facts}}}", flush=True)
    else:
        for _, loss in evaluate(sys.argv[1], [int(argument("--epochs"))]):
            print(loss)
