"""Hostile replies raise an error within the timeout, and use little memory."""

import gzip
import socketserver
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import repeat
from typing import Any

import httpx
import pytest

from relay_sdk import Backoff, TransportError

from ..support.fixtures import Connect, Kind
from ..support.sync_async import AnyClient, entered, maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

ONCE = Backoff(retries=0)
LARGEST = 1_000_000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
PIECE = b" " * 65536

ANSWERS: dict[str, tuple[bytes, Iterable[bytes]]] = {
    "chunks without end": (CHUNKED, repeat(b"10000\r\n" + PIECE + b"\r\n")),
    "content without end": (OK + b"\r\n", repeat(PIECE)),
    "a gigabyte": (OK + b"content-length: 1000000000\r\n\r\n", repeat(PIECE)),
    "a gigabyte that does not come": (OK + b"content-length: 1000000000\r\n\r\n[", ()),
    "content that unpacks to 100 MB": (
        OK + b"content-encoding: gzip\r\n\r\n", [gzip.compress(bytes(100_000_000), 1)]
    ),
    "packed chunks without end": (
        OK + b"content-encoding: gzip\r\n\r\n", repeat(gzip.compress(PIECE)[:-8])
    ),
    "headers without end": (OK, repeat(b"x: y\r\n" * 1000)),
    "a header without end": (OK + b"x: ", repeat(PIECE)),
    "interim replies without end": (b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)),
    "a chunk with a wrong size": (CHUNKED, [b"xyz\r\n[]\r\n0\r\n\r\n"]),
    "a chunk beyond 64 bits": (CHUNKED, [b"10000000000000002\r\n[]\r\n0\r\n\r\n"]),
    "a chunk that is longer than its size": (CHUNKED, [b"1\r\n[]\r\n0\r\n\r\n"]),
    "chunks that end early": (CHUNKED, [b"2\r\n[", b""]),
}  # fmt: skip


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True  # a client's event loop may close its socket after this has ended


@contextmanager
def answering(head: bytes, rest: Iterable[bytes]) -> Iterator[str]:
    """Send this to each client, and then nothing until the client closes the connection."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.recv(65536)
                self.request.sendall(head)
                for piece in rest:
                    if over.is_set() or not piece:
                        return
                    self.request.sendall(piece)
                while self.request.recv(65536):
                    pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.fixture(params=["the SDK", "a client of httpx", "a client of httpx2"])
def way(request: pytest.FixtureRequest) -> str:
    """Return the name of the library that sends the requests."""
    way: str = request.param
    return way


@asynccontextmanager
async def connected(way: str, kind: Kind, connect: Connect, url: str) -> AsyncIterator[AnyClient]:
    options: dict[str, Any] = {"api": "v2", "timeout": 0.3, "retry_backoff": ONCE}
    if not way.startswith("a client"):
        yield connect(url, **options)
        return
    library: Any = httpx if way.endswith("httpx") else pytest.importorskip("httpx2")
    make = library.Client if kind == "sync" else library.AsyncClient
    async with entered(make(verify=False)) as own:
        yield connect(url, http_client=own, **options)


@pytest.mark.parametrize(("head", "rest"), ANSWERS.values(), ids=ANSWERS)
async def test_a_hostile_reply_raises_an_error(
    head: bytes,
    rest: Iterable[bytes],
    way: str,
    kind: Kind,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "trio" and way == "a client of httpx2":
        pytest.skip("httpx again")
    if not head and kind == "sync" and way.startswith("a client"):
        pytest.skip("documented: httpx reads a head without reading the timeouts again")
    monkeypatch.setattr("relay_sdk._http.body.MAX_BODY_BYTES", LARGEST)
    with answering(head, rest) as url:
        async with connected(way, kind, connect, url) as relay:
            with pytest.raises(TransportError, match="queue 'emails'") as raised:
                await maybe_await(relay.get("emails", "x"))
    assert raised.value.sent
