"""The whole server as a function: request in, response out."""

import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from types import TracebackType
from typing import Self

from . import answers, dates
from .answers import BackendError, JobExistsError, Refused, Response
from .call import Call
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


@dataclass(frozen=True, slots=True)
class Request:
    """A request; its target is the path, still percent-encoded, and the query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class App:
    """Relay over one database; safe to share between threads.

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
        self._clock = clock
        self._reap_interval = reap_interval * 10**6
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
        """Answer requests in order, with one commit for all of them; each can fail alone."""
        places = [find(request.method, request.target) for request in requests]
        with self._lock:
            try:
                responses = self._answer(requests, places)
            except sqlite3.Error as error:
                log.warning("The database failed: %s", error)
                trouble = BackendError(f"db error: ERROR: {error}", retryable=_is_retryable(error))
                responses = [
                    place if isinstance(place, Response) else backend_error(request.target, trouble)
                    for request, place in zip(requests, places, strict=True)
                ]
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
        with self.store.transaction():
            dropped = self.store.reap(now) if due else []
            responses = [
                place if isinstance(place, Response) else self._perform(request, place, now)
                for request, place in zip(requests, places, strict=True)
            ]
        if due:
            self._reaped_at = now
        for queue, key in dropped:
            log.warning("Job %r of queue %r timed out without retries left: gone", key, queue)
        return responses

    def _perform(self, request: Request, found: Found, now: int) -> Response:
        call = Call(
            store=self.store,
            now=now,
            path=found.path,
            query=found.query,
            content_type=request.headers.get("content-type", ""),
            content=request.body,
        )
        try:
            with self.store.transaction():
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
        except sqlite3.Error:
            raise  # the transaction that all share is lost
        except Exception:
            log.exception("Cannot answer %s %s", request.method, ascii(request.target))
            return _fault()

    def _now(self) -> int:
        return dates.from_datetime(self._clock())
