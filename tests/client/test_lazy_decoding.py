"""An invalid payload affects only its job."""

import json
from typing import Any

import httpx
import pytest

from relay_sdk import Backoff, PayloadError, Queue

from ..support.fixtures import Connect
from ..support.flow_player import RUN_ID
from ..support.sync_async import AnyHelper, maybe_await

pytestmark = pytest.mark.anyio

GOOD = b'{"n": 1}'


def batch(*payloads: bytes, run_at: str = "2030-01-01T00:00:00Z") -> bytes:
    """Return a reply to `next` with these payloads; only the first job has the given date."""
    jobs = []
    for number, payload in enumerate(payloads):
        moment = run_at if number == 0 else "2030-01-01T00:00:00Z"
        jobs.append(
            b'{"queue":"emails","id":"%d","timeout":60,"max_retries":null,"retries_remaining":null,'
            b'"payload":%b,"state":null,"run_id":"%b","run_at":"%b",'
            b'"updated_at":"2030-01-01T00:00:00Z","created_at":"2030-01-01T00:00:00Z"}'
            % (number, payload, RUN_ID.encode(), moment.encode())
        )
    return b"[" + b",".join(jobs) + b"]"


async def taken(
    connect: Connect, content: bytes, queue: Queue[Any] | str = "emails"
) -> list[AnyHelper]:
    """Claim the jobs of a reply; all later requests succeed."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, content=content)
        return httpx.Response(200 if request.method == "DELETE" else 202)

    relay = connect(answer=answer, api="v2", retry_backoff=Backoff(retries=0))
    helpers = await maybe_await(relay.next(queue, 9))
    assert [helper.raw.id for helper in helpers] == [str(n) for n in range(len(helpers))]
    return helpers


BAD = {
    "wrong type": b'{"n": "one"}',
    "another shape": b"[1, 2]",
    "null": b"null",
    "5,000 digits": b'{"n": %b}' % (b"9" * 5000),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_an_invalid_payload_does_not_affect_other_jobs(connect: Connect, bad: bytes) -> None:
    typed = Queue("emails", payload=dict[str, int])
    helpers = await taken(connect, batch(bad, GOOD), typed)
    assert helpers[1].job.payload == {"n": 1}
    for _ in range(2):
        with pytest.raises(PayloadError) as raised:
            _ = helpers[0].job
        assert (raised.value.queue, raised.value.id, raised.value.raw) == ("emails", "0", bad)


@pytest.mark.parametrize("end", ["complete", "reschedule", "remove"])
async def test_a_job_that_cannot_be_decoded_can_be_ended(connect: Connect, end: str) -> None:
    (helper,) = await taken(connect, batch(BAD["5,000 digits"]))
    await maybe_await(helper.heartbeat())
    await maybe_await(getattr(helper, end)())


async def test_helper_raw_is_the_received_text(connect: Connect) -> None:
    (helper,) = await taken(connect, batch(b'{"b":  1.50, "a": 1}'))
    assert bytes(helper.raw.payload) == b'{"b":  1.50, "a": 1}'
    assert (helper.raw.queue, helper.raw.id, helper.raw.timeout) == ("emails", "0", 60)


async def test_a_rescheduled_payload_is_sent_as_received(connect: Connect) -> None:
    bodies: list[bytes] = []
    digits = b'{"n": %b, "n": 1.50}' % (b"9" * 5000)

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        if request.method == "GET":
            return httpx.Response(200, content=batch(digits))
        return httpx.Response(202)

    (helper,) = await maybe_await(connect(answer=answer, api="v2").next("emails"))
    await maybe_await(helper.reschedule())
    assert b'"payload":' + digits in bodies[-1]


async def test_a_payload_nested_too_deep_does_not_affect_other_jobs(connect: Connect) -> None:
    deep = b"[" * 5000 + b"]" * 5000
    helpers = await taken(connect, batch(deep, GOOD))
    assert helpers[1].job.payload == json.loads(GOOD)
    with pytest.raises(PayloadError):
        _ = helpers[0].job
    await maybe_await(helpers[0].complete())


@pytest.mark.parametrize("run_at", ["0000-06-01T00:00:00Z", "-0044-03-15T12:00:00Z"])
async def test_a_date_out_of_range_does_not_affect_other_jobs(
    connect: Connect, run_at: str
) -> None:
    helpers = await taken(connect, batch(GOOD, GOOD, run_at=run_at))
    assert helpers[1].job.payload == {"n": 1}
    await maybe_await(helpers[0].complete())


async def test_a_job_is_decoded_once(connect: Connect) -> None:
    (helper,) = await taken(connect, batch(GOOD))
    assert helper.job is helper.job
