"""What to type next, as a shell takes it."""

import argparse
import shlex

from hbtrack.text import option


def to_type(
    args: argparse.Namespace, run_identity: str | None, *words: str, config: str | None = None
) -> str:
    """The command line of another command on the same search and database, perhaps on a config."""
    line = ["hbtrack", *words]
    options = [*option("--identity", run_identity), *option("--db", args.db)]
    if config is None:
        return shlex.join([*line, *options])
    if config.startswith("-"):
        return shlex.join([*line, *options, "--", config])
    return shlex.join([*line, config, *options])
