"""The address and headers of requests, and the closing of clients."""

from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest

from relay_sdk import AsyncClient, Client, ClientStateError, Queue, RelayError
from relay_sdk.testing import Clock

from ..support.fixtures import Connect, Kind
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import AnyClient, entered, maybe_await

pytestmark = pytest.mark.anyio

YES = http("200 OK")


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "127.0.0.1:8080", "localhost", "/path", "ftp://host", "http://", "http://:80",
        "http://host?a=b", "http://host#a", "//host", "http://host:port",
    ],
)  # fmt: skip
async def test_an_invalid_url_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        connect(url)


async def test_the_url_is_read_from_the_environment_by_default(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_URL", " ")
    with pytest.raises(ValueError, match="RELAY_URL"):
        connect(None)
    with ScriptedServer(YES) as server:
        monkeypatch.setenv("RELAY_URL", server.url)
        assert await maybe_await(connect(None, api="v2").exists("emails", "x"))


@pytest.mark.parametrize("end", ["", "/", "//", " "])
async def test_slashes_at_the_end_of_the_url_are_ignored(connect: Connect, end: str) -> None:
    with ScriptedServer(YES) as server:
        assert await maybe_await(
            connect(f"{server.url}/prefix{end}", api="v2").exists("emails", "x")
        )
    assert server.requests[0].startswith(b"HEAD /prefix/v2/queues/emails/jobs/x HTTP/1.1\r\n")


async def test_headers_are_sent_with_every_request(connect: Connect) -> None:
    with ScriptedServer(http("404 Not Found"), http("204 No Content"), YES) as server:
        relay = connect(server.url, headers={"Authorization": "Bearer abc"})
        assert await maybe_await(relay.exists("emails", "x"))
    assert len(server.requests) == 3
    assert all(b"\r\nauthorization: bearer abc\r\n" in r.lower() for r in server.requests)


def requested(kind: Kind, requests: list[httpx.Request]) -> httpx.Client | httpx.AsyncClient:
    """Return an httpx client that has its own settings and records its requests."""

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if "num_jobs=0" in str(request.url):
            return httpx.Response(400, text="Failed to deserialize query string: too small")
        return httpx.Response(200)

    make = httpx.Client if kind == "sync" else httpx.AsyncClient
    return make(
        transport=httpx.MockTransport(answer), timeout=None, headers={"x-mine": "1"}, verify=False
    )


async def test_an_own_http_client_is_used_and_not_closed(kind: Kind) -> None:
    requests: list[httpx.Request] = []
    own = requested(kind, requests)
    async with entered(own):
        relay: AnyClient
        if isinstance(own, httpx.Client):
            relay = Client("http://server", http_client=own)
        else:
            relay = AsyncClient("http://server", http_client=own)
        async with entered(relay):
            await maybe_await(relay.exists("emails", "x"))
        assert requests[-1].headers["x-mine"] == "1"
        assert not own.is_closed
        with pytest.raises(ClientStateError, match="the client is closed"):
            await maybe_await(relay.exists("emails", "x"))


@pytest.mark.parametrize("used", [True, False])
async def test_after_close_every_call_is_refused_without_retries(kind: Kind, used: bool) -> None:
    clock = Clock()
    with ScriptedServer(YES) as server:
        make = Client if kind == "sync" else AsyncClient
        relay: AnyClient = make(server.url, api="v2", clock=clock)
        async with entered(relay):
            if used:
                assert await maybe_await(relay.exists("emails", "x"))
        await maybe_await(relay.close() if isinstance(relay, Client) else relay.aclose())
        for call in (
            lambda: relay.exists("emails", "x"),
            lambda: relay.next("emails"),
            lambda: relay.enqueue(Queue("emails").job("x", 1)),
        ):
            with pytest.raises(ClientStateError, match=r"queue .emails.*: the client is closed"):
                await maybe_await(call())
        assert len(server.requests) == used
    assert clock.monotonic() == 0


async def test_a_closed_http_client_is_reported_as_closed(kind: Kind, connect: Connect) -> None:
    own = requested(kind, [])
    await maybe_await(own.close() if isinstance(own, httpx.Client) else own.aclose())
    with pytest.raises(ClientStateError, match="closed"):
        await maybe_await(connect(http_client=own).exists("emails", "x"))


@pytest.mark.parametrize("pace", [0.01, 60], ids=["trickles", "is silent"])
async def test_close_ends_calls_in_progress(kind: Kind, pace: float) -> None:
    with ScriptedServer(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 50_000, pace=pace) as server:
        relay: AnyClient
        if kind == "sync":
            relay = Client(server.url, api="v2", timeout=60)
            with ThreadPoolExecutor() as threads:
                waiting = threads.submit(relay.exists, "emails", "x")
                while not server.requests:
                    await anyio.sleep(0.01)
                relay.close()
                with pytest.raises(RelayError, match="queue 'emails'"):
                    waiting.result()
        else:
            relay = AsyncClient(server.url, api="v2", timeout=60)

            async def wait() -> None:
                with pytest.raises(RelayError, match="queue 'emails'"):
                    await maybe_await(relay.exists("emails", "x"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                while not server.requests:
                    await anyio.sleep(0.01)
                await relay.aclose()


async def test_every_request_has_a_timeout(kind: Kind, connect: Connect) -> None:
    """The user's own client may have none itself."""
    requests: list[httpx.Request] = []
    own = requested(kind, requests)
    for options, seconds in (({}, 15.0), ({"timeout": 3}, 3)):
        await maybe_await(connect(http_client=own, **options).exists("emails", "x"))
        for request in requests:
            timeouts = request.extensions["timeout"]
            assert set(timeouts) == {"connect", "read", "write", "pool"}
            assert all(0 < timeout <= seconds for timeout in timeouts.values())
        requests.clear()
    await maybe_await(own.close() if isinstance(own, httpx.Client) else own.aclose())


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
async def test_an_invalid_timeout_is_refused(connect: Connect, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        connect(timeout=timeout)


@pytest.mark.parametrize("api", ["v3", "V2", "", None], ids=str)
async def test_a_version_that_does_not_exist_is_refused(connect: Connect, api: object) -> None:
    with pytest.raises(ValueError, match="'auto', 'v1', 'v2'"):
        connect(api=api)


async def test_a_request_without_a_body_has_no_content_type(kind: Kind, connect: Connect) -> None:
    requests: list[httpx.Request] = []
    own = requested(kind, requests)
    relay = connect(http_client=own, api="v2")
    await maybe_await(relay.remove("emails", "x"))
    await maybe_await(relay.exists("emails", "x"))
    assert [request.headers.get("content-type") for request in requests] == [None, None]
    await maybe_await(own.close() if isinstance(own, httpx.Client) else own.aclose())
