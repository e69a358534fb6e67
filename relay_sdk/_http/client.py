"""Sending requests: over connections of the SDK's sockets, or through the user's own client."""

import threading
from functools import partial
from typing import TYPE_CHECKING

from relay_sdk._base.flow import Request, Response
from relay_sdk._base.fork import process_id
from relay_sdk._http.address import Address
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.errors import ClientClosedError, HttpError
from relay_sdk._http.httpx_adapter import (
    AsyncHttpClient,
    AsyncHttpxTransport,
    HttpClient,
    HttpxTransport,
)
from relay_sdk._http.loop_state import AsyncConnection, LoopState, asyncio_loop, loop_states
from relay_sdk._http.pool import Pool
from relay_sdk._http.sockets import Connection

if TYPE_CHECKING:  # it is loaded where it runs
    import asyncio


class BaseHttp:
    """The parts that threads and tasks share."""

    def __init__(self, address: Address, *, uses_sockets: bool) -> None:
        self._address = address
        self.url: str = address.url
        self._closed = False
        if uses_sockets:
            address.prepare()

    def _start(self, request: Request, stop: threading.Event | None = None) -> Deadline:
        """Return the deadline of an exchange that starts now; refuse it if the client is closed."""
        if self._closed:
            raise ClientClosedError(request)
        return Deadline(self._address.timeout if request.timeout is None else request.timeout, stop)

    def _explain(self, error: HttpError, deadline: Deadline) -> None:
        address = self._address
        error.explain(address.server, address.scheme, deadline.timeout, address.hints)


class Http(BaseHttp):
    """Sends requests by blocking. Safe to share between threads.

    Forked processes share no connections.
    """

    def __init__(self, address: Address, client: HttpClient | None) -> None:
        super().__init__(address, uses_sockets=client is None)
        self._httpx = None if client is None else HttpxTransport(address, client)
        self._connect = partial(Connection, address)
        # By process id. A forked child keeps the pool of its parent unused, because closing a
        # connection would close it in the parent too.
        self._pools: dict[int, Pool[Connection]] = {}

    def send(self, request: Request, stop: threading.Event | None = None) -> Response:
        """Send a request and wait for the reply.

        Raise `HttpError` if there is no usable reply, and `UnusableClientError` if the client is
        closed, for example. Raise `Stopped` soon after `stop` is set, unless the reply has begun;
        the reply is lost then. The user's own client ignores `stop`.
        """
        deadline = self._start(request, stop)
        try:
            if self._httpx is not None:
                return self._httpx.exchange(request, deadline)
            return self._send(request, deadline)
        except HttpError as error:
            self._explain(error, deadline)
            raise

    def _send(self, request: Request, deadline: Deadline) -> Response:
        pool = self._pools.get(process_id())
        if pool is None:
            pool = self._pools.setdefault(process_id(), Pool(self._connect))
        connection = pool.acquire()
        try:
            response = connection.exchange(request, deadline)
        except BaseException:
            # An exception of a signal's handler may come in the middle of any function, so the
            # connection is in an unknown state.
            connection.close()
            raise
        unused = connection if self._closed else pool.release(connection)
        if unused is not None:
            unused.close()
        return response

    def close(self) -> None:
        """Close the connections, but not the user's own client; refuse further requests."""
        self._closed = True
        pool = self._pools.get(process_id())
        for connection in pool.all() if pool else []:
            connection.close()


class AsyncHttp(BaseHttp):
    """Sends requests by awaiting. Safe to share between tasks; event loops share no connections."""

    def __init__(self, address: Address, client: AsyncHttpClient | None) -> None:
        super().__init__(address, uses_sockets=client is None)
        self._httpx = None if client is None else AsyncHttpxTransport(address, client)
        self._last: tuple[asyncio.AbstractEventLoop, LoopState] | None = None

    async def send(self, request: Request) -> Response:
        """Send a request and wait for the reply.

        Raise `HttpError` if there is no usable reply, and `UnusableClientError` if the client is
        closed, for example.
        """
        deadline = self._start(request)
        try:
            if self._httpx is not None:
                return await self._httpx.exchange(request, deadline)
            pool = self._last_pool() or (await self._state()).pool
            connection = pool.acquire()
            try:
                return await connection.exchange(request, deadline)
            finally:
                unused = connection if self._closed else pool.release(connection)
                if unused is not None:
                    await unused.aclose()
        except HttpError as error:
            self._explain(error, deadline)
            raise

    def _last_pool(self) -> Pool[AsyncConnection] | None:
        """Return the pool that was used last, if it is the one of this event loop."""
        last = self._last
        if last and last[0] is asyncio_loop() and last[1].pid == process_id():
            return last[1].pool
        return None

    async def _state(self) -> LoopState:
        """Return the connections of this process in this event loop."""
        states = loop_states()
        state = states.get(self)
        if state is None or state.pid != process_id():
            state = states[self] = LoopState.create(self._address)
            await anext(state.closer)
        loop = asyncio_loop()
        self._last = (loop, state) if loop else None
        return state

    async def aclose(self) -> None:
        """Close this event loop's connections, but not the user's own client; refuse requests."""
        self._closed = True
        self._last = None
        if state := loop_states().pop(self, None):
            await state.closer.aclose()
