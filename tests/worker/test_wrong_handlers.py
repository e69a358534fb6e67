"""A handler that a Worker cannot run is refused, or its job fails; it never counts as done."""

from collections.abc import Generator
from typing import Any

import pytest

from relay_sdk import AsyncWorker, Queue, Worker

from .harness import Harness

pytestmark = pytest.mark.anyio


class Later:
    """What a coroutine is, without its complaint that nobody has run it."""

    def __await__(self) -> Generator[None]:
        yield


@pytest.mark.parametrize("kind", ["sync"])
async def test_a_worker_on_threads_completes_no_job_whose_handler_it_cannot_run(
    harness: Harness,
) -> None:
    async def handle(helper: Any) -> None: ...

    def report(helper: Any, error: Exception) -> None:
        errors.append(error)

    def untyped(helper: Any) -> Any:
        return Later()

    errors: list[Exception] = []
    with pytest.raises(TypeError, match="an async handler needs an AsyncWorker"):
        Worker(harness.client(), "q", handle)  # type: ignore[arg-type]
    harness.producer.enqueue(Queue("q").job("a", 1))
    async with harness.running(Worker(harness.client(), "q", untyped, on_error=report)):
        await harness.until(lambda: errors)
    assert isinstance(errors[0], TypeError)
    assert harness.jobs("q", "a") == ["a"]


def generates(helper: Any) -> Any:
    yield helper


async def generates_in_tasks(helper: Any) -> Any:
    yield helper


@pytest.mark.parametrize("handle", [generates, generates_in_tasks])
async def test_a_handler_that_yields_is_refused_or_its_job_fails(
    harness: Harness, handle: Any
) -> None:
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    make = Worker if harness.kind == "sync" else AsyncWorker
    try:
        worker: Any = make(harness.client(), "q", handle)
    except TypeError:
        return
    async with harness.running(worker):
        await harness.until(lambda: harness.server.polls())
    assert harness.jobs("q", "a") == ["a"]
