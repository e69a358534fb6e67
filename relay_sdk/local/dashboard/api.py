"""Who answers `/`, `/local/...` and `/metrics`, beside the turns."""

import logging
from collections.abc import Callable
from threading import Lock
from urllib.parse import parse_qsl

from relay_sdk.local import answers, dates, storable
from relay_sdk.local.answers import BackendError, Refused, Response
from relay_sdk.local.app import App, Request
from relay_sdk.local.counts import STEP, Counts
from relay_sdk.local.routes import Found

from . import metrics, shapes
from .changes import CHANGES, as_json
from .overview import Counting
from .page import PATHS, read_page
from .reader import Ask, Counted, Reader, Status

log: logging.Logger = logging.getLogger("relay_sdk.local")

MOST_JOBS = 200
"""Jobs of a page."""


class Desk:
    """Answers one request at a time; safe to share between threads."""

    def __init__(self, app: App, *, dashboard: bool = True) -> None:
        self._app = app
        self._page = read_page() if dashboard else {}
        self._dashboard = dashboard
        self._lock = Lock()
        self._opened: Reader | None = None
        self.counting: Counting = Counting(app, lambda: self.reader)
        self._reads: dict[str, Callable[[dict[str, str]], object]] = {
            "/local/queues": self._queues,
            "/local/recent": self._recent,
            "/local/jobs": self._jobs,
            "/local/job": self._job,
        }

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def wants(self, target: str) -> bool:
        """Tell whether a request is for the desk."""
        path = target.partition("?")[0]
        return path in PATHS or path == "/metrics" or path.startswith("/local/")

    def file(self, request: Request) -> Response | None:
        """Give a file of the page, for which nothing has to be waited for."""
        found = self._page.get(request.target.partition("?")[0])
        return found if found and request.method in ("GET", "HEAD") else None

    def answer(self, request: Request) -> Response:
        """Answer a request that is for the desk; raise nothing."""
        try:
            with self._lock:
                return self.file(request) or self._answer(request)
        except Refused as refused:
            return answers.plain(refused.status, refused.text)
        except BackendError as error:
            status = 503 if error.retryable else 422
            return answers.plain(status, f"Backend error: {error.message}")
        except Exception:
            log.exception("Cannot answer %s %s", request.method, ascii(request.target))
            return answers.fault()

    def _answer(self, request: Request) -> Response:
        path, _, query = request.target.partition("?")
        if path == "/metrics":
            if request.method not in ("GET", "HEAD"):
                return _only("GET,HEAD")
            return metrics.answer(self._app.counts, self.counting.first())
        if not self._dashboard:
            return answers.plain(404, "The dashboard of this server is switched off.")
        if path in CHANGES:
            if request.method != "POST":
                return _only("POST")
            self.counting.forget()
            return self._app.do(request, Found(CHANGES[path], {}, query))
        if path in self._page:
            return _only("GET,HEAD")
        if path not in self._reads:
            return answers.empty(404)
        if request.method not in ("GET", "HEAD"):
            return _only("GET,HEAD")
        return as_json(self._reads[path](dict(parse_qsl(query, keep_blank_values=True))))

    @property
    def reader(self) -> Reader:
        if self._opened is None:
            self._opened = self._app.look()
        return self._opened

    def _queues(self, query: dict[str, str]) -> shapes.Queues:
        after = query.get("after")
        counting = self.counting
        look = counting.first() if after is None else counting.after(storable.no_nul(after))
        found = {counted.queue: counted for counted in look.counted}
        if after is None and look.after is None:  # those that were emptied a moment ago
            for queue in self._app.counts.seen(look.now):
                found.setdefault(queue, Counted(queue, 0, 0, 0, None))
        return shapes.Queues(
            now=dates.to_text(look.now),
            shared=self.reader.shared,
            most=look.most,
            queues=_lines(found, look.now, self._app.counts),
            after=look.after,
        )

    def _recent(self, query: dict[str, str]) -> shapes.Recent:
        now = self._app.now()
        queue = query.get("queue")
        series = self._app.counts.series
        return shapes.Recent(
            now=dates.to_text(now),
            seconds=STEP,
            enqueued=series(now, "enqueued", queue),
            done=series(now, "completed", queue),
            retried=series(now, "retries", queue),
        )

    def _jobs(self, query: dict[str, str]) -> shapes.Jobs:
        now = self._app.now()
        ask = Ask(
            queue=_text(query, "queue"),
            status=_status(query.get("status")),
            prefix=storable.no_nul(query.get("prefix", "")),
            after=storable.no_nul(query["after"]) if "after" in query else None,
            limit=_limit(query.get("limit", "50")),
        )
        try:
            page = self.reader.jobs(ask, now)
        except ValueError:
            raise Refused(400, f"`after` is not from a page of these jobs: {ask.after}") from None
        lines = [shapes.line(job, now) for job in page.jobs]
        return shapes.Jobs(dates.to_text(now), lines, page.after)

    def _job(self, query: dict[str, str]) -> shapes.JobAt:
        queue, id = _text(query, "queue"), _text(query, "id")
        job = self.reader.job(queue, id)
        if job is None:
            raise Refused(404, f"job with id `{id}` not found in queue `{queue}`.")
        now = self._app.now()
        return shapes.JobAt(dates.to_text(now), shapes.whole(job, now))


def _lines(found: dict[str, Counted], now: int, counts: Counts) -> list[shapes.QueueLine]:
    minute = counts.last_minute(now)
    return [
        shapes.QueueLine(
            queue=queue,
            ready=each.ready,
            scheduled=each.scheduled,
            running=each.running,
            oldest_wait=None if each.oldest is None else max(0, now - each.oldest) / 10**6,
            enqueued=minute["enqueued", queue],
            done=minute["completed", queue],
            retried=minute["retries", queue],
        )
        for queue, each in sorted(found.items())
    ]


def _text(query: dict[str, str], name: str) -> str:
    if name not in query:
        raise Refused(400, f"`{name}` is missing")
    return storable.no_nul(query[name])


def _status(text: str | None) -> Status | None:
    match text:
        case None | "":
            return None
        case "ready" | "scheduled" | "running":
            return text
        case _:
            raise Refused(400, f"`status` is ready, scheduled or running, not {text[:100]}")


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= MOST_JOBS):
        raise Refused(400, f"`limit` is a number from 1 to {MOST_JOBS}")
    return int(text)


def _only(methods: str) -> Response:
    return Response(405, {"allow": methods, "content-length": "0"})
