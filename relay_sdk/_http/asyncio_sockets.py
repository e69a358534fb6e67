"""One connection for tasks of asyncio."""

import asyncio
import socket
from math import inf
from typing import cast

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.connecting import connecting
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.errors import ConnectError, IncompleteReplyError, ReadError, ReadTimeout
from relay_sdk._http.parser import ResponseParser
from relay_sdk._http.proxy import Proxy, check_tunnel
from relay_sdk._http.readable import ReadableProbe

RECEIVE_BYTES = 32 * 1024
"""How much is received at once."""

CLOSE_TIMEOUT = 1.0
"""How many seconds to wait until a connection is closed."""


class AsyncioConnection:
    """One connection, lent to one exchange at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: _Socket | None = None

    async def exchange(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for the reply."""
        data, parser = self._address.writer.write(request), ResponseParser(request.method)
        try:
            sock = self._socket
            if sock is None or not sock.is_reusable():
                self._abort()
                with connecting():
                    async with asyncio.timeout(deadline.remaining()):
                        sock = await self._connect(deadline)
            response = await sock.request(data, parser, deadline.remaining())
        except TimeoutError as error:
            self._abort()
            raise ReadTimeout from error
        except BaseException:
            self._abort()
            raise
        if not parser.keep_alive or sock.is_writing():
            self._abort()
        return response

    async def _connect(self, deadline: Deadline) -> "_Socket":
        address, loop = self._address, asyncio.get_running_loop()
        peer = address.proxy or address
        sock = self._socket = await _connect_to_any(await _resolve(peer), peer.port, deadline)
        if tunnel := address.tunnel_request:
            reply = await sock.request(tunnel, ResponseParser("CONNECT"), deadline.remaining())
            check_tunnel(reply.status)
        if address.scheme == "https":
            tls = await loop.start_tls(
                sock.transport, sock, address.tls(), server_hostname=address.host
            )
            sock.transport = cast("asyncio.Transport", tls)
        return sock

    def _abort(self) -> "_Socket | None":
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.transport.abort()
        return sock

    async def aclose(self) -> None:
        """Close the connection, also while another task uses it."""
        if sock := self._abort():
            await asyncio.wait([sock.lost], timeout=CLOSE_TIMEOUT)


async def _resolve(peer: Address | Proxy) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            peer.host, peer.port, type=socket.SOCK_STREAM
        )
    except RuntimeError as error:
        # asyncio resolves names in a thread, which the system may have refused to start.
        raise ConnectError(error) from error
    return [str(each[0]) for *_, each in found]


async def _connect_to_any(hosts: list[str], port: int, deadline: Deadline) -> "_Socket":
    loop = asyncio.get_running_loop()
    while True:
        # Each host has its share of the time: one that is silent leaves some for the others.
        share = deadline.remaining() / len(hosts)
        try:
            async with asyncio.timeout(share):
                return (await loop.create_connection(_Socket, hosts.pop(0), port))[1]
        except OSError:
            if not hosts:
                raise


class _Socket(asyncio.BufferedProtocol):
    """Receives into one buffer that is used again: asyncio would allocate one for each read."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._response: asyncio.Future[Response] = self._loop.create_future()
        self._parser: ResponseParser | None = None
        self._ends_at = inf
        self._timer: asyncio.TimerHandle | None = None

    def request(
        self, data: bytes, parser: ResponseParser, timeout: float
    ) -> asyncio.Future[Response]:
        """Send a request, and parse what is received from now on."""
        self._parser = parser
        self._response = self._loop.create_future()
        self._ends_at = self._loop.time() + timeout
        if self.lost.done():
            self._response.set_exception(IncompleteReplyError())
        elif self._timer is None or self._ends_at < self._timer.when():
            self._check_time()
        self.transport.write(data)
        return self._response

    def _check_time(self) -> None:
        """End the wait for a reply that is late, or check again when it would be.

        A timer for each exchange would cost as much as writing the request.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._response.done():
            return
        if self._loop.time() >= self._ends_at:
            self._response.set_exception(TimeoutError())
        else:
            self._timer = self._loop.call_at(self._ends_at, self._check_time)

    def is_reusable(self) -> bool:
        return not self.transport.is_closing() and not self._probe.is_readable()

    def is_writing(self) -> bool:
        """Return whether a part of the request is not sent yet."""
        return self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._probe = ReadableProbe(transport.get_extra_info("socket").fileno())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 the protocol's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(self._buffer[:nbytes])

    def _feed(self, data: bytes | memoryview) -> None:
        if self._response.done() or self._parser is None:  # no request waits for a reply
            self.transport.abort()
            return
        try:
            self._parser.feed(data)
        except Exception as error:  # noqa: BLE001 it is raised where the reply is awaited
            self._response.set_exception(error)
        else:
            if self._parser.response is not None:
                self._response.set_result(self._parser.response)

    def eof_received(self) -> None:
        if self._parser is not None:
            self._feed(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._parser is not None and not self._response.done():
            error = ReadError(exc) if exc else IncompleteReplyError()
            error.__cause__ = exc
            self._response.set_exception(error)
