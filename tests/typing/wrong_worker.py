"""Handlers that do not fit their queue or their worker: both checkers refuse each on its line."""

from datetime import timedelta
from functools import partial
from typing import Any

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
    Worker,
)


def send(helper: JobHelper[Email, Progress]) -> None: ...


def wrong_payload(helper: JobHelper[UrgentEmail, Progress]) -> None: ...


def wrong_state(helper: JobHelper[Email, Email]) -> None: ...


def wrong_from(sender: str, helper: JobHelper[Progress, Progress]) -> None: ...


def too_many(helper: JobHelper[Email, Progress], sender: str) -> None: ...


def takes_payload(email: Email) -> None: ...


async def asend(helper: AsyncJobHelper[Email, Progress]) -> None: ...


async def awrong_payload(helper: AsyncJobHelper[UrgentEmail, Progress]) -> None: ...


async def awrong_state(helper: AsyncJobHelper[Email, Email]) -> None: ...


def wrong_in_thread(helper: AsyncJobHelper[UrgentEmail, Progress]) -> None: ...


def on_error(helper: JobHelper[Any, Any], error: Exception) -> None: ...


async def aon_error(helper: AsyncJobHelper[Any, Any], error: Exception) -> None: ...


def on_error_alone(error: Exception) -> None: ...


def on_lookup(helper: JobHelper[Any, Any], error: LookupError) -> None: ...


class Mailer:
    def send(self, helper: JobHelper[Progress, Progress]) -> None: ...


def threads(relay: Client, other: AsyncClient, mailer: Mailer) -> None:
    Worker(relay, EMAILS, wrong_payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, wrong_state)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # mypy does not look at what a partial still takes
    Worker(relay, EMAILS, partial(wrong_from, "a@example.org"))  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, mailer.send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, too_many)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, takes_payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, asend)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, lambda helper: takes_payload(helper.job.state))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Worker(other, EMAILS, send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, Email, send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send).add(URGENT, send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send).add(URGENT, wrong_state)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def options(relay: Client) -> None:
    Worker(relay, EMAILS, send, 4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Worker(relay, EMAILS, send, concurrency="4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send, graceful_shutdown_timeout=timedelta(seconds=30))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send, retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send, on_error=aon_error)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send, on_error=on_error_alone)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send, on_retries_exhausted=on_lookup)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Worker(relay, EMAILS, send, retry=Backoff(retries=3), on_retries_exhausted=send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def tasks(relay: AsyncClient, other: Client) -> None:
    AsyncWorker(relay, EMAILS, awrong_payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(relay, EMAILS, awrong_state)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(relay, EMAILS, wrong_in_thread)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(relay, EMAILS, send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(other, EMAILS, asend)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(relay, EMAILS, asend, on_error=on_error)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(relay, EMAILS, asend).add(URGENT, asend)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncWorker(relay, EMAILS, asend).run()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    with AsyncWorker(relay, EMAILS, asend):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


def schedules(helper: JobHelper[Email, Progress]) -> None:
    Every(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Every(timedelta(minutes=5), missed="forget")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RRule("FREQ=DAILY", missed="forget")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RRule("FREQ=DAILY", "UTC", "skip")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    helper.reschedule(run_at=timedelta(minutes=5))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    helper.reschedule(Every(timedelta(minutes=5)))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
