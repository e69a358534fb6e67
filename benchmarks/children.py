"""Run programs that always end with the block in which they were started."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import IO, Any, NoReturn

HERE = Path(__file__).parent
START = 60  # seconds to begin
CALM = 15  # seconds to stop by itself
TICK = os.sysconf("SC_CLK_TCK")

Process = subprocess.Popen[str]


class ChildError(Exception):
    """A program failed, or did not respond in time."""


@contextmanager
def running(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    log: IO[str] | None = None,
    user: str | None = None,
) -> Generator[Process]:
    """Run a program in a new session, and kill that session at the end of the block."""
    process: Process | None = None
    try:
        with _signals_deferred():
            process = subprocess.Popen(
                [str(part) for part in command],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # only this process receives Ctrl-C, and stops the others
                user=user,
            )
        yield process
    finally:
        if process is not None:
            _end(process, stop)


@contextmanager
def _signals_deferred() -> Generator[None]:
    """Deliver Ctrl-C at the end of the block: a program that it finds half started would stay."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.signal(n, lambda number, _: received.append(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received:
            os.kill(os.getpid(), number)


def _end(process: Process, stop: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop)
        try:
            process.wait(CALM)
        except subprocess.TimeoutExpired:
            print(f"{process.args!r} did not stop, killing it", file=sys.stderr)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def first_line(process: Process) -> str:
    """Wait for the first line, which a program prints when it is ready."""
    assert process.stdout
    came, _, _ = select([process.stdout], [], [], START)
    if not came or not (line := process.stdout.readline().strip()):
        raise ChildError(f"{process.args!r} did not start")
    return line


def answer(process: Process, seconds: float) -> Any:
    """Wait for a program to end, and return the JSON that it printed."""
    out, _ = process.communicate(timeout=seconds)
    if process.returncode:
        raise ChildError(f"{process.args!r} ended with status {process.returncode}")
    return json.loads(out)


def cpu_seconds(process: Process) -> float:
    """Return the CPU time of all processes in a session so far (Linux only)."""
    return sum(_ticks(process.pid, Path("/proc").glob("[0-9]*/stat"))) / TICK


def _ticks(session: int, stats: Iterable[Path]) -> Generator[int]:
    for stat in stats:
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield sum(map(int, fields[11:15]))


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise ChildError(f"{what} took more than {seconds:g} s")
        time.sleep(0.02)


def end_on_signals() -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C, which ends the blocks. Ignore further signals."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: object) -> NoReturn:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)
