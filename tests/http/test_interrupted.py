"""A signal's handler may raise an exception at any line without harm to a client.

Here a tracer raises it, at each line, call and return of a call in turn.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from httptools import HttpParserCallbackError

from relay_sdk import Client, Queue
from relay_sdk._http.parser import ResponseParser
from relay_sdk.local import LocalServer

# The garbage collector closes the sockets of interrupted calls, and Python may warn of it.
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="counts sockets in /proc"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"


class Interrupt(BaseException):
    pass


def interrupted(call: Callable[[], object], event_number: int) -> bool:
    """Interrupt a call at its nth trace event; return whether it had so many.

    Each call has a new thread: a tracer that raises in an `except` leaves Python's record of the
    handled exception as it is then.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_interrupted, call, event_number).result()


def _interrupted(call: Callable[[], object], event_number: int) -> bool:
    count, where = 0, ""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count, where
        count += 1
        if count >= event_number:
            sys.settrace(None)
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}, {event}"
            raise Interrupt
        return trace

    before, hook = sys.gettrace(), sys.unraisablehook
    unraisable: list[object] = []  # such as what is raised while a generator is collected
    sys.unraisablehook = unraisable.append
    sys.settrace(trace)
    try:
        call()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
        sys.unraisablehook = hook
    if unraisable:
        return True
    assert not where, f"what was raised at {where} was swallowed"
    return False


class Unremembered(ResponseParser):
    """Raises as a signal does that arrives before the first line of a callback."""

    def on_body(self, data: bytes) -> None:
        raise Interrupt


def test_an_exception_before_the_first_line_of_a_callback_is_not_swallowed() -> None:
    with pytest.raises(Interrupt):
        Unremembered("GET").feed(REPLY)
    try:
        raise KeyError
    except KeyError:
        with pytest.raises(HttpParserCallbackError):  # the parser has hidden the cause
            Unremembered("GET").feed(REPLY)


def sockets() -> int:
    gc.collect()
    found = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except OSError:
            continue
    return found


@pytest.fixture
def relay() -> Iterator[Client]:
    with LocalServer() as server, Client(server.url, api="v2", timeout=5) as relay:
        yield relay
    gc.collect()  # here, where its warnings are expected


@pytest.mark.parametrize("what", ["exists", "enqueue", "heartbeat"])
def test_an_interrupt_at_any_line_leaves_a_client_that_works(relay: Client, what: str) -> None:
    queue = Queue("q", int, state=int)
    relay.enqueue(queue.job("a", 1))
    (helper,) = relay.next(queue)
    calls: dict[str, Callable[[], object]] = {
        "exists": lambda: relay.exists("q", "a"),
        "enqueue": lambda: relay.enqueue(queue.job("b", 1), mode="replace"),
        "heartbeat": lambda: helper.heartbeat(7),
    }
    call = calls[what]
    call()
    before = sockets()
    event_number = 1
    while interrupted(call, event_number):
        event_number += 1
    assert event_number > 300
    call()
    most = before + 2  # a connection has two ends in this process
    until = time.monotonic() + 5
    while sockets() > most and time.monotonic() < until:
        time.sleep(0.01)
    assert sockets() <= most
    helper.complete()
