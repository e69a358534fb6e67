"""The whole server as a function: request in, response out."""

import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from types import TracebackType
from typing import Any, Self

from . import answers, dates
from .answers import BackendError, JobExistsError, Refused, Response
from .call import Call
from .operations import Database, Flow, Operation
from .routes import Found, backend_error, find
from .store import Store

log: logging.Logger = logging.getLogger("relay_sdk.local")

_RETRYABLE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}


def _is_retryable(error: sqlite3.Error) -> bool:
    # The low byte is the kind; errors of the module itself have no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _RETRYABLE


def _fault() -> Response:
    return answers.plain(500, "The local server has a fault; its log says more.")


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


@dataclass(frozen=True, slots=True)
class Request:
    """A request; its target is the path, still percent-encoded, and the query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class App:
    """Relay over one database; safe to share between threads.

    The database is a SQLite file, or the `postgresql://` URL of one that servers share.
    Jobs whose time is over are reaped by the first request after each interval, which no client
    can tell from a timer.
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
        self._reap_interval = int(reap_interval * 10**6)
        self._lock = Lock()
        self._reaped_at = dates.from_datetime(clock())
        self.store: Database = open_database(db)
        # Servers that share a database go by one clock, unless a test gives another.
        self._now: Callable[[], int] = (
            self.store.clock if clock is utc_now else lambda: dates.from_datetime(clock())
        )

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
        """Answer requests in order, with one commit for all of them; each can fail alone."""
        places = [find(request.method, request.target) for request in requests]
        with self._lock:
            try:
                responses = self._answer(requests, places)
            except sqlite3.Error as error:
                log.warning("The database failed: %s", error)
                trouble = BackendError(f"db error: ERROR: {error}", retryable=_is_retryable(error))
                responses = _all_failed(requests, places, trouble)
            except BackendError as trouble:
                responses = _all_failed(requests, places, trouble)
            except Exception:
                log.exception("Cannot answer any of %d requests", len(requests))
                responses = [p if isinstance(p, Response) else _fault() for p in places]
        return [
            replace(response, body=b"") if request.method == "HEAD" else response
            for request, response in zip(requests, responses, strict=True)
        ]

    def _answer(
        self, requests: Sequence[Request], places: Sequence[Found | Response]
    ) -> list[Response]:
        if all(isinstance(place, Response) for place in places):
            return [place for place in places if isinstance(place, Response)]
        now = self._now()
        # A clock that was set back must not stop the reaper.
        due = not 0 <= now - self._reaped_at < self._reap_interval
        if due:
            for queue, key in self.store.reap(now, self._reap_interval):
                log.warning("Job %r of queue %r timed out without retries left: gone", key, queue)
            self._reaped_at = now
        asked = [
            _Asked(request, place, now) for request, place in zip(requests, places, strict=True)
        ]
        while waiting := [(each, each.operation) for each in asked if each.operation is not None]:
            outcomes = self.store.perform([operation for _, operation in waiting], now)
            for (each, _), outcome in zip(waiting, outcomes, strict=True):
                each.go_on(outcome)
        return [each.response for each in asked]


class _Asked:
    """A request that is being answered: it waits for an operation, or has its response."""

    def __init__(self, request: Request, place: Found | Response, now: int) -> None:
        self._request = request
        self.operation: Operation[Any] | None = None
        if isinstance(place, Response):
            self.response = place
            return
        self.response = _fault()
        self._flow: Flow[Response] = place.handler(
            Call(
                now=now,
                path=place.path,
                query=place.query,
                content_type=request.headers.get("content-type", ""),
                content=request.body,
            )
        )
        self.go_on(None)

    def go_on(self, outcome: object) -> None:
        """Take the result of its operation, which may be an exception, to the next one."""
        self.operation = None
        try:
            if isinstance(outcome, Exception):
                self.operation = self._flow.throw(outcome)
            else:
                self.operation = self._flow.send(outcome)
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


def _all_failed(
    requests: Sequence[Request], places: Sequence[Found | Response], trouble: BackendError
) -> list[Response]:
    return [
        place if isinstance(place, Response) else backend_error(request.target, trouble)
        for request, place in zip(requests, places, strict=True)
    ]
