"""Parsing replies with httptools, the parser of Node.js, which uvicorn uses too."""

import sys
from collections.abc import Callable
from typing import TypeVarTuple

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from relay_sdk._base.flow import Response
from relay_sdk._http.body import BodyBuffer, build_response
from relay_sdk._http.errors import IncompleteReplyError, InvalidReplyError, RemoteProtocolError

MAX_HEAD_BYTES = 100 * 1024
"""The largest head of a reply, as in httpx."""

Ts = TypeVarTuple("Ts")
Callback = Callable[["ResponseParser", *Ts], None]


def _remember_error(callback: Callback[*Ts]) -> Callback[*Ts]:
    """Keep what a callback raises, or the handler of a signal during the callback.

    The parser raises an error of another type, whose context is the cause; but not if the call is
    made while another exception is handled, because Python sets that one as the context.
    """

    def call(self: "ResponseParser", /, *args: *Ts) -> None:
        try:
            callback(self, *args)
        except BaseException as error:
            self.callback_error = error
            raise

    return call


class ResponseParser:
    """Parses one reply; `response` is `None` until the reply is complete."""

    def __init__(self, method: str) -> None:
        self.response: Response | None = None
        self.keep_alive = False  # whether the connection can be used again
        self.callback_error: BaseException | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = BodyBuffer()
        self._has_body = method not in ("HEAD", "CONNECT")
        self._head_bytes: int | None = 0  # how many so far; `None` when the head is complete
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes | memoryview) -> None:
        """Parse what was received; `b""` signals the end of the connection."""
        if not data:
            self._end()
            return
        handled = sys.exception()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.keep_alive = False
            if isinstance(error, HttpParserCallbackError):
                # The context is what was raised before the first line of a callback, or `handled`.
                cause = self.callback_error or error.__context__
                raise error if cause is None or cause is handled else cause from None
            if self.response is None:
                raise RemoteProtocolError(error) from None
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise InvalidReplyError("its head is larger than 100 KiB")

    def _end(self) -> None:
        names = {name.lower() for name, _ in self._headers}
        if self._head_bytes is not None or names & {b"content-length", b"transfer-encoding"}:
            raise IncompleteReplyError
        self._finish(keep_alive=False)

    def _finish(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.response = build_response(self._parser.get_status_code(), self._headers, self._body)
        del self._parser  # it refers to this object

    @_remember_error
    def on_message_begin(self) -> None:
        self.keep_alive = False  # nothing may follow a complete reply
        if self.response is None:
            self._headers, self._head_bytes = [], 0

    @_remember_error
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_bytes is not None:  # trailers, after the content, are ignored
            self._headers.append((name, value))

    @_remember_error
    def on_headers_complete(self) -> None:
        if self.response is None and self._parser.get_status_code() >= 200:
            self._head_bytes = None
            if not self._has_body:
                self._finish(self._parser.should_keep_alive())

    @_remember_error
    def on_body(self, data: bytes) -> None:
        if self._has_body and self.response is None:
            self._body.add(data)
        else:
            self.keep_alive = False

    @_remember_error
    def on_message_complete(self) -> None:
        if self.response is None and self._head_bytes is None:
            self._finish(self._parser.should_keep_alive())
