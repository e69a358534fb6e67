"""Run the command as a process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import IO, Any

posix = os.name == "posix"


@contextmanager
def program(
    folder: Path, *arguments: str, url: str | None = None, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start `relay-sdk` in a folder. Kill it at the end if it still runs."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    if url is not None:
        env["RELAY_URL"] = url
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "relay_sdk.cli", *arguments],
        cwd=folder,
        env=env | {"PYTHONUNBUFFERED": "1"},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        Event().wait(0.02)


def line_with(stream: IO[str] | None, text: str) -> str:
    """Read lines up to the first that contains this text."""
    assert stream is not None
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"the stream ended without {text!r}")


def read_terminal(terminal: int) -> str:
    """Read what a pseudo terminal shows until its other end is closed."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux reports EIO when the other end is closed
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
