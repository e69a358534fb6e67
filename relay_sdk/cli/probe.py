"""Probe a server with read-only requests and collect the problems."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median

from attrs import define, field

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.client import Http
from relay_sdk._http.errors import HttpError
from relay_sdk.cli.diagnosis import explain_unauthorized, explain_unexpected_reply
from relay_sdk.cli.output import hide_credentials

PINGS = 5
MAX_CLOCK_DIFFERENCE = 1.0
"""Seconds. A certain difference above this is reported as a problem."""
MAX_DATE_AGE = 2.0
"""Seconds. A Date header has whole seconds, and servers may reuse its text for another second."""


@define
class Report:
    """The result of a probe. Each of the `problems` includes how to fix it."""

    url: str
    proxy: str | None = None
    latency: float | None = None
    api: list[str] = field(factory=list[str])
    database: bool | None = None
    clock_difference: float | None = None
    clock_margin: float | None = None
    problems: list[str] = field(factory=list[str])


def probe_server(url: str | None, token: str | None, timeout: float) -> Report:
    """Probe a server. No request changes anything there, or claims a job."""
    address = Address(url, timeout, None, token)
    http = Http(address, None)
    proxy = address.proxy
    report = Report(
        hide_credentials(address.url), f"{proxy.host} port {proxy.port}" if proxy else None
    )
    try:
        if _is_alive(http, report):
            _find_versions(http, report, has_token=address.has_token)
            if report.api:
                _check_database(http, report)
    except HttpError as error:
        report.problems.append(hide_credentials(str(error)))
    finally:
        http.close()
    return report


def _is_alive(http: Http, report: Report) -> bool:
    times = list[float]()
    for _ in range(PINGS):
        start, now = time.perf_counter(), datetime.now(UTC)
        reply = http.send(Request("GET", "/health"))
        times.append(time.perf_counter() - start)
        if reply.status != 200 or reply.content:
            report.problems.append(explain_unexpected_reply(reply, report.url))
            return False
        compare_clocks(report, reply, now, times[-1])
    report.latency = median(times)
    if certain_difference(report) > MAX_CLOCK_DIFFERENCE:
        report.problems.append(
            f"the server's clock is {describe_clock(report)}: jobs with a run_at start early or "
            "late by that much. Synchronize both clocks with NTP"
        )
    return True


def compare_clocks(report: Report, reply: Response, sent: datetime, took: float) -> None:
    """Store by how many seconds the server's clock is ahead, with the margin of error."""
    try:
        ahead = parsedate_to_datetime(reply.headers.get("date", "")) - sent
    except (ValueError, TypeError):  # no Date header, or one without a time zone
        return
    report.clock_difference = ahead.total_seconds() + (MAX_DATE_AGE - took) / 2
    report.clock_margin = (MAX_DATE_AGE + took) / 2


def certain_difference(report: Report) -> float:
    """Return the seconds by which the clocks differ at least."""
    return abs(report.clock_difference or 0.0) - (report.clock_margin or 0.0)


def describe_clock(report: Report) -> str:
    """Describe the server's clock relative to that of this machine."""
    difference, margin = report.clock_difference or 0.0, report.clock_margin or 0.0
    if abs(difference) <= margin:
        return f"the same as this machine's (+/- {margin:.1f} s)"
    order = "ahead of" if difference > 0 else "behind"
    return f"{abs(difference):.1f} s {order} this machine's (+/- {margin:.1f} s)"


def _find_versions(http: Http, report: Report, *, has_token: bool) -> None:
    unexpected = list[Response]()
    for version in ("v1", "v2"):
        # A request for no jobs claims none: a server refuses it, or replies that there are none.
        reply = http.send(Request("GET", f"/{version}/queues/relay_sdk/jobs?num_jobs=0"))
        if reply.status == 401:
            report.problems.append(explain_unauthorized(reply, report.url, has_token=has_token))
            return
        refused = reply.status == 400 and reply.text.startswith("Failed to deserialize query")
        if refused or reply.status == 204 or reply.text.startswith("Backend error:"):
            report.api.append(version)
        elif reply.status != 404 or reply.content:
            unexpected.append(reply)
    if not report.api:
        report.problems.extend(explain_unexpected_reply(reply, report.url) for reply in unexpected)
        if not unexpected:
            report.problems.append(
                "it answers /health, but has neither API v1 nor v2: it is not Relay, or the path "
                "of the URL is wrong"
            )


def _check_database(http: Http, report: Report) -> None:
    """Look up a job that does not exist: the only read-only request that needs the database."""
    reply = http.send(Request("GET", f"/{report.api[-1]}/queues/relay_sdk/jobs/doctor"))
    report.database = reply.status in (200, 404)
    if reply.text.startswith("Backend error:"):
        report.problems.append(
            f"the server runs, but its database does not answer: {reply.text}. Check that "
            "PostgreSQL is up and that the DATABASE_URL of the server is right"
        )
    elif not report.database:
        report.problems.append(explain_unexpected_reply(reply, report.url))
