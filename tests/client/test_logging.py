"""The requests of the SDK are not logged by httpx; those of the program still are."""

import logging

import httpx
import pytest

from relay_sdk import Backoff

from ..support.fixtures import Connect
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import maybe_await

pytestmark = pytest.mark.anyio

NO_JOB = http("204 No Content")


def of_httpx(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.name == "httpx" for record in caplog.records)


async def test_at_info_a_poll_logs_nothing(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with ScriptedServer(NO_JOB) as server:
        assert await maybe_await(connect(server.url, api="v2").next("emails", timeout=0)) == []
        assert caplog.records == []


async def test_httpx_still_logs_requests_of_the_program(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with ScriptedServer(NO_JOB) as server:
        relay = connect(server.url, api="v2", retry_backoff=Backoff(retries=0))
        await maybe_await(relay.next("emails", timeout=0))
        with httpx.Client() as own:
            own.get(server.url)  # noqa: ASYNC212 it is answered at once
    assert of_httpx(caplog) == 1


async def test_httpx_still_logs_requests_of_a_custom_http_client(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    relay = connect(answer=lambda request: httpx.Response(204), api="v2")
    await maybe_await(relay.next("emails", timeout=0))
    assert of_httpx(caplog) == 1
