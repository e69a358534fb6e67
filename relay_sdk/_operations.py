"""What a client does, once, as flows: finding the API version, retrying, polling, splitting."""

from __future__ import annotations  # those of functions in functions cost 4 µs a call

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from relay_sdk._checks import place
from relay_sdk._flow import Flow, sleep
from relay_sdk._log import logger
from relay_sdk._policy import Policy
from relay_sdk._wire.api import Api
from relay_sdk._wire.detection import probe, v1, v2
from relay_sdk._wire.reading import Handed
from relay_sdk.backoff import Backoff
from relay_sdk.events import watched
from relay_sdk.exceptions import (
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    RelayError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
)
from relay_sdk.job import EnqueueMode, Job, RawJob, check_job, to_raw

R = TypeVar("R")

MAX_BODY = 2 * 1024 * 1024
LONGEST_RETRY_AFTER = 60.0
SHORTEST_LOOK = 2.0
"""Seconds that a look for jobs has at least: when it is cut off, jobs may stay claimed."""
HELD = 0.8
"""The part of a request's time for which the server may hold it; the rest is for the reply."""
LONGEST_HOLD = 3600.0
"""Seconds that it may hold it at most: a client's timeout may be infinite."""
ANSWER = 1.0
"""Seconds that the reply to a request which was held has to come, when a wait is nearly over."""
AGE = 0.5
"""Seconds that jobs are claimed at most when the reply to a request which was held has come."""
CUT = {408, 502, 504}
"""What proxies answer to a request that was held for too long."""


def speaking(
    policy: Policy,
    queue: str,
    id: str | None,
    ask: Callable[[Api], Flow[R]],
    within: float | None = None,
) -> Flow[R]:
    """Ask once, in the version of the API that is spoken.

    Where its route is missing, find the version anew and ask in that. The queue and id are what it
    is for, should it fail; `within` bounds each question about the version, in seconds.
    """
    versions = policy.versions
    api = versions.found or (yield from versions.find(place(queue, id), within))
    try:
        return (yield from ask(api))
    except UnexpectedStatusError as error:
        if not versions.turned(api, error):
            raise
    api = yield from versions.find(place(queue, id), within)
    return (yield from ask(api))


def retrying(
    policy: Policy,
    ask: Callable[[], Flow[R]],
    settle: Callable[[JobExistsError | JobLostError], Flow[R]] | None = None,
    deadline: float = inf,
) -> Flow[R]:
    """Ask until the answer is definite, the backoff is spent or the deadline has come.

    A lost reply is not a failure: what the server says to the next attempt may be the trace of the
    first one. `settle` then decides.
    """
    waits: Iterator[float] | None = None  # most requests need none
    unsure = False
    while True:
        try:
            return (yield from ask())
        except (TransportError, ServerBusyError) as error:
            unsure = error.sent = error.sent or unsure
            waits = waits or iter(policy.retry_backoff)
            wait = next(waits, None)
            if wait is None:
                raise
            wait = max(wait, pause_asked_for(error, policy.retry_backoff))
            left = deadline - policy.clock.monotonic()
            if wait >= left:
                yield from sleep(max(left, 0.0))
                raise
            logger.info("%s; trying again in %.2f s", error, wait)
        except (JobExistsError, JobLostError) as error:
            error.sent = unsure
            if settle is None or not unsure:
                raise
            return (yield from settle(error))
        yield from sleep(wait)


def asking(
    policy: Policy,
    queue: str,
    id: str,
    ask: Callable[[Api], Flow[R]],
    settle: Callable[[JobExistsError | JobLostError], Flow[R]] | None = None,
) -> Flow[R]:
    """Ask in the version of the API that is spoken, until the answer is definite."""
    return retrying(policy, partial(speaking, policy, queue, id, ask), settle)


def pause_asked_for(error: RelayError, backoff: Backoff) -> float:
    """Give the seconds that the server wants to be left alone; a minute is the most it gets.

    It tells many clients the same: by the backoff's jitter each waits longer, at random.
    """
    if not isinstance(error, ServerBusyError) or not error.retry_after:
        return 0
    return min(error.retry_after, LONGEST_RETRY_AFTER) * (1 + backoff.jitter * random.random())


