"""What to change in a script, with lines that show it."""

import re

from hbtrack.check.command_line import ARGUMENTS, why_refused
from hbtrack.check.finding import Advice
from hbtrack.check.script_run import ScriptRun
from hbtrack.core.loss import LossRefused, read_loss
from hbtrack.core.printed_error import error_of

# --- the functions -------------------------------------------------------------------------------

IMPORT = Advice(
    "Define functions only; put what runs the experiment under the guard.",
    'if __name__ == "__main__":\n    main()',
)
MODULE = Advice(
    "hbtrack runs a file, as `python FILE` does, and not `python -m MODULE`: give it a small file "
    "beside the package's folder that takes all from it.",
    "from package.train import get_random_config_id, main, run_identity\n\n"
    'if __name__ == "__main__":\n    main()',
)
SLOW_IMPORT = Advice("Load data and build models in main(), not while the file is imported.")
_NAMES = (
    "def run_identity(argv):\n"
    '    args, _ = make_parser().parse_known_args(["", *argv])\n'
    '    return f"model:{args.model}"'
)
IDENTITY = Advice("Let run_identity depend on its argument alone, and return a str.", _NAMES)
NO_ARGS = Advice("Take an empty list, too: give every option a default.")
SAME_NAME = Advice(
    "If these arguments select another experiment, name them, or both searches would be one. Parse "
    "the list that run_identity gets, not sys.argv.",
    _NAMES,
)
_DRAW = (
    "def get_random_config_id(rng):\n"
    '    return f"lr:{10 ** rng.uniform(-4, -1):.6g}.units:{rng.choice([64, 128, 256])}"'
)
SAMPLER = Advice("Draw everything from the generator that is passed, and from nothing else.", _DRAW)
RANDOM_STATE = Advice(
    "The generator is a numpy.random.RandomState, with randint, rand and choice, not a Generator.",
    _DRAW,
)
IDS = Advice(
    "Return a str that begins with a letter and says all there is to say, in a line.", _DRAW
)
REPEATS = Advice(
    "Let parameters vary more finely, or search with a smaller --max-epochs: a pass tries no more "
    "configs than there are."
)
PARAMS = Advice(
    "Let get_config return a dict for every id that the sampler gives.",
    'def get_config(config_id):\n    return dict(part.split(":") for part in config_id.split("."))',
)

# --- calls ---------------------------------------------------------------------------------------

_PRINT = "print(float(loss))"
LOSS = Advice("Print the loss, and nothing after it, on a line of its own: a plain number.", _PRINT)
PRECISION = Advice(
    "Print all digits: configs whose losses look equal are told apart by chance.", _PRINT
)
MINIMISED = Advice(
    "hbtrack looks for the smallest number. If larger ones are better, as of an accuracy, type "
    "hbtrack run --maximize, or turn it round; if it is a loss, it is well.",
    "print(1 - accuracy)",
)
HELD_BACK = Advice(
    "Other processes (joblib, Pool, ProcessPoolExecutor, a child of your own) write what they have "
    "held back when they end: end them before print(loss), or flush what is printed.",
    "with ProcessPoolExecutor() as pool:\n    ...\nprint(float(loss))  # after the block",
)
EXITS = Advice(
    "sys.exit(number) writes the number to stderr and ends with status 1: print the loss, and "
    "return None.",
    _PRINT,
)
ABBREVIATED = Advice(
    "argparse takes the beginning of an option for the option. Add the one that hbtrack passes; "
    "or, if the other one is meant, give it this name, too.",
    f"parser = argparse.ArgumentParser(allow_abbrev=False)\n{ARGUMENTS.example}",
)
_NAMING = (
    "name = hashlib.sha256(args.config_id.encode()).hexdigest()[:16]\n"
    'by_hand = Path("checkpoints") / f"{args.model}-{name}"\n'
    'checkpoint = Path(os.environ.get("HBTRACK_CHECKPOINT", by_hand), "model.pt")'
)
OWN_FILE = Advice(
    "Save in HBTRACK_CHECKPOINT, a folder of this search's and this config's own, or put the "
    "config_id into the checkpoint's name; several configs are trained at a time.",
    _NAMING,
)
OTHER_SEARCH = Advice(
    "Save in HBTRACK_CHECKPOINT, which each search has of its own, or put into the checkpoint's "
    "name what tells searches apart, as run_identity does. Else one loads what another has "
    "trained, and so does a new search after `hbtrack rm` or with another --db.",
    _NAMING,
)
FILE_NAME = Advice(
    "The config_id does not do for a file's name here: save in HBTRACK_CHECKPOINT, or name the "
    "file by a hash of it.",
    _NAMING,
)
AT_ONCE = Advice(
    "With several workers evaluations run side by side in one folder: give each files of its own, "
    "temporary ones too, and take a port that is free (port 0). If it needs the machine or the GPU "
    "for itself, search with --workers 1."
)
MULTI = Advice(
    "With --multi_gpu it may use all GPUs: let it go on without, where there is one or none, or "
    "search with --multi-gpu never, which does not pass it."
)
RAISE = Advice(
    "Let exceptions out: hbtrack records the traceback, and the search goes on.",
    "raise  # not print(100); sys.exit(0)",
)
LEFT = Advice(
    "Join or end what the script starts before it ends. hbtrack ends what is left, for it may hold "
    "the GPU."
)
_SLOWER = Advice(
    "If it really needs so long, allow more with --timeout 2h; a deadlock needs mending."
)
_FLOOD = Advice(
    "Print less: hbtrack ends what prints more than --max-log, 2 GiB if nothing else is said."
)
_ENDLESS = Advice(
    "The last line that it printed is a loss: training is over, but something keeps it from "
    "ending. Join or end its threads and processes (daemon=True lets a thread go)."
)

