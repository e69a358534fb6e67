"""Exchanges over sockets of our own, read by httptools: the fast transport."""

import asyncio
import select
import socket
from contextlib import suppress
from typing import cast

import httpcore

from relay_sdk._address import Address
from relay_sdk._bound import Bound
from relay_sdk._flow import Call, Reply
from relay_sdk._reading import CUT, Reading
from relay_sdk._sockets import Backend
from relay_sdk._transport import Broken


def _request(address: Address, call: Call) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (call.method.encode(), address.target(call))]
    lines += [b"%b: %b" % field for field in address.fields(call)]
    return b"\r\n".join([*lines, b"", call.content or b""])


def _port(address: Address) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


class FastConnection:
    """One connection, lent to one exchange at a time."""

    library: str = "httptools"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stream: httpcore.NetworkStream | None = None

    def exchange(self, call: Call, bound: Bound) -> Reply:
        request, reading = _request(self._address, call), Reading(call)
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
        request, reading = _request(self._address, call), Reading(call)
        try:
            used = self._socket
            if used is None or not used.is_quiet():
                self._abort()
                async with asyncio.timeout(bound.begin("connect")):
                    used = self._socket = await self._connected(bound)
            answered = used.begin(reading)
            # `asyncio.timeout` would cost several times as much.
            late = asyncio.get_running_loop().call_later(bound.begin("write"), used.is_late)
            try:
                used.transport.write(request)
                reply = await answered
            finally:
                late.cancel()
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
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._answered: asyncio.Future[Reply] = loop.create_future()
        self._reading: Reading | None = None

    def begin(self, reading: Reading) -> asyncio.Future[Reply]:
        """Read what comes from now on; give what will be the reply."""
        self._reading = reading
        self._answered = asyncio.get_running_loop().create_future()
        if self.lost.done():
            self._answered.set_exception(Broken(CUT))
        return self._answered

    def is_late(self) -> None:
        """End the wait for a reply."""
        if not self._answered.done():
            self._answered.set_exception(TimeoutError())

    def is_quiet(self) -> bool:
        """Look whether nothing came since, which would be the end, maybe not yet read."""
        if self.transport.is_closing():
            return False
        number = self.transport.get_extra_info("socket").fileno()
        if not hasattr(select, "poll"):
            return not select.select([number], [], [], 0)[0]
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return not poll.poll(0)

    def is_writing(self) -> bool:
        """Look whether some of the request is not yet sent."""
        return self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

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
        if self._reading is not None and not self._answered.done():
            self._answered.set_exception(httpcore.ReadError(str(exc)) if exc else Broken(CUT))
