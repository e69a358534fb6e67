"""What `Client` and `JobHelper` give is typed by the queue that they are given."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import httpx
from shared import EMAILS, URGENT, Email, Progress, UrgentEmail

from relay_sdk import Backoff, Client, Cron, EnqueueMode, Job, JobHelper, RawJob


def options(own: httpx.Client) -> None:
    with Client(
        "http://127.0.0.1:8080",
        next_backoff=Backoff(0.1, maximum=1, factor=2, jitter=0, retries=3),
        retry_backoff=Backoff(),
        http_client=own,
        timeout=timedelta(seconds=5),
        headers={"x-team": "mail"},
        token="secret",
        api="v2",
    ) as relay:
        assert_type(relay, Client)


def produce(relay: Client, mode: EnqueueMode) -> None:
    job = EMAILS.job(
        "1",
        Email("a@example.org"),
        state=Progress(0),
        timeout=timedelta(seconds=30),
        max_retries=3,
        run_at=datetime.now(UTC),
    )
    assert_type(job, Job[Email, Progress])
    EMAILS.job("2", Email("b@example.org"), delay=60)
    EMAILS.job("3", Email("b@example.org"), delay=timedelta(hours=1))
    assert_type(relay.enqueue(job), None)
    relay.enqueue(job, mode="replace")
    relay.enqueue_batch(EMAILS.job(id, Email(id)) for id in "ab")
    relay.enqueue_batch({job}, mode="unique")
    relay.enqueue_batch([job, URGENT.job("1", UrgentEmail("b@example.org", 3))], mode=mode)


def look(relay: Client) -> None:
    assert_type(relay.get(EMAILS, "1"), Job[Email, Progress])
    assert_type(relay.exists(EMAILS, "1"), bool)
    assert_type(relay.remove(EMAILS, "1"), None)


def work(relay: Client) -> None:
    assert_type(relay.next(EMAILS), list[JobHelper[Email, Progress]])
    assert_type(
        relay.next(EMAILS, 10, timeout=timedelta(seconds=1)), list[JobHelper[Email, Progress]]
    )
    assert_type(relay.iter(EMAILS), Iterator[JobHelper[Email, Progress]])
    for helper in relay.next(EMAILS, num_jobs=10):
        assert_type(helper.job.payload.to, str)
    for helper in relay.iter(EMAILS):
        assert_type(helper.job.payload.to, str)


def handle(helper: JobHelper[Email, Progress]) -> None:
    assert_type(helper.job, Job[Email, Progress])
    assert_type(helper.job.payload, Email)
    assert_type(helper.job.state, Progress | None)
    assert_type(helper.job.run_at, datetime | None)
    assert_type(helper.raw, RawJob)
    assert_type(helper.lost, bool)
    assert_type(helper.exists(), bool)
    assert_type(helper.heartbeat_auto(), AbstractContextManager[None])
    with helper.heartbeat_auto(interval=1.5):
        helper.heartbeat()
        helper.heartbeat(None)
        helper.heartbeat(Progress(sent=1))
    assert_type(helper.complete(), None)


def end(helper: JobHelper[Email, Progress]) -> None:
    helper.reschedule()
    helper.reschedule(run_at=datetime.now(UTC), state=Progress(1))
    helper.reschedule(state=None)
    helper.reschedule(delay=60, state=Progress(1))
    helper.reschedule(delay=timedelta(minutes=1))
    helper.reschedule(run_at=Cron("0 9 * * MON-FRI", "Europe/Berlin"))
    helper.release(delay=timedelta(minutes=1), state=None)
    helper.reschedule(URGENT.job("1", UrgentEmail("a@example.org", 3)))
    helper.requeue([helper.job, URGENT.job("1", UrgentEmail("a@example.org", 3))], mode="ignore")
    helper.remove()


def plain(relay: Client) -> None:
    assert_type(relay.get("emails", "1"), Job[Any, Any])
    assert_type(relay.next("emails"), list[JobHelper[Any, Any]])
    assert_type(relay.iter("emails"), Iterator[JobHelper[Any, Any]])
    for helper in relay.next("emails"):
        assert_type(helper.job.payload, Any)
        helper.heartbeat({"sent": 1})
