"""Exchanges through a client that is the user's own."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

import anyio

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.base import Content
from relay_sdk._http.deadline import Bound

SLACK = 0.1
"""Seconds for httpcore's own timeouts to come first: some sockets it leaves open when cancelled."""


class HttpResponse(Protocol):
    """A reply of httpx or httpx2."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Give the content as it comes, unpacked."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Do the same for tasks."""
        ...


class HttpClient(Protocol):
    """An `httpx.Client` or an `httpx2.Client`."""

    @property
    def is_closed(self) -> bool: ...

    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: dict[str, str],
        follow_redirects: bool, extensions: dict[str, Any],
    ) -> AbstractContextManager[HttpResponse]:  # fmt: skip
        """Send a request."""
        ...


class AsyncHttpClient(Protocol):
    """An `httpx.AsyncClient` or an `httpx2.AsyncClient`."""

    @property
    def is_closed(self) -> bool: ...

    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: dict[str, str],
        follow_redirects: bool, extensions: dict[str, Any],
    ) -> AbstractAsyncContextManager[HttpResponse]:  # fmt: skip
        """Send a request."""
        ...


class Own:
    """All connections of the user's own client."""

    def __init__(self, address: Address, client: HttpClient) -> None:
        _check_kind(client, "Client", "close")
        _check_login(address, client)
        self.client = client
        self._address = address

    def exchange(self, call: Request, bound: Bound) -> Response:
        address, headers = self._address, {**self._address.headers, **call.headers}
        with self.client.stream(
            call.method, address.url + call.target, headers=headers, content=call.content,
            follow_redirects=False, extensions={"timeout": bound},
        ) as response:  # fmt: skip
            content = Content()
            for chunk in response.iter_bytes():
                if bound.over:
                    raise TimeoutError
                content.add(chunk)
        return Response(response.status_code, response.headers, b"".join(content.chunks))

    def close(self) -> None:
        """It is the user's."""


class AsyncOwn:
    """The same for tasks."""

    def __init__(self, address: Address, client: AsyncHttpClient) -> None:
        _check_kind(client, "AsyncClient", "aclose")
        _check_login(address, client)
        self.client = client
        self._address = address

    async def exchange(self, call: Request, bound: Bound) -> Response:
        address, headers = self._address, {**self._address.headers, **call.headers}
        with anyio.fail_after(bound.seconds + SLACK):
            async with self.client.stream(
                call.method, address.url + call.target, headers=headers, content=call.content,
                follow_redirects=False, extensions={"timeout": bound},
            ) as response:  # fmt: skip
                content = Content()
                async for chunk in response.aiter_bytes():
                    content.add(chunk)
        return Response(response.status_code, response.headers, b"".join(content.chunks))

    async def aclose(self) -> None:
        """It is the user's."""


def _check_kind(client: HttpClient | AsyncHttpClient, kind: str, closing: str) -> None:
    if not (hasattr(client, "stream") and hasattr(client, closing)):
        raise TypeError(f"http_client must be an httpx.{kind}, not {client!r}")


def _check_login(address: Address, client: HttpClient | AsyncHttpClient) -> None:
    """Refuse a client with a login of its own, which may be sent in the place of a token."""
    own = "authorization" in getattr(client, "headers", ()) or getattr(client, "auth", None)
    if address.has_token and own:
        raise ValueError("a token and a login in http_client exclude each other")
