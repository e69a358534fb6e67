"""An HTTP/1.1 connection: it reads requests one after another, and sends their responses."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from math import inf
from time import monotonic, perf_counter, time
from typing import cast
from urllib.parse import urlsplit

import httptools
from typing_extensions import override

from . import responses
from .connections import HEAD_TIMEOUT, IDLE_TIMEOUT, STALL_TIMEOUT, Connections
from .context import MAX_BODY_BYTES
from .exceptions import BackendError
from .request import Request, without_body
from .responses import Response
from .routes import backend_error

log: logging.Logger = logging.getLogger("relay_sdk.local")

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of the head of a request; the longest keys fit, percent-encoded."""

HEADER_OVERHEAD_BYTES = 32
"""Bytes that each header counts in addition to its text."""

MAX_PIPELINED_REQUESTS = 64
"""Requests that a client may send at once, before it has the response to the first."""

MAX_READ_AHEAD_BYTES = 16 * 1024
"""Bytes that a client may send while a request is answered."""

_NOT_HTTP = responses.plain(400, "This is not an HTTP request.")
_LONG_HEAD = responses.plain(431, "The head of the request is too long.")

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class _StopParsing(Exception):
    """The parser must not parse the rest of the data."""


class Exchange:
    """A request, and the connection that its response goes to."""

    __slots__ = ("_connection", "_started", "request", "when_gone")

    def __init__(self, request: Request, connection: "HttpConnection") -> None:
        self.request: Request = request
        self.when_gone: Callable[[], None] | None = None
        self._connection = connection
        self._started = perf_counter()

    def answer(self, response: Response, more_headers: str = "") -> None:
        """Send the response with more header lines, unless the client has disconnected."""
        if not self.request.client_gone:
            self._connection.answer(response, more_headers)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "%s %s %d %.1f ms",
                self.request.method,
                self.request.target,
                response.status,
                (perf_counter() - self._started) * 1000,
            )


