"""Flows: one implementation of each operation for threads and for tasks.

The logic of the SDK is written once, as generators that do no I/O. A flow yields the steps that it
needs (a `Request` to the server, a `Sleep`, or the `Invoke` of a function) and returns its result.
`run` performs the steps by blocking, `arun` by awaiting. Every request and every wait of the SDK
passes through these two.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

R = TypeVar("R")


RequestKind: TypeAlias = Literal["other", "heartbeat"]
"""Each kind has its own limit, so that heartbeats and other requests do not wait for each other."""


class Request(Struct, frozen=True, gc=False):
    """A request to the server. `target` is the percent-encoded path with its query.

    `timeout` bounds the whole exchange, in seconds; `None` means the client's timeout. The server
    may hold the request for `wait` seconds.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    timeout: float | None = None
    wait: float = 0.0
    kind: RequestKind = "other"


class Response(Struct, frozen=True, gc=False):
    """The server's reply. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """Return the content as text, with invalid UTF-8 replaced and outer whitespace removed."""
        return self.content.decode(errors="replace").strip()


class Sleep(Struct, frozen=True, gc=False):
    """A wait of some seconds."""

    seconds: float


class Invoke(Struct, frozen=True, gc=False):
    """A call of a function, such as a handler. In a task, it may return an awaitable."""

    function: Callable[[], object]


Step: TypeAlias = Request | Sleep | Invoke
Flow: TypeAlias = Generator[Step, Any, R]


def sleep(seconds: float) -> Flow[None]:
    """Wait for some seconds."""
    yield Sleep(seconds)


def run(flow: Flow[R], perform: Callable[[Step], object]) -> R:
    """Run a flow by blocking. `perform` does each step; its errors are raised in the flow."""
    try:
        step = next(flow)
        while True:
            try:
                outcome = perform(step)
            except BaseException as error:  # noqa: BLE001 the flow handles it
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result


async def arun(flow: Flow[R], perform: Callable[[Step], Awaitable[object]]) -> R:
    """Run a flow by awaiting. Errors of `perform` and cancellation are raised in the flow."""
    try:
        step = next(flow)
        while True:
            try:
                outcome = await perform(step)
            except BaseException as error:  # noqa: BLE001 the flow handles it
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result


def with_timeout(flow: Flow[R], monotonic: Callable[[], float], seconds: float) -> Flow[R]:
    """Limit a flow to some seconds; raise `TimeoutError` before a wait that would exceed them."""
    deadline = monotonic() + seconds
    step = next(flow)
    try:
        while True:
            left = deadline - monotonic()
            if left <= 0 or (isinstance(step, Sleep) and step.seconds > left):
                flow.close()
                raise TimeoutError(f"not done within {seconds:.3g} s")
            if isinstance(step, Request):
                step = replace(
                    step, timeout=left if step.timeout is None else min(step.timeout, left)
                )
            try:
                outcome = yield step
            except BaseException as error:  # noqa: BLE001 the flow handles it
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result
