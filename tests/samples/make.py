"""Makes the samples anew, with the real libraries: `python tests/samples/make.py [NAME...]`.

samples.toml says how each is made: its packages, its script and, where it is not the usual one, its
command; and what is true of it, which goes into expected.json. errors/NAME.txt is what the script
wrote to stderr, last_line/NAME.txt what it wrote to stdout. A script is started as a user's: both
streams to files, no terminal, an environment of PATH and HOME alone.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
HOME = Path("/tmp/smpls")  # as long as /home/user, so that drawn boxes keep their width
PROJECT = HOME / "project"
USUAL = ["python", "train.py", "lr:0.1", "--epochs", "1", "--gpu", "0"]
LOSS = b"0.4375"


def interpreter(sample):
    """A venv's Python with the sample's packages; samples whose packages agree share one."""
    version = sample.get("python", "3.11")
    venv = HOME / sample.get("venv", "venv" if version == "3.11" else f"v{version}")
    if not venv.exists():
        subprocess.run([f"python{version}", "-m", "venv", venv], check=True)
    installed = venv / "installed.txt"  # asking pip each time would take most of the time
    have = set(installed.read_text().split()) if installed.exists() else set()
    if missing := set(sample.get("packages", [])) - have:
        subprocess.run([venv / "bin/python", "-m", "pip", "install", "-q", *missing], check=True)
        installed.write_text("\n".join(sorted(have | missing)))
    return venv / "bin/python"


def run(sample):
    """The sample's exit status, stdout and stderr."""
    python = interpreter(sample)
    shutil.rmtree(PROJECT, ignore_errors=True)
    for name, text in files(sample).items():
        path = PROJECT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environ = {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(HOME), **sample.get("env", {})}
    for command in [*sample.get("before", []), sample.get("command", USUAL)]:
        with (HOME / "out").open("wb") as out, (HOME / "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                executable=shutil.which(command[0], path=environ["PATH"]),
                cwd=PROJECT / sample.get("folder", "."),
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout=180)
            finally:
                end(process.pid)
    return status, (HOME / "out").read_bytes(), (HOME / "err").read_bytes()


def end(group):
    """Ends what the script left running, after a moment in which it may end by itself."""
    for _ in range(20):
        time.sleep(0.1)
        if not alive(group):
            return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def files(sample):
    return {f"{sample.get('folder', '.')}/train.py": sample["script"], **sample.get("files", {})}


def cleaned(text, python):
    """The text without what belongs to this machine."""
    base = subprocess.check_output([python, "-c", "import sys; print(sys.base_prefix)"], text=True)
    text = text.replace(bytes(HOME), b"/home/user")
    text = text.replace(base.strip().encode(), b"/home/user/anaconda3/envs/ml")
    return re.sub(rb"\b%s\b" % re.escape(socket.gethostname().encode()), b"machine", text)


def frame(sample):
    """FILE:LINE of the line that the sample's `at` is a part of."""
    if "at" not in sample:
        return sample.get("frame")
    for name, text in files(sample).items():
        for number, line in enumerate(text.splitlines(), 1):
            if sample["at"] in line:
                return f"{Path(name).name}:{number}"
    raise SystemExit(f"no line has {sample['at']!r}")


def squeezed(text):
    """The text without colours, borders of boxes and spaces: what wrapping does not change."""
    return re.sub(r"\x1b\[[0-9;]*m|[\s│|]", "", text)


def error(sample, status, text):
    if status != sample.get("status", 1):
        print(f"  but samples.toml says status {sample.get('status', 1)}")
    for key in ("type", "message", "message_has"):
        if squeezed(sample.get(key, "")) not in squeezed(text.decode(errors="replace")):
            print(f"  but the {key} is not in it")
    return {
        "status": status,
        "error_type": sample.get("type"),
        "message": sample.get("message"),
        "frame": frame(sample),
        **{key: sample[key] for key in ("message_has", "leaves", "stream") if key in sample},
    }


def last_line(sample, out):
    lines = [line for line in out.splitlines() if line.strip()]
    alone = [number for number, line in enumerate(lines, 1) if line.strip() == LOSS]
    return {
        "loss": float(LOSS),
        "lines_after": len(lines) - alone[-1] if alone else None,
        "library": sample["library"],
    }


def make(kind, name, sample):
    """Writes the sample; returns what is expected of it."""
    status, out, err = run(sample)
    stderr = kind == "errors" and sample.get("stream") != "stdout"
    text = cleaned(err if stderr else out, interpreter(sample))
    path = HERE / kind / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    print(f"{kind}/{name}: status {status}, {len(text)} bytes")
    return error(sample, status, text) if kind == "errors" else last_line(sample, out)


def main(names):
    samples = tomllib.loads((HERE / "samples.toml").read_text())
    path = HERE / "expected.json"
    expected = json.loads(path.read_text()) if path.exists() else {}
    for kind, of_kind in samples.items():
        for name, sample in of_kind.items():
            if not names or name in names or f"{kind}/{name}" in names:
                expected.setdefault(kind, {})[name] = make(kind, name, sample)
                path.write_text(json.dumps(expected, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
