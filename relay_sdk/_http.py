"""Calls over httpx, and its errors as ours."""

import os
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

import anyio
import httpx
from anyio.lowlevel import RunVar
from attrs import frozen

from relay_sdk._bound import Bound
from relay_sdk._checks import check_type
from relay_sdk._flow import Call, Reply
from relay_sdk._log import requesting
from relay_sdk._pool import Pool
from relay_sdk._trouble import first_cause, why_no_reply
from relay_sdk.exceptions import TransportError, UnusableClientError

# Nothing was sent when the connection, or a place in the pool, could not be had.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

SLACK = 0.1
"""Seconds for httpcore's own timeouts to come first: some sockets it leaves open when cancelled."""

DEFAULT_URL = "http://127.0.0.1:8080"
"""Where `relay-sdk serve` listens, and Relay too, unless they are told otherwise."""

TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class Address:
    """Where the server is, and what goes with every request.

    `url` is without the name and password that were in it: they go as a header, so that they
    appear nowhere.
    """

    def __init__(
        self, base_url: str | None, timeout: float, headers: Mapping[str, str] | None
    ) -> None:
        given = os.environ.get("RELAY_URL") if base_url is None else base_url
        if given is not None:
            check_type(f"base_url must be a str such as {DEFAULT_URL!r}", given, str)
        self.is_default: bool = given is None
        given = DEFAULT_URL if given is None else given.strip()
        if not given:
            raise ValueError(
                "base_url is empty" if base_url is not None else "RELAY_URL is set, and empty"
            )
        shown = re.sub(r"^(\w+://)?.*@", r"\1***@", given, flags=re.DOTALL)
        try:
            url = httpx.URL(given)
        except httpx.InvalidURL as error:
            # The error quotes parts of the URL.
            why, cause = (f": {error}", error) if shown == given else ("", None)
            raise ValueError(f"base_url {shown!r} is not a URL{why}") from cause
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            raise ValueError(f"base_url {shown!r} must look like http://127.0.0.1:8080")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        self.timeout = timeout
        self.headers: dict[str, str] = dict(headers or {})
        for name, value in self.headers.items():
            if not TOKEN.fullmatch(name) or not _can_be_sent(value):
                raise ValueError(f"the header {name!r} or its value cannot be sent in HTTP")
        if url.userinfo:
            for name in [name for name in self.headers if name.lower() == "authorization"]:
                del self.headers[name]
            login = b64encode(f"{url.username}:{url.password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {login}"
            given = str(url.copy_with(username="", password=""))
        self.url: str = given.rstrip("/")
        self._tls: dict[int, ssl.SSLContext] = {}

    def tls(self) -> ssl.SSLContext:
        """Give what this process shares between its connections; making it takes 20 ms."""
        pid = os.getpid()
        return self._tls.get(pid) or self._tls.setdefault(pid, httpx.create_ssl_context())

    def bound(self, call: Call) -> Bound:
        """Begin the time that an exchange may take."""
        return Bound(self.timeout if call.within is None else call.within)

    def request(
        self, client: httpx.Client | httpx.AsyncClient, call: Call, bound: Bound
    ) -> httpx.Request:
        """Make httpx's request for a call."""
        return client.build_request(
            call.method,
            self.url + call.target,
            headers={**self.headers, **call.headers},
            content=call.content,
            extensions={"timeout": bound},
        )

    @contextmanager
    def errors(
        self, client: httpx.Client | httpx.AsyncClient, call: Call, bound: Bound
    ) -> Generator[None]:
        """Turn httpx's errors into a `TransportError`."""
        try:
            yield
        except (httpx.HTTPError, TimeoutError) as error:
            late = isinstance(error, (httpx.TimeoutException, TimeoutError)) or bound.over
            text = why_no_reply(error, self.url, bound.seconds, late=late, default=self.is_default)
            sent = bound.sent and not isinstance(error, NOT_SENT)
            raise TransportError(text, sent=sent) from first_cause(error)
        except RuntimeError as error:
            if not client.is_closed:
                raise
            raise _closed(call) from error


def _can_be_sent(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


def _closed(call: Call) -> UnusableClientError:
    return UnusableClientError(f"{call.method} {call.target} was not sent: the client is closed")


class _Open:
    """Whether calls can be made."""

    def __init__(self, address: Address, client: httpx.Client | httpx.AsyncClient | None) -> None:
        self.url: str = address.url
        self._address = address
        self._closed = False
        self._pid: int | None = None  # of the process that first used the user's own client
        if client is None:
            address.tls()  # what is wrong with SSL_CERT_FILE is said now

    def _check(self, call: Call, client: httpx.Client | httpx.AsyncClient | None) -> None:
        if self._closed:
            raise _closed(call)
        if client is not None:
            self._pid = self._pid or os.getpid()
            if self._pid != os.getpid():
                raise UnusableClientError(
                    f"{call.method} {call.target} was not sent: this process was forked from one "
                    "that used the same http_client, whose connections it would share. "
                    "Make another after the fork"
                )


class Http(_Open):
    """Calls that block. Safe to share between threads; forked processes share no connections."""

    def __init__(self, address: Address, client: httpx.Client | None) -> None:
        super().__init__(address, client)
        self._users = client
        # The parent's stay here, untouched: what is closed here would be closed there as well.
        self._pools: dict[int, Pool[httpx.Client]] = {}

    def send(self, call: Call) -> Reply:
        """Send a call and wait for its reply, or raise `TransportError`."""
        self._check(call, self._users)
        bound = self._address.bound(call)
        if self._users is not None:
            return self._exchange(self._users, call, bound)
        pool = self._pools.get(os.getpid())
        if pool is None:
            pool = self._pools.setdefault(os.getpid(), Pool(partial(_client, self._address)))
        client = pool.take()
        quiet = requesting.set(True)
        try:
            return self._exchange(client, call, bound)
        finally:
            requesting.reset(quiet)
            unused = client if self._closed else pool.give(client)
            if unused is not None:
                unused.close()

    def _exchange(self, client: httpx.Client, call: Call, bound: Bound) -> Reply:
        with self._address.errors(client, call, bound):
            response = client.send(self._address.request(client, call, bound), stream=True)
            try:
                content = b"".join(_in_time(response.iter_bytes(), bound))
            finally:
                response.close()
        return Reply(response.status_code, response.headers, content)

    def close(self) -> None:
        """Close the connections, unless the client is the user's, and refuse further calls."""
        self._closed = True
        pool = self._pools.get(os.getpid())
        for client in list(pool.all) if pool else []:
            client.close()


class AsyncHttp(_Open):
    """Calls that are awaited. Safe to share between tasks; event loops share no connections."""

    def __init__(self, address: Address, client: httpx.AsyncClient | None) -> None:
        super().__init__(address, client)
        self._users = client

    async def send(self, call: Call) -> Reply:
        """Send a call and await its reply, or raise `TransportError`."""
        self._check(call, self._users)
        bound = self._address.bound(call)
        if self._users is not None:
            try:
                return await self._exchange(self._users, call, bound)
            except RuntimeError as error:
                raise UnusableClientError(
                    f"{call.method} {call.target} failed in http_client: {error}. If it was used "
                    "in another event loop before, make one in each"
                ) from error
        pool = (await self._here()).pool
        client = pool.take()
        quiet = requesting.set(True)
        try:
            return await self._exchange(client, call, bound)
        finally:
            requesting.reset(quiet)
            unused = client if self._closed else pool.give(client)
            if unused is not None:
                await unused.aclose()

    async def _exchange(self, client: httpx.AsyncClient, call: Call, bound: Bound) -> Reply:
        late = bound.seconds + SLACK
        with self._address.errors(client, call, bound), anyio.fail_after(late):
            response = await client.send(self._address.request(client, call, bound))
        return Reply(response.status_code, response.headers, response.content)

    async def _here(self) -> "_Here":
        """Give what this process has in this event loop."""
        all_here = _all_here.get(None)
        if all_here is None:
            _all_here.set(all_here := WeakKeyDictionary())
        here = all_here.get(self)
        if here is None or here.pid != os.getpid():
            pool = Pool(partial(_async_client, self._address))
            all_here[self] = here = _Here(os.getpid(), pool, _until_the_end(pool))
            await anext(here.end)
        return here

    async def aclose(self) -> None:
        """Close this event loop's connections, unless the client is the user's; refuse calls."""
        self._closed = True
        all_here = _all_here.get(None)
        if all_here is not None and self in all_here:
            await all_here.pop(self).end.aclose()


@frozen
class _Here:
    """The connections of one process in one event loop, and what ends them."""

    pid: int
    pool: Pool[httpx.AsyncClient]
    end: AsyncGenerator[None]


_all_here: RunVar[WeakKeyDictionary[AsyncHttp, _Here]] = RunVar("relay_sdk")


async def _until_the_end(pool: Pool[httpx.AsyncClient]) -> AsyncGenerator[None]:
    """Close connections when this is closed, or by the event loop when that ends."""
    pid = os.getpid()
    try:
        yield
    finally:
        if pid == os.getpid():
            with anyio.CancelScope(shield=True):
                for client in list(pool.all):
                    await client.aclose()


def _client(address: Address) -> httpx.Client:
    from relay_sdk._sockets import Backend  # httpcore is loaded only when there is a client

    client = httpx.Client(verify=address.tls())
    # There is no parameter for it where proxies are to be found in the environment.
    for transport in (client._transport, *client._mounts.values()):  # pyright: ignore[reportPrivateUsage]
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = Backend()  # pyright: ignore[reportPrivateUsage]
    return client


def _async_client(address: Address) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=address.tls())


def _in_time(chunks: Iterator[bytes], bound: Bound) -> Iterator[bytes]:
    for chunk in chunks:
        if bound.over:
            raise httpx.ReadTimeout("")
        yield chunk
