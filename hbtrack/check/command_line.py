"""What to change in a script that refuses what hbtrack passes: pure, by what its parser said.

Each library of command lines refuses in its own words, and has its own way to accept.
"""

import re
from collections.abc import Sequence

from hbtrack.check.finding import Advice
from hbtrack.core.contract import RESERVED_OPTIONS

ARGUMENTS = Advice(
    "Accept what hbtrack passes.",
    'parser.add_argument("config_id")\n'
    'parser.add_argument("--epochs", type=int)\n'
    'parser.add_argument("--gpu", type=int)\n'
    'parser.add_argument("--multi_gpu", action="store_true")',
)
OWN = Advice(
    "hbtrack passes on what stands after SCRIPT, and the script does not take it: mend that "
    "argument, or add it. Options of hbtrack's stand before SCRIPT."
)
HYDRA = Advice(
    "hydra takes overrides, not options: translate them before its main is called. The folder that "
    "it makes has the time in its name: save in HBTRACK_CHECKPOINT.",
    f"{ARGUMENTS.example}\n"
    "args, own = parser.parse_known_args()\n"
    'sys.argv[1:] = [f"++config_id=\'{args.config_id}\'", f"++epochs={args.epochs}",\n'
    '                f"++gpu={args.gpu}", *own]\n'
    "main()  # the function under @hydra.main",
)
_TYPER = Advice(
    "typer makes dashes of underscores: spell --multi_gpu. The config_id is an argument, the "
    "others are options.",
    "def main(\n"
    "    config_id: str,\n"
    "    epochs: Annotated[int, typer.Option()],\n"
    "    gpu: Annotated[int, typer.Option()],\n"
    '    multi_gpu: Annotated[bool, typer.Option("--multi_gpu")] = False,\n'
    "):",
)
_CLICK = Advice(
    'Accept what hbtrack passes. With typer name the last typer.Option("--multi_gpu"): it makes '
    "dashes of underscores.",
    '@click.argument("config_id")\n'
    '@click.option("--epochs", type=int)\n'
    '@click.option("--gpu", type=int)\n'
    '@click.option("--multi_gpu", is_flag=True)',
)
_ABSL = Advice(
    "Define the flags that hbtrack passes; the config_id is what app.run leaves in argv.",
    'flags.DEFINE_integer("epochs", 1, "in all")\n'
    'flags.DEFINE_integer("gpu", 0, "")\n'
    'flags.DEFINE_bool("multi_gpu", False, "")',
)
_SIGNATURE = Advice(
    "Accept what hbtrack passes, with this spelling; some libraries make dashes of underscores.",
    "def main(config_id: str, epochs: int, gpu: int, multi_gpu: bool = False):",
)

_RESERVED = "(?:{})(?![\\w-])".format("|".join(RESERVED_OPTIONS))
_REFUSED = re.compile(
    r"unrecognized arguments: (.*)|No such option:? (.*)|Got unexpected extra arguments? (.*)"
    r"|Unknown command line flag (.*)|Could not consume arg: (.*)|Unknown option: (.*)"
    r"|Unrecognized options: (.*)"
    rf"|argument [^:]*({_RESERVED})[^:]*: |ambiguous option: ({_RESERVED}) "
    rf"|Invalid value for '({_RESERVED})'"
)
_OF_HBTRACK = re.compile(
    r"(?<![\w-])(?:--)?(?:{})(?![\w-])".format(
        "|".join(name.removeprefix("--") for name in RESERVED_OPTIONS)
    )
)
_LIBRARIES = [
    ("--hydra-help", HYDRA),
    ("Unknown command line flag", _ABSL),
    ("Unknown option:", _SIGNATURE),  # cyclopts, in a box
    ("─ Error ─", _TYPER),  # click draws no box
    ("- Error -", _TYPER),
    ("{config_id}", _TYPER),
    ("Try '", _CLICK),
    ("unrecognized arguments", ARGUMENTS),
    ("error: argument ", ARGUMENTS),
    ("ambiguous option", ARGUMENTS),
]


def why_refused(said: str) -> Advice | None:
    """What to do about what a parser of command lines said; None where none did."""
    match = _REFUSED.search(said)
    if match is None:
        return None
    named = next(filter(None, match.groups()), "")
    if "unexpected extra" not in match[0] and not _OF_HBTRACK.search(named):
        return OWN
    return next((hint for words, hint in _LIBRARIES if words in said), _SIGNATURE)


# --- an option that takes another's place --------------------------------------------------------

_ARGUMENT = re.compile(r"argument ([^:\s]+): ")


def taken_for(option: str, said: str) -> str | None:
    """The option that a parser took this one for, as it said when it got no value for it."""
    found = _ARGUMENT.search(said)
    names: Sequence[str] = found[1].split("/") if found else ()
    if option in names:
        return None
    return next((name for name in names if name.startswith(option)), None)


def suspects(option: str, texts: Sequence[str]) -> bool:
    """Whether one of the texts names a longer option that begins like this, and not this one."""
    longer = re.compile(rf"['\"]{option}[\w-]+['\"]")
    itself = re.compile(rf"['\"]{option}['\"]")
    return any(longer.search(text) and not itself.search(text) for text in texts)
