"""What sends calls: over which transport, and what its errors mean."""

import sys
import threading
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import RunVar
from attrs import frozen

from relay_sdk._base.flow import Request, Response
from relay_sdk._base.fork import process_id
from relay_sdk._http.address import Address
from relay_sdk._http.base import AsyncTransport, Transport
from relay_sdk._http.deadline import Bound
from relay_sdk._http.errors import first_cause, names_of, why_no_reply
from relay_sdk._http.httpx_adapter import AsyncHttpClient, AsyncOwn, HttpClient, Own
from relay_sdk._http.pool import Pool
from relay_sdk._http.sockets import Connection
from relay_sdk.exceptions import ClientStateError, RelayError, TransportError

if TYPE_CHECKING:  # it is loaded where it runs
    import asyncio

LATE = {"TimeoutError", "TimeoutException"}
FAILURES = LATE | {"Broken", "ConnectError", "HTTPError", "ReadError"}
U = TypeVar("U", Own, AsyncOwn)

NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
"""Nothing was sent when the connection, or a place in the pool, could not be had."""


class _Open(Generic[U]):
    """Whether calls can be made, and what it means when they fail."""

    def __init__(self, address: Address, own: U | None) -> None:
        self._address = address
        self.url: str = address.url
        self._closed = False
        self._pid: int | None = None  # of the process that first used the user's own client
        self._own: U | None = own  # around the user's own client
        if own is None:
            address.prepare()

    def _begin(self, call: Request, stop: threading.Event | None = None) -> Bound:
        """Begin the time that an exchange may take, if there can be one."""
        if self._closed:
            raise _closed(call)
        if self._own is not None:
            self._pid = self._pid or process_id()
            if self._pid != process_id():
                raise ClientStateError(
                    f"{call.method} {call.target} was not sent: this process was forked from one "
                    "that used the same http_client, whose connections it would share. "
                    "Make another after the fork"
                )
        return Bound(self._address.timeout if call.timeout is None else call.timeout, stop)

    def _told(self, error: Exception, call: Request, bound: Bound) -> RelayError | None:
        """Say what an error of a transport means; `None` when it is not about the exchange."""
        if isinstance(error, RuntimeError):
            own = self._own
            if self._closed or (own is not None and own.client.is_closed):
                return _closed(call)
            return _elsewhere(call, error) if isinstance(own, AsyncOwn) else None
        names = names_of(error)
        if not names & FAILURES:
            return None
        late = bool(names & LATE) or bound.over
        address = self._address
        text = why_no_reply(
            error,
            address.url,
            bound.seconds,
            late=late,
            default=address.is_default,
            proxy=address.proxy.name if address.proxy else None,
        )
        return TransportError(text, sent=bound.sent and not names & NOT_SENT)


def _closed(call: Request) -> ClientStateError:
    return ClientStateError(f"{call.method} {call.target} was not sent: the client is closed")


def _elsewhere(call: Request, error: RuntimeError) -> ClientStateError:
    return ClientStateError(
        f"{call.method} {call.target} failed in http_client: {error}. If it was used in another "
        "event loop before, make one in each"
    )


class Http(_Open[Own]):
    """Calls that block. Safe to share between threads; forked processes share no connections."""

    def __init__(self, address: Address, client: HttpClient | None) -> None:
        super().__init__(address, None if client is None else Own(address, client))
        own = self._own
        self._make: Callable[[], Transport] = (lambda: own) if own else partial(Connection, address)
        # The parent's stay here, untouched: what is closed here would be closed there as well.
        self._pools: dict[int, Pool[Transport]] = {}

    def send(self, call: Request, stop: threading.Event | None = None) -> Response:
        """Send a call and wait for its reply, or raise `TransportError`.

        Raise `Stopped` soon after `stop` is set while nothing of the reply has come, which may be
        lost then; the user's own client does not look at it.
        """
        bound = self._begin(call, stop)
        pool = self._pools.get(process_id())
        if pool is None:
            pool = self._pools.setdefault(process_id(), Pool(self._make))
        transport = pool.take()
        try:
            reply = transport.exchange(call, bound)
        except BaseException as error:
            # Whatever was under way in it, even in the middle of a function: nobody uses it again.
            transport.close()
            if isinstance(error, Exception) and (told := self._told(error, call, bound)):
                raise told from first_cause(error)
            raise
        unused = transport if self._closed else pool.give(transport)
        if unused is not None:
            unused.close()
        return reply

    def close(self) -> None:
        """Close the connections, unless the client is the user's, and refuse further calls."""
        self._closed = True
        pool = self._pools.get(process_id())
        for transport in pool.all() if pool else []:
            transport.close()


