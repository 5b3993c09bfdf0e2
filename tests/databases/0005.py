"""A script that keeps the contract and a diary: every epoch it trains, every second writer.

What it prints is an accuracy, with metrics above it.

The diary (diary.txt) is appended to with O_APPEND; a lock of its own on each checkpoint shows
whether two processes ever work on one config.
"""

import argparse
import fcntl
import hashlib
import json
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("config_id")
parser.add_argument("--epochs", type=int)
parser.add_argument("--gpu", type=int)
parser.add_argument("--multi_gpu", action="store_true")
parser.add_argument("--space", type=int, default=10**9)
parser.add_argument("--fail", type=float, default=0.05)
parser.add_argument("--epoch_seconds", type=float, default=0.0)
parser.add_argument("--folder", default="toy")


def get_random_config_id(rng):
    space = parser.parse_known_args(["", *RUN_ARGS])[0].space
    return f"x:{rng.randint(space)}"


RUN_ARGS = []


def run_identity(argv):
    RUN_ARGS[:] = argv
    return "toy"


def draw(*words):
    digest = hashlib.md5(" ".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def note(folder, *words):
    diary = os.open(os.path.join(folder, "diary.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(diary, (" ".join(map(str, words)) + "\n").encode())
    os.close(diary)


def main():
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    checkpoint = os.path.join(args.folder, args.config_id)
    own = os.open(checkpoint + ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(args.folder, "RACE", args.config_id, args.epochs)
        raise
    state = {"epoch": 0}
    if os.path.exists(checkpoint):
        with open(checkpoint) as file:
            state = json.load(file)
    note(args.folder, "call", args.config_id, args.epochs, state["epoch"])
    if args.epochs < state["epoch"]:
        note(args.folder, "BELOW", args.config_id, args.epochs)
    full = checkpoint + f".{args.epochs}.full"
    if draw("memory", args.config_id, args.epochs) < 0.2 and not os.path.exists(full):
        open(full, "w").close()
        raise RuntimeError("CUDA out of memory")
    if draw("fails", args.config_id, args.epochs) < args.fail:
        raise RuntimeError("no luck")
    while state["epoch"] < args.epochs:
        time.sleep(args.epoch_seconds)
        state["epoch"] += 1
        with open(checkpoint + ".partial", "w") as file:
            json.dump(state, file)
        os.replace(checkpoint + ".partial", checkpoint)
        note(args.folder, "epoch", args.config_id, state["epoch"])
    print("some text before the loss")
    print(json.dumps({"recall": draw("recall", args.config_id, args.epochs), "note": "none"}))
    print(f"f1: {draw('f1', args.config_id, args.epochs)}")
    print(1 - draw("loss", args.config_id, args.epochs))


if __name__ == "__main__":
    main()