def take(
    policy: Policy, queue: str, num_jobs: int, timeout: float | None = None, *, hold: bool = False
) -> Flow[tuple[list[RawJob], float]]:
    """Wait for jobs and take up to `num_jobs` of them; none after `timeout` seconds.

    With `hold` the server is asked to hold each request until it has some. Also tell since when
    they may be claimed: their leases count from then.
    """
    flow = _take(policy, queue, num_jobs, timeout, hold=hold)
    return watched(policy.on_event, "next", queue, None, flow, 0, lambda taken: len(taken[0]))


def _take(
    policy: Policy, queue: str, num_jobs: int, timeout: float | None, *, hold: bool
) -> Flow[tuple[list[RawJob], float]]:
    hold = hold and policy.may_hold
    now = policy.clock.monotonic
    asked = now()
    deadline = inf if timeout is None else asked + timeout
    wait = 0

    def ask(within: float) -> Flow[Handed]:
        def once(api: Api) -> Flow[Handed]:
            return api.next_jobs(queue, num_jobs, wait).ask(within)

        nonlocal asked
        asked = now()
        return speaking(policy, queue, None, once, within)

    def look() -> Flow[Handed]:
        nonlocal wait
        left = deadline - now()
        within = min(policy.timeout, max(left, SHORTEST_LOOK))
        longest = min(policy.timeout * HELD, left - ANSWER, LONGEST_HOLD)
        wait = max(int(longest), 0) if hold else 0
        try:
            return (yield from ask(within))
        except (TransportError, ServerBusyError) as error:
            if not (wait and _was_cut(error, now() - asked, within)):
                raise
            logger.debug("%s; something on the way ends requests that are held", error)
        wait = 0
        return (yield from ask(min(policy.timeout, SHORTEST_LOOK)))

    waits = iter(policy.next_backoff)
    answered = False
    while True:
        try:
            handed = yield from retrying(policy, look, deadline=deadline)
        except (TransportError, ServerBusyError):
            if answered and now() >= deadline:
                return [], asked
            raise
        if handed.jobs:
            return handed.jobs, max(asked, now() - AGE) if handed.held else asked
        answered = True
        left = deadline - now()
        if wait and now() - asked >= wait and left > 0:
            continue  # the server has waited in our place
        pause = next(waits, None)
        if pause is None or left <= 0:
            return [], asked
        yield from sleep(min(pause, left))


def _was_cut(error: TransportError | ServerBusyError, seconds: float, within: float) -> bool:
    """Whether something on the way may have ended a request because it was held so long."""
    if isinstance(error, ServerBusyError):
        return error.status in CUT and not error.retry_after
    return error.sent and ANSWER <= seconds < within


