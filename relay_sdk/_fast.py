"""Exchanges over sockets of our own, read by httptools: the fast transport."""

import asyncio
import select
import socket
from contextlib import suppress
from math import inf
from typing import cast

import httpcore

from relay_sdk._address import Address
from relay_sdk._bound import Bound
from relay_sdk._flow import Call, Reply
from relay_sdk._reading import CUT, Reading
from relay_sdk._sockets import Backend
from relay_sdk._transport import Broken


def _port(address: Address) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


class FastConnection:
    """One connection, lent to one exchange at a time."""

    library: str = "httptools"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stream: httpcore.NetworkStream | None = None

    def exchange(self, call: Call, bound: Bound) -> Reply:
        request, reading = self._address.request(call), Reading(call)
        stream = self._stream
        if stream is None or stream.get_extra_info("is_readable"):  # the server has closed it
            self.close()
            stream = self._stream = self._connected(bound)
        try:
            with suppress(httpcore.WriteError):  # some answer before they have read all
                stream.write(request, bound["write"])
            while reading.reply is None:
                reading.feed(stream.read(65536, bound["read"]))
        except BaseException:
            self.close()
            raise
        if not reading.keep:
            self.close()
        return reading.reply

    def _connected(self, bound: Bound) -> httpcore.NetworkStream:
        address = self._address
        stream = Backend().connect_tcp(address.host, _port(address), bound["connect"])
        if address.scheme == "https":
            stream = stream.start_tls(address.tls(), address.host, bound["connect"])
        return stream

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class AsyncFastConnection:
    """The same for tasks of asyncio."""

    library: str = "httptools"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: _Socket | None = None

    async def exchange(self, call: Call, bound: Bound) -> Reply:
        request, reading = self._address.request(call), Reading(call)
        try:
            used = self._socket
            if used is None or not used.is_quiet():
                self._abort()
                async with asyncio.timeout(bound.begin("connect")):
                    used = self._socket = await self._connected(bound)
            answered = used.begin(reading, bound.begin("write"))
            used.transport.write(request)
            reply = await answered
        except BaseException:
            self._abort()
            raise
        if not reading.keep or used.is_writing():
            self._abort()
        return reply

    async def _connected(self, bound: Bound) -> "_Socket":
        server, loop = self._address, asyncio.get_running_loop()
        tls = server.tls() if server.scheme == "https" else None
        name = server.host if tls else None
        try:
            found = await loop.getaddrinfo(server.host, _port(server), type=socket.SOCK_STREAM)
            addresses = [str(address[0]) for *_, address in found]
            while True:
                # Each has its share: one that is silent leaves time for the others.
                share = bound.begin("connect") / len(addresses)
                try:
                    async with asyncio.timeout(share):
                        _, connected = await loop.create_connection(
                            _Socket, addresses.pop(0), _port(server), ssl=tls, server_hostname=name
                        )
                        return connected
                except OSError:
                    if not addresses:
                        raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error

    def _abort(self) -> "_Socket | None":
        aborted, self._socket = self._socket, None
        if aborted is not None:
            aborted.transport.abort()
        return aborted

    async def aclose(self) -> None:
        if aborted := self._abort():
            await asyncio.wait([aborted.lost], timeout=1)


class _Socket(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._answered: asyncio.Future[Reply] = self._loop.create_future()
        self._reading: Reading | None = None
        self._ends = inf
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, reading: Reading, seconds: float) -> asyncio.Future[Reply]:
        """Read what comes from now on; give what will be the reply, within some seconds."""
        self._reading = reading
        self._answered = self._loop.create_future()
        self._ends = self._loop.time() + seconds
        if self.lost.done():
            self._answered.set_exception(Broken(CUT))
        elif self._timer is None or self._ends < self._timer.when():
            self._look()
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
        """Look whether nothing came since, which would be the end, maybe not yet read."""
        if self.transport.is_closing():
            return False
        if self._poll is None:
            return not select.select([self._number], [], [], 0)[0]
        return not self._poll.poll(0)

    def is_writing(self) -> bool:
        """Look whether some of the request is not yet sent."""
        return self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._number: int = transport.get_extra_info("socket").fileno()
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(self._number, select.POLLIN)

    def data_received(self, data: bytes) -> None:
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
            self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._reading is not None and not self._answered.done():
            self._answered.set_exception(httpcore.ReadError(str(exc)) if exc else Broken(CUT))
