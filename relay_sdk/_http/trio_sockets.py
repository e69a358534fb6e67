"""One connection for tasks of trio."""

from contextlib import suppress

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.base import Peek, ReadError, connecting
from relay_sdk._http.deadline import Bound
from relay_sdk._http.parser import Reading
from relay_sdk._http.proxy import check_tunnel


class TrioConnection:
    """One connection, lent to one exchange at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stream: ByteStream | None = None

    async def exchange(self, call: Request, bound: Bound) -> Response:
        request, reading = self._address.request(call), Reading(call.method)
        try:
            used = self._stream
            if used is None or not _is_quiet(used):
                await self.aclose()
                with connecting(), anyio.fail_after(bound.begin("connect")):
                    used = await self._connected()
            with anyio.fail_after(bound.begin("write")):
                with suppress(anyio.BrokenResourceError):  # some answer before they have read all
                    await used.send(request)
                reply = await _read(used, reading)
        except BaseException:
            await self.aclose()
            raise
        if not reading.keep:
            await self.aclose()
        return reply

    async def _connected(self) -> ByteStream:
        address = self._address
        place = address.proxy or address
        used: ByteStream = await anyio.connect_tcp(place.host, place.port)
        self._stream = used
        if address.tunnel:
            await used.send(address.tunnel)
            check_tunnel((await _read(used, Reading("CONNECT"))).status)
        if address.scheme == "https":
            used = self._stream = await TLSStream.wrap(
                used, hostname=address.host, ssl_context=address.tls(), standard_compatible=False
            )
        return used

    async def aclose(self) -> None:
        used, self._stream = self._stream, None
        if used is not None:
            await anyio.aclose_forcefully(used)


async def _read(used: ByteStream, reading: Reading) -> Response:
    while reading.reply is None:
        try:
            content = await used.receive(65536)
        except anyio.EndOfStream:
            content = b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ReadError(str(error.__cause__ or error)) from error
        reading.feed(content)
    return reading.reply


def _is_quiet(used: ByteStream) -> bool:
    connected = used.extra(SocketAttribute.raw_socket)  # noqa: S610 it is not Django's
    return Peek(connected.fileno()).is_quiet()
