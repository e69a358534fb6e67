"""A reply that Relay cannot have sent raises an error, and does not affect other jobs."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from relay_sdk import (
    AsyncJobHelper,
    AsyncWorker,
    Backoff,
    Client,
    JobHelper,
    PayloadError,
    TransportError,
    Worker,
)
from relay_sdk.testing import Clock

from ..support.fixtures import Connect
from ..support.flow_player import RUN_ID
from ..support.sync_async import AnyClient, maybe_await

pytestmark = pytest.mark.anyio

JOB = (
    b'{"queue":"emails","id":"%s","timeout":60,"max_retries":null,"payload":1,"state":null,'
    b'"run_id":"' + RUN_ID.encode() + b'","run_at":"2030-01-01T00:00:00Z",'
    b'"updated_at":"2030-01-01T00:00:00Z","created_at":"2030-01-01T00:00:00Z",'
    b'"retries_remaining":null}'
)
GOOD = JOB % b"good"
STRANGE = JOB % b"strange"
HUGE = b"1" + b"0" * 400

ONE: dict[str, tuple[bytes, str]] = {
    "an id that is not UTF-8": (JOB % b"\xff", "(?i)utf-8"),
    "an id with half a surrogate pair": (JOB % b"\\ud800", "truncated"),
    "an id that is a number": (STRANGE.replace(b'"strange"', b"7"), "`id`|[.]id"),
    "a timeout of 10^400": (STRANGE.replace(b"60", HUGE), "timeout"),
    "a timeout of 10^400, as a float": (STRANGE.replace(b"60", b"1e400"), "out of range"),
    "a timeout above 32 bits": (STRANGE.replace(b"60", b"2147483648"), "timeout"),
    "a timeout that is a text": (STRANGE.replace(b"60", b'"60"'), "timeout"),
    "max_retries of 10^400": (
        STRANGE.replace(b'retries":null,"p', b'retries":' + HUGE + b',"p'),
        "max_retries",
    ),
    "max_retries of -10^400": (
        STRANGE.replace(b'retries":null,"p', b'retries":-' + HUGE + b',"p'),
        "max_retries",
    ),
    "no queue": (STRANGE.replace(b'"queue"', b'"kueue"'), "queue"),
    "no timeout": (STRANGE.replace(b'"timeout":60,', b""), "timeout"),
    "an id nested deep": (
        STRANGE.replace(b'"strange"', b"[" * 9000 + b"]" * 9000),
        "recursion|str",
    ),
    "a field whose name is not UTF-8": (
        STRANGE.replace(b'"queue"', b'"\xff":"","queue"').replace(b"60", b'"60"'),
        "(?i)utf-8",
    ),
}
"""Invalid jobs, and the error of each."""

WHOLE: dict[str, tuple[bytes, str]] = {
    "a job of another queue": (b"[%s]" % STRANGE.replace(b"emails", b"letters"), "letters"),
    "a job of another queue among good ones": (
        b"[%s,%s]" % (GOOD, STRANGE.replace(b"emails", b"letters")), "letters",
    ),
    "more jobs than asked": (b"[%s,%s,%s]" % (GOOD, STRANGE, JOB % b"third"), "more than the 2"),
    "more jobs than asked, one unreadable": (
        b"[%s,%s,%s]" % (GOOD, STRANGE, JOB % b"\xff"), "more than the 2",
    ),
    "nothing": (b"", ""),
    "null": (b"null", "array"),
    "an object": (GOOD, "array"),
    "numbers": (b"[1,2]", "object"),
    "an array cut short": (b"[%s," % GOOD, ""),
    "a number among good jobs": (b"[%s,1]" % GOOD, "object"),
    "a text among good jobs": (b"[%s,\"]\"]" % GOOD, "object"),
    "an array and more": (b"[%s] and more" % GOOD, ""),
    "brackets that close twice": (b"[%s]]" % GOOD, ""),
    "another encoding": (b"[%s]".decode().encode("utf-16"), ""),
    "bytes that are no text": (b"\xff\xfe\x00", ""),
}  # fmt: skip
"""Replies to `next` without any usable job, and the error of each."""


@pytest.fixture(params=["v1", "v2"])
def api(request: pytest.FixtureRequest) -> str:
    api: str = request.param
    return api


@pytest.fixture
def answering(connect: Connect, api: str) -> Callable[..., AnyClient]:
    """Return a factory of clients that get these bytes with every reply."""

    def make(content: bytes, api: str = api) -> AnyClient:
        def answer(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=content)

        return connect(answer=answer, api=api, retry_backoff=Backoff(retries=0))

    return make


def check(error: TransportError, told: str) -> None:
    assert error.sent
    assert "emails" in str(error)
    assert "invalid reply with status 200: " in str(error)
    assert told in str(error)


@pytest.mark.parametrize(("content", "told"), WHOLE.values(), ids=WHOLE)
async def test_an_invalid_reply_to_next_raises(
    answering: Callable[..., AnyClient], content: bytes, told: str
) -> None:
    with pytest.raises(TransportError) as raised:
        await maybe_await(answering(content).next("emails", 2))
    check(raised.value, told)


@pytest.mark.parametrize(("content", "told"), ONE.values(), ids=ONE)
async def test_a_single_invalid_job_raises(
    answering: Callable[..., AnyClient], content: bytes, told: str
) -> None:
    with pytest.raises(TransportError, match=told) as raised:
        await maybe_await(answering(b"[%s]" % content).next("emails", 2))
    check(raised.value, "queued again after their timeout")


@pytest.mark.parametrize(("content", "told"), ONE.values(), ids=ONE)
async def test_an_invalid_job_does_not_affect_others(
    answering: Callable[..., AnyClient],
    content: bytes,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for both in (b"[%s,%s]" % (GOOD, content), b"[%s,%s]" % (content, GOOD)):
        caplog.clear()
        (helper,) = await maybe_await(answering(both).next("emails", 2))
        assert helper.job.id == "good"
        (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert record.name == "relay_sdk"
        assert "next of queue 'emails': left out" in record.getMessage()
        assert "queued again after their timeout" in record.getMessage()


@pytest.mark.parametrize(
    "without", [STRANGE.replace(b'"run_id":"' + RUN_ID.encode() + b'",', b""),
                STRANGE.replace(b'"' + RUN_ID.encode() + b'"', b"null")], ids=["absent", "null"],
)  # fmt: skip
@pytest.mark.parametrize("api", ["v2"])
async def test_a_job_without_a_run_id_on_v2_is_left_out(
    answering: Callable[..., AnyClient], without: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TransportError) as raised:
        await maybe_await(answering(b"[%s]" % without).next("emails", 2))
    check(raised.value, "job 'strange' in queue 'emails' has no run id")

    (helper,) = await maybe_await(answering(b"[%s,%s]" % (without, GOOD)).next("emails", 2))
    assert helper.job.id == "good"
    assert "job 'strange' in queue 'emails' has no run id" in caplog.text


@pytest.mark.parametrize("content", [
    b"", b" ", b"null", b"[]", b"[%s]" % GOOD, b"{}", b'"x"', GOOD + b"," + GOOD, GOOD + b"x",
    b"],[", b"\xff", GOOD[:-1], JOB % b"other", GOOD.replace(b"emails", b"letters"),
])  # fmt: skip
async def test_a_reply_to_get_with_another_job_raises(
    answering: Callable[..., AnyClient], content: bytes
) -> None:
    with pytest.raises(TransportError) as raised:
        await maybe_await(answering(content).get("emails", "good"))
    check(raised.value, "job 'good' in queue 'emails'")


@pytest.mark.parametrize(("content", "told"), ONE.values(), ids=ONE)
async def test_an_invalid_job_in_a_reply_to_get_raises(
    answering: Callable[..., AnyClient], content: bytes, told: str
) -> None:
    with pytest.raises(TransportError, match=told) as raised:
        await maybe_await(answering(content).get("emails", "strange"))
    check(raised.value, "job 'strange' in queue 'emails'")


@pytest.mark.parametrize("api", ["v1"])
async def test_every_job_that_v1_may_return_is_valid(answering: Callable[..., AnyClient]) -> None:
    """A negative timeout, any negative max_retries, a year above 9999, and unknown fields."""
    job = json.loads(GOOD) | {"timeout": -5, "max_retries": -7, "new": {"queue": [HUGE.decode()]}}
    for name in ("run_id", "created_at", "retries_remaining"):
        del job[name]
    job["run_at"] = "+10000-01-01T00:00:00Z"
    (helper,) = await maybe_await(answering(json.dumps([job]).encode()).next("emails"))
    assert (helper.job.timeout, helper.job.max_retries, helper.job.run_at) == (-5, None, None)


async def test_an_undecodable_payload_affects_only_its_job(
    answering: Callable[..., AnyClient],
) -> None:
    content = b"[%s,%s]" % (STRANGE.replace(b":1,", b':"\xff",'), GOOD)
    strange, good = await maybe_await(answering(content).next("emails", 2))
    assert good.job.payload == 1
    with pytest.raises(PayloadError, match="strange"):
        _: Any = strange.job


async def test_the_reply_after_an_invalid_one_is_parsed(connect: Connect, api: str) -> None:
    answers = [b"[%s]" % JOB % b"\xff", b"", b"[%s]" % GOOD]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=answers.pop(0))

    relay = connect(answer=answer, api=api, retry_backoff=Backoff(0.001, retries=2))
    (helper,) = await maybe_await(relay.next("emails"))
    assert helper.job.id == "good"


async def test_a_worker_continues_after_invalid_replies(connect: Connect, api: str) -> None:
    strange = [content for content, _ in WHOLE.values()]
    strange += [b"[%s]" % content for content, _ in ONE.values()]
    answers = [*strange, b"[%s]" % GOOD]
    ran: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            return httpx.Response(200 if request.method == "DELETE" else 202)
        return httpx.Response(200, content=answers.pop(0)) if answers else httpx.Response(204)

    def run(helper: JobHelper) -> None:
        ran.append(helper.job.id)
        worker.stop()

    async def arun(helper: AsyncJobHelper) -> None:
        ran.append(helper.job.id)
        worker.stop()

    relay = connect(answer=answer, api=api, clock=Clock())
    worker: Worker | AsyncWorker
    if isinstance(relay, Client):
        worker = Worker(relay, "emails", run, concurrency=2)
    else:
        worker = AsyncWorker(relay, "emails", arun, concurrency=2)
    await maybe_await(worker.run())

    assert ran == ["good"]
