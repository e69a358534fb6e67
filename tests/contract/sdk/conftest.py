"""Clients of either world, for each version of the API, before each server."""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any, Literal

import httpx
import pytest

from relay_sdk import AsyncClient, Client
from relay_sdk.testing import transport

from ...support.sync_async import AnyClient, entered, maybe_await
from ..api import Version
from ..conftest import FOREIGN_URL
from ..wire import Wire

Kind = Literal["sync", "asyncio", "trio"]


@pytest.fixture(params=["sync", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return "trio" if kind == "trio" else "asyncio"


@pytest.fixture(params=["v1", "v2", "auto"])
def choice(request: pytest.FixtureRequest, wire: Wire) -> str:
    """What the client is told about the API's version."""
    if request.param == "v2" and wire.flavor == "relay-rs":
        pytest.skip("relay-rs speaks v1 alone")
    choice: str = request.param
    return choice


@pytest.fixture
def version(choice: str, wire: Wire) -> Version:
    """What the client speaks then."""
    return "v1" if choice == "v1" or wire.flavor == "relay-rs" else "v2"


Connect = Callable[..., AnyClient]


@pytest.fixture
async def http(
    kind: Kind, anyio_backend: str, wire: Wire
) -> AsyncIterator[httpx.Client | httpx.AsyncClient]:
    """Connections to the server. What goes over them is remembered, to be deleted."""

    def note(request: httpx.Request) -> None:
        if request.method in ("POST", "PUT"):
            jobs = json.loads(request.content)
            for job in jobs if isinstance(jobs, list) else [jobs]:
                wire.stored.add((job["queue"], job["id"]))

    async def anote(request: httpx.Request) -> None:
        note(request)

    way = {"transport": transport(wire.app) if wire.app else None, "verify": tls()}
    if kind == "sync":
        client = httpx.Client(event_hooks={"request": [note]}, **way)
    else:
        client = httpx.AsyncClient(event_hooks={"request": [anote]}, **way)
    async with entered(client):
        yield client


@pytest.fixture
async def connect(
    kind: Kind, choice: str, wire: Wire, http: httpx.Client | httpx.AsyncClient
) -> AsyncIterator[Connect]:
    """Make a client of the server, with other options than usual."""
    made: list[AnyClient] = []

    def connect(**options: Any) -> AnyClient:
        usual: dict[str, Any] = {"api": choice, "clock": wire.clock, "timeout": 30}
        if wire.app or wire.url == FOREIGN_URL:
            usual["http_client"] = http
        # On our own server nothing has to be deleted: there the SDK has its own connections.
        make = Client if kind == "sync" else AsyncClient
        made.append(make(wire.url or "http://in.process", **usual | options))
        return made[-1]

    yield connect
    for client in made:
        await maybe_await(client.close() if isinstance(client, Client) else client.aclose())


@pytest.fixture
def relay(connect: Connect) -> AnyClient:
    return connect()


@cache
def tls() -> ssl.SSLContext:
    # Loading the certificates anew for each client would take longer than its test.
    return ssl.create_default_context()
