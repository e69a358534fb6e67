"""The proxy of the environment is used unless the server is exempt, and receives no secret."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay_sdk import Client
from relay_sdk._base.flow import Request
from relay_sdk._http.address import Address
from relay_sdk._http.errors import HttpError

from ..support.fixtures import Kind
from ..support.keep_alive_server import KeepAliveServer, opened
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

GET = Request("GET", "/")
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Tunnels:
    """A proxy that sends this answer to CONNECT, then forwards data in both directions."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._open = [self._listener]
        self.authority = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._open.append(self._listener.accept()[0])
                self._start(self._talk, self._open[-1])

    def _start(self, function: object, *args: socket.socket) -> None:
        assert callable(function)
        self._threads.append(threading.Thread(target=function, args=args))
        self._threads[-1].start()

    def _talk(self, client: socket.socket) -> None:
        with suppress(OSError):
            self.requests.append(client.recv(65536))
            client.sendall(self._answer)
            if b" 200 " not in self._answer:
                return
            port = int(self.requests[-1].split(b" ")[1].rpartition(b":")[2])
            server = socket.create_connection(("127.0.0.1", port))
            self._open.append(server)
            self._start(_pass_on, client, server)
            _pass_on(server, client)

    def close(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[ScriptedServer]:
    with ScriptedServer(http("200 OK", b"proxy")) as server:
        yield server


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_receives_the_whole_url(
    kind: Kind, name: str, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy.url)
    async with opened(kind, "http://relay.invalid/a") as client:
        assert (await maybe_await(client.send(Request("GET", "/%2E")))).content == b"proxy"
    (request,) = proxy.requests
    assert request.startswith(b"GET http://relay.invalid/a/%2E HTTP/1.1\r\n")
    assert b"\r\nHost: relay.invalid\r\n" in request
    assert b"Proxy-Authorization" not in request


async def test_a_proxy_may_have_a_login_and_no_scheme(
    kind: Kind, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "me:s3cret@"))
    async with opened(kind, "http://relay.invalid") as client:
        await maybe_await(client.send(GET))
    assert b"\r\nProxy-Authorization: Basic bWU6czNjcmV0\r\n" in proxy.requests[0]


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "127.0.0.1:{port}", "a.b, 127.0.0.1"])
async def test_no_proxy_is_used_for_an_exempt_server(
    kind: Kind, exempt: str, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with KeepAliveServer(EMPTY) as server:
        monkeypatch.setenv("NO_PROXY", exempt.format(port=server.url.rpartition(":")[2]))
        async with opened(kind, server.url) as client:
            assert (await maybe_await(client.send(GET))).content == b""
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("url", "exempt", "used"),
    [
        ("http://[::1]:8080", "::1", False),
        ("http://[::1]:8080", "::2", True),
        ("http://relay.example.com", ".example.com", False),
        ("http://relay.example.com", "example.com", False),
        ("http://relay.example.com", "ample.com", True),
    ],
)
def test_addresses_and_subdomains_can_be_exempt(
    url: str, exempt: str, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", exempt)
    address = Address(url, 1, None)
    address.prepare()
    assert (address.proxy is not None) is used


async def test_tls_is_tunnelled_through_a_proxy(
    kind: Kind, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tunnels = Tunnels(b"HTTP/1.1 200 Here\r\nx: y\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@{tunnels.authority}")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + bytes(100_000)
    with KeepAliveServer(answer, tls=tls) as server:
        port = server.url.rpartition(":")[2]
        async with opened(kind, f"https://localhost:{port}") as client:
            for _ in range(3):
                assert len((await maybe_await(client.send(GET))).content) == 100_000
        assert (server.connections, len(server.requests)) == (1, 3)
    tunnels.close()
    (request,) = tunnels.requests
    authority = f"localhost:{port}".encode()
    assert request == (
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic bWU6czNjcmV0\r\n\r\n"
        % (authority, authority)
    )


REFUSALS = {
    "a login is missing": b"HTTP/1.1 407 No\r\ncontent-length: 3\r\n\r\nno!",
    "no way there": b"HTTP/1.1 502 No\r\n\r\n",
    "nothing": b"",
    "not HTTP": b"220 mail\r\n",
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_of_a_proxy_raises_an_error_that_is_not_sent(
    kind: Kind, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(answer) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        async with opened(kind, "https://relay.invalid") as client:
            with pytest.raises(HttpError, match="the proxy that HTTPS_PROXY names") as got:
                await maybe_await(client.send(GET))
    assert not got.value.sent
    if b"HTTP" in answer[:4]:
        status = answer[9:12].decode()
        assert (
            f"gave no connection to relay.invalid port 443: it answered with status {status}"
            in str(got.value)
        )


async def test_a_silent_proxy_times_out(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with opened(kind, "https://relay.invalid", timeout=0.2) as client:
            with pytest.raises(HttpError, match=r"no connection to .* within 0.2 s") as got:
                await maybe_await(client.send(GET))
    assert not got.value.sent


@pytest.mark.parametrize(
    "given", ["socks5://me:s3cret@a:1", "https://me:s3cret@a", "http://me:s3cret@:x"]
)
def test_an_unsupported_proxy_is_refused_without_showing_its_password(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", given)
    with pytest.raises(ValueError, match="ALL_PROXY") as got:
        Client("http://relay.invalid")
    assert "s3cret" not in str(got.value)
    assert got.value.__cause__ is None
    monkeypatch.setenv("NO_PROXY", "relay.invalid")
    Client("http://relay.invalid").close()
