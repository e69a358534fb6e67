"""Enqueueing: what is sent is what is there, and what becomes of a job that is there already."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from relay_sdk import JobExistsError, Queue, UnsupportedError

from ...support.sync_async import AnyClient, maybe_await
from ..api import Version
from ..wire import Wire

pytestmark = pytest.mark.anyio


async def test_a_job_is_there_as_it_was_sent(relay: AnyClient, queue: str) -> None:
    run_at = datetime(2031, 5, 17, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5)))
    sent = Queue(queue).job("x", {"n": 1}, state=["half"], timeout=45, max_retries=7, run_at=run_at)
    await maybe_await(relay.enqueue(sent))
    job = await maybe_await(relay.get(queue, "x"))
    assert (job.queue, job.id) == (queue, "x")
    assert (job.payload, job.state) == ({"n": 1}, ["half"])
    assert (job.timeout, job.max_retries) == (45, 7)
    assert job.run_at == run_at
    assert job.run_at.tzinfo is UTC


async def test_a_job_is_without_limit_of_retries_unless_asked(relay: AnyClient, queue: str) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue_batch([q.job("all", 1), q.job("none", 1, max_retries=0)]))
    assert (await maybe_await(relay.get(q, "all"))).max_retries is None
    assert (await maybe_await(relay.get(q, "none"))).max_retries == 0


async def test_an_id_that_is_taken_is_an_error_that_names_it(relay: AnyClient, queue: str) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job("x", "first")))
    with pytest.raises(JobExistsError) as raised:
        await maybe_await(relay.enqueue(q.job("x", "second")))
    assert (raised.value.queue, raised.value.id) == (queue, "x")
    assert (await maybe_await(relay.get(q, "x"))).payload == "first"


async def test_ignore_keeps_the_job_that_is_there(relay: AnyClient, queue: str) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job("x", "first")))
    await maybe_await(relay.enqueue(q.job("x", "second"), mode="ignore"))
    await maybe_await(relay.enqueue_batch([q.job("x", "third")]))
    await maybe_await(relay.enqueue_batch([q.job("x", "fourth"), q.job("y", "new")]))
    assert (await maybe_await(relay.get(q, "x"))).payload == "first"
    assert (await maybe_await(relay.get(q, "y"))).payload == "new"


async def test_replace_overwrites_the_job_that_is_there(
    relay: AnyClient, version: Version, queue: str
) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job("x", "first", state="old", timeout=10)))
    if version == "v1":
        with pytest.raises(UnsupportedError, match=f"'x' in queue '{queue}'"):
            await maybe_await(relay.enqueue(q.job("x", "second"), mode="replace"))
        return
    await maybe_await(relay.enqueue(q.job("x", "second", timeout=20), mode="replace"))
    job = await maybe_await(relay.get(q, "x"))
    assert (job.payload, job.state, job.timeout) == ("second", None, 20)


async def test_a_unique_batch_is_enqueued_whole_or_not_at_all(
    relay: AnyClient, version: Version, queue: str
) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job("b", "old")))
    jobs = [q.job("a", "new"), q.job("b", "new"), q.job("c", "new")]
    expected = UnsupportedError if version == "v1" else JobExistsError
    with pytest.raises(expected) as raised:
        await maybe_await(relay.enqueue_batch(jobs, mode="unique"))
    if isinstance(raised.value, JobExistsError):
        assert raised.value.id == "b"
    assert [await maybe_await(relay.exists(q, id)) for id in "abc"] == [False, True, False]


async def test_a_batch_holds_jobs_of_any_queues_and_types(relay: AnyClient, queue: str) -> None:
    numbers = Queue(f"{queue}/numbers", payload=int)
    words = Queue(f"{queue}/words", payload=list[str])
    await maybe_await(relay.enqueue_batch([numbers.job("x", 5), words.job("x", ["a"])]))
    assert (await maybe_await(relay.get(numbers, "x"))).payload == 5
    assert (await maybe_await(relay.get(words, "x"))).payload == ["a"]


async def test_an_empty_batch_is_no_error(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue_batch([]))
    await maybe_await(relay.enqueue_batch((), mode="unique"))


async def test_a_batch_may_be_larger_than_the_server_takes_at_once(
    relay: AnyClient, queue: str
) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue_batch([q.job(str(n), str(n) * 1_500_000) for n in range(3)]))
    helpers = await maybe_await(relay.next(q, 10))
    assert {helper.raw.id for helper in helpers} == {"0", "1", "2"}
    assert all(helper.job.payload == helper.raw.id * 1_500_000 for helper in helpers)


async def test_a_job_is_not_handed_out_before_its_moment(
    relay: AnyClient, wire: Wire, queue: str
) -> None:
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job("x", 1, run_at=wire.now() + timedelta(seconds=1))))
    assert await maybe_await(relay.next(q, timeout=0)) == []
    assert len(await maybe_await(relay.next(q))) == 1
