"""Both drivers handle results, errors, waits and cancellation."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from relay_sdk import TransportError
from relay_sdk._base.flow import (
    Flow,
    Invoke,
    Request,
    Response,
    Sleep,
    Step,
    arun,
    run,
    sleep,
    with_timeout,
)

from ..support.fixtures import Kind

pytestmark = pytest.mark.anyio

CALL = Request("GET", "/")
REPLY = Response(200, {}, b"")


class Ended(Exception):
    """An error that a wait may raise."""


class Driven:
    """A flow that records how it ended, and a driver for it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.left = ""
        self.steps: list[Step] = []

    def flow(self) -> Flow[str]:
        try:
            reply: Response = yield CALL
            yield from sleep(5)
            yield Invoke(list)
        except TransportError as error:
            self.left = "failed"
            return str(error)
        except BaseException as error:
            self.left = type(error).__name__
            raise
        self.left = "finished"
        return f"status {reply.status}"

    async def drive(
        self, do: Callable[[Step], object] = lambda _: REPLY, flow: Flow[str] | None = None
    ) -> str:
        def wait(step: Step) -> object:
            self.steps.append(step)
            return do(step)

        async def await_(step: Step) -> object:
            await anyio.lowlevel.checkpoint()
            return wait(step)

        flow = flow or self.flow()
        return run(flow, wait) if self.kind == "sync" else await arun(flow, await_)


@pytest.fixture
def driven(kind: Kind) -> Driven:
    return Driven(kind)


def fail(error: BaseException, at: type[Step] = Request) -> Callable[[Step], object]:
    def do(step: Step) -> object:
        if isinstance(step, at):
            raise error
        return REPLY

    return do


async def test_a_flow_returns_its_result(driven: Driven) -> None:
    assert await driven.drive() == "status 200"
    assert driven.steps == [CALL, Sleep(5), Invoke(list)]
    assert driven.left == "finished"


async def test_an_error_is_raised_where_the_flow_waits(driven: Driven) -> None:
    failure = TransportError("cut off", sent=True)
    failure.__cause__ = OSError()
    assert await driven.drive(fail(failure)) == "cut off"
    assert driven.left == "failed"
    assert isinstance(failure.__cause__, OSError)


@pytest.mark.parametrize("step", [Request, Sleep, Invoke])
@pytest.mark.parametrize("error", [Ended, ZeroDivisionError, StopIteration, SystemExit])
async def test_an_error_of_a_step_is_raised_in_the_flow_and_propagates(
    driven: Driven, step: type[Step], error: type[BaseException]
) -> None:
    # A generator turns StopIteration into RuntimeError.
    expected = RuntimeError if error is StopIteration else error
    if driven.kind != "sync" and error is StopIteration:
        pytest.skip("a coroutine cannot raise it")
    with pytest.raises(expected):
        await driven.drive(fail(error(), step))
    assert driven.left in (error.__name__, expected.__name__)


async def test_an_error_of_the_flow_propagates(driven: Driven) -> None:
    def flow() -> Flow[str]:
        yield from sleep(1)
        raise Ended

    with pytest.raises(Ended):
        await driven.drive(flow=flow())


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
@pytest.mark.parametrize("where", [Request, Sleep, Invoke])
async def test_cancellation_ends_the_flow(driven: Driven, where: type[Step]) -> None:
    async def wait(step: Step) -> object:
        if isinstance(step, where):
            scope.cancel()
            await anyio.sleep_forever()
        return REPLY

    with anyio.CancelScope() as scope:
        await arun(driven.flow(), wait)
    assert scope.cancelled_caught
    assert driven.left in ("CancelledError", "Cancelled")


def test_steps_are_values() -> None:
    assert Sleep(1) == Sleep(1)
    assert Request("GET", "/") == CALL


async def test_with_timeout_limits_requests_to_the_time_left(driven: Driven) -> None:
    times = iter([0.0, 1.0, 2.0, 3.0, 4.0])
    flow = with_timeout(driven.flow(), lambda: next(times), 10)
    assert await driven.drive(flow=flow) == "status 200"
    assert driven.steps == [replace(CALL, timeout=9), Sleep(5), Invoke(list)]


@pytest.mark.parametrize(("bound", "steps"), [(0.5, 0), (5, 1), (7, 2)])
async def test_with_timeout_raises_before_a_wait_that_exceeds_it(
    driven: Driven, bound: float, steps: int
) -> None:
    times = iter([0.0, 1.0, 2.0, 7.0])
    flow = with_timeout(driven.flow(), lambda: next(times), bound)
    with pytest.raises(TimeoutError, match=f"not done within {bound:.3g} s"):
        await driven.drive(flow=flow)
    assert len(driven.steps) == steps
    assert driven.left == "GeneratorExit"
