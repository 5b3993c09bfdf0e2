"""`hbtrack check`: good scripts pass, and what is broken is named with its point of the contract.

Scripts are broken in one place by replacing text of a good one, which runs for real.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DUMMY, SCRIPTS, Hbtrack, wait_for
from terminal import terminals

from hbtrack.check import advice, scratch, script_run
from hbtrack.check.checkpoints import killed, trained
from hbtrack.check.finding import POINTS, Status
from hbtrack.check.scratch import Touched, Watch, copy_folder
from hbtrack.check.script_run import Bench, Call, ScriptRun, Stop
from hbtrack.check.told import Told
from hbtrack.check.training import Training, trains_nothing
from hbtrack.core.records import AttemptStatus, Command, Verdict

GOOD = (SCRIPTS / "check" / "good.py").read_text()
SAMPLE = 'return f"lr:{10 ** rng.uniform(-3, -1):.5f}.momentum:{rng.uniform(0, 0.9):.3f}"'
LOSS = '    print(state["weight"] ** 2)\n'
PARSE = "    args = make_parser().parse_args()\n"
LOAD = "    if path.exists():\n        return json.loads(path.read_text())\n"
SAVE = "        save(checkpoint_of(args), state)\n"
STATE = "    state = load(checkpoint_of(args))\n"
# What runs beside others has a number behind its name: only then it waits for the other one.
LOCK = """
    import fcntl
    held, crowd = open("held", "w"), 0
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        while os.environ["HBTRACK_ATTEMPT"][-2:] in ("/0", "/1") and not os.path.exists("met"):
            time.sleep(0.01)
    except OSError:
        open("met", "w").close()
        {}
"""
MAIN = '__main__":\n    main()\n'
SLOWER = ('"--seconds", type=float, default=0.0', '"--seconds", type=float, default=0.02')
EPOCH = '        state["epoch"] += 1\n'
LINES = (EPOCH, EPOCH + '        print("epoch", state["epoch"])\n')
DECAY = ('config["lr"] * gradient', 'config["lr"] * 0.5 ** state["epoch"] * gradient')
TRAINS_AGAIN = (LOAD, LOAD.replace("return json", "json"))
NO_GUARD = (f'if __name__ == "{MAIN}', "main()\n")


@dataclass(frozen=True)
class Broken:
    """A script that breaks one point, and what must be said of it."""

    what: str
    edits: tuple[tuple[str, str], ...]
    check: str
    says: str
    status: str = "fail"
    change: str = ""  # what the advice says, where it is not the usual one of this check
    long: bool = True
    timeout: int = 100  # seconds of a run, of which a good one takes one

    @property
    def text(self) -> str:
        text = GOOD
        for old, new in self.edits:
            assert old in text, f"{self.what}: {old!r} is not in the good script"
            text = text.replace(old, new)
        return text


def broken(what: str, check: str, says: str, *edits: tuple[str, str], **more: Any) -> Any:
    case = Broken(what, edits, check, says, **more)
    return pytest.param(case, id=what, marks=[pytest.mark.slow] if case.long else [])


def answering(answer: str) -> tuple[str, str]:
    """An answer to SIGTERM."""
    text = f"    import signal\n    signal.signal(signal.SIGTERM, lambda *_: ({answer}))\n"
    return PARSE, PARSE + text


WORKER = """\
    import subprocess
    code = "import os, sys; print(0.5); open(f'ready{{os.getpid()}}', 'w'); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    while not os.path.exists(f"ready{{child.pid}}"):
        time.sleep(0.01)
    os.remove(f"ready{{child.pid}}")
    {1}
    {0}
    child.communicate(b"end")