class HttpConnection(asyncio.Protocol):
    """Passes each request to `handle`, and starts the next one when it is answered."""

    def __init__(self, connections: Connections, handle: Callable[[Exchange], None]) -> None:
        self.last_activity: float = 0.0
        self.buffered: int = 0
        self._connections = connections
        self._handle = handle
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._current: Exchange | None = None
        self._queue: deque[Request] = deque()  # further requests of the same read
        self._read_ahead = b""  # data that came while a request was answered
        self._body_bytes = 0  # of the requests that are not answered yet
        self._unread = False  # the client does not read its responses
        self._advancing = False
        self._stopping = False  # close after the request that has arrived in part
        self._closing = False  # close after the responses to the requests that have arrived
        self._last: Response | None = None  # the response to data that cannot be parsed
        self._begun = False
        self._in_body = False
        self._head_bytes = 0  # of the reads that had nothing but the head
        self._size = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.Transport", transport
        )  # uvloop's transports do not inherit from it
        self.last_activity = monotonic()
        self._connections.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._queue.clear()
        self._chunks = []
        self._read_ahead = b""
        if self._current is not None:
            exchange, self._current = self._current, None
            exchange.request.client_gone = True
            if exchange.when_gone is not None:
                exchange.when_gone()
        self._connections.remove(self)

    def pause_writing(self) -> None:
        self._unread = True
        self.last_activity = monotonic()
        self._update_buffered()

    def resume_writing(self) -> None:
        self._unread = False
        self._update_buffered()
        self._advance()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._current is not None or self._unread:
            self._read_ahead += data
            self._transport.pause_reading()
            if len(self._read_ahead) > MAX_READ_AHEAD_BYTES:
                self._transport.abort()
        else:
            self._read(data)
            self._advance()

    # Called by the parser.

    def on_message_begin(self) -> None:
        if len(self._queue) == MAX_PIPELINED_REQUESTS:
            self._closing = True
            raise _StopParsing
        self._begun = True
        self._size = 0
        self._url = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + HEADER_OVERHEAD_BYTES
        if self._size > MAX_HEAD_BYTES:
            raise _StopParsing
        key = name.decode("latin-1").lower()
        if key not in self._headers:
            self._headers[key] = value.decode("latin-1")
        elif key == "prefer":
            self._headers[key] += "," + value.decode("latin-1")
        elif key == "host":
            raise _StopParsing  # with two hosts it would be unclear which of them was checked

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._size = 0
        if self._headers.get("expect", "").lower() == "100-continue" and not self._queue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        # Data over the limit is read and dropped: a client that is still sending would not see its
        # response.
        if chunk := body[: MAX_BODY_BYTES + 1 - self._size]:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._body_bytes += len(chunk)

    def on_message_complete(self) -> None:
        self._begun = self._in_body = False
        method = self._parser.get_method().decode("latin-1")
        body, self._chunks = b"".join(self._chunks), []
        self._queue.append(Request(method, _target(self._url), self._headers, body))
        if (
            self._stopping
            or not self._parser.should_keep_alive()
            or self._parser.get_http_version() != "1.1"
        ):
            self._closing = True
            raise _StopParsing

    # Called by the server.

    @property
    def unused(self) -> bool:
        return self._current is None and not self._begun and not self._unread

    def timeout(self) -> float:
        if self._unread:
            return STALL_TIMEOUT
        if self._current is not None:
            return inf
        if self._in_body:
            return STALL_TIMEOUT
        return HEAD_TIMEOUT if self._begun else IDLE_TIMEOUT

    def answer(self, response: Response, more_headers: str) -> None:
        """Answer the current request, and start the next one."""
        if self._current is None:
            raise RuntimeError("there is no request to answer")
        request, self._current = self._current.request, None
        self._body_bytes -= len(request.body)
        self._write(without_body(request, response), more_headers)
        self._update_buffered()
        self._advance()

    def stop(self) -> None:
        self._stopping = True
        if self._current is not None or self._queue:
            self._closing = True
        elif not self._in_body:
            self._transport.close()

    def close_with_error(self, reason: str) -> None:
        if self._unread or self._current is not None:
            self._transport.abort()
            return
        self._closing = True
        if self._in_body:
            error = BackendError(reason, retryable=True)
            self._write(backend_error(_target(self._url), error))
        elif self._begun:
            self._write(responses.plain(408, reason))
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _read(self, data: bytes) -> None:
        if not self._begun or self._in_body:
            self.last_activity = monotonic()
        before = len(self._queue)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._closing = True  # the server stays at HTTP/1.1, but the data that follows may not
        except httptools.HttpParserError:
            if not self._closing:
                self._closing = True
                self._last = (
                    _LONG_HEAD if self._size > MAX_HEAD_BYTES and not self._in_body else _NOT_HTTP
                )
        else:
            self._head_bytes = (
                self._head_bytes + len(data) if self._begun and not self._in_body else 0
            )
            if len(self._queue) > before:
                self._head_bytes = 0  # an unknown part of this read belongs to the next head
            if self._head_bytes > MAX_HEAD_BYTES:
                self._closing = True
                self._last = _LONG_HEAD
        self._update_buffered()

    def _advance(self) -> None:
        if self._advancing:  # called from the loop below, for a request that was answered at once
            return
        self._advancing = True
        while self._current is None and not self._unread:
            if self._queue:
                self._current = exchange = Exchange(self._queue.popleft(), self)
                try:
                    self._handle(exchange)
                except Exception:
                    log.exception("Cannot handle %s", ascii(exchange.request.target))
                    exchange.answer(responses.server_error())
            elif self._closing:
                if self._last is not None:
                    last, self._last = self._last, None
                    self._write(last)
                self._transport.close()
                break
            elif self._read_ahead:
                data, self._read_ahead = self._read_ahead, b""
                self._transport.resume_reading()
                self._read(data)
            else:
                break
        self._advancing = False

    def _write(self, response: Response, more_headers: str = "") -> None:
        lines = "".join([f"{name}: {value}\r\n" for name, value in response.headers.items()])
        close = "connection: close\r\n" if self._closing and not self._queue else ""
        head = f"{_STATUS[response.status]}{_date(int(time()))}{lines}{more_headers}{close}\r\n"
        self.last_activity = monotonic()
        self._transport.write(head.encode("latin-1") + response.body)

    def _update_buffered(self) -> None:
        unread = self._transport.get_write_buffer_size() if self._unread else 0
        if self._body_bytes + unread != self.buffered:
            self._connections.set_buffered(self, self._body_bytes + unread)


def _target(url: bytes) -> str:
    if not url.startswith(b"/") and b"://" in url:
        parts = urlsplit(url)
        url = parts.path + (b"?" + parts.query if parts.query else b"")
    return url.decode("ascii")  # the parser accepts nothing else


@lru_cache(1)
def _date(second: int) -> str:
    return f"date: {formatdate(second, usegmt=True)}\r\n"
