"""One connection for tasks of asyncio."""

import asyncio
import socket
from math import inf
from typing import cast

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.base import CUT, Broken, Peek, ReadError, connecting
from relay_sdk._http.deadline import Bound
from relay_sdk._http.parser import Reading
from relay_sdk._http.proxy import check_tunnel

BUFFER = 32 * 1024
"""Bytes that a connection receives at once."""


class AsyncioConnection:
    """One connection, lent to one exchange at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: _Socket | None = None

    async def exchange(self, call: Request, bound: Bound) -> Response:
        request, reading = self._address.request(call), Reading(call.method)
        try:
            used = self._socket
            if used is None or not used.is_quiet():
                self._abort()
                with connecting():
                    async with asyncio.timeout(bound.begin("connect")):
                        used = await self._connected(bound)
            reply = await used.ask(request, reading, bound.begin("write"))
        except BaseException:
            self._abort()
            raise
        if not reading.keep or used.is_writing():
            self._abort()
        return reply

    async def _connected(self, bound: Bound) -> "_Socket":
        address, loop = self._address, asyncio.get_running_loop()
        place = address.proxy or address
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        used = self._socket = await _reached(
            [str(each[0]) for *_, each in found], place.port, bound
        )
        if address.tunnel:
            reply = await used.ask(address.tunnel, Reading("CONNECT"), bound.begin("connect"))
            check_tunnel(reply.status)
        if address.scheme == "https":
            tls = await loop.start_tls(
                used.transport, used, address.tls(), server_hostname=address.host
            )
            used.transport = cast("asyncio.Transport", tls)
        return used

    def _abort(self) -> "_Socket | None":
        aborted, self._socket = self._socket, None
        if aborted is not None:
            aborted.transport.abort()
        return aborted

    async def aclose(self) -> None:
        if aborted := self._abort():
            await asyncio.wait([aborted.lost], timeout=1)


async def _reached(hosts: list[str], port: int, bound: Bound) -> "_Socket":
    while True:
        # Each has its share: one that is silent leaves time for the others.
        share = bound.begin("connect") / len(hosts)
        try:
            async with asyncio.timeout(share):
                connection = asyncio.get_running_loop().create_connection(
                    _Socket, hosts.pop(0), port
                )
                return (await connection)[1]
        except OSError:
            if not hosts:
                raise


class _Socket(asyncio.BufferedProtocol):
    """What is received goes to a buffer that is used again: asyncio's own costs three mappings."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(BUFFER))
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._answered: asyncio.Future[Response] = self._loop.create_future()
        self._reading: Reading | None = None
        self._ends = inf
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, request: bytes, reading: Reading, seconds: float) -> asyncio.Future[Response]:
        """Send a request, and read what comes from now on; the reply comes within some seconds."""
        self._reading = reading
        self._answered = self._loop.create_future()
        self._ends = self._loop.time() + seconds
        if self.lost.done():
            self._answered.set_exception(Broken(CUT))
        elif self._timer is None or self._ends < self._timer.when():
            self._look()
        self.transport.write(request)
        return self._answered

    def _look(self) -> None:
        """End the wait for a reply that is late, or look again when it would be.

        A timer for each exchange would cost as much as to write the request.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answered.done():
            return
        if self._loop.time() >= self._ends:
            self._answered.set_exception(TimeoutError())
        else:
            self._timer = self._loop.call_at(self._ends, self._look)

    def is_quiet(self) -> bool:
        """Look whether it can be used again."""
        return not self.transport.is_closing() and self._peek.is_quiet()

    def is_writing(self) -> bool:
        """Look whether some of the request is not yet sent."""
        return self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._peek = Peek(transport.get_extra_info("socket").fileno())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 asyncio gives it
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received(self._buffer[:nbytes])

    def _received(self, data: bytes | memoryview) -> None:
        if self._answered.done() or self._reading is None:  # nothing was asked
            self.transport.abort()
            return
        try:
            self._reading.feed(data)
        except Exception as error:  # noqa: BLE001 it is raised where the reply is awaited
            self._answered.set_exception(error)
        else:
            if self._reading.reply is not None:
                self._answered.set_result(self._reading.reply)

    def eof_received(self) -> None:
        if self._reading is not None:
            self._received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._reading is not None and not self._answered.done():
            self._answered.set_exception(ReadError(str(exc)) if exc else Broken(CUT))
