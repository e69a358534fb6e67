"""A handler that a Worker cannot run is refused, or its job fails; it never counts as done."""

from collections.abc import Generator
from typing import Any

import pytest

from relay_sdk import Queue, Worker

from .rig import Rig

pytestmark = pytest.mark.anyio


class Later:
    """What a coroutine is, without its complaint that nobody has run it."""

    def __await__(self) -> Generator[None]:
        yield


@pytest.mark.parametrize("kind", ["sync"])
async def test_a_worker_on_threads_completes_no_job_whose_handler_it_cannot_run(rig: Rig) -> None:
    async def handle(helper: Any) -> None: ...

    def report(helper: Any, error: Exception) -> None:
        errors.append(error)

    def untyped(helper: Any) -> Any:
        return Later()

    errors: list[Exception] = []
    with pytest.raises(TypeError, match="an async handler needs an AsyncWorker"):
        Worker(rig.client(), "q", handle)  # type: ignore[arg-type]
    rig.producer.enqueue(Queue("q").job("a", 1))
    async with rig.running(Worker(rig.client(), "q", untyped, on_error=report)):
        await rig.until(lambda: errors)
    assert isinstance(errors[0], TypeError)
    assert rig.jobs("q", "a") == ["a"]
