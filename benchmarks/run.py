"""Measure the SDK and its local server, and with --peers the alternatives for Python.

The measurements are repeated in rounds, each in a random order, so that other load on the machine
affects all of them. The results go to benchmarks/results.json, which report.py renders.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import install_peers
import machine
import peers
import report
import sdk
from bench import FULL, QUICK, Bench, Sample
from children import HERE, end_on_signals
from results import Results, Row, dump

QUICK_OUT = HERE.parent / "build" / "bench"


class Options(argparse.Namespace):
    quick: bool
    peers: bool
    out: Path | None
    data: str


def run(bench: Bench, with_peers: bool) -> list[Row]:
    """Measure everything in rounds, and return a row for each measurement."""
    with ExitStack() as stack:
        todo = sdk.measures(bench)
        if with_peers:
            todo += stack.enter_context(peers.measures(bench))
        samples: list[list[Sample]] = [[] for _ in todo]
        for number in range(bench.size.rounds):
            shuffled = random.sample(range(len(todo)), len(todo))
            with sdk.server(bench) as url:
                for done, index in enumerate(shuffled):
                    progress(f"round {number + 1} of {bench.size.rounds}, {done} of {len(todo)}")
                    samples[index] += todo[index](url)
    progress("idle workers")
    samples.append(list(sdk.idle(bench)))
    progress("")
    return rows(chain.from_iterable(samples))


def rows(samples: Iterable[Sample]) -> list[Row]:
    """Combine the samples of the same measurement."""
    found: dict[tuple[str, str, str], Row] = {}
    for table, what, who, figures in samples:
        row = found.setdefault((table, what, who), Row(table, what, who, {}))
        for name, values in figures.items():
            row.figures.setdefault(name, []).extend(values)
    return list(found.values())


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="run one short round, to check that everything works"
    )
    parser.add_argument("--peers", action="store_true", help="measure the installed peers too")
    parser.add_argument("--out", type=Path, help="the folder of the results, instead of benchmarks")
    parser.add_argument(
        "--data",
        default="/var/tmp",  # /tmp may be in memory, where syncing a file costs nothing
        help="the folder of the servers' files, on the disk to measure (%(default)s)",
    )
    options = parser.parse_args(namespace=Options())
    end_on_signals()
    with tempfile.TemporaryDirectory(prefix="relay-bench-", dir=options.data) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        began = time.monotonic()
        about = machine.describe(folder)
        with (folder / "log").open("w") as log:
            bench = Bench(QUICK if options.quick else FULL, folder, log)
            try:
                measured = run(bench, options.peers)
            except KeyboardInterrupt:
                progress("")
                print("interrupted", file=sys.stderr)
                return 130
            except Exception:
                print("".join((folder / "log").read_text()[-4000:]), file=sys.stderr)
                raise
    about |= install_peers.versions() if options.peers else {}
    about["seconds"] = f"{time.monotonic() - began:.0f}"
    results = Results(about, bench.size.rounds, bench.size.jobs, measured)
    out = options.out or (QUICK_OUT if options.quick else HERE)
    out.mkdir(parents=True, exist_ok=True)
    dump(results, out / "results.json")
    print(report.write(results, out, report.DOCS if out == HERE else out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
