"""Prints while it is imported, before the loss and on stderr: banners, progress bars, numbers."""

import sys
import warnings

print("Welcome to chatty 1.0")
print('{"schema": "not hbtrack\'s"}')
sys.stderr.write("W tensorflow: no GPU\n" * 1000)


def get_random_config_id(rng):
    print("drawing")
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    print("0.001")
    return "chatty"


if __name__ == "__main__":
    sys.stderr.write("x" * 100_000)
    warnings.warn("this is slow", stacklevel=1)
    for step in range(100):
        sys.stdout.write(f"\rstep {step} loss {1 / (step + 1)}")
        sys.stderr.write(f"\r{step}%")
    print("\nTraceback (most recent call last):\n  was printed for fun\n0.125\n\n \t\r\n")
