"""Draws from ids that a shell, a terminal or a table would stumble over; keeps what it was given.

argv.log holds the first argument of every call, as bytes, each ended by a NUL.
"""

import os
import sys

IDS = [
    "\u00fcn\u00efc\u00f6d\u00e9 \u65e5\u672c\u8a9e \U0001f389",
    "a\u0308 is not \u00e4",
    "\u202eright to left\u2028\ufeff",
    "$(touch pwned) `touch pwned`; touch pwned & touch pwned | touch pwned > pwned",
    'it\'s "quoted" \\ and \\n',
    "line\nbreak\r\n\ttab\n",
    "*?[a-z]{a,b}~ #!%s%d\u0025{0}<b>&amp;",
    " blanks around ",
    "\x01\x1b[31m\x7f",
    "=cmd()",
    "@file",
    "0012",
    "12e4",
    "x" * 4096,
    "\u00e9" * 2048,
]


def get_random_config_id(rng):
    return IDS[rng.randint(len(IDS))]


def run_identity(_argv):
    return "odd; touch pwned"


if __name__ == "__main__":
    with open("argv.log", "ab") as file:
        file.write(os.fsencode(sys.argv[1]) + b"\0")
    print(IDS.index(sys.argv[1]) / int(sys.argv[3]))
