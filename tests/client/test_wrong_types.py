"""An argument of the wrong type raises `TypeError` with advice, and nothing is sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec.structs import replace

from relay_sdk import (
    AsyncClient,
    AsyncWorker,
    Backoff,
    Client,
    Cron,
    Every,
    Job,
    Queue,
    RRule,
    Worker,
)
from relay_sdk._base.validation import add_delay
from relay_sdk.local import App
from relay_sdk.testing import Clock

from ..support.fixtures import Connect
from ..support.sync_async import AnyClient, AnyHelper, maybe_await

pytestmark = pytest.mark.anyio

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EMAILS = Queue("emails")


def handle(helper: Any) -> None: ...


def job(**options: Any) -> Job:
    return EMAILS.job("x", 1, **options)


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: Client(8080), "base_url must be a str such as 'http://127.0.0.1:8080', not int"),
    (lambda: AsyncClient(b"http://host"), "base_url must be a str such as .*, not bytes"),
    (lambda: Client("http://h", retry_backoff=3), r"retry_backoff .* not int: write Backoff\("),
    (lambda: Client("http://h", next_backoff=0.1), r"next_backoff .* not float: write Backoff\("),
    (lambda: Client("http://h", timeout="5"), "timeout must be seconds or a timedelta, not str"),
    (lambda: Client("http://h", http_client=httpx.AsyncClient()), "must be an httpx.Client, not"),
    (lambda: AsyncClient("http://h", http_client=httpx.Client()), "an httpx.AsyncClient, not"),
    (lambda: EMAILS.job(UUID(int=1), 1), r"id must be a str, not UUID: use str\(...\)"),
    (lambda: EMAILS.job(5, 1), r"id must be a str, not int: use str\(...\) \(job 5 in queue 'em"),
    (lambda: job(run_at=60), "run_at of job 'x' .* must be a datetime, not 60.*pass delay"),
    (lambda: job(run_at=MINUTE), "must be a datetime, not .*pass delay"),
    (lambda: job(delay=NOW), "delay of job 'x' in queue 'emails' must be seconds .* not datetime"),
    (lambda: job(delay="1"), "delay of job 'x' in queue 'emails' must be seconds .* not str"),
    (lambda: job(run_at=NOW, delay=1), "run_at or delay, not both"),
    (lambda: Every(60), r"period must be a timedelta, not int: write Every\(timedelta"),
    (lambda: RRule(60), "a rule must be a str, not int"),
    (lambda: Cron(60), "a rule must be a str, not int"),
    (lambda: RRule("FREQ=DAILY", UTC), "zone must be a str such as .*, not timezone"),
    (lambda: Cron("* * * * *", 2), "zone must be a str such as .*, not int"),
    (
        lambda: Worker(AsyncClient("http://h"), EMAILS, handle),
        "Worker takes a Client, not AsyncClient: for an AsyncClient, use AsyncWorker",
    ),
    (
        lambda: AsyncWorker(Client("http://h"), EMAILS, handle),
        "AsyncWorker takes an AsyncClient, not Client: for a Client, use Worker",
    ),
    (
        lambda: Worker(Client("http://h"), EMAILS, handle, retry=3),
        r"retry must be a Backoff, not int: write Backoff\(retries=3\)",
    ),
    (lambda: Worker(Client("http://h"), int, handle), "expected a Queue or the name of one, not"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_constructor_refuses_the_wrong_type(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


SENDS: list[tuple[Callable[[AnyClient], Any], str]] = [
    (lambda relay: relay.enqueue({"to": "ada"}), "expected a Job, not dict: create one with"),
    (lambda relay: relay.enqueue([job()]), "expected a Job, not list"),
    (lambda relay: relay.enqueue_batch(job()), r"several jobs, not Job: write enqueue_batch\("),
    (lambda relay: relay.enqueue_batch([job(), 1]), "expected a Job, not int"),
    (lambda relay: relay.next(int), "expected a Queue or the name of one, not type"),
    (lambda relay: relay.next(EMAILS, timeout="1"), "timeout of queue 'emails' must be seconds"),
    (lambda relay: relay.get(EMAILS, UUID(int=1)), "id must be a str, not UUID"),
    (lambda relay: relay.remove(None, "x"), "expected a Queue or the name of one, not NoneType"),
]


@pytest.mark.parametrize(("call", "message"), SENDS, ids=[message for _, message in SENDS])
async def test_a_call_with_the_wrong_type_sends_nothing(
    connect: Connect, call: Callable[[AnyClient], Any], message: str
) -> None:
    def forbidden(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"{request.method} {request.url} was sent")

    with pytest.raises(TypeError, match=message):
        await maybe_await(call(connect(answer=forbidden)))


ENDS: list[tuple[Callable[[AnyHelper], Any], str]] = [
    (lambda helper: helper.reschedule(Every(MINUTE)), "takes a Job, not Every: write run_at="),
    (lambda helper: helper.reschedule(60), "takes a Job, not int: write run_at=.* delay="),
    (lambda helper: helper.reschedule(run_at=60), "must be a datetime, not 60.*pass delay"),
    (lambda helper: helper.reschedule(run_at=NOW, delay=1), "run_at or delay, not both"),
    (lambda helper: helper.reschedule(delay="1"), "delay of job 'x' .* must be seconds"),
    (lambda helper: helper.reschedule(job(), delay=1), "a job, or run_at, delay and state"),
    (lambda helper: helper.requeue(job()), r"several jobs, not Job: write requeue\(\[job\]\)"),
    (lambda helper: helper.release(delay="1"), "delay of job 'x' .* must be seconds"),
    (lambda helper: helper.heartbeat_auto("1"), "interval must be seconds or a timedelta"),
]


@pytest.mark.parametrize(("call", "message"), ENDS, ids=[message for _, message in ENDS])
async def test_a_helper_called_with_the_wrong_type_keeps_its_job(
    relay: AnyClient, call: Callable[[AnyHelper], Any], message: str
) -> None:
    await maybe_await(relay.enqueue(job()))
    [helper] = await maybe_await(relay.next(EMAILS))
    with pytest.raises(TypeError, match=message):
        await maybe_await(call(helper))
    await maybe_await(helper.heartbeat())


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(seconds=90)], ids=repr)
def test_a_delay_is_seconds_or_a_timedelta_from_now(delay: float | timedelta) -> None:
    before = datetime.now(UTC)
    made = job(delay=delay).run_at
    assert made
    assert before + timedelta(seconds=90) <= made <= datetime.now(UTC) + timedelta(seconds=90)
    assert add_delay(NOW, delay) == NOW + timedelta(seconds=90)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), timedelta(-1), timedelta.max])
def test_an_invalid_delay_is_refused(bad: float | timedelta) -> None:
    with pytest.raises(ValueError, match="delay of job 'x' in queue 'emails'"):
        job(delay=bad)


@pytest.mark.parametrize("delay", [90, timedelta(seconds=90)], ids=repr)
async def test_reschedule_and_release_count_a_delay_from_now(
    relay: AnyClient, clock: Clock, delay: float | timedelta
) -> None:
    await maybe_await(relay.enqueue(job()))
    for end in ("reschedule", "release"):
        [helper] = await maybe_await(relay.next(EMAILS))
        now = clock.now()
        await maybe_await(getattr(helper, end)(delay=delay))
        assert (await maybe_await(relay.get(EMAILS, "x"))).run_at == now + timedelta(seconds=90)


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(timedelta(minutes=2), 120), (timedelta(seconds=1.5), 2), (timedelta(0), 0)],
)
def test_a_timeout_may_be_a_timedelta_and_is_rounded_up(timeout: timedelta, seconds: int) -> None:
    assert job(timeout=timeout).timeout == seconds


@pytest.mark.parametrize("bad", [timedelta(-1), timedelta.max])
def test_a_timeout_out_of_range(bad: timedelta) -> None:
    with pytest.raises(ValueError, match="timeout of job 'x' in queue 'emails'"):
        job(timeout=bad)


async def test_a_timedelta_limits_requests_waits_and_heartbeats(
    connect: Connect, app: App, clock: Clock
) -> None:
    relay = connect("http://host", timeout=timedelta(seconds=3))
    assert relay._config.timeout == 3
    with pytest.raises(ValueError, match="timeout must be above 0 seconds"):
        connect("http://host", timeout=timedelta())


async def test_next_takes_a_timedelta(relay: AnyClient, clock: Clock) -> None:
    start = clock.now()
    assert await maybe_await(relay.next(EMAILS, timeout=MINUTE)) == []
    assert clock.now() - start >= MINUTE


def test_a_job_made_by_hand_is_checked_when_it_is_sent() -> None:
    with pytest.raises(TypeError, match="timeout of job 'x'"):
        from relay_sdk.job import to_raw

        to_raw(replace(job(), timeout=MINUTE))  # type: ignore[arg-type]


def test_backoffs_are_accepted() -> None:
    Client("http://h", retry_backoff=Backoff(retries=3), next_backoff=Backoff()).close()
