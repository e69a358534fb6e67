"""HTTP/1.1 on a connection: requests in, one after another, and their answers out."""

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

from . import answers
from .answers import BackendError, Response
from .app import Request, without_body
from .call import BODY_LIMIT
from .connections import HEAD_TIME, IDLE, STILL, Connections
from .routes import backend_error

log: logging.Logger = logging.getLogger("relay_sdk.local")

HEAD = 64 * 1024
"""Bytes of a request's head: the longest keys fit, percent-encoded."""

HEADER = 32
"""Bytes that a header counts for beside its text."""

AHEAD = 64
"""Requests that a client may send at once, before it has the answer to the first."""

AHEAD_SIZE = 16 * 1024
"""Bytes that it may send while one is answered."""

_NOT_HTTP = answers.plain(400, "This is no HTTP request.")
_LONG_HEAD = answers.plain(431, "The head of the request is too long.")

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class _Stop(Exception):
    """The rest of what came is not read."""


class Exchange:
    """A request, and the way for its answer."""

    __slots__ = ("_connection", "_started", "request", "when_gone")

    def __init__(self, request: Request, connection: "Connection") -> None:
        self.request: Request = request
        self.when_gone: Callable[[], None] | None = None
        self._connection = connection
        self._started = perf_counter()

    def answer(self, response: Response, more: str = "") -> None:
        """Send the answer, with more lines in its head, unless the client has gone."""
        if not self.request.gone:
            self._connection.answer(response, more)
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "%s %s %d %.1f ms",
                self.request.method,
                self.request.target,
                response.status,
                (perf_counter() - self._started) * 1000,
            )


class Connection(asyncio.Protocol):
    """Hands each request to `take`, and does not begin the next before it is answered."""

    def __init__(self, connections: Connections, take: Callable[[Exchange], None]) -> None:
        self.since: float = 0.0
        self.held: int = 0
        self._connections = connections
        self._take = take
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._current: Exchange | None = None
        self._queue: deque[Request] = deque()  # what came with the same read
        self._ahead = b""  # what came while a request was answered
        self._bodies = 0  # bytes of those that are not answered yet
        self._unread = False  # the client does not read its answers
        self._advancing = False
        self._stopping = False  # after the request that has come in part
        self._closing = False  # after the answers to what has come
        self._last: Response | None = None  # to what cannot be read
        self._begun = False
        self._in_body = False
        self._head = 0  # bytes of it that came in whole reads
        self._size = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []

    # The loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base
        self.since = monotonic()
        self._connections.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._queue.clear()
        self._chunks = []
        self._ahead = b""
        if self._current is not None:
            exchange, self._current = self._current, None
            exchange.request.gone = True
            if exchange.when_gone is not None:
                exchange.when_gone()
        self._connections.remove(self)

    def pause_writing(self) -> None:
        self._unread = True
        self.since = monotonic()
        self._account()

    def resume_writing(self) -> None:
        self._unread = False
        self._account()
        self._advance()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._current is not None or self._unread:
            self._ahead += data
            self._transport.pause_reading()
            if len(self._ahead) > AHEAD_SIZE:
                self._transport.abort()
        else:
            self._read(data)
            self._advance()

    # The parser calls these.

    def on_message_begin(self) -> None:
        if len(self._queue) == AHEAD:
            self._closing = True
            raise _Stop
        self._begun = True
        self._size = 0
        self._url = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + HEADER
        if self._size > HEAD:
            raise _Stop
        key = name.decode("latin-1").lower()
        if key not in self._headers:
            self._headers[key] = value.decode("latin-1")
        elif key == "prefer":
            self._headers[key] += "," + value.decode("latin-1")
        elif key == "host":
            raise _Stop  # which of two was checked is not to be a question

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._size = 0
        if self._headers.get("expect", "").lower() == "100-continue" and not self._queue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        # What is over the limit is read and forgotten: a client that is still sending would not
        # see its answer.
        if chunk := body[: BODY_LIMIT + 1 - self._size]:
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._bodies += len(chunk)

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
            raise _Stop

    # Its server calls these.

    @property
    def unused(self) -> bool:
        return self._current is None and not self._begun and not self._unread

    def patience(self) -> float:
        if self._unread:
            return STILL
        if self._current is not None:
            return inf
        if self._in_body:
            return STILL
        return HEAD_TIME if self._begun else IDLE

    def answer(self, response: Response, more: str) -> None:
        """Answer the request at hand, and go on with the next."""
        if self._current is None:
            raise RuntimeError("there is no request to answer")
        request, self._current = self._current.request, None
        self._bodies -= len(request.body)
        self._write(without_body(request, response), more)
        self._account()
        self._advance()

    def stop(self) -> None:
        self._stopping = True
        if self._current is not None or self._queue:
            self._closing = True
        elif not self._in_body:
            self._transport.close()

    def give_up(self, why: str) -> None:
        if self._unread or self._current is not None:
            self._transport.abort()
            return
        self._closing = True
        if self._in_body:
            trouble = BackendError(why, retryable=True)
            self._write(backend_error(_target(self._url), trouble))
        elif self._begun:
            self._write(answers.plain(408, why))
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _read(self, data: bytes) -> None:
        if not self._begun or self._in_body:
            self.since = monotonic()
        before = len(self._queue)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._closing = True  # it stays HTTP/1.1, and what follows is not
        except httptools.HttpParserError:
            if not self._closing:
                self._closing = True
                self._last = _LONG_HEAD if self._size > HEAD and not self._in_body else _NOT_HTTP
        else:
            self._head = self._head + len(data) if self._begun and not self._in_body else 0
            if len(self._queue) > before:
                self._head = 0  # an unknown part of the read
            if self._head > HEAD:
                self._closing = True
                self._last = _LONG_HEAD
        self._account()

    def _advance(self) -> None:
        if self._advancing:  # it is this loop's own request that was answered at once
            return
        self._advancing = True
        while self._current is None and not self._unread:
            if self._queue:
                self._current = exchange = Exchange(self._queue.popleft(), self)
                try:
                    self._take(exchange)
                except Exception:
                    log.exception("Cannot take %s", ascii(exchange.request.target))
                    exchange.answer(answers.fault())
            elif self._closing:
                if self._last is not None:
                    last, self._last = self._last, None
                    self._write(last)
                self._transport.close()
                break
            elif self._ahead:
                data, self._ahead = self._ahead, b""
                self._transport.resume_reading()
                self._read(data)
            else:
                break
        self._advancing = False

    def _write(self, response: Response, more: str = "") -> None:
        lines = "".join([f"{name}: {value}\r\n" for name, value in response.headers.items()])
        close = "connection: close\r\n" if self._closing and not self._queue else ""
        head = f"{_STATUS[response.status]}{_date(int(time()))}{lines}{more}{close}\r\n"
        self.since = monotonic()
        self._transport.write(head.encode("latin-1") + response.body)

    def _account(self) -> None:
        unread = self._transport.get_write_buffer_size() if self._unread else 0
        if self._bodies + unread != self.held:
            self._connections.hold(self, self._bodies + unread)


def _target(url: bytes) -> str:
    if not url.startswith(b"/") and b"://" in url:
        parts = urlsplit(url)
        url = parts.path + (b"?" + parts.query if parts.query else b"")
    return url.decode("ascii")  # the parser takes nothing else


@lru_cache(1)
def _date(second: int) -> str:
    return f"date: {formatdate(second, usegmt=True)}\r\n"
