"""Measure imports, minus `import httpx, attrs`, which a typed HTTP client needs anyway.

Run it: python benchmarks/import_time.py [ROUNDS]. Importing a client may add 60 ms of CPU time.
Declaring queues alone does not import httpx.
"""

import os
import subprocess
import sys
from statistics import median

LIMIT = 60
BASE = "import httpx, attrs"
STATEMENTS = [
    "import relay_sdk",
    "from relay_sdk import Client",
    "from relay_sdk import AsyncWorker",
]
TIMED = """
from time import process_time
start = process_time()
{statement}
print((process_time() - start) * 1000)
"""


def milliseconds(statement: str) -> float:
    """Time a statement in a new interpreter, without the start of the interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement=statement)],
        # Bytecode is cached, as in an installation.
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {statement: [] for statement in (BASE, *STATEMENTS)}
    for statement in times:
        milliseconds(statement)  # writes bytecode, and fills the file cache
    for _ in range(rounds):  # in turn, so that other load affects all of them
        for statement, taken in times.items():
            taken.append(milliseconds(statement))
    base = median(times[BASE])
    print(f"{'ms of CPU':<34} median    range           over httpx, attrs (limit {LIMIT})")
    for statement, taken in times.items():
        spread = f"{min(taken):.1f} to {max(taken):.1f}"
        print(f"{statement:<34} {median(taken):6.1f}    {spread:<15} {median(taken) - base:6.1f}")


if __name__ == "__main__":
    main()
