"""Start the tasks of jobs: on asyncio without a task group, which costs more than most jobs."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from anyio import CancelScope, create_task_group, get_current_task

Spawn: TypeAlias = Callable[..., object]
"""Starts a task with a coroutine function and its arguments."""

CANCEL_INTERVAL = 0.1
"""Seconds after which a task that swallows its cancellation is cancelled again."""


@asynccontextmanager
async def spawning() -> AsyncGenerator[Spawn]:
    """Yield a function that starts tasks; at the end, cancel them and wait for them."""
    if current_asyncio_task() is None:
        async with create_task_group() as group:
            yield group.start_soon
            group.cancel_scope.cancel()
        return
    tasks = set[asyncio.Task[None]]()

    def start(function: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        task = asyncio.create_task(function(*args))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        yield start
    finally:
        with CancelScope(shield=True):
            while tasks:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=CANCEL_INTERVAL)


def is_cancelled(leaving: bool) -> bool:
    """Return whether the task of a job is cancelled by its worker, which is `leaving`, or by trio.

    On asyncio anything can cancel a task; a request that does not come from the worker is undone.
    """
    task = current_asyncio_task()
    if task is None:
        return get_current_task().has_pending_cancellation()
    while not leaving and task.uncancel():
        pass
    return leaving


def current_asyncio_task() -> asyncio.Task[Any] | None:
    """Return the current task on asyncio, `None` on trio."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
