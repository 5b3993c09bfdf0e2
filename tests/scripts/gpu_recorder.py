"""A script that keeps the contract and writes down on which GPUs each call was.

GPU_RECORDER names a folder; in its calls.txt each call has a dict on a line as it begins and one as
it ends. For its life a call locks a file for each physical GPU that CUDA would give it, and notes a
race when all `--room` places on one are taken. While a file named `hold` lies in the folder no call
ends that is on a GPU which works (with `--held_epochs`: and that has so many epochs).
"""

import fcntl
import os
import sys
import time

from toy import draw, options

OPTIONS = {
    "epochs": 0,
    "gpu": "",
    "multi_gpu": False,
    "name": "recorder",
    "room": 1,  # calls at once on one GPU
    "most_seconds": 0.0,
    "held_epochs": 0,
    "bad": "",  # this physical GPU always fails
    "sick": "",  # all configs fail so but those whose id begins with good
    "fail": 0.0,  # evaluations that fail anywhere
}

ERRORS = {
    "lost": RuntimeError("CUDA error: operation failed: no CUDA-capable device is detected"),
    "memory": RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    "value": ValueError("a learning rate like that"),
}


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(argv):
    return options(argv, OPTIONS)["name"]


def physical(args):
    """The GPUs that CUDA would give to this call."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        every = [str(number) for number in range(int(os.environ["GPU_COUNT"]))]
    else:
        every = visible.split(",")
    if args["multi_gpu"]:
        return every
    number = int(args["gpu"])
    # What nvidia-smi does not know may be there all the same.
    return [every[number] if number < len(every) else args["gpu"]]


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
    config_id, args = sys.argv[1], options(sys.argv[2:], OPTIONS)
    folder, devices, epochs = os.environ["GPU_RECORDER"], physical(args), args["epochs"]
    diary = os.open(os.path.join(folder, "calls.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event):
        fact = {
            "event": event,
            "search": args["name"],
            "config": config_id,
            "epochs": epochs,
            "gpu": args["gpu"],
            "multi": args["multi_gpu"],
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "attempt": os.environ.get("HBTRACK_ATTEMPT"),
            "devices": devices,
        }
        os.write(diary, f"{fact!r}\n".encode())

    for gpu in devices:
        if not lock(folder, gpu, args["room"]):
            note("RACE")
    note("begin")
    if args["bad"] in devices:
        note("end")
        raise ERRORS["lost"]
    time.sleep(draw("seconds", os.getpid()) * args["most_seconds"])
    while args["held_epochs"] in (0, epochs) and os.path.exists(os.path.join(folder, "hold")):
        time.sleep(0.01)
    note("end")
    if args["sick"] and not config_id.startswith("good"):
        raise ERRORS[args["sick"]]
    if draw("fails", config_id, epochs) < args["fail"]:
        raise ERRORS["value"]
    print(draw("loss", config_id, epochs))


if __name__ == "__main__":
    main()
