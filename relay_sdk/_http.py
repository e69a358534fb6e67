"""Calls over httpx, and its errors as ours."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import httpx

from relay_sdk._flow import Call, Reply
from relay_sdk.exceptions import TransportError

# Nothing was sent when the connection, or a place in the pool, could not be had.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Address:
    """Where the server is, and what goes with every request."""

    def __init__(
        self, base_url: str | None, timeout: float, headers: Mapping[str, str] | None
    ) -> None:
        given = (os.environ.get("RELAY_URL", "") if base_url is None else base_url).strip()
        if not given:
            raise ValueError("no server: pass base_url, or set RELAY_URL")
        try:
            url = httpx.URL(given)
        except httpx.InvalidURL as error:
            raise ValueError(f"base_url {given!r} is not a URL: {error}") from error
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            raise ValueError(f"base_url {given!r} must look like http://127.0.0.1:8080")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        self.url: str = given.rstrip("/")
        self.timeout = timeout
        self.headers: dict[str, str] = dict(headers or {})

    def request(self, client: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
        """Make httpx's request for a call. Every request has a timeout."""
        return client.build_request(
            call.method,
            self.url + call.target,
            headers={**self.headers, **call.headers},
            content=call.content,
            timeout=self.timeout if call.within is None else call.within,
        )

    @contextmanager
    def errors(self, call: Call) -> Generator[None]:
        """Turn httpx's errors into a `TransportError`."""
        try:
            yield
        except httpx.HTTPError as error:
            raise TransportError(
                f"no usable reply to {call.method} {call.target} from {self.url}: "
                f"{str(error) or type(error).__name__}",
                sent=not isinstance(error, NOT_SENT),
            ) from error


class Http:
    """Calls that block. Safe to share between threads."""

    def __init__(self, address: Address, client: httpx.Client | None) -> None:
        self._address = address
        self._own = client is None
        self._client = client or httpx.Client(timeout=address.timeout)

    def send(self, call: Call) -> Reply:
        """Send a call and wait for its reply, or raise `TransportError`."""
        with self._address.errors(call):
            return _reply(self._client.send(self._address.request(self._client, call)))

    def close(self) -> None:
        """Close the connections, unless the client is the user's."""
        if self._own:
            self._client.close()


class AsyncHttp:
    """Calls that are awaited. Safe to share between tasks of one event loop."""

    def __init__(self, address: Address, client: httpx.AsyncClient | None) -> None:
        self._address = address
        self._own = client is None
        self._client = client or httpx.AsyncClient(timeout=address.timeout)

    async def send(self, call: Call) -> Reply:
        """Send a call and await its reply, or raise `TransportError`."""
        with self._address.errors(call):
            return _reply(await self._client.send(self._address.request(self._client, call)))

    async def aclose(self) -> None:
        """Close the connections, unless the client is the user's."""
        if self._own:
            await self._client.aclose()


def _reply(response: httpx.Response) -> Reply:
    return Reply(response.status_code, response.headers, response.content)
