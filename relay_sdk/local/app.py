"""The whole server as a function: request in, response out."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from . import answers, dates
from .answers import BackendError, JobExistsError, Refused, Response
from .call import Call
from .news import News
from .routes import Found, backend_error, find
from .store import Failure, Store, explain

log: logging.Logger = logging.getLogger("relay_sdk.local")

TURN = 0.01
"""Seconds after which a turn takes no more requests; the others are not to wait for all of them."""


def utc_now() -> datetime:
    """Read the clock of this machine."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Request:
    """A request; its target is the path, still percent-encoded, and the query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    waits: bool = False
    """Whether the client waits for jobs if there are none, and is to be told of those that come."""
    gone: bool = False
    """Whether the client has left, and must be given no jobs."""


Work: TypeAlias = tuple[Request, Found]

Waiters: TypeAlias = Callable[[str, int], Sequence[Work]]
"""Gives requests that wait for the jobs of a queue, enough for so many jobs."""


def _nobody(*_: object) -> Sequence[Work]:
    return ()


class Turn(NamedTuple):
    """The answers to the first of some requests and to those that waited, and what came of them."""

    responses: list[Response]
    given: list[Response]
    news: News
    reaping: bool
    """Whether there are more jobs to reap, now."""


class App:
    """Relay over one database; safe to share between threads.

    Jobs whose time is over are reaped by the first turn after each interval.
    """

    def __init__(
        self,
        db: str | os.PathLike[str] = ":memory:",
        *,
        reap_interval: float = 5.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if not reap_interval > 0:
            raise ValueError(f"reap_interval must be more than 0 seconds, not {reap_interval}")
        self.reap_interval = reap_interval
        self.listener: Callable[[News], None] | None = None
        """Told of what a call of `answer` did; must not block."""
        self._clock = clock
        self._reaped_at = self._now()
        self._lock = Lock()
        self.store: Store = Store(db)

    def close(self) -> None:
        with self._lock:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        return self.answer([Request(method, target, headers, body)])[0]

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """Answer requests in order; each can fail alone."""
        places = [place(request) for request in requests]
        work = [
            (request, found)
            for request, found in zip(requests, places, strict=True)
            if isinstance(found, Found)
        ]
        done: list[Response] = []
        while len(done) < len(work):
            turn = self.turn(work[len(done) :])
            done += turn.responses
            if self.listener:
                self.listener(turn.news)
        rest = iter(done)
        return [
            without_body(request, found if isinstance(found, Response) else next(rest))
            for request, found in zip(requests, places, strict=True)
        ]

    def turn(self, work: Sequence[Work], waiters: Waiters = _nobody) -> Turn:
        """Answer the first of these requests with one commit, and at least one; raise nothing.

        With the same commit, jobs that came are given to those who wait for them.
        """
        with self._lock:
            news = News(0)
            given: list[Response] = []
            try:
                news.now = self._now()
                reaping = self._reap(news)
                with self.store.transaction(write=not all(found.reads for _, found in work)):
                    responses = self._perform_some(work, news)
                    for queue, jobs in list(news.ready.items()):
                        waiting = waiters(queue, jobs)
                        given += [self._perform(*each, news) for each in waiting]
                self.store.check_file()
            except (Failure, BackendError) as error:
                log.warning("The database failed: %s", error)
                given = []
                trouble = explain(error) if isinstance(error, Failure) else error
                responses = [backend_error(request.target, trouble) for request, _ in work]
                reaping = False
            except Exception:
                log.exception("Cannot answer any of %d requests", len(work))
                given = []
                responses = [answers.fault() for _ in work]
                reaping = False
            return Turn(responses, given, news, reaping)

    def _reap(self, news: News) -> bool:
        """Reap some jobs if it is time; tell whether there are more.

        That this fails, on a full disk say, keeps nobody from what can still be done.
        """
        # A clock that was set back must not stop the reaper.
        if 0 <= news.now - self._reaped_at < self.reap_interval * 10**6:
            return False
        try:
            with self.store.transaction():
                reaped = self.store.reap(news.now)
        except Failure as error:
            log.warning("Cannot look for jobs that timed out: %s", error)
            return False
        for queue, key in reaped.dropped:
            log.warning("Job %r of queue %r timed out without retries left: gone", key, queue)
        for queue, run_at in reaped.requeued:
            news.job(queue, run_at)
        if reaped.complete:
            self._reaped_at = news.now
        return not reaped.complete

    def _perform_some(self, work: Sequence[Work], news: News) -> list[Response]:
        end = perf_counter() + TURN
        responses: list[Response] = []
        for request, found in work:
            responses.append(self._perform(request, found, news))
            if perf_counter() > end:
                break
        return responses

    def _perform(self, request: Request, found: Found, news: News) -> Response:
        if request.gone and found.claims:
            if request.waits:  # others may wait for what was meant for it
                queue = found.path["queue"]
                news.claimed(queue, 0, self.store.first_run_at(queue))
            return answers.empty(204)
        call = Call(
            store=self.store,
            news=news,
            waits=request.waits,
            path=found.path,
            query=found.query,
            content_type=request.headers.get("content-type", ""),
            content=request.body,
        )
        try:
            return found.handler(call)
        except Refused as refused:
            return answers.plain(refused.status, refused.text)
        except JobExistsError as conflict:
            return answers.plain(
                409,
                f"job with id `{conflict.id}` already exists in queue `{conflict.queue}`.",
            )
        except BackendError as error:
            return backend_error(request.target, error)
        except Failure:
            raise  # the transaction that all share is lost
        except Exception:
            log.exception("Cannot answer %s %s", request.method, ascii(request.target))
            return answers.fault()

    def _now(self) -> int:
        return dates.from_datetime(self._clock())


def place(request: Request) -> Found | Response:
    """Find who is to answer a request, or the answer where nobody needs to."""
    try:
        return find(request.method, request.target)
    except Exception:
        log.exception("Cannot find %s %s", request.method, ascii(request.target))
        return answers.fault()


def without_body(request: Request, response: Response) -> Response:
    """Take the body away where the method is HEAD."""
    if request.method == "HEAD" and response.body:
        return replace(response, body=b"")
    return response
