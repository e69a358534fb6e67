"""One exchange behaves the same in threads, on asyncio and on trio."""

import gzip
import socket
import ssl
import threading
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from relay_sdk import Client
from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.client import AsyncHttp, Http
from relay_sdk._http.errors import HttpError

from ..support.fixtures import Kind
from ..support.keep_alive_server import KeepAliveServer, opened
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import maybe_await

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(30),
]

GET = Request("GET", "/")
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def ask(
    kind: Kind, *answers: bytes, call: Request = GET, times: int = 1
) -> tuple[Response, KeepAliveServer]:
    """Send a request some times; return the last reply and the server."""
    with KeepAliveServer(*answers) as server:
        async with opened(kind, server.url) as http:
            for _ in range(times):
                reply = await maybe_await(http.send(call))
        return reply, server


@pytest.mark.parametrize(
    "target",
    ["/a%2Fb%25/%2E/..%2e//;x=1?a=%20&b=%F0%9F%92%A5", "/./../a/.?", "/~'()*!@:$,+"],
)
async def test_a_target_is_sent_byte_for_byte(kind: Kind, target: str) -> None:
    with KeepAliveServer(EMPTY) as server:
        async with opened(kind, f"{server.url}/b%20se") as http:
            await maybe_await(http.send(Request("GET", target)))
    line, *lines = server.requests[0].split(b"\r\n")
    assert line == b"GET /b%%20se%b HTTP/1.1" % target.encode()
    names = [line.split(b":")[0].lower() for line in lines if line]
    assert sorted(names) == [b"accept", b"accept-encoding", b"host", b"user-agent", b"x-own"]


@pytest.mark.parametrize("target", ["/ä", "/a b", "/a\r\nx: y"])
async def test_a_target_that_is_not_encoded_is_not_sent(kind: Kind, target: str) -> None:
    async with opened(kind, "http://127.0.0.1:1") as http:
        with pytest.raises(ValueError, match="percent-encoded"):
            await maybe_await(http.send(Request("GET", target)))


@pytest.mark.parametrize("content", [None, b"", b"[1]"])
async def test_a_body_has_its_length(kind: Kind, content: bytes | None) -> None:
    call = Request("POST", "/", {"content-type": "application/json"}, content)
    _, server = await ask(kind, EMPTY, call=call)
    (request,) = server.requests
    head, _, body = request.lower().partition(b"\r\n\r\n")
    assert body == (content or b"")
    assert b"content-length: %d" % len(content or b"") in head.split(b"\r\n")
    assert b"content-type: application/json" in head.split(b"\r\n")


async def test_connections_are_reused_and_no_cookies_are_kept(kind: Kind) -> None:
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\n[]"
    reply, server = await ask(kind, answer, times=3)
    assert (reply.status, reply.content) == (200, b"[]")
    assert server.connections == 1
    assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(kind: Kind, status: int) -> None:
    answer = b"HTTP/1.1 %d Go\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n" % status
    reply, server = await ask(kind, answer)
    assert (reply.status, reply.headers["location"]) == (status, "/b")
    assert len(server.requests) == 1


