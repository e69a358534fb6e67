"""Fixtures for pytest. They import the SDK only when a test uses one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from relay_sdk import AsyncClient, Client
    from relay_sdk.local import LocalServer
    from relay_sdk.testing import Clock, InProcessServer


@pytest.fixture
def relay(_relay_in_process: "InProcessServer") -> "Client":
    """Client of an in-process Relay server, empty for each test, with `relay_clock`."""
    return _relay_in_process.client()


@pytest.fixture
def relay_async(_relay_in_process: "InProcessServer") -> "AsyncClient":
    """Async client of the same server as `relay`, on asyncio or trio."""
    return _relay_in_process.async_client()


@pytest.fixture
def relay_clock() -> "Clock":
    """Clock of `relay` and `relay_async`: `relay_clock.advance(seconds)` moves it."""
    from relay_sdk.testing import Clock

    return Clock(datetime.now(UTC), skip=False)


@pytest.fixture
def relay_server() -> "Iterator[LocalServer]":
    """Relay server on a socket, in real time and empty for each test: `relay_server.url`."""
    from relay_sdk.local import LocalServer

    with LocalServer(reap_interval=0.1) as server:
        yield server


@pytest.fixture
def _relay_in_process(relay_clock: "Clock") -> "Iterator[InProcessServer]":
    from relay_sdk.testing import InProcessServer

    with InProcessServer(relay_clock) as server:
        yield server
