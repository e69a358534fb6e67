"""A job that is not done is put back: at once or later, with its state, with or without a cost."""

from datetime import timedelta

import pytest

from relay_sdk import JobLostError, Queue

from ...support.sync_async import AnyClient, maybe_await
from ..wire import Wire
from .test_sdk_helper import taken

pytestmark = pytest.mark.anyio


async def test_a_released_job_comes_again_at_once_as_it_was(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue, {"n": 1}, state="old", timeout=77, max_retries=4)
    await maybe_await(helper.heartbeat("page 10"))
    await maybe_await(helper.release())
    (again,) = await maybe_await(relay.next(queue))
    job = again.job
    assert (job.payload, job.state, job.timeout, job.max_retries) == ({"n": 1}, "page 10", 77, 4)
    assert again.failures == 0


async def test_a_released_job_keeps_its_place_in_the_queue(
    relay: AnyClient, wire: Wire, queue: str
) -> None:
    helper = await taken(relay, queue, run_at=wire.now() - timedelta(days=2))
    later = Queue(queue).job("later", 1, run_at=wire.now() - timedelta(days=1))
    await maybe_await(relay.enqueue(later))
    await maybe_await(helper.release())
    (first,) = await maybe_await(relay.next(queue))
    assert (first.raw.id, first.raw.run_at) == ("x", helper.raw.run_at)


async def test_a_state_may_be_saved_with_the_release(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue, state="old")
    await maybe_await(helper.release(state="new"))
    (again,) = await maybe_await(relay.next(queue))
    assert again.job.state == "new"
    await maybe_await(again.release(state=None))
    assert (await maybe_await(relay.get(queue, "x"))).state is None


async def test_a_released_job_may_come_later(relay: AnyClient, wire: Wire, queue: str) -> None:
    helper = await taken(relay, queue, state="s")
    await maybe_await(helper.release(delay=3600))
    assert await maybe_await(relay.next(queue, timeout=0)) == []
    job = await maybe_await(relay.get(queue, "x"))
    assert job.state == "s"
    assert job.run_at is not None
    assert abs(job.run_at - wire.now() - timedelta(hours=1)) < timedelta(minutes=1)


async def test_a_release_that_costs_a_retry_is_counted_and_the_job_otherwise_as_it_was(
    relay: AnyClient, queue: str
) -> None:
    helper = await taken(relay, queue, state={"page": 1}, max_retries=3)
    for failures in (1, 2, 3):
        await maybe_await(helper.release(count_as_failure=True))
        (helper,) = await maybe_await(relay.next(queue))
        assert helper.failures == failures
        assert helper.job.max_retries == 3
        assert helper.job.state == {"page": 1}
        # A heartbeat and a release without a cost leave the count as it is.
        await maybe_await(helper.heartbeat({"page": 1}))
        await maybe_await(helper.release())
        (helper,) = await maybe_await(relay.next(queue))
        assert helper.failures == failures
    assert (await maybe_await(relay.get(queue, "x"))).state == {"page": 1}
    await maybe_await(helper.release(count_as_failure=True))
    assert not await maybe_await(relay.exists(queue, "x"))


async def test_without_a_limit_a_job_is_released_for_ever(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue)
    for _ in range(5):
        await maybe_await(helper.release(count_as_failure=True))
        (helper,) = await maybe_await(relay.next(queue))
    assert helper.failures == 5
    assert helper.job.max_retries is None


async def test_a_rescheduled_job_starts_its_retries_over(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue, state="s")
    await maybe_await(helper.release(count_as_failure=True))
    (helper,) = await maybe_await(relay.next(queue))
    await maybe_await(helper.reschedule())
    (helper,) = await maybe_await(relay.next(queue))
    assert (helper.failures, helper.job.state) == (0, "s")


async def test_a_release_ends_the_run(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue)
    await maybe_await(helper.release())
    for again in (helper.complete, helper.heartbeat, helper.release):
        with pytest.raises(JobLostError, match="has ended its run"):
            await maybe_await(again())
    assert await maybe_await(relay.exists(queue, "x"))


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), 1e18])
async def test_a_delay_that_is_none_is_refused(relay: AnyClient, queue: str, delay: float) -> None:
    helper = await taken(relay, queue)
    with pytest.raises(ValueError, match=r"delay of job 'x' in queue .*"):
        await maybe_await(helper.release(delay=delay))
    await maybe_await(helper.complete())


@pytest.mark.parametrize(
    "state", [{"relay_sdk": 1}, {"relay_sdk": {}, "state": 1, "a": 2}, "relay_sdk"]
)
async def test_a_state_that_only_looks_like_an_envelope_is_left_alone(
    relay: AnyClient, queue: str, state: object
) -> None:
    helper = await taken(relay, queue, state=state)
    assert helper.job.state == state
    await maybe_await(helper.release(count_as_failure=True))
    assert (await maybe_await(relay.get(queue, "x"))).state == state