"""
KEEPS_LENGTH = [
    (
        '        state["epoch"] += 1\n',
        '        state["epoch"] += 1\n        state = {"length": epochs, **state}\n',
    ),
    (
        'config["lr"] * gradient',
        '(config["lr"] * gradient * max(0, 1 - state["epoch"] / state.get("length", epochs)))',
    ),
    ("rng.uniform(0, 0.9)", "0"),  # it stands still without a rate
    ("{0:.3f}", "{0.0 * rng.uniform(0, 0.9):.3f}"),
]
NOISE = [
    ("Random(7)", "Random()"),
    ('        state["random"] = rng.getstate()\n', ""),
    (LOSS, '    print(state["weight"])\n'),  # of a square some are far off by chance
]
BROKEN = [
    broken("no guard", "import", "Importing", NO_GUARD, long=False),
    broken(
        "import prints a loss",
        "import",
        "as if the experiment had run",
        (f'if __name__ == "{MAIN}', "print(0.5)\n"),
    ),
    broken(
        "leaves at import",
        "import",
        "sys.exit",
        ("def load(", "sys.exit(0)\n\n\ndef load("),
    ),
    broken(
        "cannot be imported",
        "import",
        "No module named",
        ("import time\n", "import no_such_module\n"),
    ),
    broken(
        "identity at random",
        "identity",
        "and then",
        ('f"data:', 'f"{random.random()}data:'),
    ),
    broken(
        "identity names the process",
        "identity",
        "in the next",
        ('f"data:', 'f"{os.getpid()}data:'),
    ),
    broken(
        "identity of no arguments",
        "arguments",
        "IndexError",
        ('    return f"data:', '    argv[0]\n    return f"data:'),
        status="warn",
    ),
    broken(
        "identity is the same for all",
        "arguments",
        "also without your arguments",
        ("{make_parser().parse_known_args(['', *argv])[0].data}", ""),
        status="warn",
    ),
    broken(
        "global random sampler",
        "sampler",
        "and again",
        ("rng.uniform(-3, -1)", "random.uniform(-3, -1)"),
    ),
    broken(
        "order of a set",
        "sampler",
        "in another process",
        (
            "{rng.uniform(0, 0.9):.3f}",
            "{''.join({str(n) for n in range(99)})}",
        ),
    ),
    broken(
        "the time in the sampler",
        "sampler",
        "equal generators",
        ("{rng.uniform(0, 0.9):.3f}", "{rng.uniform(0, 0.9):.3f}{int(time.time()) % 1000}"),
    ),
    broken(
        "the time in the identity", "identity", "run_identity", ('f"data:', 'f"{time.ctime()}:')
    ),
    broken(
        "a sampler for numpy's Generator",
        "sampler",
        "integers",
        ("rng.uniform(-3, -1)", "rng.integers(-3, -1)"),
        change="RandomState",
    ),
    broken(
        "cannot be read",
        "import",
        "SyntaxError",
        ("def load(path):", "def load(path)"),
        change="--python",
    ),
    broken(
        "a file that must not be there yet, and is after a kill",
        "sigkill",
        "fails when run again",
        (
            "    state = train(",
            "    lock = checkpoint_of(args).with_suffix('.lock')\n"
            "    lock.parent.mkdir(exist_ok=True)\n"
            "    lock.touch(exist_ok=False)\n    state = train(",
        ),
        (LOSS, "    lock.unlink()\n" + LOSS),
        SLOWER,
        change="lock it",
    ),
    broken(
        "constant sampler", "sampler", "for 200 generators", (SAMPLE, 'return "lr:1.momentum:0"')
    ),
    broken(
        "seeds the global generator",
        "sampler",
        "also draws from, or seeds, random",
        (SAMPLE, f"random.seed(0)\n    {SAMPLE}"),
        status="warn",
    ),
    broken("ids are numbers", "sampler", "type int", (SAMPLE, "return rng.randint(9)")),
    broken(
        "ids begin with a dash",
        "ids",
        "begins with '-'",
        ('return f"lr:', 'return f"-lr:'),
    ),
    broken(
        "no --gpu",
        "call",
        "does not run",
        ('    parser.add_argument("--gpu", type=int)\n', ""),
    ),
    broken(
        "an option that begins with --gpu",
        "multi_gpu",
        "--gpu_count gets the number",
        ('"--gpu", type=int', '"--gpu_count", "-c", type=int'),
        status="warn",
        change="argparse takes the beginning",
    ),
    broken(
        "an option that begins with --epochs",
        "total",
        "--epochs_total gets the number of epochs",
        ('"--epochs", type=int', '"--epochs_total", dest="epochs", type=int'),
        status="warn",
        change="argparse takes the beginning",
    ),
    broken(
        "an option that begins with --epochs, and means other ones",
        "total",
        "--epochs_warm gets the number of epochs",
        ('"--epochs", type=int', '"--epochs_warm", type=int'),
        ("args.epochs, args, config", "5, args, config"),
        change="argparse takes the beginning",
    ),
    broken(
        "a flag that begins with --multi_gpu",
        "multi_gpu",
        "--multi_gpu_test is taken for it",
        ('"--multi_gpu", action', '"--multi_gpu_test", action'),
        status="warn",
        change="argparse takes the beginning",
    ),
    broken(
        "an option that begins with --multi_gpu",
        "multi_gpu",
        "--multi_gpu_with is taken for it",
        ('"--multi_gpu", action="store_true"', '"--multi_gpu_with", default="nccl"'),
        change="argparse takes the beginning",
    ),
    broken(
        "a module of a package",
        "import",
        "attempted relative import",
        ("import time\n", "import time\nfrom . import model\n"),
        change="-m MODULE",
        long=False,
    ),
    broken("config_id is an option", "call", "does not run", ('"config_id"', '"--config_id"')),
    broken("reads stdin", "call", "does not run", (PARSE, PARSE + '    input("sure? ")\n')),
    broken("needs a terminal", "call", "does not run", (PARSE, PARSE + '    open("/dev/tty")\n')),
    broken(
        "a config_id of several folders",
        "call",
        "does not run",
        (".momentum:{rng", "/momentum:{rng"),
        ('replace(".m", " m")', 'replace("/m", " m")'),
        change="name the file by a hash",
    ),
    broken(
        "a config_id too long for a file",
        "call",
        "does not run",
        (SAMPLE, SAMPLE.replace(":.3f}", ":.300f}")),
        change="name the file by a hash",
    ),
    broken(
        "the loss is the exit status",
        "call",
        "does not run",
        (LOSS, LOSS.replace("print(", "sys.exit(")),
        change="print the loss",
    ),
    broken("hangs", "call", "still running", (PARSE, PARSE + "    time.sleep(1000)\n"), timeout=15),
    broken("prints after the loss", "loss", "'bye'", (LOSS, LOSS + '    print("bye")\n')),
    broken("a label", "loss", "'loss: ", (LOSS, LOSS.replace("print(", 'print("loss:", '))),
    broken(
        "another process prints the loss, later",
        "loss",
        "printed nothing",
        (LOSS, "    if os.fork() == 0:\n        time.sleep(1000)\n    " + LOSS),
        (SAMPLE, 'return f"lr:{rng.choice([0.01, 0.02])}.momentum:0.5"'),
        ("    print(f\"{sys.argv[0]} goes on from epoch {state['epoch']}\")\n", ""),
    ),
    broken("not a number", "loss", "nan", (LOSS, '    print(float("nan"))\n')),
    broken(
        "loss on stderr", "loss", "The last line", (LOSS, LOSS.replace("2)", "2, file=sys.stderr)"))
    ),
    broken(
        "few digits",
        "precision",
        "at most 3 digits",
        (LOSS, '    print(round(0.999 - state["epoch"] / 1000, 3))\n'),
        status="warn",
    ),
    broken(
        "an accuracy",
        "minimised",
        "rises with --epochs in 5 configs, and falls in none",
        (LOSS, '    print(1 - state["weight"] ** 2)\n'),
        status="warn",
        change="smallest",
    ),
    broken(
        "the best accuracy so far, of few digits",
        "minimised",
        "and falls in none",
        (LOSS, '    print(max(0.02, round(1 - state["weight"] ** 2, 2)))\n'),
        status="warn",
    ),
    broken(
        "another process holds back a number",
        "last_line",
        "the last line is '0.5' where PYTHONUNBUFFERED is unset",
        (LOSS, WORKER.format(LOSS.strip().replace("2)", "2, flush=True)"), "pass")),
        status="warn",
        change="before print(loss)",
    ),
    broken(
        "another process holds back a word",
        "last_line",
        "the last line is 'fold' where PYTHONUNBUFFERED is unset",
        (
            LOSS,
            WORKER.format(LOSS.strip().replace("2)", "2, flush=True)"), "pass").replace(
                "print(0.5)", "print('fold')"
            ),
        ),
        status="warn",
    ),
    broken(
        "boosting that draws the same rows again",
        "resume",
        "off by",
        (SAVE, SAVE.replace("state)", '{**state, "speed": 0.0})')),
        ("rng.uniform(0, 0.9)", "rng.uniform(0.1, 0.9)"),
        ('"""Keeps', '"""With xgboost, keeps'),
        status="warn",
        change="the same rows",
    ),
    broken(
        "the seconds after the loss",
        "last_line",
        "in an equal run",
        (LOSS, LOSS + "    print(time.process_time())\n"),
        change="nothing after it",
    ),
    broken(
        "the number of epochs after the loss",
        "last_line",
        "the number of epochs that it was called with",
        (LOSS, LOSS + "    print(args.epochs)\n"),
        change="nothing after it",
    ),
    broken(
        "a number after the loss that is always the same",
        "last_line",
        "in all runs of 5 configs",
        (LOSS, LOSS + "    print(7)\n"),
        change="nothing after it",
    ),
    broken(
        "few numbers of epochs to choose from",
        "call",
        "invalid choice: 1",
        ('"--epochs", type=int', '"--epochs", type=int, choices=[10, 50]'),
        change="Accept what hbtrack passes",
        long=False,
    ),
    broken(
        "two options that begin with --gpu",
        "call",
        "ambiguous option",
        ('"--gpu", type=int', '"--gpu_ids"'),
        ("    return parser\n", '    parser.add_argument("--gpu_memory")\n    return parser\n'),
        change="Accept what hbtrack passes",
        long=False,
    ),
    broken(
        "stops in a debugger",
        "call",
        "BdbQuit",
        (LOSS, LOSS + "    breakpoint()\n    print()\n"),
        change="take breakpoint()",
    ),
    broken(
        "a folder of another machine",
        "call",
        "No such file or directory",
        ('Path("checkpoints",', 'Path("/scratch-of-alice",'),
        ("path.parent.mkdir(exist_ok=True)", "pass"),
        change="make a folder",
    ),
    broken(
        "cannot do what --multi_gpu asks for",
        "multi_gpu",
        "it fails with --multi_gpu",
        (PARSE, PARSE + "    assert not args.multi_gpu, 'no rendezvous'\n"),
        change="--multi-gpu never",
    ),
    broken(
        "trains again with --multi_gpu",
        "multi_gpu",
        "anew where it should train nothing",
        (STATE, STATE.replace("load(", 'load(Path("none") if args.multi_gpu else ')),
        status="warn",
        change="train nothing",
    ),
    broken(
        "a folder that must not be there yet",
        "resume",
        "FileExistsError",
        (PARSE, PARSE + "    os.makedirs(f'runs/{args.config_id}')\n"),
        change="finds what an earlier one has made",
        long=False,
    ),
    broken(
        "a checkpoint named by --epochs",
        "resume",
        "under another name in the next run",
        ('f"{args.config_id}.json"', 'f"{args.config_id}.{args.epochs}.json"'),
        change="--epochs",
        long=False,
    ),
    broken(
        "a checkpoint named by the attempt",
        "resume",
        "under another name in the next run",
        (
            'f"{args.config_id}.json"',
            "f\"{args.config_id}.{os.environ['HBTRACK_ATTEMPT'].replace('/', '_')}.json\"",
        ),
        change="same in each run",
    ),
    broken(
        "a checkpoint every five epochs",
        "checkpoint",
        "it saves nothing after --epochs 1",
        (SAVE, '        if state["epoch"] % 5 == 0:\n    ' + SAVE),
        LINES,
        change="after training",
    ),
    broken(
        "counts its epochs from 0 again",
        "total",
        "2 epochs more",
        ('while state["epoch"] < epochs:', "for state['epoch'] in range(epochs):"),
        DECAY,
        LINES,
        change="how many epochs are done",
    ),
    broken(
        "saves the number of the last epoch, not how many are done",
        "total",
        "2 epochs more",
        (SAVE, SAVE.replace("state)", '{**state, "epoch": state["epoch"] - 1})')),
        DECAY,
        LINES,
        change="how many epochs are done",
    ),
    broken(
        "saves at the beginning of each epoch",
        "again",
        "trains the last epoch again",
        (SAVE, ""),
        (
            "        time.sleep(args.seconds)\n",
            f'        state["random"] = rng.getstate()\n{SAVE}        time.sleep(args.seconds)\n',
        ),
        LINES,
        status="warn",
        change="how many epochs are done",
    ),
    broken(
        "an average of weights that is not saved",
        "again",
        "another loss",
        (EPOCH, EPOCH + "        average = 0.9 * average + 0.1 * state['weight']\n"),
        ("    rng = random.Random(7)\n", "    average = 1.0\n    rng = random.Random(7)\n"),
        ("    return state\n", "    return {**state, 'weight': average}\n"),
        change="averages of weights",
    ),
    broken("saves nothing, silently", "checkpoint", "no file", (SAVE, ""), status="warn"),
    broken("shows that it saves nothing, and where", "checkpoint", "no file", (SAVE, ""), LINES),
    broken(
        "cannot go on",
        "resume",
        "fails where --epochs 1 was trained before",
        (LOAD, "    if path.exists():\n        raise ValueError\n"),
    ),
    broken("trains from scratch", "resume", "never read", (LOAD, "")),
    broken(
        "loads, but does not go on",
        "resume",
        "the loss of 1 epoch",
        ("state = train(", "state = state if state['epoch'] else train("),
    ),
    broken(
        "forgets the momentum",
        "resume",
        "off by",
        (SAVE, SAVE.replace("state)", '{**state, "speed": 0.0})')),
        ("rng.uniform(0, 0.9)", "rng.uniform(0.1, 0.9)"),
        status="warn",
    ),
    broken(
        "a schedule that comes back with its old length",
        "resume",
        "prints the loss of 1 epoch, though it trains",
        *KEEPS_LENGTH,
        change="schedule",
    ),
    broken(
        "a schedule that ends with its old length",
        "resume",
        "fails where --epochs 1 was trained before",
        *KEEPS_LENGTH,
        (
            "        time.sleep(args.seconds)\n",
            '        if state["epoch"] >= state.get("length", epochs):\n'
            '            raise ValueError("Tried to step 2 times. The total number is 1")\n',
        ),
        change="schedule",
    ),
    broken(
        "a checkpoint named by hash()",
        "resume",
        "under another name in the next run",
        ('f"{args.config_id}.json"', 'f"{hash(args.config_id)}.json"'),
        change="hash()",
    ),
    broken(
        "a checkpoint named by the time",
        "resume",
        "under another name in the next run",
        ('f"{args.config_id}.json"', 'f"{args.config_id}.{START}.json"'),
        ("def checkpoint_of", "START = time.time_ns()\n\n\ndef checkpoint_of"),
        change="the time",
    ),
    broken(
        "a loss in answer to SIGTERM",
        "sigterm",
        "it ends with status 0 and a loss, 0.1",
        answering("print(0.1), sys.exit(0)"),
        SLOWER,
        status="warn",
        change="143",
    ),
    broken(
        "status 0 in answer to SIGTERM",
        "sigterm",
        "it ends with status 0 and no loss",
        answering("sys.exit(0)"),
        SLOWER,
        status="warn",
        change="143",
    ),
    broken(
        "a loss after the epoch that SIGTERM came in, of which the last one is the longest",
        "sigterm",
        "it ends with status 0 and a loss",
        answering("ended.append(1)"),
        (PARSE, PARSE + "    args.ended = ended = []\n    args.seconds = 0.1\n"),
        (
            "        time.sleep(args.seconds)\n",
            "        time.sleep(1.5 if state['epoch'] + 1 == epochs else args.seconds)\n",
        ),
        (SAVE, SAVE + "        if args.ended:\n            break\n"),
        status="warn",
        change="143",
    ),
    broken(
        "a failure in answer to SIGTERM",
        "sigterm",
        "it ends with status 1",
        answering("sys.exit(1)"),
        SLOWER,
        status="warn",
        change="143",
    ),
    broken("ignores --epochs", "total", "changes nothing", ("< epochs:", "< 5:")),
    broken(
        "--epochs is additional",
        "total",
        "3 epochs in all",
        ("rng = random.Random(7)\n", "rng = random.Random(7)\n    epochs += state['epoch']\n"),
    ),
    broken(
        "trains again, but reads its checkpoint, and shows it",
        "again",
        "trains again",
        TRAINS_AGAIN,
        LINES,
    ),
    broken(
        "trains again, but reads its checkpoint, and is silent",
        "again",
        "cannot be told",
        TRAINS_AGAIN,
        status="warn",
        change="a line for each epoch",
    ),
    broken(
        "is silent of what it may save elsewhere",
        "checkpoint",
        "cannot be told",
        (SAVE, ""),
        ("rng.gauss(0, 0.1)", "-state['weight']"),  # 1 epoch gives the loss of 2
        status="warn",
        change="a line for each epoch",
    ),
    broken("shows that it saves nothing", "resume", "starts again", (SAVE, ""), LINES),
    broken(
        "one checkpoint for all",
        "separate",
        "model.json",
        ('f"{args.config_id}.json"', '"model.json"'),
    ),
    broken(
        "a checkpoint for ids that begin alike",
        "separate",
        "depends on the first's",
        ('f"{args.config_id}.json"', 'f"{args.config_id[:6]}.json"'),
    ),
    broken(
        "a checkpoint for ids that end alike",
        "separate",
        "depends on the first's",
        ('f"{args.config_id}.json"', 'f"{args.config_id[-1:]}.json"'),
    ),
    broken(
        "removes the checkpoints of others",
        "separate",
        "of the first",
        (
            "    partial = path",
            "    for other in path.parent.iterdir():\n        other.unlink()\n    partial = path",
        ),
    ),
    broken(
        "a schedule made for --epochs",
        "resume",
        "after 1 and 2",
        ('config["lr"] * gradient', 'config["lr"] * (1 - state["epoch"] / epochs) * gradient'),
        status="warn",
        change="schedule",
    ),
    broken(
        "goes on from the weights, but not from their epoch",
        "again",
        "another loss",
        ('while state["epoch"] < epochs:', "for _ in range(epochs):"),
    ),
    broken(
        "a thread that never ends",
        "call",
        "still running",
        (
            LOSS,
            "    import threading\n    threading.Thread(target=time.sleep, args=(999,)).start()\n"
            + LOSS.replace("2)", "2, flush=True)"),
        ),
        change="something keeps it from ending",
        timeout=15,
    ),
    broken(
        "no --multi_gpu",
        "multi_gpu",
        "--multi_gpu",
        ('    parser.add_argument("--multi_gpu", action="store_true")\n', ""),
    ),
    broken(
        "a loss of 100 when it fails",
        "bad_id",
        "look like losses",
        (MAIN, '__main__":\n    try:\n        main()\n    except Exception:\n        print(100)\n'),
    ),
    broken(
        "swallows exceptions",
        "bad_id",
        "status 0",
        (
            MAIN,
            '__main__":\n    try:\n        main()\n    except Exception as e:\n        print(e)\n',
        ),
    ),
    broken(
        "what all configs lock",
        "at_once",
        "fails while another is trained",
        (STATE, LOCK.format("raise") + STATE),
        status="warn",
    ),
    broken(
        "a loss that depends on who runs beside",
        "at_once",
        "loss changes while another is trained",
        (STATE, LOCK.format("crowd = 1") + STATE),
        (LOSS, '    print(state["weight"] ** 2 + crowd)\n'),
        status="warn",
    ),
    broken(
        "half a checkpoint",
        "half_written",
        "cut in half",
        (
            "partial.write_text(json.dumps(state))\n    os.replace(partial, path)",
            "path.write_text(json.dumps(state))",
        ),
        status="warn",
    ),
    broken(
        "half of one of two files",
        "half_written",
        "it fails on checkpoints/ratelr:",
        (
            "    os.replace(partial, path)\n",
            "    os.replace(partial, path)\n"
            '    Path("checkpoints", "rate" + path.stem).write_text(json.dumps(state))\n',
        ),
        (
            "        return json.loads(path.read_text())\n",
            '        json.loads(Path("checkpoints", "rate" + path.stem).read_text())\n'
            "        return json.loads(path.read_text())\n",
        ),
        status="warn",
    ),
    broken(
        "a checkpoint for all that run_identity tells apart",
        "other_search",
        "another search, 'data:large1', uses checkpoints/lr:",
        status="warn",
        change="HBTRACK_CHECKPOINT",
    ),
    broken(
        "a checkpoint for all experiments, of training with noise",
        "other_search",
        "another search, 'data:large1', uses checkpoints/lr:",
        *NOISE,
        status="warn",
    ),
    broken(
        "a checkpoint that another experiment writes over",
        "other_search",
        "another search, 'data:large1', uses checkpoints/lr:",
        (
            LOAD,
            "    if path.exists():\n        state = json.loads(path.read_text())\n"
            "        if state['data'] == sys.argv[-1]:\n            return state\n",
        ),
        (SAVE, '        state["data"] = sys.argv[-1]\n' + SAVE),
        status="warn",
    ),
    broken(
        "a checkpoint for all experiments, of which few can be chosen",
        "other_search",
        "another search, 'data:small', uses checkpoints/lr:",
        ('default="small"', 'default="small", choices=["small", "large"]'),
        status="warn",
    ),
    broken(
        "a checkpoint for all experiments, of which this one is chosen anyway",
        "other_search",
        "another search, 'data:small', uses checkpoints/lr:",
        ('default="small"', 'default="large", choices=["small", "large"]'),
        status="warn",
    ),
    broken(
        "leaves a child",
        "left_running",
        "processes",
        (LOSS, LOSS + '    import subprocess\n    subprocess.Popen(["sleep", "60"])\n'),
        status="warn",
    ),
]


def checked(
    hbtrack: Hbtrack,
    *words: object,
    code: int | None = None,
    env: dict[str, str] | None = None,
    timeout: int = 100,
) -> dict[str, Any]:
    """What `check` says, by the name of the check. Nothing of it stays, in the folder or beside."""
    before = scratch.states(hbtrack.folder)
    words = ("--format", "json", "--timeout", timeout, *words)
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", None)  # found anew
        for name, value in {"TMPDIR": temporary, **(env or {})}.items():
            patch.setenv(name, value)
        result = hbtrack("check", *words, code=code)
        assert os.listdir(temporary) == []
    assert "--in-place" in words or scratch.states(hbtrack.folder) == before
    document = json.loads(result.stdout)
    assert document["schema"] == "hbtrack.check/1"
    assert sorted(one["check"] for one in document["checks"]) == sorted(POINTS)
    assert result.returncode == (0 if document["keeps_contract"] else 2)
    return {one["check"]: one for one in document["checks"]}


def good(folder: Path, *edits: tuple[str, str]) -> Path:
    path = folder / "good.py"
    path.write_text(Broken("good", edits, "", "").text)
    return path


def test_the_script_of_the_readme_passes_every_check(hbtrack: Hbtrack) -> None:
    (hbtrack.folder / "dummy.py").write_text(DUMMY.read_text())
    found = checked(hbtrack, "dummy.py", "--model", "resnet", code=0)
    assert {one["status"] for one in found.values()} == {"pass"}


@pytest.mark.slow
def test_a_parser_in_a_module_beside_the_script_is_read_as_well(hbtrack: Hbtrack) -> None:
    start, end = GOOD.index("def make_parser"), GOOD.index("def checkpoint_of")
    parser = GOOD[start:end].replace('"--gpu"', '"--gpu_count", "-c"')
    (hbtrack.folder / "words.py").write_text(f"import argparse\n\n\n{parser}")
    script = GOOD.replace("import argparse\n", "from words import make_parser\n")
    (hbtrack.folder / "good.py").write_text(script.replace(GOOD[start:end], ""))
    found = checked(hbtrack, "good.py", code=0)["multi_gpu"]
    assert "--gpu_count gets the number of the GPU" in found["says"]


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named_with_its_point_and_what_to_change(
    hbtrack: Hbtrack, case: Broken
) -> None:
    (hbtrack.folder / "script.py").write_text(case.text)
    words = ("script.py", "--data", "large")
    found = checked(hbtrack, *words, timeout=case.timeout)[case.check]
    assert found["status"] == case.status
    assert case.says in " ".join([found["says"], *found["evidence"]])
    assert found["change"]
    assert case.change in found["change"]
    assert found["point"] == POINTS[case.check]


ELSEWHERE = ('Path("checkpoints",', 'Path(os.environ["ELSEWHERE"],')
MOST_FAIL = (
    PARSE,
    PARSE + "    if int(args.config_id[-2:]) < 52:\n        raise MemoryError\n",
)
OWN_LOG = (
    STATE,
    '    log = Path(f"{args.config_id}.log")\n    log.parent.mkdir(exist_ok=True)\n'
    '    with log.open("a") as file:\n        file.write("x\\n")\n' + STATE,
)
HABITS = {
    "noise": NOISE,
    "another partial name": [("path.with_suffix(", "path.with_name(f'.{path.name}.x.tmp') #")],
    "no ending": [
        ('f"{args.config_id}.json"', 'f"{abs(hash(args.config_id)) % 1}{args.config_id}"')
    ],
    "saved elsewhere": [ELSEWHERE],
    "saved elsewhere, where most configs fail": [ELSEWHERE, MOST_FAIL],
    "saved elsewhere, with a log of each config": [ELSEWHERE, OWN_LOG],
    "saved elsewhere, slowly, with what a library keeps of runs": [
        ELSEWHERE,
        ("default=0.0, help", "default=0.4, help"),
        (OWN_LOG[0], OWN_LOG[1].replace("{args.config_id}.log", "wandb/{os.getpid()}.bin")),
    ],
    "saved elsewhere, with a file of unknown use": [
        ELSEWHERE,
        LINES,
        (OWN_LOG[0], OWN_LOG[1].replace(".log", "")),
    ],
    "a log of each config": [OWN_LOG],
    "a number on stderr at import": [("def load(", "print(1, file=sys.stderr)\n\n\ndef load(")],
    "a line for each epoch, and a loss of each": [
        LINES,
        (PARSE, PARSE + '    open("log.txt", "a").write("x\\n")\n'),
        ('"speed": 0.0,', '"speed": 0.0, "losses": [],'),
        (SAVE, '        state["losses"].append(state["weight"] ** 2)\n' + SAVE),
        (LOSS, '    print(state["losses"][args.epochs - 1])\n'),
    ],
    "talkative": [(PARSE, PARSE + '    print("\\r10%\\r20%\\nfine", file=sys.stderr)\n')],
    "one log for all": [(PARSE, PARSE + '    open("log.txt", "a").write("x\\n")\n')],
    "ids of a table that the sampler writes": [
        (
            SAMPLE,
            SAMPLE.replace("return", "said =")
            + "\n    key = hashlib.md5(said.encode()).hexdigest()"
            + "\n    Path(key).write_text(said)\n    return key",
        ),
        ("import json\n", "import hashlib\nimport json\n"),
        ("args.config_id.replace", "Path(args.config_id).read_text().replace"),
    ],
    "most configs fail": [MOST_FAIL],
    "an accuracy alone on the line above the loss": [
        (LOSS, '    print(1 - state["weight"] ** 2)\n' + LOSS)
    ],
    "a line for each epoch so far, in each call": [
        ('"speed": 0.0,', '"speed": 0.0, "losses": [],'),
        (SAVE, '        state["losses"].append(state["weight"] ** 2)\n' + SAVE),
        (LOSS, '    for loss in state["losses"]:\n        print("loss", loss)\n' + LOSS),
    ],
    "the first config fails in its second epoch": [
        (
            STATE,
            '    first = Path(os.environ["ELSEWHERE"], "first")\n'
            "    if not first.exists():\n        first.write_text(args.config_id)\n"
            "    if args.epochs > 1 and first.read_text() == args.config_id:\n"
            f"        raise MemoryError\n{STATE}",
        )
    ],
    "a file per epoch, three of them kept": [
        ('"checkpoints", f"{args.config_id}.json"', '"checkpoints", args.config_id, "x"'),
        (
            LOAD,
            "    saved = sorted(path.parent.glob('*.json'))\n    if saved:\n"
            "        return json.loads(saved[-1].read_text())\n",
        ),
        ("path.parent.mkdir(", "path.parent.mkdir(parents=True, "),
        (
            "    os.replace(partial, path)\n",
            "    os.replace(partial, path.with_name(f\"{state['epoch']:06}.json\"))\n"
            "    for old in sorted(path.parent.glob('*.json'))[:-3]:\n"
            "        old.unlink()\n",
        ),
    ],
    "exits with None": [(MAIN, '__main__":\n    sys.exit(main())\n')],
    "slow epochs": [SLOWER, ("default=0.02", "default=0.6")],
    "a process that ends before the loss": [
        (LOSS, WORKER.format(LOSS.strip(), 'child.communicate(b"end")').rpartition("    child.")[0])
    ],
    "a loss that rises in some configs": [
        ('1.0, "speed"', '0.01, "speed"'),
        ("rng.gauss(0, 0.1)", "0.03 * (hash(config['lr']) % 3 - 1)"),
    ],
    "the best loss so far, which stays in the second epoch of the first config": [
        *NOISE[:2],
        (
            EPOCH,
            EPOCH + '        first = Path(os.environ["ELSEWHERE"], "first")\n'
            "        first.exists() or first.write_text(args.config_id)\n"
            '        worse = state["epoch"] == 2 and first.read_text() == args.config_id\n'
            '        state["best"] = min(state.get("best", 9.0), state["weight"] + worse)\n',
        ),
        (LOSS, '    print(state["best"])\n'),
    ],
    "answers SIGTERM with 143": [answering("print(0.1), sys.exit(143)")],
    "a schedule of a fixed length, saved with the rest": [
        *KEEPS_LENGTH,
        ('"length": epochs', '"length": int(os.environ["HBTRACK_MAX_EPOCHS"])'),
    ],
    "hears of SIGTERM, and goes on to its end": [answering("None")],
    "a file of another name for each number of epochs": [
        ('f"{args.config_id}.json"', 'f"{args.config_id}.{args.epochs}.json"'),
        (
            LOAD,
            "    for file in path.parent.glob(f'{path.name.rsplit(\".\", 2)[0]}.*.json'):\n"
            "        return json.loads(file.read_text())\n",
        ),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("edits", HABITS.values(), ids=HABITS)
def test_a_good_script_of_other_habits_raises_no_alarm(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str]]
) -> None:
    path = good(hbtrack.folder, *edits)
    elsewhere = {"ELSEWHERE": str(tmp_path_factory.mktemp("elsewhere"))}
    found = checked(hbtrack, path, code=0, env=elsewhere)
    assert [one for one in found.values() if one["status"] in ("warn", "fail")] == []


OWN = 'f"{args.config_id}.json"', 'f"{args.config_id}.{args.data}.json"'
CACHE = (
    STATE,
    '    cache = Path("cache", args.config_id[:4])\n    cache.parent.mkdir(exist_ok=True)\n'
    '    cache.exists() or cache.write_text("data")\n    cache.read_text()\n' + STATE,
)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--in-place",)], ids=["in copies", "in place"])
@pytest.mark.parametrize(
    "edits", [(OWN,), (OWN, CACHE), (OWN, *NOISE)], ids=["own", "cache", "noise"]
)
def test_a_script_that_tells_searches_apart_in_its_own_way_raises_no_alarm(
    hbtrack: Hbtrack, edits: tuple[tuple[str, str], ...], words: tuple[str, ...]
) -> None:
    found = checked(hbtrack, *words, good(hbtrack.folder, *edits), "--data", "large", code=0)
    assert found["other_search"]["status"] == "pass"
    assert "data:large1" in found["other_search"]["says"]


@pytest.mark.slow
def test_a_flag_that_is_left_out_makes_no_other_search(hbtrack: Hbtrack) -> None:
    fast = '    parser.add_argument("--fast", action="store_true")\n    return parser\n'
    named = ('[0].data}"', '[0].data} {argv}"')
    path = good(hbtrack.folder, ("    return parser\n", fast), named)
    found = checked(hbtrack, path, "--fast", code=0)["other_search"]
    assert found["status"] == "pass"
    assert "not in HBTRACK_CHECKPOINT: a new search of this name" in found["says"]


TOLD = (
    ('"checkpoints", f"{args.config_id}.json"', 'os.environ["HBTRACK_CHECKPOINT"], "x"'),
    ("path.parent.mkdir(exist_ok=True)", "pass"),
    (
        STATE,
        '    assert os.environ["HBTRACK_MAX_EPOCHS"] == "81"\n'
        '    assert os.environ["HBTRACK_IDENTITY"] == "data:small"\n'
        '    known = int(os.environ["HBTRACK_EPOCHS_DONE"])\n'
        '    open("known", "a").write(f"{known}\\n")\n'
        f'{STATE}    assert state["epoch"] >= known\n',
    ),
)


@pytest.mark.slow
def test_a_script_is_told_what_a_search_would_tell_it(hbtrack: Hbtrack) -> None:
    path = good(hbtrack.folder, *TOLD)
    found = checked(hbtrack, "--in-place", path, code=0)
    assert "$HBTRACK_CHECKPOINT/x" in found["checkpoint"]["says"]
    assert {"0", "1", "2"} <= set((hbtrack.folder / "known").read_text().split())
    assert [one.name for one in hbtrack.folder.iterdir() if one.is_dir()] in ([], ["locks"])


@pytest.mark.slow
def test_a_script_that_saves_in_the_folder_it_is_told_raises_no_alarm(hbtrack: Hbtrack) -> None:
    found = checked(hbtrack, good(hbtrack.folder, *TOLD), code=0)
    assert [one for one in found.values() if one["status"] in ("warn", "fail")] == []


@pytest.mark.slow
def test_a_loss_off_by_a_noise_that_shows_only_in_many_runs_is_no_alarm(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first runs from nothing are close by chance: here by their number."""
    count = "    with open(os.environ['RUNS'], 'a+') as runs:\n        runs.write('x')\n"
    count += "        noise = 0.1 if runs.tell() > 20 else 1e-6\n"
    edits = [
        ("    rng = random.Random(7)\n", count + "    rng = random.Random()\n"),
        ("rng.gauss(0, 0.1)", "rng.gauss(0, noise)"),
        ('        state["random"] = rng.getstate()\n', ""),
        (LOSS, '    print(state["weight"])\n'),
    ]
    script = good(hbtrack.folder, *edits)
    runs = tmp_path_factory.mktemp("counted") / "runs"
    found = checked(hbtrack, script, env={"RUNS": str(runs)})
    assert [found[name]["status"] for name in ("sigterm", "sigkill")] == ["pass", "pass"]
    assert "within the noise" in found["sigkill"]["says"]
    assert len(runs.read_text()) > 25, "the runs that are killed come after the first 20"


