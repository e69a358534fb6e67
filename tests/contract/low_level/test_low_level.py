"""The generated functions do what openapi/relay.yaml says, on every server that speaks it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from relay_api.api.health import check_health, head_health
from relay_api.api.v1 import (
    enqueue_v1,
    exists_v1,
    get_v1,
    heartbeat_v1,
    next_v1,
    remove_v1,
    reschedule_v1,
)
from relay_api.api.v2 import (
    complete_v2,
    enqueue_v2,
    exists_v2,
    get_v2,
    heartbeat_v2,
    next_v2,
    remove_v2,
    requeue_v2,
)
from relay_api.models import JobV1, JobV2, NewJobV1, NewJobV2

from ..wire import Wire
from .conftest import Call

pytestmark = pytest.mark.anyio

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
BIG = "x" * 2**21


@pytest.fixture
def new_v1(wire: Wire, queue: str) -> Callable[..., NewJobV1]:
    """Make a job to send over v1; it is deleted at the end."""

    def new(id: str = "x", **fields: Any) -> NewJobV1:
        wire.stored.add((queue, id))
        usual: dict[str, Any] = {"timeout": 30, "payload": {"n": 1}}
        return NewJobV1(queue=queue, id=id, **usual | fields)

    return new


@pytest.fixture
def new_v2(wire: Wire, queue: str) -> Callable[..., NewJobV2]:
    """Make a job to send over v2; it is deleted at the end."""
    if wire.flavor == "relay-rs":
        pytest.skip("relay-rs speaks v1 alone")

    def new(id: str = "x", **fields: Any) -> NewJobV2:
        wire.stored.add((queue, id))
        usual: dict[str, Any] = {"timeout": 30, "payload": {"n": 1}}
        return NewJobV2(queue=queue, id=id, **usual | fields)

    return new


async def status(call: Awaitable[Any]) -> int:
    answer: int = (await call).status_code
    return answer


async def claimed(call: Call, queue: str) -> JobV2:
    jobs = (await call(next_v2, queue)).parsed
    assert isinstance(jobs, list)
    (job,) = jobs
    return job


async def test_the_server_is_healthy(call: Call) -> None:
    assert await status(call(check_health)) == 200
    assert await status(call(head_health)) == 200


async def test_a_job_of_v1_lives(call: Call, queue: str, new_v1: Callable[..., NewJobV1]) -> None:
    sent = new_v1(state={"seen": 0}, max_retries=3, run_at=NOT_BEFORE)
    assert await status(call(enqueue_v1, body=[sent])) == 202
    assert await status(call(exists_v1, queue, "x")) == 200

    jobs = (await call(next_v1, queue, num_jobs=5)).parsed
    assert isinstance(jobs, list)
    (job,) = jobs
    assert (job.queue, job.id, job.timeout, job.max_retries) == (queue, "x", 30, 3)
    assert (job.payload, job.state, job.run_at) == ({"n": 1}, {"seen": 0}, NOT_BEFORE)
    assert job.updated_at.tzinfo
    nothing = await call(next_v1, queue)
    assert (nothing.status_code, nothing.parsed) == (204, None)

    for state in ({"seen": 1}, None, "text"):
        assert await status(call(heartbeat_v1, queue, "x", body=state)) == 202
        shown = (await call(get_v1, queue, "x")).parsed
        assert isinstance(shown, JobV1)
        assert shown.state == state
    assert await status(call(heartbeat_v1, queue, "x")) == 202
    shown = (await call(get_v1, queue, "x")).parsed
    assert isinstance(shown, JobV1)
    assert shown.state is None

    assert await status(call(reschedule_v1, body=new_v1(payload="again"))) == 202
    jobs = (await call(next_v1, queue)).parsed
    assert isinstance(jobs, list)
    assert jobs[0].payload == "again"
    assert await status(call(remove_v1, queue, "x")) == 200
    assert await status(call(exists_v1, queue, "x")) == 404


async def test_a_job_of_v2_lives(call: Call, queue: str, new_v2: Callable[..., NewJobV2]) -> None:
    sent = new_v2(state={"seen": 0}, max_retries=3, run_at=NOT_BEFORE)
    assert await status(call(enqueue_v2, body=[sent])) == 202
    assert await status(call(exists_v2, queue, "x")) == 200

    jobs = (await call(next_v2, queue, num_jobs=5)).parsed
    assert isinstance(jobs, list)
    (job,) = jobs
    assert (job.queue, job.id, job.timeout, job.max_retries) == (queue, "x", 30, 3)
    assert (job.payload, job.state, job.run_at) == ({"n": 1}, {"seen": 0}, NOT_BEFORE)
    assert job.retries_remaining == 3
    assert job.created_at <= job.updated_at
    assert isinstance(job.run_id, UUID)
    nothing = await call(next_v2, queue)
    assert (nothing.status_code, nothing.parsed) == (204, None)

    for state in ({"seen": 1}, None, "text"):
        assert await status(call(heartbeat_v2, queue, "x", job.run_id, body=state)) == 202
        shown = (await call(get_v2, queue, "x")).parsed
        assert isinstance(shown, JobV2)
        assert (shown.state, shown.run_id) == (state, job.run_id)
    assert await status(call(heartbeat_v2, queue, "x", job.run_id)) == 202
    shown = (await call(get_v2, queue, "x")).parsed
    assert isinstance(shown, JobV2)
    assert shown.state is None

    again = [new_v2(payload="again"), new_v2("y", run_at=datetime(9000, 1, 1, tzinfo=UTC))]
    assert await status(call(requeue_v2, queue, "x", job.run_id, body=again)) == 202
    job = await claimed(call, queue)
    assert (job.id, job.payload, job.max_retries) == ("x", "again", None)
    assert isinstance(job.run_id, UUID)
    assert await status(call(complete_v2, queue, "x", job.run_id)) == 200
    assert await status(call(exists_v2, queue, "x")) == 404
    assert await status(call(remove_v2, queue, "y")) == 200
    assert await status(call(exists_v2, queue, "y")) == 404


async def test_errors_of_v1_are_statuses_with_the_servers_text(
    call: Call, queue: str, wire: Wire, new_v1: Callable[..., NewJobV1]
) -> None:
    unknown = await call(get_v1, queue, "x")
    assert (unknown.status_code, unknown.content) == (404, b"")

    no_run = await call(heartbeat_v1, queue, "x", body=1)
    text = f"job with id `x` not found in queue `{queue}`."
    assert (no_run.status_code, no_run.parsed) == (404, text)
    if wire.flavor != "relay":  # there it is 202, and nothing happens
        assert await status(call(reschedule_v1, body=new_v1())) == 404

    assert await status(call(enqueue_v1, body=[new_v1()])) == 202
    taken = await call(enqueue_v1, body=[new_v1()])
    text = f"job with id `x` already exists in queue `{queue}`."
    assert (taken.status_code, taken.parsed) == (409, text)

    assert await status(call(enqueue_v1, body=[new_v1(timeout=1.5)])) == 422
    assert await status(call(reschedule_v1, body=new_v1(timeout=1.5))) == 422
    assert await status(call(enqueue_v1, body=[new_v1(payload=BIG)])) == 413
    assert await status(call(reschedule_v1, body=new_v1(payload=BIG))) == 413
    for endpoint in (get_v1, exists_v1, remove_v1):
        assert await status(call(endpoint, queue, "\0")) == 422
    if wire.flavor != "relay":  # a known fault: it answers 404
        assert await status(call(heartbeat_v1, queue, "\0")) == 422
    many: Any = "many"
    refused = await call(next_v1, queue, num_jobs=many)
    assert refused.status_code == 400
    assert str(refused.parsed).startswith("Failed to deserialize query string")


async def test_errors_of_v2_are_statuses_with_the_servers_text(
    call: Call, queue: str, new_v2: Callable[..., NewJobV2]
) -> None:
    unknown = await call(get_v2, queue, "x")
    assert (unknown.status_code, unknown.content) == (404, b"")

    run_id = uuid4()
    no_run = await call(heartbeat_v2, queue, "x", run_id, body=1)
    text = f"job with id `x` not found in queue `{queue}` with {run_id}."
    assert (no_run.status_code, no_run.parsed) == (404, text)
    assert await status(call(complete_v2, queue, "x", run_id)) == 200
    assert await status(call(requeue_v2, queue, "x", run_id, body=[new_v2()])) == 202
    assert await status(call(exists_v2, queue, "x")) == 404  # its run was over: nothing happened

    assert await status(call(enqueue_v2, body=[new_v2()])) == 202
    text = f"job with id `x` already exists in queue `{queue}`."
    taken = await call(enqueue_v2, body=[new_v2()])
    assert (taken.status_code, taken.parsed) == (409, text)
    assert await status(call(enqueue_v2, body=[new_v2()], mode="ignore")) == 202
    assert await status(call(enqueue_v2, body=[new_v2()], mode="replace")) == 202
    run = await claimed(call, queue)
    assert isinstance(run.run_id, UUID)
    assert await status(call(enqueue_v2, body=[new_v2("y")])) == 202
    taken = await call(requeue_v2, queue, "x", run.run_id, body=[new_v2("y")])
    assert (taken.status_code, taken.parsed) == (409, text.replace("`x`", "`y`"))

    for body, error in (([new_v2(timeout=1.5)], 422), ([new_v2(payload=BIG)], 413)):
        assert await status(call(enqueue_v2, body=body)) == error
        assert await status(call(requeue_v2, queue, "x", run.run_id, body=body)) == error
    for endpoint in (get_v2, exists_v2, remove_v2):
        assert await status(call(endpoint, queue, "\0")) == 422
    for many in (0, "many"):
        number: Any = many
        refused = await call(next_v2, queue, num_jobs=number)
        assert refused.status_code == 400
        assert str(refused.parsed).startswith("Failed to deserialize query string")


@pytest.mark.parametrize("id", [".", "..", "a/b", "?num_jobs=9", "%2E", "é 🦆"])
async def test_a_strange_id_names_one_job(
    call: Call, queue: str, id: str, new_v1: Callable[..., NewJobV1]
) -> None:
    assert await status(call(enqueue_v1, body=[new_v1("other"), new_v1(id)])) == 202
    for endpoint, expected in ((exists_v1, 200), (remove_v1, 200), (exists_v1, 404)):
        assert await status(call(endpoint, queue, id)) == expected
    jobs = (await call(next_v1, queue, num_jobs=9)).parsed
    assert isinstance(jobs, list)
    assert [job.id for job in jobs] == ["other"]
