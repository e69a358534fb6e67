"""What `AsyncClient` and `AsyncJobHelper` give, awaited, is typed by the queue."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import httpx
from shared import EMAILS, URGENT, Email, Progress, UrgentEmail

from relay_sdk import AsyncClient, AsyncJobHelper, Backoff, Cron, EnqueueMode, Job, RawJob


async def options(own: httpx.AsyncClient) -> None:
    async with AsyncClient(
        "http://127.0.0.1:8080",
        next_backoff=Backoff(0.1, maximum=1, factor=2, jitter=0, retries=3),
        retry_backoff=Backoff(),
        http_client=own,
        timeout=timedelta(seconds=5),
        headers={"x-team": "mail"},
        api="v2",
    ) as relay:
        assert_type(relay, AsyncClient)


async def produce(relay: AsyncClient, mode: EnqueueMode) -> None:
    job = EMAILS.job("1", Email("a@example.org"), state=Progress(0))
    assert_type(await relay.enqueue(job), None)
    await relay.enqueue(job, mode="replace")
    await relay.enqueue_batch(EMAILS.job(id, Email(id)) for id in "ab")
    await relay.enqueue_batch({job}, mode="unique")
    await relay.enqueue_batch([job, URGENT.job("1", UrgentEmail("b@example.org", 3))], mode=mode)


async def look(relay: AsyncClient) -> None:
    assert_type(await relay.get(EMAILS, "1"), Job[Email, Progress])
    assert_type(await relay.exists(EMAILS, "1"), bool)
    assert_type(await relay.remove(EMAILS, "1"), None)


async def work(relay: AsyncClient) -> None:
    assert_type(await relay.next(EMAILS), list[AsyncJobHelper[Email, Progress]])
    assert_type(
        await relay.next(EMAILS, 10, timeout=timedelta(seconds=1)),
        list[AsyncJobHelper[Email, Progress]],
    )
    assert_type(relay.iter(EMAILS), AsyncIterator[AsyncJobHelper[Email, Progress]])
    for helper in await relay.next(EMAILS, num_jobs=10):
        assert_type(helper.job.payload.to, str)
    async for helper in relay.iter(EMAILS):
        assert_type(helper.job.payload.to, str)


async def handle(helper: AsyncJobHelper[Email, Progress]) -> None:
    assert_type(helper.job, Job[Email, Progress])
    assert_type(helper.job.payload, Email)
    assert_type(helper.job.state, Progress | None)
    assert_type(helper.job.run_at, datetime | None)
    assert_type(helper.raw, RawJob)
    assert_type(helper.lost, bool)
    assert_type(await helper.exists(), bool)
    assert_type(helper.heartbeat_auto(), AbstractAsyncContextManager[None])
    async with helper.heartbeat_auto(interval=1.5):
        await helper.heartbeat()
        await helper.heartbeat(None)
        await helper.heartbeat(Progress(sent=1))
    assert_type(await helper.complete(), None)


async def end(helper: AsyncJobHelper[Email, Progress]) -> None:
    urgent = URGENT.job("1", UrgentEmail("a@example.org", 3))
    await helper.reschedule()
    await helper.reschedule(run_at=datetime.now(UTC), state=Progress(1))
    await helper.reschedule(state=None)
    await helper.reschedule(delay=60, state=Progress(1))
    await helper.reschedule(delay=timedelta(minutes=1))
    await helper.reschedule(run_at=Cron("0 9 * * MON-FRI", "Europe/Berlin"))
    await helper.release(delay=timedelta(minutes=1), state=None)
    await helper.reschedule(urgent)
    await helper.requeue([helper.job, urgent], mode="ignore")
    await helper.remove()


async def plain(relay: AsyncClient) -> None:
    assert_type(await relay.get("emails", "1"), Job[Any, Any])
    assert_type(await relay.next("emails"), list[AsyncJobHelper[Any, Any]])
    assert_type(relay.iter("emails"), AsyncIterator[AsyncJobHelper[Any, Any]])
    for helper in await relay.next("emails"):
        assert_type(helper.job.payload, Any)
        await helper.heartbeat({"sent": 1})