@pytest.mark.slow
@pytest.mark.parametrize(("momentum", "status"), [(1.0, "warn"), (0.3, "pass")])
def test_configs_that_converge_at_once_are_no_failure(
    hbtrack: Hbtrack, momentum: float, status: str
) -> None:
    """All of them, then those with less momentum than that."""
    at_once = ("rng.gauss(0, 0.1)", f"(config['momentum'] < {momentum}) * -state['weight']")
    found = checked(hbtrack, good(hbtrack.folder, at_once), code=0)
    assert found["total"]["status"] == status
    assert status == "pass" or "it is well" in found["total"]["change"]


@pytest.mark.slow
def test_a_signal_finds_training_also_on_a_machine_that_is_faster_by_then(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    busy = (
        '    runs = Path(os.environ["HOME"], "runs")\n'
        '    with runs.open("a") as file:\n        file.write("x")\n'
        "    args.seconds = 0.2 if runs.stat().st_size < 8 else 0.02\n"
    )
    path = good(hbtrack.folder, (PARSE, PARSE + busy))
    found = checked(hbtrack, path, code=0, env={"HOME": str(home)})
    assert {found[name]["status"] for name in ("sigterm", "sigkill")} == {"pass"}


@pytest.mark.slow
def test_a_signal_waits_on_a_busy_machine_until_something_was_saved(tmp_path: Path) -> None:
    """As long again as it was to come after."""
    script, logs = tmp_path / "late.py", tmp_path / "logs"
    logs.mkdir()
    script.write_text(
        "import os, signal, sys, time\ntime.sleep(2.5)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
        "open('new', 'w').close()\nos.replace('new', 'checkpoint')\ntime.sleep(60)\n"
    )
    folder = tmp_path / "work"
    folder.mkdir()
    command = Command(str(script), "", (), sys.executable, str(folder))
    bench = Bench(command, 100.0, logs, Told("late", 3, "told"))
    run = bench.run(folder, Call("x", 1), Stop(signal.SIGTERM, after=2.0))
    assert run.exit_status == 9


@pytest.mark.slow
def test_an_accuracy_that_falls_for_an_epoch_in_some_config_is_one_all_the_same(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    falls = (
        '    first = Path(os.environ["HOME"], "first")\n'
        "    if not first.exists():\n        first.write_text(args.config_id)\n"
        "    fallen = args.epochs == 2 and first.read_text() == args.config_id\n"
        '    print(1 - state["weight"] ** 2 - fallen)\n'
    )
    env = {"HOME": str(tmp_path_factory.mktemp("home"))}
    found = checked(hbtrack, good(hbtrack.folder, (LOSS, falls)), code=0, env=env)
    assert found["minimised"]["status"] == "warn"


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("FileNotFoundError: [Errno 2] No such file or directory: 'runs/a'", "make a folder"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '../data'", "--in-place"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: "
            "'/tmp/hbtrack-check-0a/work/data'",
            "--in-place",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/home/alice'", "not yours"),
        ("OSError: [Errno 30] Read-only file system: '/data/x'", "not yours"),
    ],
)
def test_a_file_that_is_not_there_is_known_by_where_it_should_be(said: str, change: str) -> None:
    assert change in advice.why(f"Traceback (most recent call last):\n{said}\n").change


def test_a_stopped_check_ends_the_script_and_removes_its_copies(
    hbtrack: Hbtrack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    marker = hbtrack.folder / "pid"
    text = f'    open({str(marker)!r}, "w").write(str(os.getpid()))\n    time.sleep(1000)\n'
    path, temporary = good(hbtrack.folder, (PARSE, PARSE + text)), tmp_path_factory.mktemp("t")
    process = hbtrack.start("check", path, env={"TMPDIR": str(temporary)})
    wait_for(lambda: marker.exists() and marker.read_text())
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "The check was stopped" in stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)
    assert list(temporary.iterdir()) == []


def test_a_check_that_is_stopped_on_a_terminal_says_so_on_a_line_of_its_own(
    hbtrack: Hbtrack,
) -> None:
    with terminals() as start:
        shown = start(hbtrack, "check", good(hbtrack.folder, (PARSE, "    time.sleep(1000)\n")))
        shown.shows("  ...      8 of 25: call")
        shown.process.send_signal(signal.SIGINT)
        assert shown.exit_status() == 75
        assert b"  ...      8 of 25: call\r\x1b[Khbtrack: The check was stopped" in shown.written


@pytest.mark.slow
def test_checkpoints_of_a_search_that_ran_here_raise_no_alarm(hbtrack: Hbtrack) -> None:
    few = 'return f"lr:{rng.choice([0.01, 0.02, 0.03, 0.04])}.momentum:0.5"'
    path = good(hbtrack.folder, (SAMPLE, few))
    hbtrack("run", "-q", "--max-epochs", 9, path)
    found = checked(hbtrack, path, code=0)
    assert [name for name, one in found.items() if one["status"] == "warn"] == ["repeats"]


@pytest.mark.slow
@pytest.mark.parametrize("edits", [(), (MOST_FAIL,)], ids=["good", "most configs fail"])
def test_in_place_the_script_runs_in_its_own_folder(
    hbtrack: Hbtrack, edits: tuple[tuple[str, str], ...]
) -> None:
    path = good(hbtrack.folder, *edits)
    for _ in range(2):  # other configs each time
        found = checked(hbtrack, "--in-place", path, code=0)
        statuses = {name: one["status"] for name, one in found.items() if one["status"] != "pass"}
        assert statuses == {"at_once": "skip", "half_written": "skip"}
    assert len(list((hbtrack.folder / "checkpoints").iterdir())) > 8


def test_a_folder_too_large_to_copy_is_refused_before_anything_runs(
    hbtrack: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = good(hbtrack.folder, (PARSE, "    open('ran', 'w')\n"))
    monkeypatch.setattr(scratch, "MOST_BYTES", 100)
    refusal = hbtrack("check", path, code=2).stderr
    assert "--in-place" in refusal
    assert "data may be a symbolic link" in refusal
    assert not (hbtrack.folder / "ran").exists()


@pytest.mark.slow
def test_without_access_times_a_script_that_trains_from_scratch_is_known_by_its_lines(
    hbtrack: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = good(hbtrack.folder, (LOAD, ""), LINES)
    monkeypatch.setattr(scratch, "_keeps_access_time", lambda _descriptor: False)
    assert checked(hbtrack, path, code=2)["resume"]["status"] == "fail"


def test_the_text_says_what_to_change_and_how_to_go_on(hbtrack: Hbtrack) -> None:
    result = hbtrack("check", good(hbtrack.folder, NO_GUARD), code=2)
    assert "FAIL   1" in result.stdout
    assert 'if __name__ == "__main__":\n' in result.stdout
    assert "does not keep the contract yet" in result.stdout
    assert "not tried, since import fails" in result.stdout
    assert result.stderr == ""


@pytest.mark.slow
def test_a_script_that_floods_its_output_is_ended_long_before_its_time(
    hbtrack: Hbtrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = '    while True:\n        print("x" * 9999)\n        time.sleep(0.001)\n'
    path = good(hbtrack.folder, (PARSE, PARSE + flood))
    monkeypatch.setattr(script_run, "MOST_OUTPUT", 1000)
    call = checked(hbtrack, path, code=2)["call"]
    assert "of output after" in call["says"]
    assert "--max-log" in call["change"]


def test_a_terminal_of_few_columns_is_no_hindrance(hbtrack: Hbtrack) -> None:
    path = good(hbtrack.folder, NO_GUARD)
    assert "__main__" in hbtrack("check", path, code=2, env={"COLUMNS": "7"}).stdout


def test_options_after_the_script_are_refused_with_the_right_command(hbtrack: Hbtrack) -> None:
    path = good(hbtrack.folder)
    assert (
        "hbtrack check --in-place ... SCRIPT" in hbtrack("check", path, "--in-place", code=2).stderr
    )


# --- copies, and what is seen in them -------------------------------------------------------------


def test_a_copy_has_all_that_a_script_needs_and_no_more(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in (".git/config", "venv/pyvenv.cfg", "pkg/__pycache__/a.pyc", "hbtrack.db", "data/a"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x")
    (source / "hbtrack.db.d").mkdir()
    (source / "inside").symlink_to("data")
    (source / "outside").symlink_to("../elsewhere")
    copy_folder(source, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*")}
    assert found == {"data", "data/a", "pkg", "inside", "outside"}
    assert os.readlink(target / "inside") == "data"
    assert os.readlink(target / "outside") == str(tmp_path / "elsewhere")


def test_a_copy_leaves_out_what_is_no_file_or_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "fifo")
    for name in ("stays", "goes"):
        (source / name).write_text("x")

    def copy(item: Path, target: Path) -> None:
        (source / "goes").unlink(missing_ok=True)
        copy_file(item, target)

    copy_file = scratch._copy_file
    monkeypatch.setattr(scratch, "_copy_file", copy)
    copy_folder(source, tmp_path / "target")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["stays"]


def test_a_watch_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert Watch(tmp_path, frozenset({"fifo"})).touched().written == frozenset()


def test_a_watch_sees_what_was_created_changed_replaced_and_read(tmp_path: Path) -> None:
    for name in ("read", "unread", "changed", "replaced", "read and replaced", "removed"):
        (tmp_path / name).write_text("x")
    watch = Watch(tmp_path, frozenset({"read", "unread", "read and replaced"}))
    (tmp_path / "read").read_text()
    (tmp_path / "changed").write_text("other")
    (tmp_path / "read and replaced").read_text()
    for name in ("replaced", "read and replaced"):
        (tmp_path / "new").write_text("other")
        (tmp_path / "new").replace(tmp_path / name)
    (tmp_path / "created").write_text("x")
    (tmp_path / "removed").unlink()
    touched = watch.touched()
    assert touched.removed == {"removed"}
    assert touched.created == {"created"}
    assert touched.changed == {"changed", "replaced", "read and replaced"}
    assert touched.replaced == {"replaced", "read and replaced"}
    assert touched.read == {"read", "read and replaced"}


def test_a_private_folder_goes_whatever_was_made_of_its_rights() -> None:
    with scratch.scratch_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "locked").mkdir()
        (folder / "locked" / "file").write_text("x")
        subprocess.run(["chmod", "000", folder / "locked"], check=True)
    assert not folder.exists()
    assert str(folder).startswith(tempfile.gettempdir())


def run(epochs: int, loss: str, lines: int = 0, written: str = "") -> ScriptRun:
    touched = Touched(frozenset(written.split()), *[frozenset[str]()] * 3, read=None)
    verdict = Verdict(AttemptStatus.DONE, loss=float(loss))
    return ScriptRun(Call("x", epochs), "", verdict, 0, 0.1, loss, touched, lines)


@pytest.mark.parametrize(
    ("digits", "noise", "additional"),
    [("0.50", 0.25, False), ("0.50", 0.0, True), ("0.51234", 0.25, True)],
)
def test_losses_that_are_equal_by_chance_do_not_say_that_epochs_were_added(
    digits: str, noise: float, additional: bool
) -> None:
    one, two = run(1, digits.replace("5", "7", 1)), run(2, digits)
    training = Training(one, two, two, one, one, one, one, three=two, noise=noise)
    assert training.additional is additional


@pytest.mark.parametrize(
    ("moved", "says", "status"),
    [
        pytest.param(False, "prints the loss of 1 epoch", Status.FAIL, id="no config moves"),
        pytest.param(True, "off by", Status.WARN, id="another config moves"),
        pytest.param(None, "unless that is its best one so far", Status.WARN, id="not tried"),
    ],
)
def test_a_loss_that_stays_after_an_epoch_may_be_the_best_so_far(
    moved: bool | None, says: str, status: Status
) -> None:
    one, two, again = run(1, "0.51234", 2, "pt"), run(2, "0.51234", 2, "pt"), run(2, "0.51234", 1)
    fresh = run(2, "0.41234", 3, "pt")
    training = Training(one, two, again, fresh, fresh, fresh, fresh, moved=moved)
    found = {finding.name: finding for finding in trained(training, [one, two])}["resume"]
    assert found.status is status
    assert says in found.says


@pytest.mark.parametrize(("heeded", "status"), [(False, Status.WARN), (True, Status.FAIL)])
def test_a_file_that_is_not_read_says_nothing_where_no_loss_changes(
    heeded: bool, status: Status
) -> None:
    """It may be a log, of a script that saves elsewhere and prints its best loss so far."""
    one, two = run(1, "0.51234", 1, "log"), run(2, "0.51234", 1, "log")
    two = replace(two, touched=replace(two.touched, changed=frozenset({"log"}), read=frozenset()))
    training = Training(one, two, two, two, two, two, two, heeded=heeded)
    found = {finding.name: finding for finding in trained(training, [one, two])}["resume"]
    assert found.status is status
    assert ("cannot be told" in found.says) is (not heeded)


def test_a_best_loss_that_no_epoch_betters_does_not_say_how_much_a_kill_has_cost() -> None:
    one, long, rest = run(1, "0.51234"), run(9, "0.51234"), run(9, "0.51233")
    training = Training(one, one, one, one, long, long, long)
    assert killed("sigkill", replace(one, exit_status=-9), rest, training).status is Status.WARN


@pytest.mark.parametrize(
    ("written", "lines", "nothing"),
    [("", 0, True), ("", 2, False), ("pt", 0, False)],
    ids=["neither writes nor prints", "prints", "writes"],
)
def test_files_and_lines_together_tell_that_nothing_was_trained(
    written: str, lines: int, nothing: bool
) -> None:
    once, again = run(2, "0.4", 2, "pt"), run(2, "0.4", lines, written)
    assert trains_nothing(once, once, again) is nothing


@pytest.mark.parametrize(
    ("saved", "again", "fewer", "lines", "repeats"),
    [
        pytest.param("pt", "", "0.5", (0, 0), False, id="a checkpoint left as it was"),
        pytest.param("pt", "pt", "0.4", (0, 0), False, id="the loss of the checkpoint"),
        pytest.param("pt", "pt", "0.5", (9, 0), False, id="no line of an epoch"),
        pytest.param("pt", "pt", "0.5", (9, 9), True, id="a line of each epoch"),
        pytest.param("", "", "0.5", (0, 0), None, id="only time, and no file"),
        pytest.param("pt", "pt", "0.5", (0, 0), None, id="only time"),
    ],
)
def test_what_tells_that_equal_epochs_are_trained_again(
    saved: str, again: str, fewer: str, lines: tuple[int, int], repeats: bool | None
) -> None:
    """It was trained for 1 epoch, 2 and 9: `lines` are of the 9, and of these again."""
    one, two, second = run(1, "0.5", 0, saved), run(2, "0.4", 0, saved), run(2, "0.4", 0, again)
    long, long_again = run(9, "0.3", lines[0], saved), run(9, "0.3", lines[1], again)
    training = Training(one, two, second, two, long, long_again, long, fewer=run(1, fewer))
    assert training.repeats is repeats
