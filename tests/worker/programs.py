"""The programs that the tests of processes run: `python programs.py NAME`, with `$RELAY_URL` set.

Each says in a line what it does, for a test to act on; its log goes to stderr.
"""

import logging
import os
import signal
import sys
import threading
from typing import Any

import anyio

from relay_sdk import AsyncClient, AsyncWorker, Client, Worker


def say(*words: object) -> None:
    """Write a line as a whole: threads would mix what `print` writes."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def arun(handler: Any, concurrency: int, timeout: float = 30) -> None:
    async with AsyncClient() as relay:
        await AsyncWorker(
            relay,
            "q",
            handler,
            concurrency=concurrency,
            graceful_shutdown_timeout=timeout,
        ).run()


def run(handler: Any, concurrency: int, timeout: float = 30) -> None:
    with Client() as relay:
        Worker(
            relay,
            "q",
            handler,
            concurrency=concurrency,
            graceful_shutdown_timeout=timeout,
        ).run()


def threads() -> None:
    """Start 50 jobs; end when standard input does, but for those whose number ends in 0."""
    go_on = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), go_on.set()), daemon=True).start()

    def handle(helper: Any) -> None:
        say("began", helper.job.id)
        go_on.wait()
        if helper.job.id.endswith("0"):
            threading.Event().wait()

    run(handle, 50, timeout=1)
    say("left", threading.active_count())


def tasks() -> None:
    """Do the same in tasks."""

    async def handle(helper: Any) -> None:
        say("began", helper.job.id)
        await anyio.to_thread.run_sync(
            go_on.wait, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )
        if helper.job.id.endswith("0"):
            await anyio.sleep_forever()

    go_on = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), go_on.set()), daemon=True).start()
    anyio.run(arun, handle, 50, 1)
    say("left")


def stubborn() -> None:
    """Run a handler that does not end, in a thread."""

    def handle(helper: Any) -> None:
        say("began", helper.job.id)
        threading.Event().wait()

    run(handle, 1, timeout=600)


def astubborn() -> None:
    """Run a handler that does not end, in a task."""

    async def handle(helper: Any) -> None:
        say("began", helper.job.id)
        await anyio.sleep_forever()

    anyio.run(arun, handle, 1, 600)


def blocked(backend: str) -> None:
    """Run a plain function that does not end, from an AsyncWorker."""

    def handle(helper: Any) -> None:
        say("began", helper.job.id)
        threading.Event().wait()

    anyio.run(arun, handle, 1, 0, backend=backend)
    say("left")


def counting() -> None:
    """Print each job that is done, just before it is completed."""

    def handle(helper: Any) -> None:
        threading.Event().wait(0.005)
        say(helper.job.id)

    run(handle, 10)


def forking() -> None:
    """Fork in a handler, return in the child, and say in the parent what came of that."""

    def handle(helper: Any) -> None:
        child = os.fork()
        if not child:
            return
        ended = False
        for _ in range(100):
            ended = ended or os.waitpid(child, os.WNOHANG)[0] == child
            if ended:
                break
            threading.Event().wait(0.02)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        say("child ended" if ended else "child goes on", "job", helper.exists())

    run(handle, 1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    globals()[sys.argv[1]](*sys.argv[2:])
