"""One logic for threads and tasks.

What the SDK does is written once, as generators. A flow yields what it waits for, a `Call` to the
server or a `Sleep`, and returns its result; it does no I/O itself. `run` drives a flow by
blocking, `arun` by awaiting. Every request and every wait of the SDK passes through these two.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from attrs import field, frozen

from relay_sdk.exceptions import RelayError

R = TypeVar("R")


@frozen
class Call:
    """A request: `target` is the percent-encoded path with its query.

    `within` bounds the whole exchange, in seconds; `None` is the client's timeout.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(factory=dict[str, str])
    content: bytes | None = None
    within: float | None = None


@frozen
class Reply:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The content as text, whatever its bytes."""
        return self.content.decode(errors="replace").strip()


@frozen
class Sleep:
    """A wait, in seconds."""

    seconds: float


Flow: TypeAlias = Generator[Call | Sleep, Any, R]


def send(call: Call) -> Flow[Reply]:
    """Wait for the reply to a call; a `TransportError` is raised here when none comes."""
    reply: Reply = yield call
    return reply


def sleep(seconds: float) -> Flow[None]:
    """Wait some seconds."""
    yield Sleep(seconds)


def run(flow: Flow[R], send: Callable[[Call], Reply], sleep: Callable[[float], None]) -> R:
    """Drive a flow by blocking. What `sleep` raises ends it."""
    resume: Callable[[], Call | Sleep] = partial(next, flow)
    try:
        while True:
            step = resume()
            if isinstance(step, Sleep):
                sleep(step.seconds)
                resume = partial(flow.send, None)
                continue
            try:
                resume = partial(flow.send, send(step))
            except RelayError as error:
                resume = partial(flow.throw, error)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        flow.close()


async def arun(
    flow: Flow[R],
    send: Callable[[Call], Awaitable[Reply]],
    sleep: Callable[[float], Awaitable[None]],
) -> R:
    """Drive a flow by awaiting. Cancellation ends it."""
    resume: Callable[[], Call | Sleep] = partial(next, flow)
    try:
        while True:
            try:
                step = resume()
            except StopIteration as done:
                result: R = done.value
                return result
            if isinstance(step, Sleep):
                await sleep(step.seconds)
                resume = partial(flow.send, None)
                continue
            try:
                resume = partial(flow.send, await send(step))
            except RelayError as error:
                resume = partial(flow.throw, error)
    finally:
        flow.close()
