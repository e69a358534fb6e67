"""Several processes of one command: those that die are replaced, all stop together."""

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
from relay_sdk.cli.outcome import MISTAKE, UNUSABLE
from relay_sdk.cli.output import say

SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESTART = Backoff(0.5, maximum=30.0, factor=2)
SETTLED = 10.0
"""Seconds after which a process counts as having started well."""
LOOK = 0.5
"""Seconds of a wait. A signal that comes as it begins does not end it, and is seen after it."""

_News: TypeAlias = "_Process | signal.Signals | str"
"""A process has ended, a signal has come, or the file of this name has changed."""


class _Process:
    """One of the processes, through all its restarts."""

    def __init__(self, number: int, command: Sequence[str], news: "SimpleQueue[_News]") -> None:
        self.number = number
        self.due: float | None = 0.0
        self.starts: int = 0
        self.stopping: bool = False
        self._command = command
        self._wakeup = news
        self._waits: Iterator[float] = iter(RESTART)
        self._started = 0.0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._popen is not None

    def start(self) -> None:
        """Start it, in a session of its own: a Ctrl-C is for the supervisor to pass on."""
        self.due = None
        self.stopping = False
        self.starts += 1
        self._started = time.monotonic()
        self._popen = subprocess.Popen(  # noqa: S603 the command is this program itself
            self._command, stdin=subprocess.PIPE, start_new_session=True
        )
        say(f"process {self.number} is {self._popen.pid}")
        threading.Thread(target=self._wait, args=(self._popen,), daemon=True).start()

    def stop(self) -> None:
        """Ask it to stop. The pipe does so too when the supervisor is killed."""
        self.due = None
        self.stopping = True
        if self._popen is not None and self._popen.stdin is not None:
            self._popen.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        if self._popen is not None:
            self._popen.kill()

    def ended(self) -> int:
        """Take its end; give its status, below 0 for a signal."""
        popen, self._popen = self._popen, None
        if popen is None or popen.returncode is None:
            raise RuntimeError(f"process {self.number} has not ended")
        if popen.stdin is not None:
            popen.stdin.close()
        return popen.returncode

    def plan_restart(self) -> float:
        """Set when it is to be started again; give the seconds until then."""
        now = time.monotonic()
        if now - self._started >= SETTLED:
            self._waits = iter(RESTART)
        wait = next(self._waits)
        self.due = now + wait
        return wait

    def _wait(self, popen: subprocess.Popen[bytes]) -> None:
        popen.wait()
        self._wakeup.put(self)


class Supervisor:
    """Keeps processes of one command running until a signal.

    With `reloads`, one that ends by itself is started again only when a file has changed.
    """

    def __init__(self, command: Sequence[str], processes: int, reloads: bool = False) -> None:
        self._wakeup: SimpleQueue[_News] = SimpleQueue()
        self._processes = [
            _Process(number, command, self._wakeup) for number in range(1, processes + 1)
        ]
        self._reloads = reloads
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Run until all have stopped; give the exit status."""
        with self._signals():
            while True:
                self._start_due()
                if self._is_over():
                    return self._status
                try:
                    news = self._wakeup.get(timeout=self._wait())
                except Empty:
                    continue
                if isinstance(news, _Process):
                    self._ended(news)
                elif isinstance(news, str):
                    self._changed(news)
                else:
                    self._signal(news)

    def reload(self, file: str) -> None:
        """Start all processes anew, for this file has changed. Any thread may call this."""
        self._wakeup.put(file)

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
                    say(f"cannot start process {process.number}: {error}; again in {wait:.1f} s")

    def _wait(self) -> float:
        now = time.monotonic()
        due = [process.due - now for process in self._processes if process.due is not None]
        return max(0.0, min([LOOK, *due]))

    def _ended(self, process: _Process) -> None:
        code = process.ended()
        if self._stopping:
            return
        if self._reloads:
            if process.stopping:
                process.due = 0.0
            else:
                say(f"process {process.number} {_end(code)}; it starts again with the next change")
            return
        if code == UNUSABLE and process.starts == 1:
            # It has said what; no restart puts that right.
            self._stop(MISTAKE)
            return
        wait = process.plan_restart()
        say(f"process {process.number} {_end(code)}; starting it again in {wait:.1f} s")

    def _changed(self, file: str) -> None:
        if self._stopping:
            return
        say(f"{file} has changed: starting anew when the running jobs have ended")
        for process in self._processes:
            if process.running:
                process.stop()
            else:
                process.due = 0.0

    def _signal(self, number: signal.Signals) -> None:
        if not self._stopping:
            say(f"{number.name}: stopping when the running jobs have ended")
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
        def caught(number: int, _: FrameType | None) -> None:
            # This may interrupt whoever holds a lock; putting into this queue needs none.
            self._wakeup.put(signal.Signals(number))

        # What is ignored when it starts stays so, such as SIGINT behind the `&` of a script.
        heard = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
        before = {number: signal.signal(number, caught) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(code: int) -> str:
    if code == UNUSABLE:
        return "has no worker"
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
