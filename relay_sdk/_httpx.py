"""Exchanges over the connections of httpx: the transport that is always there."""

from typing import cast

import anyio
import httpcore
import httpx

from relay_sdk._address import Address
from relay_sdk._bound import Bound
from relay_sdk._flow import Call, Reply
from relay_sdk._sockets import Backend
from relay_sdk._transport import SLACK, Content, make_reply


def is_direct(address: Address) -> bool:
    """Look whether no proxy of the environment is in between."""
    client = httpx.Client(verify=address.tls())
    # httpx has no function that reads the environment and can be called by others.
    return client._transport_for_url(httpx.URL(address.url)) is client._transport  # pyright: ignore[reportPrivateUsage]


class Connection:
    """One connection of httpx, without the layers above it: cookies, redirects, logins."""

    library: str = "httpx"

    def __init__(self, address: Address) -> None:
        self._address = address
        client = httpx.Client(verify=address.tls())
        # With a proxy where the environment names one.
        transport = client._transport_for_url(httpx.URL(address.url))  # pyright: ignore[reportPrivateUsage]
        self._pool = cast("httpx.HTTPTransport", transport)._pool  # pyright: ignore[reportPrivateUsage]
        # There is no parameter for it where proxies are to be found in the environment.
        self._sockets = self._pool._network_backend = Backend()  # pyright: ignore[reportPrivateUsage]

    def exchange(self, call: Call, bound: Bound) -> Reply:
        response = self._pool.handle_request(_request(self._address, call, bound))
        try:
            content = Content()
            for chunk in response.iter_stream():
                content.add(chunk)
        finally:
            response.close()
        return make_reply(response.status, response.headers, content)

    def close(self) -> None:
        # Not by the pool: its lock may be held, for ever if a signal's handler raised there.
        if self._sockets.stream is not None:
            self._sockets.stream.close()


class AsyncConnection:
    """The same for tasks."""

    library: str = "httpx"

    def __init__(self, address: Address) -> None:
        self._address = address
        client = httpx.AsyncClient(verify=address.tls())
        transport = client._transport_for_url(httpx.URL(address.url))  # pyright: ignore[reportPrivateUsage]
        self._pool = cast("httpx.AsyncHTTPTransport", transport)._pool  # pyright: ignore[reportPrivateUsage]

    async def exchange(self, call: Call, bound: Bound) -> Reply:
        content = Content()
        with anyio.fail_after(bound.seconds + SLACK):
            request = _request(self._address, call, bound)
            response = await self._pool.handle_async_request(request)
            try:
                async for chunk in response.aiter_stream():
                    content.add(chunk)
            finally:
                await response.aclose()
        return make_reply(response.status, response.headers, content)

    async def aclose(self) -> None:
        await self._pool.aclose()


def _request(address: Address, call: Call, bound: Bound) -> httpcore.Request:
    return httpcore.Request(
        call.method,
        httpcore.URL(
            scheme=address.scheme, host=address.host, port=address.port,
            target=address.target(call),
        ),
        headers=address.fields(call),
        content=call.content,
        extensions={"timeout": bound},
    )  # fmt: skip
