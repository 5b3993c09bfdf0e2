"""What to change in a script, with lines that show it."""

from hbtrack.core.contract import exception_of

IMPORT = "Define functions only; put what runs the experiment under the guard."
GUARD = 'if __name__ == "__main__":\n    main()'
SLOW_IMPORT = "Load data and build models in main(), not while the file is imported."

IDENTITY = "Let run_identity depend on its argument alone, and return a str."
NAMES = (
    "def run_identity(argv):\n"
    '    args, _ = make_parser().parse_known_args(["", *argv])\n'
    '    return f"model:{args.model}"'
)
NO_ARGS = "Take an empty list, too: give every option a default."
SAME_NAME = (
    "If these arguments select another experiment, name them, or both searches would be one. Parse "
    "the list that run_identity gets, not sys.argv."
)

SAMPLER = "Draw everything from the generator that is passed, and from nothing else."
DRAW = (
    "def get_random_config_id(rng):\n"
    '    return f"lr:{10 ** rng.uniform(-4, -1):.6g}.units:{rng.choice([64, 128, 256])}"'
)
IDS = "Return a str that begins with a letter and says all there is to say, in a line."
REPEATS = (
    "Let parameters vary more finely, or search with a smaller --max-epochs: a pass tries no more "
    "configs than there are."
)
PARAMS = "Let get_config return a dict for every id that the sampler gives."
CONFIG = (
    'def get_config(config_id):\n    return dict(part.split(":") for part in config_id.split("."))'
)

LOSS = "Print the loss, and nothing after it, on a line of its own: a plain number."
PRINT = "print(float(loss))"
PRECISION = "Print all digits: configs whose losses look equal are told apart by chance."

ARGUMENTS = "Accept what hbtrack passes."
PARSER = (
    'parser.add_argument("config_id")\n'
    'parser.add_argument("--epochs", type=int)\n'
    'parser.add_argument("--gpu", type=int)\n'
    'parser.add_argument("--multi_gpu", action="store_true")'
)

SAVE = "Save a checkpoint after training, in a file of that config's own."
SAVING = (
    'partial = checkpoint.with_suffix(".partial")\n'
    'torch.save({"epoch": epoch, "model": model.state_dict(), ...}, partial)\n'
    "os.replace(partial, checkpoint)"
)
UNSEEN = (
    "What is saved outside of the working directory cannot be seen, and training is too short to "
    "tell by its time. Check it with longer epochs, or save below the working directory."
)
LOAD = (
    "Begin by loading the config's checkpoint if there is one, and train the epochs that are left."
)
LOADING = (
    "if checkpoint.exists():\n"
    "    state = torch.load(checkpoint)\n"
    '    model.load_state_dict(state["model"])\n'
    'for epoch in range(state["epoch"], args.epochs):\n'
    "    train_one_epoch(epoch)"
)
WHOLE_STATE = (
    "Save and load all that training goes on from: the optimizer, the schedule of its learning "
    "rate, the random generators, the order of the data. The ranking of configs then does not "
    "depend on where they were stopped. A schedule made for --epochs differs from budget "
    "to budget: make it for a fixed number of epochs."
)
TOTAL = "Take --epochs as the total: train from the checkpoint's epoch up to it, and no further."
TOTALLING = 'for epoch in range(state["epoch"], args.epochs):\n    train_one_epoch(epoch)'
AGAIN = (
    "When the checkpoint has as many epochs already, print its loss and train nothing: save the "
    "loss with it."
)
ANSWERING = 'if state["epoch"] >= args.epochs:\n    print(state["loss"])\n    return'
OWN_FILE = "Put the config_id into the checkpoint's name; several configs are trained at a time."
NAMING = (
    "name = hashlib.sha256(args.config_id.encode()).hexdigest()[:16]\n"
    'checkpoint = Path("checkpoints") / f"{args.model}-{name}.pt"'
)
RAISE = "Let exceptions out: hbtrack records the traceback, and the search goes on."
RAISING = "raise  # not print(100); sys.exit(0)"
NO_MATTER = "hbtrack tries ids of the sampler only; but what cannot be understood should raise."
IN_THE_WAY = (
    "A run that was killed leaves it behind: take it over, or lock it (fcntl.flock); a lock ends "
    "with its process."
)
FILE_NAME = "The config_id does not do for a file's name here: name the file by a hash of it."
EXITS = (
    "sys.exit(number) writes the number to stderr and ends with status 1: print the loss, and "
    "return None."
)
AT_ONCE = (
    "With several workers evaluations run side by side in one folder: give each files of its own, "
    "temporary ones too, and take a port that is free (port 0). If it needs the machine or the GPU "
    "for itself, search with --workers 1."
)
ATOMIC = "Write the checkpoint beside its place and rename it: a kill never leaves half of one."
TERM = "End soon after SIGTERM; hbtrack kills what runs longer than --grace (10 s)."
LEFT = (
    "Join or end what the script starts before it ends. hbtrack ends what is left, for it may hold "
    "the GPU."
)
SLOWER = "If it really needs so long, allow more with --timeout 2h; a deadlock needs mending."
FLOOD = "Print less: hbtrack ends what prints more than --max-log, 2 GiB if nothing else is said."
ENDLESS = (
    "The last line that it printed is a loss: training is over, but something keeps it from "
    "ending. Join or end its threads and processes (daemon=True lets a thread go)."
)

_HINTS = {
    "RandomState' object has no": "The generator is a numpy.random.RandomState, with randint, rand "
    "and choice, not a Generator.",
    "SyntaxError": "The interpreter cannot read it: mend the line, or name another with --python "
    "PATH.",
    "out of memory": "If only some configs need so much, try again; they fail, and a search goes "
    "on. Otherwise make the model or the batch smaller.",
    "EOF when reading a line": "It reads stdin, which is empty: take it as an option.",
    "Inappropriate ioctl": "It needs a terminal, and there is none: do without.",
    "/dev/tty": "It needs a terminal, and there is none: do without.",
    "unrecognized arguments: --": ARGUMENTS,
    "invalid choice": "It takes the config_id for something else: make it the first positional.",
    "arguments are required": "Give hbtrack the script's own required arguments after its name, or "
    "let the config_id be the first positional.",
    "No such file or directory": "It was run in a copy of the working directory: name files "
    "outside of it by absolute paths, or type --in-place.",
    "CUDA": "If it needs a GPU that is not here, check it where there is one.",
    "has no numpy": "hbtrack needs numpy in the interpreter that runs the script.",
    "No module named": "Name the interpreter that has it with --python PATH.",
}


def why(error: str, otherwise: str = "Mend what it says, and check again.") -> str:
    """What to do about what a run or an import said, as far as its text tells."""
    exception = exception_of(error)
    text = f"{exception[0]}: {exception[1]}" if exception else error
    return next((hint for words, hint in _HINTS.items() if words in text), otherwise)