def enqueue(policy: Policy, jobs: Iterable[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
    """Enqueue jobs; long batches in several requests unless they are to be one transaction."""
    if policy.on_event is None:
        return _enqueue_all(policy, jobs, mode)
    jobs = list(jobs)
    for job in jobs:
        check_job(job)
    queue = jobs[0].queue if len({job.queue for job in jobs}) == 1 else None
    id = jobs[0].id if len(jobs) == 1 else None
    flow = _enqueue_all(policy, jobs, mode)
    return watched(policy.on_event, "enqueue", queue, id, flow, len(jobs))


def _enqueue_all(policy: Policy, jobs: Iterable[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
    raws = to_raws(jobs)
    done = 0
    for batch in [raws] if mode == "unique" else _split(raws):
        if batch:
            try:
                yield from _enqueue(policy, batch, mode)
            except RelayError as error:
                if done:
                    error.add_note(f"{done} of the {len(raws)} jobs were enqueued before this")
                raise
        done += len(batch)


def _enqueue(policy: Policy, jobs: Sequence[RawJob], mode: EnqueueMode) -> Flow[None]:
    first = jobs[0]

    def ask(api: Api) -> Flow[None]:
        return api.enqueue(jobs, mode).ask()

    def settle(error: RelayError) -> Flow[None]:
        if not (yield from are_there(policy, jobs, error)):
            # They are done, or were another's: to run twice is better than not at all.
            yield from asking(policy, first.queue, first.id, ask)

    return asking(policy, first.queue, first.id, ask, settle)


def get(policy: Policy, queue: str, id: str) -> Flow[RawJob]:
    """Read a job as the server has it."""
    return _look_up(policy, queue, id, lambda api: api.get(queue, id).ask())


def exists(policy: Policy, queue: str, id: str) -> Flow[bool]:
    """Look whether there is a job."""
    try:
        yield from _look_up(policy, queue, id, lambda api: api.exists(queue, id).ask())
        return True
    except JobNotFoundError:
        return False


def _look_up(policy: Policy, queue: str, id: str, ask: Callable[[Api], Flow[R]]) -> Flow[R]:
    """Look a job up."""
    return asking(policy, queue, id, partial(_sure, queue, id, ask))


def _sure(queue: str, id: str, ask: Callable[[Api], Flow[R]], api: Api) -> Flow[R]:
    """Look a job up, and make "not there" sure: it has the same 404 as a missing route."""
    try:
        return (yield from ask(api))
    except JobNotFoundError:
        if api is v2():
            # A server that speaks v1 alone may have answered; the one that does now speaks it too.
            with suppress(JobNotFoundError):
                return (yield from ask(v1()))
        yield from probe(api, place(queue, id)).ask()
        raise


def complete(policy: Policy, raw: RawJob) -> Flow[None]:
    """End a run and its job."""
    return _delete(policy, "complete", raw.queue, raw.id, raw)


def remove(policy: Policy, queue: str, id: str, raw: RawJob | None = None) -> Flow[None]:
    """Delete a job, whoever holds it; `raw` is what is known of it."""
    return _delete(policy, "remove", queue, id, raw)


def _delete(
    policy: Policy, name: Literal["complete", "remove"], queue: str, id: str, raw: RawJob | None
) -> Flow[None]:
    """Delete a job; after a lost reply only one that is still there.

    Otherwise a second attempt would delete a new job of that id. It still does when the new job
    cannot be told from the old, or comes between the look and the deletion. No look is needed to
    complete a run of API v2, which ends its own job alone.
    """
    unsure = False

    def ask(api: Api) -> Flow[None]:
        nonlocal unsure
        run = raw if name == "complete" else None
        fenced = run and api is v2()
        if unsure and not fenced and (yield from _is_gone(queue, id, raw, api)):
            return
        request = api.complete(run) if run else api.remove(queue, id)
        try:
            yield from request.ask()
        except (TransportError, ServerBusyError) as error:
            unsure = unsure or error.sent
            raise

    return watched(policy.on_event, name, queue, id, asking(policy, queue, id, ask))


def _is_gone(queue: str, id: str, raw: RawJob | None, api: Api) -> Flow[bool]:
    """Look whether a job has gone, or another has come in its place."""
    try:
        there = yield from _sure(
            queue, id, lambda api: replace(api.get(queue, id), patient=True).ask(), api
        )
    except JobNotFoundError:
        return True
    return raw is not None and not _same(raw, there)


def to_raws(jobs: Iterable[Job[Any, Any]]) -> list[RawJob]:
    """Check and write jobs; refuse two of one id, which the server's modes would hide."""
    raws = [to_raw(job) for job in jobs]
    if len({(raw.queue, raw.id) for raw in raws}) < len(raws):
        ((key, _),) = Counter((raw.queue, raw.id) for raw in raws).most_common(1)
        raise ValueError(f"{place(*key)} is twice in one batch")
    return raws


def are_there(policy: Policy, jobs: Sequence[RawJob], error: RelayError) -> Flow[bool]:
    """Tell whether jobs are there as sent: the error is the trace of an attempt that succeeded.

    Raise it when another job is in the place of one. Those that are gone may be done.
    """
    ours = False
    for job in jobs:
        try:
            there = yield from get(policy, job.queue, job.id)
        except JobNotFoundError:
            continue
        if there.updated_at != there.created_at:
            # A run may have moved it: it failed and was put back, or rescheduled it.
            job = msgspec.structs.replace(job, run_at=None)
        if not _same(job, there):
            raise error
        ours = True
    if ours:
        logger.info("%s; but it is the job of an earlier attempt, whose reply was lost", error)
    return ours


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
        size = len(job.payload) + len(job.state) + 6 * (len(job.queue) + len(job.id)) + 300
        if batch and size > room:
            yield batch
            batch, room = [], MAX_BODY
        batch.append(job)
        room -= size
    yield batch
