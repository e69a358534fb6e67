"""One test for both worlds: what is awaitable is awaited."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from typing import TypeVar

from relay_sdk import AsyncClient, AsyncJobHelper, Client, JobHelper

T = TypeVar("T")

AnyClient = Client | AsyncClient
AnyHelper = JobHelper | AsyncJobHelper


async def maybe_await(outcome: Awaitable[T] | T) -> T:
    """Return the result of a method of either client."""
    return await outcome if inspect.isawaitable(outcome) else outcome


@asynccontextmanager
async def entered(
    context: AbstractContextManager[T] | AbstractAsyncContextManager[T],
) -> AsyncIterator[T]:
    """Enter a context of either client."""
    if isinstance(context, AbstractAsyncContextManager):
        async with context as value:
            yield value
    else:
        with context as value:
            yield value


async def first(count: int, items: Iterator[T] | AsyncIterator[T]) -> list[T]:
    """Return the first items of either iterator."""
    if isinstance(items, Iterator):
        return [next(items) for _ in range(count)]
    return [await anext(items) for _ in range(count)]
