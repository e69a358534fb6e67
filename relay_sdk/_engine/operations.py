"""The operations of a client as flows."""

from __future__ import annotations  # annotations of nested functions cost 4 µs a call

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from relay_sdk._base.flow import Flow
from relay_sdk._base.log import logger
from relay_sdk._base.validation import job_label
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.retries import request_with_retries
from relay_sdk._protocol.base import Api
from relay_sdk._protocol.models import EnqueueMode, RawJob
from relay_sdk._protocol.negotiation import probe, v1
from relay_sdk.events import with_events
from relay_sdk.exceptions import (
    JobNotFoundError,
    RelayError,
    RetryableError,
)
from relay_sdk.job import Job, check_job, to_raw

R = TypeVar("R")

MAX_BODY = 2 * 1024 * 1024
"""The largest body that the server accepts, in bytes."""


def enqueue(config: ClientConfig, jobs: Iterable[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
    """Enqueue jobs; send a long batch in several requests unless it must be one transaction."""
    if config.on_event is None:
        return _enqueue_all(config, jobs, mode)
    jobs = list(jobs)
    for job in jobs:
        check_job(job)
    queue = jobs[0].queue if len({job.queue for job in jobs}) == 1 else None
    id = jobs[0].id if len(jobs) == 1 else None
    flow = _enqueue_all(config, jobs, mode)
    return with_events(config.on_event, "enqueue", queue, id, flow, len(jobs))


def _enqueue_all(
    config: ClientConfig, jobs: Iterable[Job[Any, Any]], mode: EnqueueMode
) -> Flow[None]:
    raws = to_raws(jobs)
    done = 0
    for batch in [raws] if mode == "unique" else _split(raws):
        if batch:
            try:
                yield from _enqueue(config, batch, mode)
            except RelayError as error:
                if done:
                    error.add_note(f"{done} of the {len(raws)} jobs were enqueued before this")
                raise
        done += len(batch)


def _enqueue(config: ClientConfig, jobs: Sequence[RawJob], mode: EnqueueMode) -> Flow[None]:
    first = jobs[0]

    def send(api: Api) -> Flow[None]:
        return api.enqueue(jobs, mode).send()

    def resolve_ambiguity(error: RelayError) -> Flow[None]:
        if not (yield from verify_enqueued(config, jobs, error)):
            # The jobs were completed, or belong to another producer. Enqueue them again: to run
            # twice is better than not to run.
            yield from request_with_retries(config, first.queue, first.id, send)

    return request_with_retries(config, first.queue, first.id, send, resolve_ambiguity)


def get(config: ClientConfig, queue: str, id: str) -> Flow[RawJob]:
    """Read a job as the server has it."""
    return _look_up(config, queue, id, lambda api: api.get(queue, id).send())


def exists(config: ClientConfig, queue: str, id: str) -> Flow[bool]:
    """Return whether a job is in the queue."""
    try:
        yield from _look_up(config, queue, id, lambda api: api.exists(queue, id).send())
        return True
    except JobNotFoundError:
        return False


def _look_up(config: ClientConfig, queue: str, id: str, send: Callable[[Api], Flow[R]]) -> Flow[R]:
    return request_with_retries(config, queue, id, partial(confirm_missing, queue, id, send))


def confirm_missing(queue: str, id: str, send: Callable[[Api], Flow[R]], api: Api) -> Flow[R]:
    """Look up a job, and confirm a 404, because a missing route has the same status."""
    try:
        return (yield from send(api))
    except JobNotFoundError:
        if not api.UNIVERSAL:
            # Behind a load balancer, a server without v2 may have answered. Every server has v1.
            with suppress(JobNotFoundError):
                return (yield from send(v1()))
        yield from probe(api, job_label(queue, id)).send()
        raise


def complete(config: ClientConfig, raw: RawJob) -> Flow[None]:
    """Complete a job: end its run and delete it."""
    return _delete(config, "complete", raw.queue, raw.id, raw)


def remove(config: ClientConfig, queue: str, id: str, raw: RawJob | None = None) -> Flow[None]:
    """Delete a job, whichever run holds it; `raw` is the job as it was received, if it was."""
    return _delete(config, "remove", queue, id, raw)


def _delete(
    config: ClientConfig,
    name: Literal["complete", "remove"],
    queue: str,
    id: str,
    raw: RawJob | None,
) -> Flow[None]:
    """Delete a job; after a lost reply, look it up before the next attempt.

    Without the look-up, a second attempt could delete a new job with the same id. It still can if
    the two jobs are equal, or the new one arrives between the look-up and the deletion. API v2
    needs no look-up to complete a run: its run id fences it.
    """
    ambiguous = False

    def send(api: Api) -> Flow[None]:
        nonlocal ambiguous
        run = raw if name == "complete" else None
        fenced = run and api.FENCED
        if ambiguous and not fenced and (yield from _is_gone(queue, id, raw, api)):
            return
        request = api.complete(run) if run else api.remove(queue, id)
        try:
            yield from request.send()
        except RetryableError as error:
            ambiguous = ambiguous or error.sent
            raise

    return with_events(
        config.on_event, name, queue, id, request_with_retries(config, queue, id, send)
    )


def _is_gone(queue: str, id: str, raw: RawJob | None, api: Api) -> Flow[bool]:
    """Return whether a job is gone or was replaced by another one with its id."""
    try:
        stored = yield from confirm_missing(
            queue,
            id,
            lambda api: replace(api.get(queue, id), retry_backend_errors=True).send(),
            api,
        )
    except JobNotFoundError:
        return True
    return raw is not None and not matches(raw, stored)


def to_raws(jobs: Iterable[Job[Any, Any]]) -> list[RawJob]:
    """Check and encode jobs; refuse duplicate ids, which the server's modes would hide."""
    raws = [to_raw(job) for job in jobs]
    if len({(raw.queue, raw.id) for raw in raws}) < len(raws):
        ((key, _),) = Counter((raw.queue, raw.id) for raw in raws).most_common(1)
        raise ValueError(f"{job_label(*key)} is in the batch twice")
    return raws


def verify_enqueued(config: ClientConfig, jobs: Sequence[RawJob], error: RelayError) -> Flow[bool]:
    """Return whether jobs are stored as sent, which means that an earlier attempt succeeded.

    Raise `error` if a different job has one of the ids. Missing jobs may be completed already.
    """
    found = False
    for job in jobs:
        try:
            stored = yield from get(config, job.queue, job.id)
        except JobNotFoundError:
            continue
        if stored.updated_at != stored.created_at:
            # A run may have changed run_at: it failed and was retried, or was rescheduled.
            job = msgspec.structs.replace(job, run_at=None)
        if not matches(job, stored):
            raise error
        found = True
    if found:
        logger.info("%s, but an earlier attempt, whose reply was lost, has enqueued the job", error)
    return found


def matches(sent: RawJob, stored: RawJob) -> bool:
    """Compare a job with the stored one, as JSON values: the server may format them differently."""
    try:
        payloads = [msgspec.json.decode(job.payload) for job in (sent, stored)]
    except (msgspec.DecodeError, RecursionError):
        payloads = [sent.payload, stored.payload]
    return (
        payloads[0] == payloads[1]
        and (sent.timeout, sent.max_retries) == (stored.timeout, stored.max_retries)
        and sent.run_at in (None, stored.run_at)
    )


def _split(jobs: Sequence[RawJob]) -> Iterator[list[RawJob]]:
    """Split a batch so that no body exceeds the server's limit."""
    batch: list[RawJob] = []
    room = MAX_BODY
    for job in jobs:
        # JSON needs up to 6 bytes for a character of a key; the rest of a job fits into 300.
        size = len(job.payload) + len(job.state) + 6 * (len(job.queue) + len(job.id)) + 300
        if batch and size > room:
            yield batch
            batch, room = [], MAX_BODY
        batch.append(job)
        room -= size
    yield batch