class AsyncHttp(_Open[AsyncOwn]):
    """Calls that are awaited. Safe to share between tasks; event loops share no connections."""

    def __init__(self, address: Address, client: AsyncHttpClient | None) -> None:
        own = None if client is None else AsyncOwn(address, client)
        super().__init__(address, own)
        self._only: Pool[AsyncTransport] | None = None if own is None else Pool(lambda: own)
        self._last: tuple[asyncio.AbstractEventLoop, _Here] | None = None

    async def send(self, call: Request) -> Response:
        """Send a call and await its reply, or raise `TransportError`."""
        bound = self._begin(call)
        pool = self._only or self._known() or (await self._here()).pool
        transport = pool.take()
        try:
            return await transport.exchange(call, bound)
        except Exception as error:
            if told := self._told(error, call, bound):
                raise told from first_cause(error)
            raise
        finally:
            unused = transport if self._closed else pool.give(transport)
            if unused is not None:
                await unused.aclose()

    def _known(self) -> Pool[AsyncTransport] | None:
        """Give the pool that was used last, if it is that of this event loop."""
        last = self._last
        if last and last[0] is _asyncio_loop() and last[1].pid == process_id():
            return last[1].pool
        return None

    async def _here(self) -> "_Here":
        """Give what this process has in this event loop."""
        all_here = _all_here.get(None)
        if all_here is None:
            _all_here.set(all_here := WeakKeyDictionary())
        here = all_here.get(self)
        if here is None or here.pid != process_id():
            pool = Pool(partial(_kind(), self._address))
            all_here[self] = here = _Here(process_id(), pool, _until_the_end(pool))
            await anext(here.end)
        loop = _asyncio_loop()
        self._last = (loop, here) if loop else None
        return here

    async def aclose(self) -> None:
        """Close this event loop's connections, unless the client is the user's; refuse calls."""
        self._closed = True
        self._last = None
        all_here = _all_here.get(None)
        if all_here is not None and self in all_here:
            await all_here.pop(self).end.aclose()


@frozen
class _Here:
    """The connections of one process in one event loop, and what ends them."""

    pid: int
    pool: Pool[AsyncTransport]
    end: AsyncGenerator[None]


_all_here: RunVar[WeakKeyDictionary[AsyncHttp, _Here]] = RunVar("relay_sdk")


async def _until_the_end(pool: Pool[AsyncTransport]) -> AsyncGenerator[None]:
    """Close connections when this is closed, or by the event loop when that ends."""
    pid = process_id()
    try:
        yield
    finally:
        if pid == process_id():
            with anyio.CancelScope(shield=True):
                for transport in pool.all():
                    await transport.aclose()


def _kind() -> Callable[[Address], AsyncTransport]:
    """Give what makes connections in this event loop, loaded only where it runs."""
    if _asyncio_loop():
        from relay_sdk._http.asyncio_sockets import AsyncioConnection

        return AsyncioConnection
    from relay_sdk._http.trio_sockets import TrioConnection

    return TrioConnection


def _asyncio_loop() -> "asyncio.AbstractEventLoop | None":
    """Give this event loop, unless it is trio's."""
    asyncio = sys.modules.get("asyncio")  # slow to load, and loaded where it runs
    try:
        return asyncio.get_running_loop() if asyncio and asyncio.current_task() else None
    except RuntimeError:
        return None