# --- checkpoints ---------------------------------------------------------------------------------

_SAVING = (
    'partial = checkpoint.with_suffix(".partial")\n'
    'torch.save({"epoch": epoch, "model": model.state_dict(), ...}, partial)\n'
    "os.replace(partial, checkpoint)"
)
SAVE = Advice(
    "Save a checkpoint after training, in the folder HBTRACK_CHECKPOINT or in a file of that "
    "config's own.",
    _SAVING,
)
ATOMIC = Advice(
    "Write the checkpoint beside its place and rename it: a kill never leaves half of one.", _SAVING
)
LOAD = Advice(
    "Begin by loading the config's checkpoint if there is one, and train the epochs that are left.",
    "if checkpoint.exists():\n"
    "    state = torch.load(checkpoint)\n"
    '    model.load_state_dict(state["model"])\n'
    'for epoch in range(state["epoch"], args.epochs):\n'
    "    train_one_epoch(epoch)",
)
WHOLE_STATE = Advice(
    "Save and load all that training goes on from: the optimizer, the schedule of its learning "
    "rate, the random generators, the order of the data, averages of weights and of batches (EMA, "
    "batch norm), what early stopping counts, the best loss so far. The ranking of configs then "
    "does not depend on where they were stopped. A schedule made for --epochs differs from budget "
    "to budget: make it for a fixed number of epochs, as HBTRACK_MAX_EPOCHS says."
)
TOTAL = Advice(
    "Take --epochs as the total: save how many epochs are done, after each of them and with it, "
    "and train from there up to --epochs, and no further.",
    'for epoch in range(state["epoch"], args.epochs):\n    train_one_epoch(epoch)\n'
    '    state["epoch"] = epoch + 1\n    save(checkpoint, state)',
)
CONVERGED = Advice(
    "If every config is as good as it gets so soon, it is well, but more epochs tell a search "
    f"nothing. Otherwise: {TOTAL.change}",
    TOTAL.example,
)
AGAIN = Advice(
    "When the checkpoint has as many epochs already, print its loss and train nothing: save the "
    "loss with it.",
    'if state["epoch"] >= args.epochs:\n    print(state["loss"])\n    return',
)
LOST = Advice(
    "It trains nothing, and evaluates something else: save after the last update, and all that the "
    "loss is made of (averages of weights, statistics of batches, the best loss so far), or the "
    "loss itself; let what is drawn for it, such as the validation data, follow from a fixed seed, "
    "and switch dropout off.",
    'if state["epoch"] >= args.epochs:\n    print(state["loss"])\n    return',
)
TELL = Advice(
    "Check it with a line for each epoch that it trains: their number tells, as time does not. So "
    "does a checkpoint below the working directory that is not written when nothing was trained.",
    'print(f"epoch {epoch}: {loss}")',
)
IN_THE_WAY = Advice(
    "A run that was killed leaves it behind: take it over, or lock it (fcntl.flock); a lock ends "
    "with its process."
)
SCHEDULE = Advice(
    "It goes on from its checkpoint, and nothing comes of it: a schedule of the learning rate that "
    "was made for --epochs gets its old length (T_max, total_iters, total_steps) back with its "
    "state, and is at its end. Make it for a fixed number of epochs, or set its length anew after "
    "loading.",
    'longest = int(os.environ.get("HBTRACK_MAX_EPOCHS", 81))\n'
    "schedule = CosineAnnealingLR(optimizer, T_max=longest)",
)
ROWS = Advice(
    "With a fixed seed each continuation draws the same rows and columns again (subsample, "
    "bagging, feature_fraction), which a whole training does not: train in steps of a fixed "
    "length, each with a seed of its own, which follows from its first epoch.",
    'for start in range(done, args.epochs, step):\n    params["seed"] = start',
)
FURTHER = {
    "catboost": "; CatBoost refuses a snapshot of fewer than 200 iterations for more, unless "
    "learning_rate and max_ctr_complexity are set",
    "goss": "; GOSS samples nothing in the first 1/learning_rate rounds of each call: shorter "
    "steps are another training",
}
"""What so few epochs do not show, by what the script names."""
SAME_FILE = Advice(
    "Name the checkpoint by what is the same in each run of a config: not by hash(), which is "
    "another one in each process, by the time, a uuid or --epochs.",
    _NAMING,
)
_SNAPSHOT = Advice(
    "CatBoost chooses learning_rate and max_ctr_complexity by the number of iterations, and then "
    "refuses the snapshot of another number: set both.",
    "CatBoostClassifier(iterations=args.epochs, learning_rate=lr, max_ctr_complexity=4)",
)
STOPPED = Advice(
    "A TERM that hbtrack did not send, of a scheduler or by `kill`, then counts as that config's "
    "end. Save, and end with 143 in answer to it: such a run is lost, and made again from the "
    "checkpoint.",
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))",
)
TERM = Advice("End soon after SIGTERM; hbtrack kills what runs longer than --grace (10 s).")

