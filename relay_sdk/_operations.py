"""What a client does, once, as flows: finding the API version, retrying, polling, splitting."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from relay_sdk._checks import place
from relay_sdk._flow import Flow, sleep
from relay_sdk._log import logger
from relay_sdk._policy import Policy
from relay_sdk._wire.api import Api
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    RelayError,
    ServerBusyError,
    TransportError,
)
from relay_sdk.job import EnqueueMode, Job, RawJob, to_raw

R = TypeVar("R")

MAX_BODY = 2 * 1024 * 1024
LONGEST_RETRY_AFTER = 60.0
UNSURE = {408, 502, 504}
"""Statuses after which the server may yet have acted; a 429 and a 503 are plain refusals."""


def find_api(policy: Policy, queue: str, id: str | None = None) -> Flow[Api]:
    """Find out which version of the API to speak, once for a client.

    The queue and id are what it is needed for, should it fail.
    """
    if policy.spoken.api is None:
        if policy.choice != "v1":
            from relay_sdk._wire import v2

            if policy.choice == "v2" or (
                yield from retrying(policy, v2.is_spoken(place(queue, id)).ask)
            ):
                policy.spoken.api = v2
                return v2
        from relay_sdk._wire import v1

        policy.spoken.api = v1
    return policy.spoken.api


def retrying(
    policy: Policy,
    ask: Callable[[], Flow[R]],
    settle: Callable[[JobExistsError | JobLostError], Flow[R]] | None = None,
) -> Flow[R]:
    """Ask until the answer is definite or the backoff is spent.

    A lost reply is not a failure: what the server says to the next attempt may be the trace of the
    first one. `settle` then decides.
    """
    waits = iter(policy.retry_backoff)
    unsure = False
    while True:
        try:
            return (yield from ask())
        except (TransportError, ServerBusyError) as error:
            wait = next(waits, None)
            unsure = unsure or may_have_acted(error)
            if isinstance(error, TransportError):
                error.sent = unsure
            if wait is None:
                raise
            if isinstance(error, ServerBusyError):
                wait = max(wait, min(error.retry_after, LONGEST_RETRY_AFTER))
            logger.info("%s; trying again in %.2f s", error, wait)
        except (JobExistsError, JobLostError) as error:
            if settle is None or not unsure:
                raise
            return (yield from settle(error))
        yield from sleep(wait)


def may_have_acted(error: RelayError) -> bool:
    """Tell whether the server may have acted on a request that ended so, now or later."""
    if isinstance(error, TransportError):
        return error.sent
    return isinstance(error, ServerBusyError) and error.status in UNSURE


def take(
    policy: Policy, queue: str, num_jobs: int, timeout: float | None
) -> Flow[tuple[list[RawJob], float]]:
    """Wait for jobs and take up to `num_jobs` of them; none after `timeout` seconds.

    Also tell when was asked for them: their leases count from then at the earliest.
    """
    deadline = None if timeout is None else policy.clock.monotonic() + timeout
    api = yield from find_api(policy, queue)
    request = api.next_jobs(queue, num_jobs)
    asked = policy.clock.monotonic()
    for wait in policy.next_backoff:
        asked = policy.clock.monotonic()
        jobs = yield from retrying(policy, request.ask)
        if jobs:
            return jobs, asked
        left = wait if deadline is None else deadline - policy.clock.monotonic()
        if left <= 0:
            break
        yield from sleep(min(wait, left))
    return [], asked


def enqueue(policy: Policy, jobs: Sequence[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
    """Enqueue jobs; long batches in several requests unless they are to be one transaction."""
    raws = to_raws(jobs)
    if not raws:
        return
    api = yield from find_api(policy, raws[0].queue, raws[0].id)
    batches = [raws] if mode == "unique" else list(_split(raws))
    # All of them first: what this version cannot do is refused before anything is sent.
    requests = [api.enqueue(batch, mode) for batch in batches]
    done = 0
    for batch, request in zip(batches, requests, strict=True):
        try:
            yield from retrying(policy, request.ask, partial(settle_by_looking, policy, batch))
        except RelayError as error:
            if done:
                error.add_note(f"{done} of the {len(raws)} jobs were enqueued before this")
            raise
        done += len(batch)


def get(policy: Policy, queue: str, id: str) -> Flow[RawJob]:
    """Read a job as the server has it."""
    api = yield from find_api(policy, queue, id)
    return (yield from retrying(policy, api.get(queue, id).ask))


def exists(policy: Policy, queue: str, id: str) -> Flow[bool]:
    """Look whether there is a job."""
    api = yield from find_api(policy, queue, id)
    return (yield from retrying(policy, api.exists(queue, id).ask))


def remove(policy: Policy, queue: str, id: str) -> Flow[None]:
    """Delete a job, whoever holds it."""
    api = yield from find_api(policy, queue, id)
    yield from retrying(policy, api.remove(queue, id).ask)


def to_raws(jobs: Sequence[Job[Any, Any]]) -> list[RawJob]:
    """Check and write jobs; refuse two of one id, which the server's modes would hide."""
    raws = [to_raw(job) for job in jobs]
    seen = set[tuple[str, str]]()
    for raw in raws:
        if (raw.queue, raw.id) in seen:
            raise ValueError(f"{place(raw.queue, raw.id)} is twice in one batch")
        seen.add((raw.queue, raw.id))
    return raws


def settle_by_looking(policy: Policy, jobs: Sequence[RawJob], error: RelayError) -> Flow[None]:
    """Take the error for the trace of an attempt that succeeded, if the jobs are there as sent."""
    for job in jobs:
        try:
            there = yield from get(policy, job.queue, job.id)
        except JobNotFoundError:
            raise error from None
        if not _same(job, there):
            raise error
    logger.info("%s; but it is the job of an earlier attempt, whose reply was lost", error)


def _same(sent: RawJob, there: RawJob) -> bool:
    """Compare what was sent with what is there, as JSON: the server may write it otherwise."""
    try:
        payloads = [msgspec.json.decode(job.payload) for job in (sent, there)]
    except (msgspec.DecodeError, RecursionError):
        payloads = [sent.payload, there.payload]
    return (
        payloads[0] == payloads[1]
        and (sent.timeout, sent.max_retries) == (there.timeout, there.max_retries)
        and sent.run_at in (None, there.run_at)
    )


def _split(jobs: Sequence[RawJob]) -> Iterator[list[RawJob]]:
    """Cut a batch where its body would pass the server's limit."""
    batch: list[RawJob] = []
    room = MAX_BODY
    for job in jobs:
        # JSON needs up to 6 bytes for a character of a key; the rest of a job fits into 300.
        size = len(bytes(job.payload)) + len(bytes(job.state))
        size += 6 * (len(job.queue) + len(job.id)) + 300
        if batch and size > room:
            yield batch
            batch, room = [], MAX_BODY
        batch.append(job)
        room -= size
    yield batch
