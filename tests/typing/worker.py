"""`Worker` and `AsyncWorker` take handlers that fit their queue, however they were made."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, assert_type

from shared import EMAILS, URGENT, Email, Progress, UrgentEmail

from relay_sdk import (
    AsyncClient,
    AsyncJobHelper,
    AsyncWorker,
    Backoff,
    Client,
    Every,
    JobHelper,
    RRule,
    Schedule,
    Worker,
)


def send(helper: JobHelper[Email, Progress]) -> None: ...


def send_urgent(helper: JobHelper[UrgentEmail, Progress]) -> None: ...


def send_from(sender: str, helper: JobHelper[Email, Progress]) -> None: ...


def handle_any(helper: JobHelper[Any, Any]) -> None: ...


def handle_bare(helper: JobHelper) -> None: ...


def on_error(helper: JobHelper[Any, Any], error: Exception) -> None: ...


def on_email_error(helper: JobHelper[Email, Progress], error: Exception) -> None: ...


async def asend(helper: AsyncJobHelper[Email, Progress]) -> None: ...


async def asend_urgent(helper: AsyncJobHelper[UrgentEmail, Progress]) -> None: ...


async def asend_from(sender: str, helper: AsyncJobHelper[Email, Progress]) -> None: ...


def send_in_thread(helper: AsyncJobHelper[Email, Progress]) -> None: ...


async def aon_error(helper: AsyncJobHelper[Any, Any], error: Exception) -> None: ...


class Mailer:
    def send(self, helper: JobHelper[Email, Progress]) -> None: ...

    async def asend(self, helper: AsyncJobHelper[Email, Progress]) -> None: ...


class Sender:
    def __call__(self, helper: JobHelper[Email, Progress]) -> None: ...


class AsyncSender:
    async def __call__(self, helper: AsyncJobHelper[Email, Progress]) -> None: ...


def threads(relay: Client, mailer: Mailer, sent: list[str]) -> None:
    worker = Worker(
        relay,
        EMAILS,
        send,
        concurrency=4,
        graceful_shutdown_timeout=10,
        retry=Backoff(retries=3),
        on_error=on_error,
        on_retries_exhausted=on_email_error,
    )
    assert_type(worker, Worker)
    assert_type(worker.add(URGENT, send_urgent), Worker)
    assert_type(worker.run(), None)
    assert_type(worker.stop(), None)
    with Worker(relay, EMAILS, send) as entered:
        assert_type(entered, Worker)
    Worker(relay, EMAILS, handle_any)
    Worker(relay, EMAILS, handle_bare)
    Worker(relay, EMAILS, partial(send_from, "a@example.org"))
    Worker(relay, EMAILS, mailer.send)
    Worker(relay, EMAILS, lambda helper: len(helper.raw.id))
    Worker(relay, EMAILS, Sender())
    Worker(relay, EMAILS, lambda helper: sent.append(helper.job.payload.to))
    Worker(relay, "emails", handle_any).add("urgent", lambda helper: sent.append(helper.raw.id))


async def tasks(relay: AsyncClient, mailer: Mailer, sent: list[str]) -> None:
    worker = AsyncWorker(
        relay,
        EMAILS,
        asend,
        concurrency=4,
        graceful_shutdown_timeout=10,
        retry=Backoff(retries=3),
        on_error=aon_error,
        on_retries_exhausted=aon_error,
    )
    assert_type(worker, AsyncWorker)
    assert_type(worker.add(URGENT, asend_urgent), AsyncWorker)
    assert_type(await worker.run(), None)
    assert_type(worker.stop(), None)
    async with AsyncWorker(relay, EMAILS, asend) as entered:
        assert_type(entered, AsyncWorker)
    AsyncWorker(relay, EMAILS, send_in_thread)
    AsyncWorker(relay, EMAILS, partial(asend_from, "a@example.org"))
    AsyncWorker(relay, EMAILS, mailer.asend)
    AsyncWorker(relay, EMAILS, lambda helper: len(helper.raw.id))
    AsyncWorker(relay, EMAILS, AsyncSender())
    AsyncWorker(relay, EMAILS, lambda helper: asend_from("a@example.org", helper))
    AsyncWorker(relay, EMAILS, lambda helper: sent.append(helper.job.payload.to))
    AsyncWorker(relay, "emails", asend)


def schedules(helper: JobHelper[Email, Progress], own: Schedule) -> None:
    helper.reschedule(run_at=Every(timedelta(minutes=5), missed="catch_up"))
    helper.reschedule(run_at=RRule("FREQ=DAILY", "Europe/Berlin"), state=Progress(1))
    helper.reschedule(run_at=own)


def kept(worker: Worker, handler: Callable[[JobHelper[Email, Progress]], None]) -> Worker:
    return worker.add(EMAILS, handler)
