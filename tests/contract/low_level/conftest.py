"""The generated client, blocking and awaited, before each server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

import httpx
import pytest
from relay_api import Client
from relay_api.types import Response

from relay_sdk.testing import transport

from ..sdk.conftest import tls
from ..wire import Wire

Kind = Literal["sync", "asyncio", "trio"]
A = ParamSpec("A")
R = TypeVar("R")


class Endpoint(Protocol[A, R]):
    """A generated endpoint module; both functions also take the client."""

    @property
    def sync_detailed(self) -> Callable[..., Response[R]]: ...
    @property
    def asyncio_detailed(self) -> Callable[..., Awaitable[Response[R]]]: ...
    @property
    def build_request(self) -> Callable[A, Any]: ...


class Call:
    """Calls a generated endpoint in one of the worlds."""

    def __init__(self, kind: Kind, client: Client) -> None:
        self._kind = kind
        self._client = client

    async def __call__(
        self, endpoint: Endpoint[A, R], *args: A.args, **kwargs: A.kwargs
    ) -> Response[R]:
        if self._kind == "sync":
            return endpoint.sync_detailed(*args, client=self._client, **kwargs)
        return await endpoint.asyncio_detailed(*args, client=self._client, **kwargs)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return "trio" if kind == "trio" else "asyncio"


@pytest.fixture
async def call(kind: Kind, anyio_backend: str, wire: Wire) -> AsyncIterator[Call]:
    url = wire.url or "http://in.process"
    way: dict[str, Any] = {"transport": transport(wire.app)} if wire.app else {}
    client = Client(url, verify_ssl=tls(), timeout=httpx.Timeout(30), httpx_args=way)
    if kind == "sync":
        with client:
            yield Call(kind, client)
    else:
        async with client:
            yield Call(kind, client)
