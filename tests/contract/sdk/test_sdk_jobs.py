"""Looking at jobs and removing them."""

import pytest

from relay_sdk import JobNotFoundError, PayloadError, Queue

from ...support.sync_async import AnyClient, maybe_await

pytestmark = pytest.mark.anyio


async def test_a_job_is_seen_while_it_waits_and_while_it_runs(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", "payload")))
    for _ in range(2):
        assert await maybe_await(relay.exists(queue, "x")) is True
        assert (await maybe_await(relay.get(queue, "x"))).payload == "payload"
        await maybe_await(relay.next(queue, timeout=0))


async def test_a_job_that_is_not_there_is_an_error_that_names_it(
    relay: AnyClient, queue: str
) -> None:
    assert await maybe_await(relay.exists(queue, "x")) is False
    with pytest.raises(JobNotFoundError) as raised:
        await maybe_await(relay.get(queue, "x"))
    assert (raised.value.queue, raised.value.id) == (queue, "x")


async def test_a_removed_job_is_gone_whether_it_waits_or_runs(relay: AnyClient, queue: str) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job("runs", 1)))
    await maybe_await(relay.next(q))
    await maybe_await(relay.enqueue(q.job("waits", 1)))
    for id in ("runs", "waits"):
        await maybe_await(relay.remove(q, id))
        assert not await maybe_await(relay.exists(q, id))
    assert await maybe_await(relay.next(q, timeout=0)) == []


async def test_removing_what_is_not_there_is_no_error(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.remove(queue, "x"))


async def test_get_tells_where_a_payload_does_not_fit(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", [1, "two"])))
    with pytest.raises(PayloadError, match=r"\$\[1\]") as raised:
        await maybe_await(relay.get(Queue(queue, payload=list[int]), "x"))
    assert (raised.value.queue, raised.value.id) == (queue, "x")
    assert raised.value.raw is not None
