"""A script that keeps the contract and a diary: each call, each epoch, every second writer.

The diary (diary.txt) is appended to with O_APPEND: what was begun more often than it came to its
end was thrown away. A lock of its own on each checkpoint shows whether two processes ever work on
one config. While a file named `hold` lies in its folder no epoch ends, and who waits for that
notes it as `held`; a file named `hold_after` becomes `hold` as soon as so many calls have ended as
it says. Once there is one named `hurry` epochs take no time.
"""

import argparse
import contextlib
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


def perhaps_hold(folder):
    after = os.path.join(folder, "hold_after")
    with contextlib.suppress(FileNotFoundError), open(after) as file:
        with open(os.path.join(folder, "diary.txt")) as diary:
            ended = sum(line.startswith("end ") for line in diary)
        if ended >= int(file.read()):
            os.rename(after, os.path.join(folder, "hold"))


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
    while state["epoch"] < args.epochs:
        note(args.folder, "begin", args.config_id, state["epoch"] + 1)
        if not os.path.exists(os.path.join(args.folder, "hurry")):
            time.sleep(args.epoch_seconds)
        hold = os.path.join(args.folder, "hold")
        if os.path.exists(hold):
            note(args.folder, "held", args.config_id, state["epoch"] + 1)
        while os.path.exists(hold):
            time.sleep(0.01)
        state["epoch"] += 1
        with open(checkpoint + ".partial", "w") as file:
            json.dump(state, file)
        os.replace(checkpoint + ".partial", checkpoint)
        note(args.folder, "epoch", args.config_id, state["epoch"])
    note(args.folder, "end", args.config_id, args.epochs)
    perhaps_hold(args.folder)
    if draw("fails", args.config_id, args.epochs) < args.fail:
        raise RuntimeError("no luck")
    print("some text before the loss")
    print(draw("loss", args.config_id, args.epochs))


if __name__ == "__main__":
    main()
