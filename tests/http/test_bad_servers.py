"""Replies of servers that are not Relay, or are broken."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from relay_sdk import (
    Backoff,
    Queue,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
)
from relay_sdk.testing import Clock

from ..support.fixtures import Connect
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import AnyClient, maybe_await

pytestmark = pytest.mark.anyio

HTML = b"<html><h1>Welcome</h1></html>"
ONCE = Backoff(retries=0)

CALLS: dict[str, Callable[[AnyClient], Any]] = {
    "enqueue": lambda relay: relay.enqueue(Queue("emails").job("x", 1)),
    "get": lambda relay: relay.get("emails", "x"),
    "remove": lambda relay: relay.remove("emails", "x"),
    "next": lambda relay: relay.next("emails"),
}

ANSWERS: dict[str, tuple[bytes, type[RelayError]]] = {
    "HTML with 200": (http("200 OK", HTML), RelayError),
    "HTML with 404": (http("404 Not Found", HTML), RelayError),
    "HTML with 202": (http("202 Accepted", HTML), RelayError),
    "HTML with 400": (http("400 Bad Request", HTML), RelayError),
    "520": (http("520 What", HTML), ServerBusyError),
    "500": (http("500 Oh", b"oh"), ServerBusyError),
    "401": (http("401 Unauthorized"), UnexpectedStatusError),
    "a redirect": (http("307 Go", b"", "location: /elsewhere"), UnexpectedStatusError),
    "503": (http("503 Away", b"later"), ServerBusyError),
    "422": (http("422 No", b"no"), RequestRejectedError),
    "a body cut short": (http("200 OK", b'[{"queue"', length=100), TransportError),
    "nothing": (b"", TransportError),
    "half a head": (b"HTTP/1.1 200", TransportError),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", TransportError),
}


async def fails(connect: Connect, api: str, answer: bytes, error: type[RelayError]) -> None:
    """Make every call to a server that always sends this answer, and expect the error."""
    with ScriptedServer(answer) as server:
        relay = connect(server.url, api=api, retry_backoff=ONCE)
        for number, (name, call) in enumerate(CALLS.items()):
            with pytest.raises(error, match="queue 'emails'") as raised:
                await maybe_await(call(relay))
            assert len(server.requests) == number + 1
            assert ("'x'" in str(raised.value)) is (name != "next")
            unsure = isinstance(raised.value, TransportError | ServerBusyError)
            # Where the version is not known yet, only a question was sent.
            assert raised.value.sent is (unsure and api != "auto" and b"503" not in answer)
            if isinstance(raised.value, TransportError):
                port = server.url.rpartition(":")[2]
                assert f"port {port}" in str(raised.value) or "invalid reply" in str(raised.value)


@pytest.mark.parametrize("api", ["v1", "v2", "auto"])
@pytest.mark.parametrize(("answer", "error"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_not_from_relay_raises_an_error_that_names_the_job(
    connect: Connect, api: str, answer: bytes, error: type[RelayError]
) -> None:
    await fails(connect, api, answer, error)


@pytest.mark.parametrize("kind", ["sync", "asyncio"])  # on trio httpx leaves a stream open
async def test_an_answer_that_cannot_be_decompressed_raises_an_error(connect: Connect) -> None:
    answer = http("200 OK", b"no", "content-encoding: gzip")
    await fails(connect, "v2", answer, TransportError)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_request_to_a_missing_server_is_not_sent(connect: Connect, call: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    clock = Clock()
    relay = connect(f"http://127.0.0.1:{port}", clock=clock)
    with pytest.raises(TransportError, match=f"nothing listens at 127.0.0.1 port {port}") as raised:
        await maybe_await(call(relay))
    assert "queue 'emails'" in str(raised.value)
    assert not raised.value.sent
    assert raised.value.__cause__ is not None
    assert clock.monotonic() > 1  # it was tried for a while


async def test_a_server_that_never_answers_raises_a_timeout(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        relay = connect(url, timeout=1, retry_backoff=ONCE, api="v2")
        with pytest.raises(TransportError, match="queue 'emails'") as raised:
            await maybe_await(relay.exists("emails", "x"))
    assert raised.value.sent


async def test_failures_before_a_success_are_retried(connect: Connect) -> None:
    answers = [b"", http("503 Away"), http("200 OK", b"[", length=9), http("204 None")]
    with ScriptedServer(*answers) as server:
        once = Backoff(retries=0)
        relay = connect(server.url, api="v2", clock=Clock(), next_backoff=once)
        assert await maybe_await(relay.next("emails")) == []
    assert len(server.requests) == 4


async def test_a_lost_reply_to_an_enqueue_is_resolved_by_a_lookup(connect: Connect) -> None:
    job = (
        b'{"queue":"emails","id":"x","timeout":60,"max_retries":null,"payload":1,"state":null,'
        b'"run_at":"2030-01-01T00:00:00Z","updated_at":"2030-01-01T00:00:00Z"}'
    )
    conflict = http("409 Conflict", b"job with id `x` already exists in queue `emails`.")
    with ScriptedServer(b"", conflict, http("200 OK", job)) as server:
        relay = connect(server.url, api="v2", clock=Clock())
        await maybe_await(relay.enqueue(Queue("emails").job("x", 1)))
    assert [request.split()[0] for request in server.requests] == [b"POST", b"POST", b"GET"]
