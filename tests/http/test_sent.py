"""Only failures that are known to come before sending count as not sent, and bugs come out raw."""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

import httpx
import pytest

from relay_sdk import Backoff, TransportError
from relay_sdk._base.flow import Request
from relay_sdk._http.address import Address
from relay_sdk._http.deadline import Deadline
from relay_sdk._http.errors import ConnectError, HttpError, NameResolutionError
from relay_sdk._http.parser import ResponseParser

from ..support.fixtures import Connect, Kind
from ..support.keep_alive_server import KeepAliveServer, opened
from ..support.sync_async import maybe_await

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

GET = Request("GET", "/")
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def bug(*_: object, **__: object) -> Any:
    raise RuntimeError("a bug")


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_lookup_without_a_thread_is_not_sent(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async with opened(kind, "http://localhost:1") as http:
        if kind == "asyncio":
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
        else:
            monkeypatch.setattr("trio.to_thread.run_sync", refuse)
        with pytest.raises(ConnectError, match="localhost port 1: can't start new thread") as got:
            await maybe_await(http.send(GET))
    assert not got.value.sent


async def test_a_bug_while_connecting_is_raised_as_it_is(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KeepAliveServer(EMPTY) as server:
        async with opened(kind, server.url.replace("http:", "https:")) as http:
            monkeypatch.setattr(Address, "tls", bug)
            with pytest.raises(RuntimeError, match="a bug"):
                await maybe_await(http.send(GET))


async def test_a_bug_while_reading_is_raised_as_it_is(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KeepAliveServer(EMPTY) as server:
        async with opened(kind, server.url) as http:
            with monkeypatch.context() as patched:
                patched.setattr(ResponseParser, "feed", bug)
                with pytest.raises(RuntimeError, match="a bug"):
                    await maybe_await(http.send(GET))
            assert (await maybe_await(http.send(GET))).status == 200


async def test_a_bug_in_the_users_own_client_is_not_retried(kind: Kind, connect: Connect) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        raise NotImplementedError("a bug")

    with pytest.raises(NotImplementedError, match="a bug"):
        await maybe_await(connect(answer=answer, api="v2").exists("emails", "x"))
    assert len(requests) == 1


async def test_a_server_that_closes_in_the_handshake_has_seen_no_request(kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close_all() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.recv(65536)

        thread = threading.Thread(target=close_all)
        thread.start()
        try:
            async with opened(kind, f"https://127.0.0.1:{listener.getsockname()[1]}") as http:
                with pytest.raises(ConnectError, match=r"no (TLS|conn).* 127.0.0.1 port") as got:
                    await maybe_await(http.send(GET))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert not got.value.sent


async def test_a_host_name_too_long_for_dns_is_not_sent(kind: Kind) -> None:
    async with opened(kind, f"http://{'a' * 70}.invalid") as http:
        with pytest.raises(ConnectError) as got:
            await maybe_await(http.send(GET))
    assert not got.value.sent


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("no"), False),
        (httpx.ConnectTimeout("no"), False),
        (httpx.PoolTimeout("no"), False),
        (httpx.ProxyError("no"), False),
        (httpx.ReadTimeout("no"), True),
        (httpx.ReadError("no"), True),
        (httpx.WriteError("no"), True),
        (httpx.RemoteProtocolError("peer closed connection"), True),
        (httpx.DecodingError("no"), True),
        (httpx.UnsupportedProtocol("no"), True),
        (TimeoutError("no"), True),
    ],
    ids=repr,
)
async def test_each_error_of_httpx_counts_as_sent_or_not(
    kind: Kind, connect: Connect, error: Exception, sent: bool
) -> None:
    """A transport that reads no timeouts may have sent the request, unless the error says not."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    relay = connect(answer=answer, api="v2", retry_backoff=Backoff(retries=0))
    with pytest.raises(TransportError, match=r"job 'x' in queue 'emails': .*server port 80") as got:
        await maybe_await(relay.exists("emails", "x"))
    assert got.value.sent is sent
    assert got.value.__cause__ is error


def test_reading_a_deadline_changes_nothing() -> None:
    stop = threading.Event()
    deadline = Deadline(60, stop)
    before = dict(vars(deadline))
    assert 59 < deadline.remaining() <= 60
    assert not deadline.expired
    assert vars(deadline) == before
    assert (deadline.timeout, deadline.stop) == (60, stop)
    over = Deadline(1e-9)
    assert over.expired
    with pytest.raises(TimeoutError):
        over.remaining()


def test_an_error_explains_itself_and_adds_the_hints() -> None:
    error: HttpError = NameResolutionError()
    error.explain("relay port 80", "http", 15.0, ["Requests go through a proxy."])
    assert str(error).startswith("the name in relay port 80 is not known: ")
    assert str(error).endswith("? Requests go through a proxy")
