"""A harness for each kind of worker."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from relay_sdk.local import App
from relay_sdk.testing import Clock

from .harness import Harness, Kind, Server, maybe_await


@pytest.fixture(params=["sync", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return "trio" if kind == "trio" else "asyncio"


@pytest.fixture
def api() -> str:
    """The version of the API; a test that is about both has it as a parameter."""
    return "v2"


@pytest.fixture
def clock() -> Clock:
    return Clock(skip=False)


@pytest.fixture
def server(clock: Clock) -> Iterator[Server]:
    with App(clock=clock.now) as app:
        yield Server(app)


@pytest.fixture
async def harness(
    kind: Kind, anyio_backend: str, clock: Clock, server: Server, api: str
) -> AsyncIterator[Harness]:
    harness = Harness(kind, clock, server, api)
    yield harness
    await maybe_await(
        harness.http.close() if isinstance(harness.http, httpx.Client) else harness.http.aclose()
    )
    harness.producer.close()
