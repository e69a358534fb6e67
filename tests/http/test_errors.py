"""Errors name the user's call, explain what happened, and have a short traceback."""

import socket
import subprocess
import sys
import traceback
from typing import Any

import httpx
import pytest

from relay_sdk import AsyncClient, Backoff, Client, TransportError

from ..support.fixtures import Connect
from ..support.scripted_server import ScriptedServer
from ..support.sync_async import maybe_await

pytestmark = pytest.mark.anyio

ONCE = Backoff(retries=0)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


async def failure(relay: Client | AsyncClient, method: str = "exists") -> TransportError:
    with pytest.raises(TransportError) as raised:
        await maybe_await(getattr(relay, method)("emails", "x"))
    return raised.value


async def test_an_error_names_the_call_and_explains_itself(connect: Connect) -> None:
    port = closed_port()
    error = await failure(connect(f"http://127.0.0.1:{port}", retry_backoff=ONCE))
    assert str(error) == (
        f"job 'x' in queue 'emails': nothing listens at 127.0.0.1 port {port}: "
        "is the server running, is the port right?"
    )


async def test_the_cause_is_kept_without_the_frames_of_libraries(connect: Connect) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    error = await failure(connect(url, retry_backoff=ONCE))
    assert isinstance(error.__cause__, ConnectionRefusedError)
    text = "".join(traceback.format_exception(error))
    assert text.count("direct cause") == 1
    assert "site-packages/httpx" not in text
    assert "site-packages/httpcore" not in text


def test_a_plain_script_prints_few_lines() -> None:
    code = (
        "from relay_sdk import Backoff, Client\n"
        f"relay = Client('http://127.0.0.1:{closed_port()}', retry_backoff=Backoff(retries=0))\n"
        "relay.exists('q', 'x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(
        "relay_sdk.exceptions.TransportError: job 'x' in queue 'q': nothing"
    )
    assert len(lines) <= 15


async def test_an_exception_the_user_handles_is_not_the_cause(connect: Connect) -> None:
    relay = connect(f"http://127.0.0.1:{closed_port()}", retry_backoff=ONCE)
    try:
        raise KeyError("mine")
    except KeyError:
        error = await failure(relay)
    assert isinstance(error.__cause__, ConnectionRefusedError)


async def test_an_unknown_host_name_is_explained(connect: Connect) -> None:
    error = await failure(connect("http://nowhere.invalid", retry_backoff=ONCE))
    assert "the name in nowhere.invalid port 80 is not known" in str(error)


async def test_a_port_of_another_protocol_is_explained(connect: Connect) -> None:
    with ScriptedServer(b"220 mail\r\n") as server:
        error = await failure(connect(server.url, retry_backoff=ONCE))
    assert "does not answer in HTTP" in str(error)
    assert str(error).endswith("should the URL begin with https://?")


async def test_a_proxy_of_the_environment_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    error = await failure(connect("http://relay.invalid", retry_backoff=ONCE))
    assert str(error).endswith("Requests go through the proxy that HTTP_PROXY names")


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no", request=request) from ConnectionRefusedError(111, "refused")


async def test_an_error_mentions_that_the_default_url_is_used(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELAY_URL", raising=False)
    error = await failure(connect(None, answer=refuse, retry_backoff=ONCE))
    assert "nothing listens at 127.0.0.1 port 8080" in str(error)
    assert "RELAY_URL is not set, so this is the default, http://127.0.0.1:8080" in str(error)
    error = await failure(connect("http://127.0.0.1:8080", answer=refuse, retry_backoff=ONCE))
    assert "RELAY_URL" not in str(error)


@pytest.mark.parametrize("method", ["exists", "get", "remove"])
async def test_an_error_names_the_call_and_not_the_negotiation_before_it(
    connect: Connect, method: str
) -> None:
    error: Any = await failure(connect(answer=refuse, retry_backoff=ONCE), method)
    assert str(error).startswith("job 'x' in queue 'emails': nothing listens at server port 80")
    assert not error.sent
