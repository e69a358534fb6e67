"""What `import relay_sdk` costs over `import httpx, attrs`, which a typed HTTP client needs anyway.

Run it on a quiet machine: python benchmarks/import_time.py [ROUNDS]. The limit is 60 ms.
"""

import subprocess
import sys
from statistics import median

LIMIT = 60
BASE = "import httpx, attrs"
OURS = "import relay_sdk"
TIMED = """
from time import perf_counter
start = perf_counter()
{statement}
print((perf_counter() - start) * 1000)
"""


def milliseconds(statement: str) -> float:
    """Time a statement in a fresh interpreter, whose own start does not count."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement=statement)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {BASE: [], OURS: []}
    for statement in times:
        milliseconds(statement)  # writes bytecode, fills the machine's file cache
    for _ in range(rounds):  # in turn, so that a busy moment of the machine meets both
        for statement, taken in times.items():
            taken.append(milliseconds(statement))
    for statement, taken in times.items():
        spread = f"{min(taken):.1f} to {max(taken):.1f}"
        print(f"{statement:<20} {median(taken):6.1f} ms  (median of {rounds}, {spread})")
    added = median(times[OURS]) - median(times[BASE])
    print(f"{'relay_sdk adds':<20} {added:6.1f} ms  (limit {LIMIT})")


if __name__ == "__main__":
    main()
