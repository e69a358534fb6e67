"""The app behind an ASGI server."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Literal, Required, TypedDict

from .answers import BackendError, Response
from .app import App, Request
from .call import BODY_LIMIT
from .routes import backend_error

log: logging.Logger = logging.getLogger("relay_sdk.local")


class Scope(TypedDict):
    """What is read of a request's head."""

    type: str
    method: str
    raw_path: bytes
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]


class Received(TypedDict, total=False):
    """A part of a request's body, or the news that the client has gone."""

    type: Required[str]
    body: bytes
    more_body: bool


class Start(TypedDict):
    """The head of an answer."""

    type: Literal["http.response.start"]
    status: int
    headers: list[tuple[bytes, bytes]]


class Body(TypedDict):
    """The whole body of an answer."""

    type: Literal["http.response.body"]
    body: bytes


Receive = Callable[[], Awaitable[Received]]
Send = Callable[[Start | Body], Awaitable[None]]


class Asgi:
    """Answers the requests of one event loop.

    Those that arrive in the same turn of the loop share a transaction, and so wait for the disk
    once. While it waits, more arrive.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._waiting: list[tuple[Request, asyncio.Future[Response]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"cannot serve {scope['type']}")
        started = perf_counter()
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        try:
            body = await _read(receive)
        except asyncio.CancelledError:
            response = backend_error(target.decode("latin-1"), _STOPPING)
        else:
            if body is None:
                return
            response = await self._answer(
                Request(
                    scope["method"],
                    target.decode("utf-8", "surrogateescape"),
                    _headers(scope["headers"]),
                    body,
                )
            )
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": response.body})
        log.debug(
            "%s %s %d %.1f ms",
            scope["method"],
            target.decode("ascii", "backslashreplace"),
            response.status,
            (perf_counter() - started) * 1000,
        )

    async def _answer(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer_all)
        answer: asyncio.Future[Response] = loop.create_future()
        self._waiting.append((request, answer))
        return await answer

    def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        responses = self._app.answer([request for request, _ in waiting])
        for (_, answer), response in zip(waiting, responses, strict=True):
            if not answer.done():
                answer.set_result(response)


_STOPPING = BackendError("the server stops, and the request did not end", retryable=True)


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Keep the first of each name."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers


async def _read(receive: Receive) -> bytes | None:
    """Read the body, one byte over the limit at most; None when the client has gone.

    What is longer is read and forgotten: a client that is still sending would not see its answer.
    """
    chunks: list[bytes] = []
    room = BODY_LIMIT + 1
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        if chunk := message.get("body", b"")[:room]:
            chunks.append(chunk)
            room -= len(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
