"""What can be done with a job that was handed out."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from relay_sdk import JobExistsError, JobLostError, PayloadError, Queue, UnsupportedError

from ...support.sync_async import AnyClient, AnyHelper, maybe_await
from ..api import Version
from ..wire import Wire

pytestmark = pytest.mark.anyio


async def taken(relay: AnyClient, queue: str, payload: object = 1, **options: object) -> AnyHelper:
    """Enqueue a job and take it."""
    await maybe_await(relay.enqueue(Queue(queue).job("x", payload, **options)))
    (helper,) = await maybe_await(relay.next(queue))
    return helper


async def test_a_completed_job_is_gone(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue)
    assert await maybe_await(helper.exists()) is True
    await maybe_await(helper.complete())
    assert await maybe_await(helper.exists()) is False


async def test_a_helper_ends_its_run_once(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue)
    await maybe_await(helper.complete())
    for again in (helper.complete, helper.heartbeat, helper.reschedule):
        with pytest.raises(JobLostError, match="'x'"):
            await maybe_await(again())


async def test_a_removed_job_is_gone(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue)
    await maybe_await(helper.remove())
    assert not await maybe_await(relay.exists(queue, "x"))


async def test_a_rescheduled_job_runs_again_with_the_known_state(
    relay: AnyClient, queue: str
) -> None:
    big = 10**40 + 1
    helper = await taken(relay, queue, {"n": big}, state="old", max_retries=4, timeout=9)
    await maybe_await(helper.heartbeat("known"))
    await maybe_await(helper.reschedule())
    (again,) = await maybe_await(relay.next(queue))
    assert (again.job.payload, again.job.state) == ({"n": big}, "known")
    assert (again.job.max_retries, again.job.timeout) == (4, 9)


async def test_a_job_is_rescheduled_to_a_moment_and_with_a_state(
    relay: AnyClient, wire: Wire, queue: str
) -> None:
    helper = await taken(relay, queue, state="old")
    later = wire.now() + timedelta(days=1)
    await maybe_await(helper.reschedule(run_at=later, state="new"))
    assert await maybe_await(relay.next(queue, timeout=0)) == []
    job = await maybe_await(relay.get(queue, "x"))
    assert (job.run_at, job.state) == (later, "new")


async def test_none_as_state_erases_it_when_rescheduling(relay: AnyClient, queue: str) -> None:
    helper = await taken(relay, queue, state="old")
    await maybe_await(helper.reschedule(state=None))
    assert (await maybe_await(relay.get(queue, "x"))).state is None


async def test_a_job_is_rescheduled_as_another_version_of_itself(
    relay: AnyClient, queue: str
) -> None:
    helper = await taken(relay, queue, "old")
    await maybe_await(helper.reschedule(replace(helper.job, payload="new", timeout=77, state="s")))
    (again,) = await maybe_await(relay.next(queue))
    assert (again.job.payload, again.job.timeout, again.job.state) == ("new", 77, "s")


async def test_another_job_in_its_place_needs_v2(
    relay: AnyClient, version: Version, queue: str
) -> None:
    helper = await taken(relay, queue)
    other = Queue(queue).job("y", "other")
    if version == "v1":
        with pytest.raises(UnsupportedError, match=f"'x' in queue '{queue}'"):
            await maybe_await(helper.reschedule(other))
        await maybe_await(helper.heartbeat())
        return
    await maybe_await(helper.reschedule(other))
    assert not await maybe_await(relay.exists(queue, "x"))
    assert (await maybe_await(relay.get(queue, "y"))).payload == "other"


async def test_several_jobs_in_its_place_need_v2(
    relay: AnyClient, version: Version, queue: str
) -> None:
    helper = await taken(relay, queue)
    others = [Queue(queue).job("y", 1), Queue(f"{queue}/2").job("z", 2)]
    if version == "v1":
        with pytest.raises(UnsupportedError, match=f"'x' in queue '{queue}'"):
            await maybe_await(helper.requeue(others))
        await maybe_await(helper.heartbeat())
        return
    await maybe_await(helper.requeue(others))
    assert not await maybe_await(relay.exists(queue, "x"))
    assert [await maybe_await(relay.exists(job.queue, job.id)) for job in others] == [True, True]


async def test_a_requeue_that_meets_another_job_leaves_the_run_as_it_is(
    relay: AnyClient, version: Version, queue: str
) -> None:
    if version == "v1":
        pytest.skip("API v1 has no requeue of other jobs")
    helper = await taken(relay, queue)
    other = Queue(queue).job("y", "new")
    await maybe_await(relay.enqueue(Queue(queue).job("y", "old")))
    with pytest.raises(JobExistsError, match="'y'"):
        await maybe_await(helper.requeue([other]))
    await maybe_await(helper.requeue([other], mode="ignore"))
    assert (await maybe_await(relay.get(queue, "y"))).payload == "old"
    assert not await maybe_await(relay.exists(queue, "x"))


async def test_a_requeue_of_nothing_completes(
    relay: AnyClient, version: Version, queue: str
) -> None:
    if version == "v1":
        pytest.skip("API v1 has no requeue of other jobs")
    helper = await taken(relay, queue)
    await maybe_await(helper.requeue([]))
    assert not await maybe_await(relay.exists(queue, "x"))


async def test_a_payload_that_does_not_fit_harms_no_other_job(relay: AnyClient, queue: str) -> None:
    q = Queue(queue)
    await maybe_await(
        relay.enqueue_batch([q.job("good", 1), q.job("bad", "word"), q.job("worse", None)])
    )
    helpers = {
        helper.raw.id: helper
        for helper in await maybe_await(relay.next(Queue(queue, payload=int), 9))
    }
    assert helpers["good"].job.payload == 1
    with pytest.raises(PayloadError) as raised:
        _ = helpers["bad"].job
    assert (raised.value.id, raised.value.raw) == ("bad", b'"word"')
    assert bytes(helpers["bad"].raw.payload) == b'"word"'
    await maybe_await(helpers["bad"].heartbeat("seen"))
    await maybe_await(helpers["bad"].reschedule())
    assert (await maybe_await(relay.get(q, "bad"))).payload == "word"
    await maybe_await(helpers["worse"].complete())
    assert not await maybe_await(relay.exists(q, "worse"))
