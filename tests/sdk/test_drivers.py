"""The two drivers: what they do with results, failures, waits and cancellation."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from relay_sdk import TransportError
from relay_sdk._flow import Call, Flow, Reply, Sleep, arun, run, send, sleep

from .conftest import Kind

pytestmark = pytest.mark.anyio

CALL = Call("GET", "/")
REPLY = Reply(200, {}, b"")


class Ended(Exception):
    """What a wait may raise."""


class Driven:
    """A flow that notes how it was left, and a world for it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.left = ""
        self.slept: list[float] = []

    def flow(self) -> Flow[str]:
        try:
            reply = yield from send(CALL)
            yield from sleep(5)
        except TransportError as error:
            self.left = "failed"
            return str(error)
        except GeneratorExit:
            self.left = "closed"
            raise
        self.left = "finished"
        return f"status {reply.status}"

    async def drive(
        self, send: Callable[[Call], Reply], sleep: Callable[[float], None] | None = None
    ) -> str:
        sleep = sleep or self.slept.append
        if self.kind == "sync":
            return run(self.flow(), send, sleep)
        return await arun(self.flow(), awaited(send), awaited(sleep))


def awaited(function: Callable[..., object]) -> Callable[..., Awaitable[object]]:
    async def call(*args: object) -> object:
        await anyio.lowlevel.checkpoint()
        return function(*args)

    return call


@pytest.fixture
def driven(kind: Kind) -> Driven:
    return Driven(kind)


def fail(error: Exception) -> Callable[[object], Reply]:
    def raising(_: object) -> Reply:
        raise error

    return raising


async def test_a_flow_gives_its_result(driven: Driven) -> None:
    assert await driven.drive(lambda call: REPLY) == "status 200"
    assert (driven.slept, driven.left) == ([5], "finished")


async def test_a_failure_is_raised_where_the_flow_waits(driven: Driven) -> None:
    failure = TransportError("cut off", sent=True)
    failure.__cause__ = OSError()
    assert await driven.drive(fail(failure)) == "cut off"
    assert driven.left == "failed"
    assert isinstance(failure.__cause__, OSError)


async def test_another_error_closes_the_flow_and_comes_out(driven: Driven) -> None:
    with pytest.raises(ZeroDivisionError):
        await driven.drive(fail(ZeroDivisionError()))
    assert driven.left == "closed"


async def test_what_a_wait_raises_closes_the_flow_and_comes_out(driven: Driven) -> None:
    with pytest.raises(Ended):
        await driven.drive(lambda call: REPLY, fail(Ended()))
    assert driven.left == "closed"


async def test_an_error_of_the_flow_comes_out(kind: Kind) -> None:
    def flow() -> Flow[None]:
        yield from sleep(1)
        raise Ended

    with pytest.raises(Ended):
        if kind == "sync":
            run(flow(), fail(AssertionError()), lambda seconds: None)
        else:
            await arun(flow(), awaited(fail(AssertionError())), awaited(lambda seconds: None))


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@pytest.mark.parametrize("where", ["call", "sleep"])
async def test_cancellation_closes_the_flow(driven: Driven, where: str) -> None:
    async def forever(_: object = None) -> Reply:
        scope.cancel()
        await anyio.sleep_forever()
        return REPLY

    with anyio.CancelScope() as scope:
        if where == "call":
            await arun(driven.flow(), forever, awaited(driven.slept.append))
        else:
            await arun(driven.flow(), awaited(lambda call: REPLY), forever)
    assert scope.cancelled_caught
    assert driven.left == "closed"


def test_steps_are_values() -> None:
    assert Sleep(1) == Sleep(1)
    assert Call("GET", "/") == CALL
