"""The connections of a client in one event loop, and their end."""

import sys
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import RunVar
from attrs import frozen

from relay_sdk._base.flow import Request, Response
from relay_sdk._base.fork import process_id
from relay_sdk._http.address import Address
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.pool import Pool

if TYPE_CHECKING:  # it is loaded where it runs
    import asyncio


class AsyncConnection(Protocol):
    """A connection for tasks. An exchange that ends early, for any reason, closes it."""

    async def exchange(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for the reply."""
        ...

    async def aclose(self) -> None:
        """Close the connection, also while another task uses it."""
        ...


@frozen
class LoopState:
    """The connections of one process in one event loop, and the generator that closes them."""

    pid: int
    pool: Pool[AsyncConnection]
    closer: AsyncGenerator[None]

    @classmethod
    def create(cls, address: Address) -> Self:
        """Return the state of a client that has no connections here; its closer is not started."""
        pool = Pool(partial(_connection_class(), address))
        return cls(process_id(), pool, _close_at_exit(pool))


_states: RunVar[WeakKeyDictionary[object, LoopState]] = RunVar("relay_sdk")


def loop_states() -> WeakKeyDictionary[object, LoopState]:
    """Return the states in this event loop, by client."""
    states = _states.get(None)
    if states is None:
        _states.set(states := WeakKeyDictionary())
    return states


async def _close_at_exit(pool: Pool[AsyncConnection]) -> AsyncGenerator[None]:
    """Close the connections when this generator is closed.

    An event loop closes its asynchronous generators when it ends, so that a client that is not
    closed leaves no connection open.
    """
    pid = process_id()
    try:
        yield
    finally:
        if pid == process_id():
            with anyio.CancelScope(shield=True):
                for connection in pool.all():
                    await connection.aclose()


def _connection_class() -> Callable[[Address], AsyncConnection]:
    """Return the class of this event loop's connections, which is imported only where it runs."""
    if asyncio_loop():
        from relay_sdk._http.asyncio_sockets import AsyncioConnection

        return AsyncioConnection
    from relay_sdk._http.trio_sockets import TrioConnection

    return TrioConnection


def asyncio_loop() -> "asyncio.AbstractEventLoop | None":
    """Return the running event loop of asyncio, or `None` on trio."""
    asyncio = sys.modules.get("asyncio")  # it is slow to import, and not needed on trio
    try:
        return asyncio.get_running_loop() if asyncio and asyncio.current_task() else None
    except RuntimeError:
        return None
