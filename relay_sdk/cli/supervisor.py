"""Run several processes of one command: replace those that die, and stop all together."""

import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TypeAlias

from relay_sdk.backoff import Backoff
from relay_sdk.cli.errors import CONFIG_ERROR, USAGE_ERROR
from relay_sdk.cli.output import print_message

SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESTART_BACKOFF = Backoff(0.5, maximum=30.0, factor=2)
STABLE_AFTER = 10.0
"""Seconds. The backoff of a process that has run for longer begins again."""
MAX_WAIT = 0.5
"""Seconds. A signal that arrives just before a wait does not end it, and is handled after it."""

_Message: TypeAlias = "_Process | signal.Signals | str"
"""A process that has ended, a signal that has arrived, or the path of a file that has changed."""


class _Process:
    """One of the processes, across its restarts. `due` is the time of its next start."""

    def __init__(
        self, number: int, command: Sequence[str], messages: "SimpleQueue[_Message]"
    ) -> None:
        self.number = number
        self.due: float | None = 0.0
        self.starts: int = 0
        self.stopping: bool = False
        self._command = command
        self._messages = messages
        self._waits: Iterator[float] = iter(RESTART_BACKOFF)
        self._started = 0.0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._popen is not None

    def start(self) -> None:
        """Start it in a new session, so that Ctrl-C reaches only the supervisor."""
        self.due = None
        self.stopping = False
        self.starts += 1
        self._started = time.monotonic()
        self._popen = subprocess.Popen(  # noqa: S603 the command is this program itself
            self._command, stdin=subprocess.PIPE, start_new_session=True
        )
        print_message(f"process {self.number} has pid {self._popen.pid}")
        threading.Thread(target=self._wait, args=(self._popen,), daemon=True).start()

    def stop(self) -> None:
        """Ask it to stop by closing its stdin, which happens too if the supervisor is killed."""
        self.due = None
        self.stopping = True
        if self._popen is not None and self._popen.stdin is not None:
            self._popen.stdin.close()

    def kill(self) -> None:
        """Kill it."""
        if self._popen is not None:
            self._popen.kill()

    def collect_status(self) -> int:
        """Return the exit status of the process that has ended: negative for a signal."""
        popen, self._popen = self._popen, None
        if popen is None or popen.returncode is None:
            raise RuntimeError(f"process {self.number} has not ended")
        if popen.stdin is not None:
            popen.stdin.close()
        return popen.returncode

    def plan_restart(self) -> float:
        """Schedule the next start, and return the seconds until then."""
        now = time.monotonic()
        if now - self._started >= STABLE_AFTER:
            self._waits = iter(RESTART_BACKOFF)
        wait = next(self._waits)
        self.due = now + wait
        return wait

    def _wait(self, popen: subprocess.Popen[bytes]) -> None:
        popen.wait()
        self._messages.put(self)


class Supervisor:
    """Keeps processes of one command running until a signal.

    With `reloads`, a process that ends is started again only when a file has changed.
    """

    def __init__(self, command: Sequence[str], processes: int, reloads: bool = False) -> None:
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        self._processes = [
            _Process(number, command, self._messages) for number in range(1, processes + 1)
        ]
        self._reloads = reloads
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Run until all processes have stopped, and return the exit status."""
        with self._signals():
            while True:
                self._start_due()
                if self._is_over():
                    return self._status
                try:
                    message = self._messages.get(timeout=self._wait())
                except Empty:
                    continue
                if isinstance(message, _Process):
                    self._on_end(message)
                elif isinstance(message, str):
                    self._on_change(message)
                else:
                    self._on_signal(message)

    def reload(self, file: str) -> None:
        """Restart all processes, because this file has changed. Safe to call from any thread."""
        self._messages.put(file)

    def _is_over(self) -> bool:
        if any(each.running or each.due is not None for each in self._processes):
            return False
        return self._stopping or not self._reloads

    def _start_due(self) -> None:
        for process in self._processes:
            if process.due is not None and process.due <= time.monotonic():
                try:
                    process.start()
                except OSError as error:
                    wait = process.plan_restart()
                    print_message(
                        f"cannot start process {process.number}: {error}; retrying in {wait:.1f} s"
                    )

    def _wait(self) -> float:
        now = time.monotonic()
        due = [process.due - now for process in self._processes if process.due is not None]
        return max(0.0, min([MAX_WAIT, *due]))

    def _on_end(self, process: _Process) -> None:
        code = process.collect_status()
        if self._stopping:
            return
        if self._reloads:
            if process.stopping:
                process.due = 0.0
            else:
                print_message(
                    f"process {process.number} {_describe_end(code)}; "
                    "restarting it after the next change"
                )
            return
        if code == CONFIG_ERROR and process.starts == 1:
            # The process has printed the reason, and a restart would fail again.
            self._stop(USAGE_ERROR)
            return
        wait = process.plan_restart()
        print_message(
            f"process {process.number} {_describe_end(code)}; restarting it in {wait:.1f} s"
        )

    def _on_change(self, file: str) -> None:
        if self._stopping:
            return
        print_message(f"{file} has changed: restarting when the running jobs have ended")
        for process in self._processes:
            if process.running:
                process.stop()
            else:
                process.due = 0.0

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stopping:
            print_message(f"{number.name}: stopping when the running jobs have ended")
            self._stop(0)
            return
        self._status = 128 + number
        for process in self._processes:
            process.kill()

    def _stop(self, status: int) -> None:
        self._stopping = True
        self._status = status
        for process in self._processes:
            process.stop()

    @contextmanager
    def _signals(self) -> Generator[None]:
        def on_signal(number: int, _: FrameType | None) -> None:
            # It may interrupt code that holds a lock. `SimpleQueue.put` is reentrant.
            self._messages.put(signal.Signals(number))

        # Signals that are ignored at the start stay ignored, such as SIGINT after `&` in a script.
        handled = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
        before = {number: signal.signal(number, on_signal) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _describe_end(code: int) -> str:
    if code == CONFIG_ERROR:
        return "could not load the worker"
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