SHAPES = {
    "chunked": b"transfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n",
    "chunked with a trailer": b"transfer-encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\nx-a: c\r\n\r\n",
    "with a length": b"content-length: 3\r\n\r\n[1]",
    "packed": b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b"
    % (len(gzip.compress(b"[1]")), gzip.compress(b"[1]")),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\nx-a: z\r\n\r\n"])
async def test_content_is_read_in_each_encoding(kind: Kind, shape: bytes, before: bytes) -> None:
    answer = before + b"HTTP/1.1 520 What\r\nX-A: a\r\nx-a: b\r\n" + shape
    reply, server = await ask(kind, answer, times=2)
    assert (reply.status, reply.headers["x-a"], reply.content) == (520, "a, b", b"[1]")
    assert server.connections == 1


async def test_content_may_end_with_the_connection(kind: Kind) -> None:
    with ScriptedServer(b"HTTP/1.1 200 OK\r\n\r\n[1]") as server:
        async with opened(kind, server.url) as http:
            for _ in range(2):
                assert (await maybe_await(http.send(GET))).content == b"[1]"


@pytest.mark.parametrize("end", [b"content-length: 5\r\n\r\n", b"\r\n"])
async def test_a_reply_to_head_has_no_content(kind: Kind, end: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + end
    reply, _ = await ask(kind, head, call=Request("HEAD", "/"), times=3)
    assert (reply.status, reply.content) == (200, b"")


@pytest.mark.parametrize("more", [b"x", EMPTY])
async def test_data_after_a_reply_is_not_a_reply_to_the_next_request(
    kind: Kind, more: bytes
) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
    reply, server = await ask(kind, answer + more, times=3)
    assert reply.content == b"one"
    assert server.connections == 3


async def test_an_idle_connection_that_the_server_closed_is_replaced(kind: Kind) -> None:
    with KeepAliveServer(EMPTY) as server:
        async with opened(kind, server.url) as http:
            for number in range(1, 4):
                assert (await maybe_await(http.send(GET))).status == 200
                server.hang_up()  # the client's event loop does not notice it yet
                assert server.connections == number


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_request_is_not_resent_when_its_connection_ends(kind: Kind, method: str) -> None:
    """The server may have acted on it: only the retries of the SDK can decide."""
    with KeepAliveServer(EMPTY, None, EMPTY) as server:
        async with opened(kind, server.url) as http:
            await maybe_await(http.send(GET))
            with pytest.raises(HttpError) as got:
                await maybe_await(http.send(Request(method, "/")))
            assert got.value.sent
            assert len(server.requests) == 2
            assert (await maybe_await(http.send(GET))).status == 200


BAD = {
    "a head without an end": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000,
    "an invalid status": b"HTTP/1.1 abc OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
    "an unknown coding": http("200 OK", b"x", "content-encoding: br"),
    "packed content that is cut": http(
        "200 OK", gzip.compress(b"abc")[:-9], "content-encoding: gzip"
    ),
    "another protocol": b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
async def test_a_reply_that_is_not_http_raises_an_error(kind: Kind, answer: bytes) -> None:
    with ScriptedServer(answer) as server:
        async with opened(kind, server.url) as http:
            with pytest.raises(HttpError, match=f"port {server.url.rpartition(chr(58))[2]}") as got:
                await maybe_await(http.send(GET))
    assert got.value.sent


@pytest.mark.parametrize("packed", [True, False])
async def test_content_that_is_too_large_raises_an_error(
    kind: Kind, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk._http.body.MAX_BODY_BYTES", 1000)
    content = bytes(1001)
    answer = (
        http("200 OK", gzip.compress(content), "content-encoding: gzip")
        if packed
        else http("200 OK", content)
    )
    with ScriptedServer(answer, http("200 OK", bytes(1000))) as server:
        async with opened(kind, server.url) as client:
            with pytest.raises(HttpError, match="larger than"):
                await maybe_await(client.send(GET))
            assert len((await maybe_await(client.send(GET))).content) == 1000


async def test_an_error_is_the_same_while_another_exception_is_handled(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay_sdk._http.body.MAX_BODY_BYTES", 1000)
    with ScriptedServer(http("200 OK", bytes(1001))) as server:
        async with opened(kind, server.url) as client:
            try:
                raise KeyError
            except KeyError:
                with pytest.raises(HttpError, match="larger than"):
                    await maybe_await(client.send(GET))


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_needs_a_trusted_certificate(
    kind: Kind, trusted: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + bytes(100_000)
    with KeepAliveServer(answer, tls=tls) as server:
        port = server.url.rpartition(":")[2]
        async with opened(kind, f"https://localhost:{port}") as client:
            for _ in range(3):
                if trusted:
                    assert len((await maybe_await(client.send(GET))).content) == 100_000
                else:
                    with pytest.raises(HttpError, match="certificate") as got:
                        await maybe_await(client.send(GET))
                    assert not got.value.sent
        assert len(server.requests) == (3 if trusted else 0)
        async with opened(kind, f"https://127.0.0.1:{port}") as client:  # not in the certificate
            with pytest.raises(HttpError, match="certificate"):
                await maybe_await(client.send(GET))
    if trusted:
        assert server.connections == 2


ANYIO = tuple(map(int, version("anyio").split(".")[:2]))


@pytest.mark.skipif(ANYIO < (4, 16), reason="anyio leaves the socket of a connect open")
@pytest.mark.parametrize("moment", [0, 1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_cancelled_request_leaves_nothing_behind(kind: Kind, moment: int) -> None:
    with KeepAliveServer(EMPTY) as server:
        async with opened(kind, server.url) as client:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(maybe_await, client.send(GET))
                for _ in range(moment):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert (await maybe_await(client.send(GET))).status == 200


@pytest.mark.parametrize("kind", ["sync"])
def test_stop_ends_the_wait_for_a_reply(kind: Kind) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(f"http://127.0.0.1:{silent.getsockname()[1]}", 3600, None)
        client = Http(address, None)
        timer = threading.Timer(0.05, stop.set)
        timer.start()
        with pytest.raises(Stopped):
            client.send(GET, stop)
        timer.join()
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(65536).startswith(b"GET / ")
            assert connection.recv(1) == b""  # it was closed
        client.close()


@pytest.mark.parametrize("kind", ["sync"])
def test_stop_does_not_end_a_reply_that_has_begun(kind: Kind) -> None:
    stop = threading.Event()
    with ScriptedServer(http("200 OK", b"a" * 100), pace=0.003) as server:
        client = Http(Address(server.url, 20, None), None)
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        assert client.send(GET, stop).content == b"a" * 100
        timer.join()
        client.close()


@pytest.mark.parametrize("kind", ["sync"])
def test_stop_ends_only_requests_that_the_server_may_hold(kind: Kind) -> None:
    stop = threading.Event()
    stop.set()
    with ScriptedServer(http("200 OK")) as server, Client(server.url) as relay:
        driver = relay._driver
        assert isinstance(driver.perform(GET, stop), Response)
        with pytest.raises(Stopped):
            driver.perform(Request("GET", "/", wait=12), stop)


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_an_own_http_client_may_be_of_httpx2(kind: Kind) -> None:
    httpx2 = pytest.importorskip("httpx2")
    with ScriptedServer(http("200 OK"), b"") as server:
        if kind == "sync":
            with httpx2.Client() as own:
                relay = Client(server.url, http_client=own, api="v2")
                assert relay.exists("emails", "x")
                http_ = Http(Address(server.url, 1, None), own)
                with pytest.raises(HttpError) as got:
                    http_.send(GET)
        else:
            async with httpx2.AsyncClient() as aown:
                ahttp = AsyncHttp(Address(server.url, 1, None), aown)
                assert (await ahttp.send(GET)).status == 200
                with pytest.raises(HttpError) as got:
                    await ahttp.send(GET)
    assert got.value.sent
    with pytest.raises(HttpError) as refused:
        if kind == "sync":
            with httpx2.Client() as own:
                Http(Address(server.url, 1, None), own).send(GET)
        else:
            async with httpx2.AsyncClient() as aown:
                await AsyncHttp(Address(server.url, 1, None), aown).send(GET)
    assert not refused.value.sent
