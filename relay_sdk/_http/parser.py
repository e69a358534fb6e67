"""Reading a reply with httptools, the parser of Node.js, which uvicorn has too."""

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
from relay_sdk._http.base import CUT, Broken, Content, NotHttp, make_reply

HEAD = 100 * 1024
"""Bytes before the content at most, as httpx has it."""

Ts = TypeVarTuple("Ts")
Callback = Callable[["Reading", *Ts], None]


def _remembered(callback: Callback[*Ts]) -> Callback[*Ts]:
    """Remember what is raised while the parser calls, also by the handler of a signal.

    The parser raises an error of its own, whose context is the cause; but not if the call is made
    while another exception is handled, which Python sets as the context then.
    """

    def call(self: "Reading", /, *args: *Ts) -> None:
        try:
            callback(self, *args)
        except BaseException as error:
            self.raised = error
            raise

    return call


class Reading:
    """What the parser finds; `reply` is there when it is whole."""

    def __init__(self, method: str) -> None:
        self.reply: Response | None = None
        self.keep = False  # whether the connection can be used again
        self.raised: BaseException | None = None  # while the parser called
        self._headers: list[tuple[bytes, bytes]] = []
        self._content = Content()
        self._has_content = method not in ("HEAD", "CONNECT")
        self._head: int | None = 0  # bytes of it so far, until it is whole
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes | memoryview) -> None:
        """Read some bytes; none are the end of the connection."""
        if not data:
            self._end()
            return
        handled = sys.exception()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.keep = False
            if isinstance(error, HttpParserCallbackError):
                # The context is what came before the first line of a method, or just `handled`.
                cause = self.raised or error.__context__
                raise error if cause is None or cause is handled else cause from None
            if self.reply is None:
                raise NotHttp(str(error)) from None
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD:
                raise Broken("the head of the reply is larger than 100 KiB")

    def _end(self) -> None:
        names = {name.lower() for name, _ in self._headers}
        if self._head is not None or names & {b"content-length", b"transfer-encoding"}:
            raise Broken(CUT)
        self._finish(keep=False)

    def _finish(self, keep: bool) -> None:
        self.keep = keep
        self.reply = make_reply(self._parser.get_status_code(), self._headers, self._content)
        del self._parser  # it refers to this

    @_remembered
    def on_message_begin(self) -> None:
        self.keep = False  # after a whole reply nothing may come
        if self.reply is None:
            self._headers, self._head = [], 0

    @_remembered
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is not None:  # what comes after the content is left
            self._headers.append((name, value))

    @_remembered
    def on_headers_complete(self) -> None:
        if self.reply is None and self._parser.get_status_code() >= 200:
            self._head = None
            if not self._has_content:
                self._finish(self._parser.should_keep_alive())

    @_remembered
    def on_body(self, data: bytes) -> None:
        if self._has_content and self.reply is None:
            self._content.add(data)
        else:
            self.keep = False

    @_remembered
    def on_message_complete(self) -> None:
        if self.reply is None and self._head is None:
            self._finish(self._parser.should_keep_alive())
