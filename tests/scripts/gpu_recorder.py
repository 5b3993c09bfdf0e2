"""A script that keeps the contract and writes down on which GPUs each call was.

GPU_RECORDER names a folder; in its calls.txt each call has one line of JSON as it begins and one
as it ends. For its life a call locks a file for each physical GPU that CUDA would give it, and
notes a race when all `--room` places on one are taken. While a file named `hold` lies in the folder
no call ends that is on a GPU which works (with `--held_epochs`: and that has so many epochs).
"""

import argparse
import fcntl
import hashlib
import json
import os
import random
import time

parser = argparse.ArgumentParser()
parser.add_argument("config_id")
parser.add_argument("--epochs", type=int)
parser.add_argument("--gpu")
parser.add_argument("--multi_gpu", action="store_true")
parser.add_argument("--name", default="recorder")
parser.add_argument("--room", type=int, default=1, help="calls at once on one GPU")
parser.add_argument("--most_seconds", type=float, default=0.0)
parser.add_argument("--held_epochs", type=int)
parser.add_argument("--bad", help="this physical GPU always fails")
parser.add_argument("--sick", help="all configs fail so but those whose id begins with good")
parser.add_argument("--fail", type=float, default=0.0, help="evaluations that fail anywhere")

ERRORS = {
    "lost": RuntimeError("CUDA error: operation failed: no CUDA-capable device is detected"),
    "memory": RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    "value": ValueError("a learning rate like that"),
}


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(argv):
    return parser.parse_known_args(["", *argv])[0].name


def draw(*words):
    digest = hashlib.md5(" ".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def physical(args):
    """The GPUs that CUDA would give to this call."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        every = [str(number) for number in range(int(os.environ["GPU_COUNT"]))]
    else:
        every = visible.split(",")
    if args.multi_gpu:
        return every
    number = int(args.gpu)
    # What nvidia-smi does not know may be there all the same.
    return [every[number] if number < len(every) else args.gpu]


def lock(folder, gpu, room):
    """Take one of the places on a GPU; whether there was one."""
    for place in range(room):
        file = os.open(os.path.join(folder, f"{gpu}.{place}"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            os.close(file)
    return False


def main():
    args = parser.parse_args()
    folder, devices = os.environ["GPU_RECORDER"], physical(args)
    diary = os.open(os.path.join(folder, "calls.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event):
        fact = {
            "event": event,
            "search": args.name,
            "config": args.config_id,
            "epochs": args.epochs,
            "gpu": args.gpu,
            "multi": args.multi_gpu,
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "attempt": os.environ.get("HBTRACK_ATTEMPT"),
            "devices": devices,
        }
        os.write(diary, (json.dumps(fact) + "\n").encode())

    for gpu in devices:
        if not lock(folder, gpu, args.room):
            note("RACE")
    note("begin")
    if args.bad in devices:
        note("end")
        raise ERRORS["lost"]
    time.sleep(random.uniform(0, args.most_seconds))
    while args.held_epochs in (None, args.epochs) and os.path.exists(os.path.join(folder, "hold")):
        time.sleep(0.01)
    note("end")
    if args.sick and not args.config_id.startswith("good"):
        raise ERRORS[args.sick]
    if draw("fails", args.config_id, args.epochs) < args.fail:
        raise ERRORS["value"]
    print(draw("loss", args.config_id, args.epochs))


if __name__ == "__main__":
    main()
