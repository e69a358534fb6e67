"""Fixtures for sync, asyncio and trio, with clients that need no network."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from relay_sdk import AsyncClient, Client
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

from .sync_async import AnyClient, maybe_await

Kind = Literal["sync", "asyncio", "trio"]
Connect = Callable[..., AnyClient]


@pytest.fixture(params=["sync", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return "trio" if kind == "trio" else "asyncio"


@pytest.fixture
async def connect(kind: Kind, anyio_backend: str) -> AsyncIterator[Connect]:
    """Make a client of that world; with `answer`, that function is its server."""
    made: list[AnyClient] = []

    def connect(
        url: str | None = "http://server",
        *,
        answer: Callable[[httpx.Request], httpx.Response] | None = None,
        **options: Any,
    ) -> AnyClient:
        if answer is not None:
            make_http = httpx.Client if kind == "sync" else httpx.AsyncClient
            way = httpx.MockTransport(answer)
            options["http_client"] = make_http(transport=way, verify=False)
        made.append((Client if kind == "sync" else AsyncClient)(url, **options))
        return made[-1]

    yield connect
    for client in made:
        await maybe_await(client.close() if isinstance(client, Client) else client.aclose())


@pytest.fixture
def relay(connect: Connect, app: App, clock: Clock) -> AnyClient:
    """A client of the server in this process."""
    return connect(answer=transport(app).handler, clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Iterator[App]:
    """The bundled server in this process, on the virtual clock."""
    with App(clock=clock.now) as app:
        yield app


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for the name localhost, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl for a certificate")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout",
            "both", "-out", "cert", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost",
        ],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    with (tmp_path / "both").open("ab") as both:
        both.write((tmp_path / "cert").read_bytes())
    return tmp_path / "both"
