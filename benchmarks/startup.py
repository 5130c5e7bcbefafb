"""How long a user waits for `danqing --help`, beside Python itself doing nothing.

    python benchmarks/startup.py [--runs 15]

Prints a table: the median and the fastest of so many fresh processes, in seconds. The aim is 0.4 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import danqing": ["-c", "import danqing"],
    "danqing --version": ["-m", "danqing", "--version"],
    "danqing --help": ["-m", "danqing", "--help"],
    "danqing paint --help": ["-m", "danqing", "paint", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """How long one fresh Python takes, in seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    print("| command | median s | fastest s |\n|---|---|---|")
    for name, arguments in COMMANDS.items():
        seconds(arguments)  # fills the cache of compiled modules
        taken = [seconds(arguments) for _ in range(runs)]
        print(f"| `{name}` | {statistics.median(taken):.2f} | {min(taken):.2f} |")


if __name__ == "__main__":
    main()