_EXISTS = Advice(
    "Let what is there already be: each budget, and each interruption, is another call with the "
    "same config, and finds what an earlier one has made.",
    "os.makedirs(folder, exist_ok=True)",
)
_WHERE_IT_GOES_ON = {
    "FileExistsError": _EXISTS,
    "Tried to step": SCHEDULE,  # torch's OneCycleLR
    "params are different": _SNAPSHOT,  # CatBoost: current and saved ones
}


def why_not_on(error: str, otherwise: Advice) -> Advice:
    """What to do about a run that failed where the one for fewer epochs had not."""
    return next((hint for words, hint in _WHERE_IT_GOES_ON.items() if words in error), otherwise)


# --- by what a run said --------------------------------------------------------------------------

_TERMINAL = "It needs a terminal, and there is none: do without."
_TEXTS = {
    "SyntaxError": "The interpreter cannot read it: mend the line, or name another with --python "
    "PATH.",
    "out of memory": "If only some configs need so much, try again; they fail, and a search goes "
    "on. Otherwise make the model or the batch smaller.",
    "EOF when reading a line": "It reads stdin, which is empty: take it as an option.",
    "Inappropriate ioctl": _TERMINAL,
    "/dev/tty": _TERMINAL,
    "BdbQuit": "It stops in a debugger, and stdin is empty: take breakpoint() or set_trace() out.",
    "invalid choice": "It takes the config_id for something else: make it the first positional.",
    "arguments are required": "Give hbtrack the script's own required arguments after its name, or "
    "let the config_id be the first positional.",
    "CUDA": "If it needs a GPU that is not here, check it where there is one.",
    "has no numpy": "hbtrack needs numpy in the interpreter that runs the script.",
    "No module named": "Name the interpreter that has it with --python PATH.",
}
_HINTS = {
    "RandomState' object has no": RANDOM_STATE,
    "attempted relative import": MODULE,
    **{words: Advice(text) for words, text in _TEXTS.items()},
}
_MEND = Advice("Mend what it says, and check again.")
_OUTSIDE = Advice(
    "It was run in a copy of the working directory: name files outside of it by absolute paths, or "
    "type --in-place."
)
_NO_FOLDER = Advice(
    "Neither is it in the working directory or on this machine: make a folder before saving in it, "
    "or save in HBTRACK_CHECKPOINT, which is there; let paths of other machines be options.",
    "checkpoint.parent.mkdir(parents=True, exist_ok=True)",
)
_NO_RIGHT = Advice(
    "The folder is not yours, or is read only: save in HBTRACK_CHECKPOINT, or in one below the "
    "working directory.",
    _NAMING,
)
_MISSING = re.compile(r"No such file or directory(?:: '([^']*)')?")
_ABOVE_COPY = re.compile(r"\.\.|.*/hbtrack-check-[0-9a-f]+/(?!pristine/|work/\d+/)")


def _where(text: str) -> Advice | None:
    """What to do about a file that is not there, or must not be written."""
    if match := _MISSING.search(text):
        named = match[1]
        return _NO_FOLDER if named and not _ABOVE_COPY.match(named) else _OUTSIDE
    denied = "Permission denied: '" in text or "Read-only file system: '" in text
    return _NO_RIGHT if denied else None


def why(error: str, otherwise: Advice = _MEND) -> Advice:
    """What to do about what a run or an import said, as far as its text tells."""
    told = error_of(error)
    if told is None and (hint := why_refused(error)):
        return hint
    text = f"{told.error_type}: {told.message}" if told else error
    if place := _where(text):
        return place
    return next((hint for words, hint in _HINTS.items() if words in text), otherwise)


def too_long(run: ScriptRun) -> Advice:
    """What to do about a run that was killed for its time."""
    if run.flooded:
        return _FLOOD
    printed = not isinstance(read_loss(run.last_line.encode()), LossRefused)
    return _ENDLESS if printed else _SLOWER
