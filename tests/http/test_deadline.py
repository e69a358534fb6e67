"""One deadline holds for a whole exchange, whatever the server does."""

import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress

import anyio
import httpx
import pytest

from relay_sdk import Backoff, Client, Queue, TransportError
from relay_sdk._base.flow import Request
from relay_sdk._http.address import Address
from relay_sdk._http.client import AsyncHttp, Http
from relay_sdk._http.errors import HttpError

from ..support.fixtures import Connect, Kind
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import AnyClient, entered, maybe_await

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(30),
]

ONCE = Backoff(retries=0)
LONG = b"a" * 5000
BODY = http("200 OK", LONG)
HEAD = BODY.index(b"\r\n\r\n") + 4

# At a byte each 50 ms, each of these takes minutes.
TRICKLES = {
    "in the head": b"HTTP/1.1 200 OK\r\nx: " + LONG,
    "before the head": b"HTTP/1.1 100 Continue\r\n\r\n" * 200,
    "in the body": BODY,
}


async def times_out(connect: Connect, url: str, sent: bool, **options: object) -> None:
    relay = connect(url, api="v2", timeout=0.3, retry_backoff=ONCE, **options)
    with pytest.raises(
        TransportError, match=r"queue 'emails'.*no (whole|conn).* within 0.3 s"
    ) as got:
        await maybe_await(relay.get("emails", "x"))
    assert got.value.sent is sent
    assert got.value.__cause__ is not None


@pytest.mark.parametrize("answer", TRICKLES.values(), ids=TRICKLES)
async def test_a_reply_that_arrives_slowly_times_out(connect: Connect, answer: bytes) -> None:
    with ScriptedServer(answer, pace=0.05 if answer is not BODY else 0.003) as server:
        await times_out(connect, server.url, sent=True)


async def test_a_reply_that_stops_after_its_first_byte_times_out(connect: Connect) -> None:
    """The next byte would come after the deadline."""
    with ScriptedServer(BODY, pace=60) as server:
        await times_out(connect, server.url, sent=True)


@pytest.mark.parametrize(("scheme", "sent"), [("http", True), ("https", False)])
async def test_a_server_that_accepts_and_sends_nothing_times_out(
    connect: Connect, scheme: str, sent: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        await times_out(connect, f"{scheme}://127.0.0.1:{port}", sent)


async def test_a_request_is_not_sent_while_the_server_does_not_accept(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        address = full.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        await times_out(connect, f"http://127.0.0.1:{address[1]}", sent=False)


@pytest.mark.parametrize("piece", [0, 500], ids=["not at all", "slowly"])
async def test_a_request_that_is_not_read_times_out(connect: Connect, piece: int) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def read() -> None:
            with slow.accept()[0] as connection, suppress(OSError):
                while not over.wait(0.01):
                    connection.recv(piece)

        reader = threading.Thread(target=read)
        reader.start()
        relay = connect(
            f"http://127.0.0.1:{slow.getsockname()[1]}",
            api="v2", timeout=0.3, retry_backoff=ONCE,
        )  # fmt: skip
        try:
            with pytest.raises(TransportError, match=r"no whole reply within 0.3 s") as got:
                await maybe_await(relay.enqueue(Queue("emails").job("x", "a" * 20_000_000)))
        finally:
            over.set()
            reader.join()
    assert got.value.sent


@asynccontextmanager
async def own(kind: Kind, **options: object) -> AsyncIterator[httpx.Client | httpx.AsyncClient]:
    client = (httpx.Client if kind == "sync" else httpx.AsyncClient)(**options)  # type: ignore[arg-type]
    async with entered(client):
        yield client


@pytest.mark.parametrize("answer", TRICKLES.values(), ids=TRICKLES)
async def test_a_slow_reply_to_an_own_http_client_times_out(
    kind: Kind, connect: Connect, answer: bytes
) -> None:
    if kind == "sync" and answer is not BODY:
        pytest.skip("documented: httpx reads a head without reading the timeouts again")
    async with own(kind) as client:
        with ScriptedServer(answer, pace=0.05 if answer is not BODY else 0.003) as server:
            await times_out(connect, server.url, True, http_client=client)


async def test_a_request_can_have_its_own_timeout(kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(f"http://127.0.0.1:{silent.getsockname()[1]}", 3600, None)
        call = Request("GET", "/health", timeout=0.2)
        with pytest.raises(HttpError, match=r"no whole reply within 0.2 s"):
            if kind == "sync":
                client = Http(address, None)
                try:
                    client.send(call)
                finally:
                    client.close()
            else:
                aclient = AsyncHttp(address, None)
                try:
                    await aclient.send(call)
                finally:
                    await aclient.aclose()


@asynccontextmanager
async def hanging(relay: AnyClient, server: ScriptedServer, calls: int) -> AsyncIterator[None]:
    """Make calls that get no answer before the server ends."""

    async def hang() -> None:
        with pytest.raises(TransportError):
            await maybe_await(relay.exists("emails", "x"))

    async with anyio.create_task_group() as tasks:
        with ThreadPoolExecutor(calls) as threads:
            for _ in range(calls):
                if isinstance(relay, Client):
                    threads.submit(relay.exists, "emails", "x")
                else:
                    tasks.start_soon(hang)
            while len(server.requests) < calls:
                await anyio.sleep(0.01)
            yield
            server.hang_up()


async def test_a_request_that_waits_for_a_place_in_the_pool_is_not_sent(
    kind: Kind, connect: Connect
) -> None:
    """Only an own http_client has a limit of connections."""
    async with own(kind, limits=httpx.Limits(max_connections=1)) as client:
        with ScriptedServer(None) as server:
            relay = connect(server.url, api="v2", http_client=client, retry_backoff=ONCE)
            async with hanging(relay, server, 1):
                await times_out(connect, server.url, False, http_client=client)


async def test_calls_that_hang_do_not_block_others(kind: Kind, connect: Connect) -> None:
    """There are more of them than httpx's limit of 100."""
    with ScriptedServer(*[None] * 120, http("200 OK")) as server:
        relay = connect(server.url, api="v2", timeout=20, retry_backoff=ONCE)
        async with hanging(relay, server, 120):
            assert await maybe_await(relay.exists("emails", "y"))
