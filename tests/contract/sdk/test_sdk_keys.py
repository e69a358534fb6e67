"""Any string is a legal queue and id."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay_sdk import JobNotFoundError, Queue

from ...support.sync_async import AnyClient, maybe_await

pytestmark = pytest.mark.anyio

STRANGE = [
    ".", "..", "...", "/", "//", "a/b", "/../", "./", "%2E", "%2F", "%252F", "%", "%zz", "+", " ",
    " a ", "?", "#", "?num_jobs=0", "&", ";", "=", "\\", "\t", "\r\n", "\x7f", "jobs", "run-id",
    '"', "'", "{id}", "é", "e\u0301", "日本", "🦆", "\u202e", "\ufeff", "\uffff", "x" * 1024,
]  # fmt: skip

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
strings = st.text(characters, min_size=1, max_size=20) | st.text(
    "./%2eE \\", min_size=1, max_size=4
)


async def lives_through(relay: AnyClient, queue: str, id: str) -> None:
    """Take one job through every operation that names it."""
    q = Queue(queue)
    await maybe_await(relay.enqueue(q.job(id, "payload")))
    try:
        assert await maybe_await(relay.exists(q, id))
        (helper,) = await maybe_await(relay.next(q))
        assert (helper.job.queue, helper.job.id, helper.job.payload) == (queue, id, "payload")
        await maybe_await(helper.heartbeat("beaten"))
        assert (await maybe_await(relay.get(q, id))).state == "beaten"
        await maybe_await(helper.reschedule())
        (helper,) = await maybe_await(relay.next(q))
        await maybe_await(helper.complete())
        with pytest.raises(JobNotFoundError) as raised:
            await maybe_await(relay.get(q, id))
        assert (raised.value.queue, raised.value.id) == (queue, id)
    finally:
        await maybe_await(relay.remove(q, id))


async def test_a_strange_id_names_one_job(relay: AnyClient, queue: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("other", "untouched")))
    await maybe_await(relay.next(queue))
    for strange in STRANGE:
        await lives_through(relay, queue, strange)
    assert await maybe_await(relay.exists(queue, "other"))


async def test_a_strange_queue_is_a_queue(relay: AnyClient, queue: str) -> None:
    # Others may use such a name, too: the id is fresh, and nothing is taken.
    for strange in STRANGE:
        await maybe_await(relay.enqueue(Queue(strange).job(queue, "payload")))
        try:
            job = await maybe_await(relay.get(strange, queue))
            assert (job.queue, job.id) == (strange, queue)
        finally:
            await maybe_await(relay.remove(strange, queue))
        assert not await maybe_await(relay.exists(strange, queue))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queue=strings, id=strings)
async def test_any_string_is_a_queue_and_an_id(relay: AnyClient, queue: str, id: str) -> None:
    await lives_through(relay, f"{queue}{uuid4()}", id)


@pytest.mark.parametrize("dots", [".", ".."])
async def test_looking_at_dots_takes_nothing(relay: AnyClient, queue: str, dots: str) -> None:
    await maybe_await(relay.enqueue(Queue(queue).job("x", 1)))
    with pytest.raises(JobNotFoundError):
        await maybe_await(relay.get(queue, dots))
    assert not await maybe_await(relay.exists(queue, dots))
    await maybe_await(relay.remove(queue, dots))
    assert len(await maybe_await(relay.next(queue, timeout=0))) == 1
