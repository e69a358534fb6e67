"""The API of the dashboard: it answers `/`, `/local/...` and `/metrics`."""

import logging
from collections.abc import Callable
from threading import Lock
from urllib.parse import parse_qsl

from relay_sdk.local import dates, responses, validation
from relay_sdk.local.app import App
from relay_sdk.local.exceptions import BackendError, RequestError
from relay_sdk.local.job_reader import JobQuery, JobReader, QueueCounts, Status
from relay_sdk.local.request import Request
from relay_sdk.local.responses import Response
from relay_sdk.local.routes import RouteMatch
from relay_sdk.local.stats import STEP_SECONDS, Stats

from . import metrics, shapes
from .changes import CHANGES, json_response
from .overview import OverviewCache
from .page import PAGE_PATHS, read_page

log: logging.Logger = logging.getLogger("relay_sdk.local")

MAX_JOBS = 200
"""Jobs of one page."""


class DashboardApi:
    """Answers one request at a time; safe to share between threads."""

    def __init__(self, app: App, *, dashboard: bool = True) -> None:
        self._app = app
        self._files = read_page() if dashboard else {}
        self._dashboard = dashboard
        self._lock = Lock()
        self._reader: JobReader | None = None
        self.overview: OverviewCache = OverviewCache(app, lambda: self.reader)
        self._handlers: dict[str, Callable[[dict[str, str]], object]] = {
            "/local/queues": self._queues,
            "/local/recent": self._recent,
            "/local/jobs": self._jobs,
            "/local/job": self._job,
        }

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def handles(self, target: str) -> bool:
        """Return whether a request is for the dashboard."""
        path = target.partition("?")[0]
        return path in PAGE_PATHS or path == "/metrics" or path.startswith("/local/")

    def file(self, request: Request) -> Response | None:
        """Return a file of the page, if the request is for one; this never waits."""
        found = self._files.get(request.target.partition("?")[0])
        return found if found and request.method in ("GET", "HEAD") else None

    def answer(self, request: Request) -> Response:
        """Answer a request for the dashboard; raise nothing."""
        try:
            with self._lock:
                return self.file(request) or self._answer(request)
        except RequestError as error:
            return responses.plain(error.status, error.text)
        except BackendError as error:
            status = 503 if error.retryable else 422
            return responses.plain(status, f"Backend error: {error.message}")
        except Exception:
            log.exception("Cannot answer %s %s", request.method, ascii(request.target))
            return responses.server_error()

    def _answer(self, request: Request) -> Response:
        path, _, query = request.target.partition("?")
        if path == "/metrics":
            if request.method not in ("GET", "HEAD"):
                return _method_not_allowed("GET,HEAD")
            return metrics.answer(self._app.stats, self.overview.first())
        if not self._dashboard:
            return responses.plain(404, "The dashboard of this server is switched off.")
        if path in CHANGES:
            if request.method != "POST":
                return _method_not_allowed("POST")
            self.overview.invalidate()
            return self._app.execute(request, RouteMatch(CHANGES[path], {}, query))
        if path in self._files:
            return _method_not_allowed("GET,HEAD")
        if path not in self._handlers:
            return responses.empty(404)
        if request.method not in ("GET", "HEAD"):
            return _method_not_allowed("GET,HEAD")
        return json_response(self._handlers[path](dict(parse_qsl(query, keep_blank_values=True))))

    @property
    def reader(self) -> JobReader:
        if self._reader is None:
            self._reader = self._app.open_reader()
        return self._reader

    def _queues(self, query: dict[str, str]) -> shapes.Queues:
        after = query.get("after")
        cache = self.overview
        overview = cache.first() if after is None else cache.after(validation.check_no_nul(after))
        found = {counts.queue: counts for counts in overview.queues}
        if after is None and overview.after is None:
            # Queues that became empty a moment ago are still shown.
            for queue in self._app.stats.recent_queues(overview.now):
                found.setdefault(queue, QueueCounts(queue, 0, 0, 0, None))
        return shapes.Queues(
            now=dates.to_text(overview.now),
            shared=self.reader.shared,
            most=overview.limit,
            queues=_lines(found, overview.now, self._app.stats),
            after=overview.after,
        )

    def _recent(self, query: dict[str, str]) -> shapes.Recent:
        now = self._app.now()
        queue = query.get("queue")
        series = self._app.stats.series
        return shapes.Recent(
            now=dates.to_text(now),
            seconds=STEP_SECONDS,
            enqueued=series(now, "enqueued", queue),
            done=series(now, "completed", queue),
            retried=series(now, "retries", queue),
        )

    def _jobs(self, query: dict[str, str]) -> shapes.Jobs:
        now = self._app.now()
        job_query = JobQuery(
            queue=_text(query, "queue"),
            status=_status(query.get("status")),
            prefix=validation.check_no_nul(query.get("prefix", "")),
            after=validation.check_no_nul(query["after"]) if "after" in query else None,
            limit=_limit(query.get("limit", "50")),
        )
        try:
            page = self.reader.jobs(job_query, now)
        except ValueError:
            raise RequestError(
                400, f"`after` is not from a page of these jobs: {job_query.after}"
            ) from None
        lines = [shapes.line(job, now) for job in page.jobs]
        return shapes.Jobs(dates.to_text(now), lines, page.after)

    def _job(self, query: dict[str, str]) -> shapes.JobAt:
        queue, id = _text(query, "queue"), _text(query, "id")
        job = self.reader.job(queue, id)
        if job is None:
            raise RequestError(404, f"job with id `{id}` not found in queue `{queue}`.")
        now = self._app.now()
        return shapes.JobAt(dates.to_text(now), shapes.whole(job, now))


def _lines(found: dict[str, QueueCounts], now: int, stats: Stats) -> list[shapes.QueueLine]:
    minute = stats.last_minute(now)
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
        raise RequestError(400, f"`{name}` is missing")
    return validation.check_no_nul(query[name])


def _status(text: str | None) -> Status | None:
    match text:
        case None | "":
            return None
        case "ready" | "scheduled" | "running":
            return text
        case _:
            raise RequestError(400, f"`status` is ready, scheduled or running, not {text[:100]}")


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= MAX_JOBS):
        raise RequestError(400, f"`limit` is a number from 1 to {MAX_JOBS}")
    return int(text)


def _method_not_allowed(methods: str) -> Response:
    return Response(405, {"allow": methods, "content-length": "0"})
