"""`python -m hbtrack` is the command `hbtrack`."""

import sys

from hbtrack.cli import main

if __name__ == "__main__":
    sys.exit(main())
