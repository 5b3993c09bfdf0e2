"""A script that keeps the contract and a diary: each call, each epoch, every second writer.

The diary (diary.txt) is appended to with O_APPEND: what was begun more often than it came to its
end was thrown away. A lock of its own on each checkpoint shows whether two processes ever work on
one config. While a file named `hold` lies in its folder no epoch ends, and who waits for that
notes it as `held`; a file named `hold_after` becomes `hold` as soon as so many calls have ended as
it says. Once there is one named `hurry` epochs take no time.
"""

import fcntl
import os
import sys
import time

try:
    from _md5 import md5  # without OpenSSL, which takes longer to load than most calls take
except ImportError:
    from hashlib import md5

OPTIONS = {
    "epochs": 0,
    "gpu": 0,
    "multi_gpu": False,
    "space": 10**9,
    "fail": 0.05,
    "epoch_seconds": 0.0,
    "negative": False,
    "folder": "toy",
}


def options(words, defaults):
    """What `--name value` says, else the defaults. Loading argparse takes as long as Python."""
    found, words = dict(defaults), iter(words)
    for word in words:
        name = word.removeprefix("--")
        kind = type(defaults[name])
        found[name] = True if kind is bool else kind(next(words))
    return found


def get_random_config_id(rng):
    return f"x:{rng.randint(options(RUN_ARGS, OPTIONS)['space'])}"


RUN_ARGS = []


def run_identity(argv):
    RUN_ARGS[:] = argv
    return "toy"


def draw(*words):
    digest = md5(" ".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def note(folder, *words):
    diary = os.open(os.path.join(folder, "diary.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(diary, (" ".join(map(str, words)) + "\n").encode())
    os.close(diary)


def perhaps_hold(folder):
    after = os.path.join(folder, "hold_after")
    if not os.path.exists(after):
        return
    with open(os.path.join(folder, "diary.txt")) as diary:
        ended = sum(line.startswith("end ") for line in diary)
    try:
        with open(after) as file:
            if ended >= int(file.read()):
                os.rename(after, os.path.join(folder, "hold"))
    except FileNotFoundError:  # another call was the last
        pass


def main():
    config_id, args = sys.argv[1], options(sys.argv[2:], OPTIONS)
    folder, epochs = args["folder"], args["epochs"]
    os.makedirs(folder, exist_ok=True)
    checkpoint = os.path.join(folder, config_id)
    own = os.open(checkpoint + ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(folder, "RACE", config_id, epochs)
        raise
    trained = 0
    if os.path.exists(checkpoint):
        with open(checkpoint) as file:
            trained = int(file.read())
    note(folder, "call", config_id, epochs, trained)
    if epochs < trained:
        note(folder, "BELOW", config_id, epochs)
    while trained < epochs:
        note(folder, "begin", config_id, trained + 1)
        if not os.path.exists(os.path.join(folder, "hurry")):
            time.sleep(args["epoch_seconds"])
        hold = os.path.join(folder, "hold")
        if os.path.exists(hold):
            note(folder, "held", config_id, trained + 1)
        while os.path.exists(hold):
            time.sleep(0.01)
        trained += 1
        with open(checkpoint + ".partial", "w") as file:
            file.write(str(trained))
        os.replace(checkpoint + ".partial", checkpoint)
        note(folder, "epoch", config_id, trained)
    note(folder, "end", config_id, epochs)
    perhaps_hold(folder)
    if draw("fails", config_id, epochs) < args["fail"]:
        raise RuntimeError("no luck")
    print("some text before the loss")
    print(f"trained: {trained}")
    loss = draw("loss", config_id, epochs)
    print(-loss if args["negative"] else loss)


if __name__ == "__main__":
    main()
