"""Exchanges through the user's own client, of httpx or httpx2.

Only this module uses the names of the classes of these libraries. They are compared as strings,
because neither library has to be installed, and each has its own classes.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

import anyio

from relay_sdk._base.flow import Request, Response
from relay_sdk._base.fork import process_id
from relay_sdk._http.address import Address
from relay_sdk._http.body import BodyBuffer
from relay_sdk._http.connecting import connect_error
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.errors import (
    ClientClosedError,
    ConnectError,
    ConnectTimeout,
    EventLoopError,
    ForkedClientError,
    HttpError,
    IncompleteReplyError,
    InvalidReplyError,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    WriteError,
    root_cause,
)

HTTPCORE_HEAD_START = 0.1
"""Seconds by which httpcore's timeouts come first: it leaves sockets open if it is cancelled."""

PHASES = ("pool", "connect", "write", "read")

ERRORS: dict[str, type[HttpError]] = {
    "PoolTimeout": PoolTimeout,
    "ConnectTimeout": ConnectTimeout,
    "ProxyError": ProxyError,
    "ConnectError": ConnectError,
    "TimeoutError": ReadTimeout,
    "TimeoutException": ReadTimeout,
    "WriteError": WriteError,
    "ReadError": ReadError,
    "RemoteProtocolError": RemoteProtocolError,
    "DecodingError": InvalidReplyError,
    "HTTPError": HttpError,
}
"""Which error is raised for one of httpx, by the name of its class or of a base class."""


class HttpxResponse(Protocol):
    """A response of httpx or httpx2."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Return the content as it arrives, unpacked."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Return the content as it arrives, for tasks."""
        ...


class HttpClient(Protocol):
    """An `httpx.Client` or an `httpx2.Client`."""

    @property
    def is_closed(self) -> bool: ...

    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: dict[str, str],
        follow_redirects: bool, extensions: dict[str, Any],
    ) -> AbstractContextManager[HttpxResponse]:  # fmt: skip
        """Send a request."""
        ...


class AsyncHttpClient(Protocol):
    """An `httpx.AsyncClient` or an `httpx2.AsyncClient`."""

    @property
    def is_closed(self) -> bool: ...

    def stream(
        self, method: str, url: str, *, content: bytes | None, headers: dict[str, str],
        follow_redirects: bool, extensions: dict[str, Any],
    ) -> AbstractAsyncContextManager[HttpxResponse]:  # fmt: skip
        """Send a request."""
        ...


C = TypeVar("C", HttpClient, AsyncHttpClient)


class _BaseTransport(Generic[C]):
    """The parts of an exchange that do not wait."""

    def __init__(self, address: Address, client: C) -> None:
        # A login of the client may be sent in place of the token.
        login = "authorization" in getattr(client, "headers", ()) or getattr(client, "auth", None)
        if address.has_token and login:
            raise ValueError("a token and a login in http_client exclude each other")
        self._address = address
        self._client: C = client
        self._pid: int | None = None  # of the process that used the client first

    def _start(self, request: Request, timeouts: "_Timeouts") -> dict[str, Any]:
        """Return the arguments of the client's `stream`."""
        self._pid = self._pid or process_id()
        if self._pid != process_id():
            raise ForkedClientError(request)
        return {
            "method": request.method,
            "url": self._address.url + request.target,
            "headers": {**self._address.headers, **request.headers},
            "content": request.content,
            "follow_redirects": False,
            "extensions": {"timeout": timeouts},
        }


class HttpxTransport(_BaseTransport[HttpClient]):
    """Makes exchanges through a client that blocks. Closing it is up to the user."""

    def __init__(self, address: Address, client: HttpClient) -> None:
        _check_methods(client, "Client", "close")
        super().__init__(address, client)

    def exchange(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for the reply."""
        timeouts = _Timeouts(deadline)
        try:
            with self._client.stream(**self._start(request, timeouts)) as response:
                body = BodyBuffer()
                for chunk in response.iter_bytes():
                    deadline.remaining()  # httpx has no timeout for the whole reply
                    body.add(chunk)
            return Response(response.status_code, response.headers, b"".join(body.chunks))
        except HttpError:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and self._client.is_closed:
                raise ClientClosedError(request) from error
            if translated := timeouts.translate_error(error):
                raise translated from _root_cause(error)
            raise


class AsyncHttpxTransport(_BaseTransport[AsyncHttpClient]):
    """Makes exchanges through a client for tasks. Closing it is up to the user."""

    def __init__(self, address: Address, client: AsyncHttpClient) -> None:
        _check_methods(client, "AsyncClient", "aclose")
        super().__init__(address, client)

    async def exchange(self, request: Request, deadline: Deadline) -> Response:
        """Send a request and wait for the reply."""
        timeouts = _Timeouts(deadline)
        try:
            with anyio.fail_after(deadline.timeout + HTTPCORE_HEAD_START):
                async with self._client.stream(**self._start(request, timeouts)) as response:
                    body = BodyBuffer()
                    async for chunk in response.aiter_bytes():
                        body.add(chunk)
            return Response(response.status_code, response.headers, b"".join(body.chunks))
        except HttpError:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and self._client.is_closed:
                raise ClientClosedError(request) from error
            # httpx's connections belong to one event loop, and raise this in a second one. A
            # subclass, such as NotImplementedError, is a bug.
            if type(error) is RuntimeError:
                raise EventLoopError(request, error) from error
            if translated := timeouts.translate_error(error):
                raise translated from _root_cause(error)
            raise


class _Timeouts(Mapping[str, float]):
    """The timeouts of one request, which httpx reads as each phase begins.

    So no phase begins with more time than is left for the exchange, and it is known whether
    something was sent.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._phases = set[str]()

    def __getitem__(self, phase: str) -> float:
        if phase not in PHASES:
            raise KeyError(phase)
        self._phases.add(phase)
        try:
            return self._deadline.remaining()
        except TimeoutError:
            return 0.0

    def __iter__(self) -> Iterator[str]:
        return iter(PHASES)

    def __len__(self) -> int:
        return len(PHASES)

    @property
    def may_be_sent(self) -> bool:
        """Whether the server may have seen the request.

        A transport of the user's own that reads no timeouts may have sent it.
        """
        return not self._phases or not self._phases.isdisjoint(("write", "read"))

    def translate_error(self, error: Exception) -> HttpError | None:
        """Return what an error of httpx means, or `None` if it is not about the exchange."""
        names = (base.__name__ for base in type(error).__mro__)
        kind = next((ERRORS[name] for name in names if name in ERRORS), None)
        if kind is None:
            return None
        cause = _root_cause(error)
        # With a timeout of 0, httpcore makes the socket non-blocking, which raises another error.
        if self._deadline.expired and kind not in (PoolTimeout, ConnectTimeout, ProxyError):
            kind = ReadTimeout if self.may_be_sent else ConnectTimeout
        if kind is RemoteProtocolError and "peer closed" in str(cause):
            kind = IncompleteReplyError
        detail = str(cause) or type(cause).__name__
        translated = connect_error(cause) if kind is ConnectError else kind(detail)
        translated.sent = kind.sent and self.may_be_sent
        return translated


def _root_cause(error: BaseException) -> BaseException:
    cause = root_cause(error)
    # httpcore hides the causes of its errors.
    while type(cause).__module__.startswith("httpcore") and cause.__context__ is not None:
        cause = root_cause(cause.__context__)
    return cause


def _check_methods(client: object, kind: str, close: str) -> None:
    if not (hasattr(client, "stream") and hasattr(client, close)):
        raise TypeError(f"http_client must be an httpx.{kind}, not {client!r}")
