"""Invalid arguments are refused before anything is sent, and the error names the job."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from math import inf, nan
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from relay_sdk import Job, PayloadError, Queue, UnsupportedError

from ..support.fixtures import Connect
from ..support.flow_player import next_reply
from ..support.sync_async import AnyClient, maybe_await

pytestmark = pytest.mark.anyio

BAD_KEYS = ["", "x" * 1025, "nul\0", "half \ud83e pair", "\udc00"]
NAIVE = datetime(2031, 1, 1)  # noqa: DTZ001 what is refused here


@pytest.fixture
def relay(connect: Connect) -> AnyClient:
    """A client that must not send anything."""

    def forbidden(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"{request.method} {request.url} was sent")

    return connect(answer=forbidden)


def named(queue: str, id: str) -> str:
    """Return how an error names a key, which is cut off if it is long."""
    return f"{id!r} in queue {queue!r}"[:40]


@pytest.mark.parametrize("bad", BAD_KEYS, ids=ascii)
@pytest.mark.parametrize("method", ["get", "exists", "remove"])
async def test_a_key_the_database_cannot_hold(relay: AnyClient, method: str, bad: str) -> None:
    for queue, id in ((bad, "x"), ("emails", bad)):
        with pytest.raises(ValueError) as raised:
            await maybe_await(getattr(relay, method)(queue, id))
        assert repr(bad)[:30] in str(raised.value)


@pytest.mark.parametrize("bad", BAD_KEYS, ids=ascii)
async def test_a_queue_the_database_cannot_hold(relay: AnyClient, bad: str) -> None:
    with pytest.raises(ValueError):
        await maybe_await(relay.next(bad))
    with pytest.raises(ValueError):
        Queue(bad)
    with pytest.raises(ValueError):
        await maybe_await(relay.enqueue(Job(queue=bad, id="x", payload=1)))


@pytest.mark.parametrize("bad", BAD_KEYS, ids=ascii)
async def test_an_id_the_database_cannot_hold(relay: AnyClient, bad: str) -> None:
    with pytest.raises(ValueError) as raised:
        Queue("emails").job(bad, 1)
    assert named("emails", bad) in str(raised.value)
    with pytest.raises(ValueError):
        await maybe_await(relay.enqueue(Job(queue="emails", id=bad, payload=1)))


@pytest.mark.parametrize("bad", [None, 5, b"x"], ids=str)
async def test_a_key_that_is_not_a_str(relay: AnyClient, bad: Any) -> None:
    with pytest.raises(TypeError):
        await maybe_await(relay.get("emails", bad))
    with pytest.raises(TypeError):
        Queue(bad)
    with pytest.raises(TypeError):
        Queue("emails").job(bad, 1)


BAD_FIELDS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"timeout": -1}, ValueError),
    ({"timeout": 2**31}, ValueError),
    ({"timeout": 1.5}, TypeError),
    ({"timeout": 30.0}, TypeError),
    ({"timeout": "30"}, TypeError),
    ({"timeout": None}, TypeError),
    ({"timeout": True}, TypeError),
    ({"max_retries": -1}, ValueError),
    ({"max_retries": 2**15}, ValueError),
    ({"max_retries": 1.0}, TypeError),
    ({"max_retries": False}, TypeError),
    ({"run_at": NAIVE}, ValueError),
    ({"run_at": "2031-01-01T00:00:00Z"}, TypeError),
    ({"run_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-3)))}, ValueError),
]


@pytest.mark.parametrize(("fields", "error"), BAD_FIELDS, ids=str)
async def test_a_field_out_of_range(
    relay: AnyClient, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match="'x' in queue 'emails'"):
        Queue("emails").job("x", 1, **fields)
    good = Queue("emails").job("x", 1)
    for send in (relay.enqueue, lambda job: relay.enqueue_batch([good, job])):
        with pytest.raises(error, match="'x' in queue 'emails'"):
            await maybe_await(send(replace(good, **fields)))


@pytest.mark.parametrize(
    "value", [nan, b"bytes", {1}, object()], ids=["nan", "bytes", "set", "object"]
)
async def test_a_payload_or_state_that_json_cannot_hold(relay: AnyClient, value: object) -> None:
    q = Queue("emails")
    for job in (q.job("x", value), q.job("x", 1, state=value)):
        with pytest.raises(PayloadError, match="'x' in queue 'emails'"):
            await maybe_await(relay.enqueue(job))


async def test_one_payload_of_the_wrong_type_keeps_the_batch(relay: AnyClient) -> None:
    numbers: Queue[Any] = Queue("emails", payload=int)
    with pytest.raises(PayloadError, match="'b' in queue 'emails'"):
        await maybe_await(relay.enqueue_batch([numbers.job("a", 1), numbers.job("b", "2")]))


async def test_two_jobs_of_one_id_in_a_batch(relay: AnyClient) -> None:
    q = Queue("emails")
    with pytest.raises(ValueError, match="'x' in queue 'emails' is in the batch twice"):
        await maybe_await(relay.enqueue_batch([q.job("x", 1), q.job("y", 1), q.job("x", 2)]))


@pytest.mark.parametrize("mode", ["unique", "ignore", "replace"])
async def test_a_batch_without_jobs_sends_nothing(relay: AnyClient, mode: Any) -> None:
    await maybe_await(relay.enqueue_batch([], mode=mode))


@pytest.mark.parametrize("mode", ["Unique", "", None, 1], ids=str)
async def test_a_mode_that_does_not_exist(relay: AnyClient, mode: Any) -> None:
    with pytest.raises(ValueError, match="mode"):
        await maybe_await(relay.enqueue(Queue("emails").job("x", 1), mode=mode))


@pytest.mark.parametrize(
    ("num_jobs", "error"),
    [(0, ValueError), (-1, ValueError), (2**32, ValueError), (1.0, TypeError), (True, TypeError)],
)
async def test_an_invalid_number_of_jobs(
    relay: AnyClient, num_jobs: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="num_jobs of queue 'emails'"):
        await maybe_await(relay.next("emails", num_jobs))


@pytest.mark.parametrize("timeout", [-1, -inf, nan])
async def test_an_invalid_timeout(relay: AnyClient, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout of queue 'emails'"):
        await maybe_await(relay.next("emails", timeout=timeout))


async def test_operations_that_v1_does_not_support(connect: Connect) -> None:
    def forbidden(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"{request.method} {request.url} was sent")

    relay, q = connect(answer=forbidden, api="v1"), Queue("emails")
    jobs = [q.job("x", 1), q.job("y", 1)]
    for refused in (
        lambda: relay.enqueue(jobs[0], mode="replace"),
        lambda: relay.enqueue_batch(jobs, mode="unique"),
    ):
        with pytest.raises(UnsupportedError, match="'x' in queue 'emails'"):
            await maybe_await(refused())


HelperCall = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda helper: helper.heartbeat(nan), PayloadError),
        (lambda helper: helper.heartbeat(b"bytes"), PayloadError),
        (lambda helper: helper.heartbeat("x" * 2**21), PayloadError),
        (lambda helper: helper.reschedule(run_at=NAIVE), ValueError),
        (lambda helper: helper.reschedule(state={1}), PayloadError),
        (lambda helper: helper.reschedule(helper.job, state=1), TypeError),
        (lambda helper: helper.reschedule(helper.job, run_at=datetime.now(UTC)), TypeError),
        (lambda helper: helper.reschedule(replace(helper.job, timeout=-1)), ValueError),
        (lambda helper: helper.requeue([helper.job, helper.job]), ValueError),
        (lambda helper: helper.requeue([replace(helper.job, payload=nan)]), PayloadError),
        (lambda helper: helper.requeue([], mode="all"), ValueError),
    ],
)
async def test_a_refused_argument_does_not_end_the_run(
    connect: Connect, call: HelperCall, error: type[Exception]
) -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        if request.method == "GET":
            return httpx.Response(200, content=next_reply("x").content)
        return httpx.Response(200)

    (helper,) = await maybe_await(connect(answer=answer, api="v2").next("emails"))
    with pytest.raises(error):
        await maybe_await(call(helper))
    assert sent == ["GET"]
    await maybe_await(helper.complete())
