"""Tasks for jobs: on asyncio its own, because those of a task group cost more than most jobs do."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from anyio import CancelScope, create_task_group, get_current_task

Spawn: TypeAlias = Callable[..., object]
"""Starts a task with a coroutine function and its arguments."""

AGAIN = 0.1
"""Seconds after which a task that goes on is cancelled once more, as a task group does."""


@asynccontextmanager
async def spawning() -> AsyncGenerator[Spawn]:
    """Give what starts tasks; at the end they are cancelled, and waited for."""
    if asyncio_task() is None:
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
                await asyncio.wait(tasks, timeout=AGAIN)


def is_cancelled(leaving: bool) -> bool:
    """Tell whether a job's task is cancelled by its worker, which then is `leaving`, or by trio.

    On asyncio anybody can cancel a task; what others have asked for is forgotten.
    """
    task = asyncio_task()
    if task is None:
        return get_current_task().has_pending_cancellation()
    while not leaving and task.uncancel():
        pass
    return leaving


def asyncio_task() -> asyncio.Task[Any] | None:
    """Give this task, unless it is trio's."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
