"""Count and hash the files of a folder with typed jobs, and kill a worker while it runs.

The folder is `$DEMO_DIR`, or else this checkout. The server keeps its jobs in an SQLite file, the
workers (hashing.py) are separate processes, and the kill is a SIGKILL.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Never, TypeAlias

from folder import Files, find, verify
from hashing import FILES, SUMS, File, Progress, Sum

from relay_sdk import Client, Job, JobExistsError, Queue, RelayError

CHECKOUT = Path(__file__).resolve().parent.parent
WORKERS = ("worker-1", "worker-2", "worker-3")
TIMEOUT = 2  # seconds without a heartbeat, after which the killed worker's job is queued again
REPORT_INTERVAL = timedelta(seconds=1)

say = partial(print, flush=True)
Process: TypeAlias = subprocess.Popen[str]


@dataclass
class Report:
    files: int


@dataclass
class Looks:
    made: int


REPORTS = Queue("reports", payload=Report, state=Looks)


def main() -> int:
    top = Path(os.environ.get("DEMO_DIR") or CHECKOUT).resolve()
    if not top.is_dir():
        print(f"demo: {top} is not a folder", file=sys.stderr)
        return 2
    files = find(top)
    largest = max(files, key=lambda name: files[name].st_size, default=None)
    if largest is None or files[largest].st_size < 2:
        print(f"demo: {top} has no readable file of 2 bytes or more", file=sys.stderr)
        return 2

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        return 0 if run(top, files, largest) else 1
    except RelayError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


def run(top: Path, files: Files, largest: str) -> bool:
    with TemporaryDirectory(prefix="relay-demo-") as temporary, ExitStack() as stack:
        db = Path(temporary, "relay.db")
        options = ("--db", str(db), "--port", "0", "--reap-interval", "1", "--log-level", "warning")
        server = stack.enter_context(running("-m", "relay_sdk.local", *options))
        url = server.stdout.readline().strip() if server.stdout else ""
        if not url:
            raise SystemExit("demo: the server did not start")
        os.environ["RELAY_URL"] = url  # for the workers too
        os.environ["no_proxy"] = "127.0.0.1"
        say(f"A server runs at {url}, its jobs are in {db}.")

        relay = stack.enter_context(Client())
        started = datetime.now(UTC)
        jobs = [file_job(top, name, files[name].st_size, stall=name == largest) for name in files]
        relay.enqueue_batch(jobs)
        say(f"{len(jobs)} files of {top} are enqueued, each a typed job.")
        enqueue_again(relay, next(job for job in jobs if job.id == largest))

        worker = str(Path(__file__).with_name("hashing.py"))
        workers = {name: stack.enter_context(running(worker, name)) for name in WORKERS}
        saved = kill_one(relay, workers, largest)
        sums = collect(relay, workers, len(files))

    last = sums[largest]
    say(f"{last.worker} got that job after its timeout and resumed at byte {last.resumed_at:,}.")
    print_table(sums, last, started)
    wrong, changed = verify(top, files, sums)
    for name in wrong:
        say(f"WRONG: the result of {name!r} does not match the file")
    if changed:
        say(f"{len(changed)} files have changed since then and were not checked.")
    same = len(files) - len(wrong) - len(changed)
    say(f"{same} files were read again: SHA-256, lines and bytes match the results of the workers.")
    resumed = last.worker != saved.worker and last.resumed_at >= saved.offset and last.retries > 0
    if not resumed:
        say(f"WRONG: {largest!r} was not resumed where {saved.worker} had stopped")
    return resumed and not wrong


def file_job(top: Path, name: str, size: int, *, stall: bool) -> Job[File, Progress]:
    step = min(1 << 20, -(-size // 2)) if stall else 1 << 20
    file = File(str(top / name), step, stall)
    return FILES.job(name, file, timeout=TIMEOUT if stall else 60, max_retries=10)


def enqueue_again(relay: Client, job: Job[File, Progress]) -> None:
    try:
        relay.enqueue(job)
    except JobExistsError as error:
        say(f"Enqueueing one of them again is refused: {error}.")
    else:
        raise SystemExit("demo: the server accepted a job twice")


def kill_one(relay: Client, workers: Mapping[str, Process], name: str) -> Progress:
    """Kill the worker that stalls in the middle of a job, as soon as its progress is saved."""
    while (saved := relay.get(FILES, name).state) is None:
        check(workers)
        time.sleep(0.05)
    victim = workers[saved.worker]
    victim.kill()
    victim.wait()
    say(f"{saved.worker} stalls in the middle of {name!r} and is killed. Saved: {saved}.")
    return saved


def collect(relay: Client, workers: Mapping[str, Process], files: int) -> dict[str, Sum]:
    """Run the report job, which reschedules itself until all sums are in."""
    relay.enqueue(REPORTS.job("report", Report(files)))
    sums: dict[str, Sum] = {}
    while True:
        (report,) = relay.next(REPORTS)
        looks = Looks(report.job.state.made + 1 if report.job.state else 1)
        for result in relay.next(SUMS, num_jobs=1000, timeout=0):
            sums[result.job.id] = result.job.payload
            result.complete()
        done = f"{len(sums)} of {files} files are done"
        if len(sums) == report.job.payload.files:
            say(f"{done}. The report job completes, after {looks.made} runs.")
            report.complete()
            return sums
        say(f"{done}. The report job reschedules itself.")
        check(workers)
        report.reschedule(run_at=datetime.now(UTC) + REPORT_INTERVAL, state=looks)


def print_table(sums: Mapping[str, Sum], last: Sum, started: datetime) -> None:
    others = [result.finished for result in sums.values() if result is not last]
    seconds = (max(*others, last.finished, started) - started).total_seconds()
    waited = max(0.0, (last.finished - max(others, default=last.finished)).total_seconds())
    jobs = 2 * len(sums) + 1
    say()
    say(f"files          {len(sums):,}")
    say(f"bytes          {sum(result.size for result in sums.values()):,}")
    say(f"lines          {sum(result.lines for result in sums.values()):,}")
    say(f"jobs           {jobs:,} (two per file, and the report)")
    say(f"retries        {sum(result.retries for result in sums.values()):,}")
    say(f"seconds        {seconds:.1f} (the last {waited:.1f} for the killed worker's job alone)")
    say()


def check(workers: Mapping[str, Process]) -> None:
    if all(worker.poll() is not None for worker in workers.values()):
        raise SystemExit("demo: all workers have ended")


@contextmanager
def running(*command: str) -> Generator[Process]:
    """Run a Python program until the block ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # inherited, so that only this program handles Ctrl-C
    program = (sys.executable, *command)
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            signal.signal(signal.SIGINT, interrupt)
            yield process
        finally:
            process.terminate()
            process.wait()


def interrupt(*_: object) -> Never:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
