"""The servers that the protocol cases run against.

Each case runs in process and over a socket, against the bundled server with a virtual clock, in
process on PostgreSQL, and against the server at `$RELAY_TEST_URL` when that is set.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import cast
from uuid import uuid4

import pytest

from relay_sdk.local import App, LocalServer
from relay_sdk.testing import Clock

from .api import Api, Version
from .wire import Wire, in_process, over_socket

REAP_INTERVAL = 5.0
FOREIGN_URL = os.environ.get("RELAY_TEST_URL")
FOREIGN_REAP_INTERVAL = float(os.environ.get("RELAY_TEST_REAP_INTERVAL", "5"))

SOCKETS = ["socket", "url"] if FOREIGN_URL else ["socket"]
WAYS = ["in-process", "postgres", *SOCKETS]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what would not tell more: a database does not know how its client waits."""
    items[:] = [item for item in items if not _is_told_already(item)]


def _is_told_already(item: pytest.Item) -> bool:
    parameters = (
        item.callspec.params
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else {}
    )
    return parameters.get("wire") == "postgres" and parameters.get("kind", "sync") != "sync"


@contextmanager
def open_wire(way: str, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Reach a server in one of the four ways."""
    clock = Clock()
    match way:
        case "in-process" | "postgres":
            db = ":memory:"
            if way == "postgres":
                db = request.getfixturevalue("postgres_url")
                # It stays open, and is not to be taken for a server that keeps jobs from moving.
                db += f"{'&' if '?' in db else '?'}application_name=contract"
            with App(db, reap_interval=REAP_INTERVAL, clock=clock.now) as app:
                yield Wire(in_process(app), reap_interval=REAP_INTERVAL, app=app, clock=clock)
        case "socket":
            with LocalServer(reap_interval=REAP_INTERVAL, clock=clock.now) as server:
                url = server.url
                yield Wire(over_socket(url), reap_interval=REAP_INTERVAL, url=url, clock=clock)
        case _:
            assert FOREIGN_URL
            foreign = over_socket(FOREIGN_URL)
            yield Wire(foreign, reap_interval=FOREIGN_REAP_INTERVAL, url=FOREIGN_URL)


@pytest.fixture(scope="session")
def reach(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Wire]]:
    """Open each way when it is first needed, and keep it to the end."""
    with ExitStack() as stack:
        yield cache(lambda way: stack.enter_context(open_wire(way, request)))


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> Version:
    return cast(Version, request.param)


@pytest.fixture(params=WAYS)
def wire(request: pytest.FixtureRequest, reach: Callable[[str], Wire]) -> Wire:
    return reach(request.param)


@pytest.fixture(params=SOCKETS)
def socket_wire(request: pytest.FixtureRequest, reach: Callable[[str], Wire]) -> Wire:
    return reach(request.param)


@pytest.fixture
def queue(wire: Wire) -> Iterator[str]:
    """A name that no other test uses. What a test left on the server is deleted."""
    wire.settle()
    yield f"contract-{uuid4()}"
    wire.clean()


@pytest.fixture
def api(version: Version, wire: Wire, queue: str) -> Api:
    """Each version that the server speaks."""
    return open_api(version, wire, queue)


@pytest.fixture
def v1(wire: Wire, queue: str) -> Api:
    return open_api("v1", wire, queue)


@pytest.fixture
def v2(wire: Wire, queue: str) -> Api:
    return open_api("v2", wire, queue)


def open_api(version: Version, wire: Wire, queue: str) -> Api:
    if version == "v2" and wire.flavor == "relay-rs":
        pytest.skip("relay-rs speaks v1 alone")
    return Api(version, wire, queue)
