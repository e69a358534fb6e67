"""The same for async code. The anyio plugin runs marked tests on asyncio and trio."""

import asyncio

import pytest
from mails import MAILS, Mail

from relay_sdk import AsyncClient, AsyncJobHelper, AsyncWorker
from relay_sdk.testing import InProcessServer, adrain


@pytest.mark.anyio
async def test_a_worker_sends_due_mails(relay_async: AsyncClient) -> None:
    sent: list[str] = []

    async def deliver(helper: AsyncJobHelper[Mail, int]) -> None:
        sent.extend(helper.job.payload.to)

    await relay_async.enqueue(MAILS.job("news", Mail(["ada", "bob"], "News")))
    assert await adrain(AsyncWorker(relay_async, MAILS, deliver)) == 1
    assert sent == ["ada", "bob"]


def test_without_plugins() -> None:
    async def main(relay: AsyncClient) -> None:
        await relay.enqueue(MAILS.job("news", Mail(["ada"], "News")))
        [helper] = await relay.next(MAILS)
        await helper.complete()

    with InProcessServer() as server:
        asyncio.run(main(server.async_client()))
