"""The whole server as a function: request in, response out."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from . import answers, dates
from .answers import BackendError, JobExistsError, Refused, Response
from .call import Call
from .counts import Counts
from .news import News
from .operations import Database, Enqueue, NewJob, Operation, Requeue, Reschedule
from .routes import Found, backend_error, find
from .store import Store

if TYPE_CHECKING:
    from .dashboard.reader import Reader

log: logging.Logger = logging.getLogger("relay_sdk.local")

TURN = 0.01
"""Seconds after which a turn takes no more requests; the others are not to wait for all of them."""


def utc_now() -> datetime:
    """Read the clock of this machine."""
    return datetime.now(UTC)


def is_postgres(db: str | os.PathLike[str]) -> bool:
    """Tell a PostgreSQL database's URL from a file's name."""
    return isinstance(db, str) and db.startswith(("postgresql://", "postgres://"))


def open_database(db: str | os.PathLike[str]) -> Database:
    """Open the PostgreSQL database of a URL, or a SQLite file."""
    if is_postgres(db):
        from .postgres import open_store

        return open_store(str(db))
    return Store(db)


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

    The database is a SQLite file, or the `postgresql://` URL of one that servers share.
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
        self.counts: Counts = Counts()
        self._lock = Lock()
        self.store: Database = open_database(db)
        # Servers that share a database go by one clock, unless a test gives another.
        self.now: Callable[[], int] = (
            self.store.clock if clock is utc_now else lambda: dates.from_datetime(clock())
        )
        self._reaped_at = self.now()

    def close(self) -> None:
        with self._lock:
            self.store.close()

    def look(self) -> "Reader":
        """Read beside the turns."""
        return self.store.look(self._lock)

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

    def do(self, request: Request, found: Found) -> Response:
        """Answer a request whose handler is known."""
        turn = self.turn([(request, found)])
        if self.listener:
            self.listener(turn.news)
        return turn.responses[0]

    def turn(self, work: Sequence[Work], waiters: Waiters = _nobody) -> Turn:
        """Answer the first of these requests with one commit, and at least one; raise nothing.

        With the same commit, jobs that came are given to those who wait for them.
        """
        with self._lock:
            began = perf_counter()
            news = News(0)
            asked: list[_Asked] = []
            given: list[_Asked] = []
            try:
                news.now = self.now()
                reaping = self._reap(news)
                outcomes = self.store.perform(
                    _operations(work, waiters, news, asked, given),
                    news.now,
                    write=not all(found.reads for _, found in work),
                )
                waiting = [each for each in asked + given if each.operation is not None]
                for each, outcome in zip(waiting, outcomes, strict=True):
                    each.go_on(outcome)
                operations = [each.operation for each in waiting if each.operation is not None]
                done = zip(operations, outcomes, strict=True)
                self.counts.turn(news.now, perf_counter() - began, done)
            except BackendError as trouble:
                responses = [backend_error(request.target, trouble) for request, _ in work]
                self._count_errors(work, responses)
                return Turn(responses, [], news, reaping=False)
            except Exception:
                log.exception("Cannot answer any of %d requests", len(work))
                responses = [answers.fault() for _ in work]
                self._count_errors(work, responses)
                return Turn(responses, [], news, reaping=False)
            responses = [each.response for each in asked]
            self._count_errors(work, responses)
            return Turn(responses, [each.response for each in given], news, reaping)

    def _count_errors(self, work: Sequence[Work], responses: Sequence[Response]) -> None:
        for (request, found), response in zip(work, responses, strict=False):
            if response.status >= 400:
                self.counts.error(request.target, found, response.status)

    def _reap(self, news: News) -> bool:
        """Reap some jobs if it is time; tell whether there are more.

        That this fails, on a full disk say, keeps nobody from what can still be done.
        """
        # A clock that was set back must not stop the reaper.
        interval = int(self.reap_interval * 10**6)
        if 0 <= news.now - self._reaped_at < interval:
            return False
        try:
            reaped = self.store.reap(news.now, interval)
        except BackendError:
            self._reaped_at = news.now  # and not with each turn, nor a line of log for each
            return False
        for queue, key in reaped.dropped:
            log.warning("Job %r of queue %r timed out without retries left: gone", key, queue)
        for queue, run_at in reaped.requeued:
            news.job(queue, run_at)
        if reaped.dropped or reaped.requeued:
            dropped, requeued = ([queue for queue, _ in jobs] for jobs in reaped[:2])
            self.counts.reaped(news.now, dropped, requeued)
        if reaped.complete:
            self._reaped_at = news.now
        return not reaped.complete


def _operations(
    work: Sequence[Work],
    waiters: Waiters,
    news: News,
    asked: list["_Asked"],
    given: list["_Asked"],
) -> Iterator[Operation[Any]]:
    """Read the first of the requests, and then those that wait for what these may store."""
    end = perf_counter() + TURN
    coming = News(news.now, news.ready.copy())
    for request, found in work:
        each = _Asked(request, found, news)
        asked.append(each)
        if each.operation is not None:
            for job in _jobs(each.operation):
                coming.job(job.queue, job.run_at)
            yield each.operation
        if perf_counter() > end:
            break
    for queue, jobs in coming.ready.items():
        for request, found in waiters(queue, jobs):
            each = _Asked(request, found, news)
            given.append(each)
            if each.operation is not None:
                yield each.operation


def _jobs(operation: Operation[Any]) -> Sequence[NewJob]:
    match operation:
        case Enqueue(jobs) | Requeue(_, Enqueue(jobs)):
            return jobs
        case Reschedule(job):
            return [job]
        case _:
            return ()


class _Asked:
    """A request that is being answered: it waits for its operation, or needs none."""

    __slots__ = ("_flow", "_request", "operation", "response")

    def __init__(self, request: Request, found: Found, news: News) -> None:
        self._request = request
        self.operation: Operation[Any] | None = None
        self.response: Response = answers.fault()
        call = Call(
            news=news,
            waits=request.waits,
            gone=request.gone,
            path=found.path,
            query=found.query,
            content_type=request.headers.get("content-type", ""),
            content=request.body,
        )
        self._flow = found.handler(call)
        self.operation = self._next(None)

    def go_on(self, outcome: object) -> None:
        """Take the result of its operation, which may be an exception, to the response."""
        if self._next(outcome) is not None:
            log.error("A second operation of %s was not done", ascii(self._request.target))

    def _next(self, outcome: object) -> Operation[Any] | None:
        """Let the handler go on; keep its response if that is what comes next."""
        try:
            if isinstance(outcome, Exception):
                return self._flow.throw(outcome)
            return self._flow.send(outcome)
        except StopIteration as end:
            self.response = end.value
        except Refused as refused:
            self.response = answers.plain(refused.status, refused.text)
        except JobExistsError as conflict:
            self.response = answers.plain(
                409,
                f"job with id `{conflict.id}` already exists in queue `{conflict.queue}`.",
            )
        except BackendError as error:
            self.response = backend_error(self._request.target, error)
        except Exception:
            log.exception("Cannot answer %s %s", self._request.method, ascii(self._request.target))
        return None


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
