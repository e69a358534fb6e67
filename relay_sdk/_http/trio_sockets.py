"""One connection for tasks of trio."""

from contextlib import suppress

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.connecting import connecting
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.errors import ConnectError, ReadError, ReadTimeout, TlsError, root_cause
from relay_sdk._http.parser import ResponseParser
from relay_sdk._http.proxy import Proxy, check_tunnel
from relay_sdk._http.readable import ReadableProbe

RECEIVE_BYTES = 64 * 1024
"""How much is received at once."""

BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class TrioConnection:
    """One connection, lent to one exchange at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stream: ByteStream | None = None

    async def exchange(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for the reply."""
        data, parser = self._address.writer.write(request), ResponseParser(request.method)
        try:
            stream = self._stream
            if stream is None or _is_readable(stream):
                await self.aclose()
                with connecting(), anyio.fail_after(deadline.remaining()):
                    stream = await self._connect()
            with anyio.fail_after(deadline.remaining()):
                # Some servers reply before they have read the whole request.
                with suppress(anyio.BrokenResourceError):
                    await stream.send(data)
                response = await _receive(stream, parser)
        except TimeoutError as error:
            await self.aclose()
            raise ReadTimeout from error
        except BaseException:
            await self.aclose()
            raise
        if not parser.keep_alive:
            await self.aclose()
        return response

    async def _connect(self) -> ByteStream:
        address = self._address
        stream = self._stream = await _connect_tcp(address.proxy or address)
        if tunnel := address.tunnel_request:
            with suppress(anyio.BrokenResourceError):
                await stream.send(tunnel)
            check_tunnel((await _receive(stream, ResponseParser("CONNECT"))).status)
        if address.scheme == "https":
            try:
                stream = self._stream = await TLSStream.wrap(
                    stream,
                    hostname=address.host,
                    ssl_context=address.tls(),
                    standard_compatible=False,
                )
            except (*BROKEN, anyio.EndOfStream) as error:
                raise TlsError("the connection was closed in the handshake") from error
        return stream

    async def aclose(self) -> None:
        """Close the connection, also while another task uses it."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await anyio.aclose_forcefully(stream)


async def _connect_tcp(peer: Address | Proxy) -> ByteStream:
    try:
        return await anyio.connect_tcp(peer.host, peer.port)
    except RuntimeError as error:
        # trio resolves names in a thread, which the system may have refused to start.
        raise ConnectError(error) from error


async def _receive(stream: ByteStream, parser: ResponseParser) -> Response:
    while parser.response is None:
        try:
            data = await stream.receive(RECEIVE_BYTES)
        except anyio.EndOfStream:
            data = b""
        except BROKEN as error:
            raise ReadError(root_cause(error)) from error
        parser.feed(data)
    return parser.response


def _is_readable(stream: ByteStream) -> bool:
    sock = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 it is not Django's `extra`
    return ReadableProbe(sock.fileno()).is_readable()
