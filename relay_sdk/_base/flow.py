"""One logic for threads and tasks.

The logic of the SDK is written once, as generators. A flow yields the steps that it waits for (a
`Request` to the server, a `Sleep`, or the `Invoke` of a function) and returns its result. It does
no I/O itself. `run` drives a flow by blocking, `arun` by awaiting. Every request and every wait of
the SDK passes through these two.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

R = TypeVar("R")


RequestKind: TypeAlias = Literal["call", "heartbeat"]
"""What a limit of requests applies to: heartbeats must not wait for calls, nor calls for them."""


class Request(Struct, frozen=True, gc=False):
    """A request: `target` is the percent-encoded path with its query.

    `timeout` bounds the whole exchange, in seconds; `None` is the client's timeout. `wait` is how
    many seconds the server may hold the request.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    timeout: float | None = None
    wait: float = 0.0
    kind: RequestKind = "call"


class Response(Struct, frozen=True, gc=False):
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The content as text, whatever its bytes."""
        return self.content.decode(errors="replace").strip()


class Sleep(Struct, frozen=True, gc=False):
    """A wait, in seconds."""

    seconds: float


class Invoke(Struct, frozen=True, gc=False):
    """A function to call, such as a handler; for tasks it may give an awaitable."""

    function: Callable[[], object]


Step: TypeAlias = Request | Sleep | Invoke
Flow: TypeAlias = Generator[Step, Any, R]


def sleep(seconds: float) -> Flow[None]:
    """Wait some seconds."""
    yield Sleep(seconds)


def run(flow: Flow[R], wait: Callable[[Step], object]) -> R:
    """Drive a flow by blocking: `wait` does each step, and what it raises is raised in the flow."""
    try:
        step = next(flow)
        while True:
            try:
                outcome = wait(step)
            except BaseException as error:  # noqa: BLE001 it is the flow's to handle
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result


async def arun(flow: Flow[R], wait: Callable[[Step], Awaitable[object]]) -> R:
    """Drive a flow by awaiting. Cancellation, too, is raised in the flow."""
    try:
        step = next(flow)
        while True:
            try:
                outcome = await wait(step)
            except BaseException as error:  # noqa: BLE001 it is the flow's to handle
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result


def bounded(flow: Flow[R], monotonic: Callable[[], float], seconds: float) -> Flow[R]:
    """Let a flow take some seconds at most; `TimeoutError` when it would wait beyond."""
    until = monotonic() + seconds
    step = next(flow)
    try:
        while True:
            left = until - monotonic()
            if left <= 0 or (isinstance(step, Sleep) and step.seconds > left):
                flow.close()
                raise TimeoutError(f"not done within {seconds:.3g} s")
            if isinstance(step, Request):
                step = replace(
                    step, timeout=left if step.timeout is None else min(step.timeout, left)
                )
            try:
                outcome = yield step
            except BaseException as error:  # noqa: BLE001 it is the flow's to handle
                step = flow.throw(error)
            else:
                step = flow.send(outcome)
    except StopIteration as done:
        result: R = done.value
        return result
