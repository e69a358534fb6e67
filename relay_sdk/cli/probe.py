"""What a server says to harmless questions, and what that means."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median

from attrs import define, field

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.client import Http
from relay_sdk._http.errors import HttpError
from relay_sdk.cli.output import without_login
from relay_sdk.cli.trouble import why_no_login, why_not_relay

PINGS = 5
CLOSE = 1.0
"""Seconds by which two clocks may differ for certain."""
STALE = 2.0
"""Seconds that the time in a reply lacks at most: it is in whole seconds, and servers keep it."""


@define
class Report:
    """What was found out. `problems` are what is wrong, and what to do about it."""

    url: str
    proxy: str | None = None
    latency: float | None = None
    api: list[str] = field(factory=list[str])
    database: bool | None = None
    clock_difference: float | None = None
    clock_margin: float | None = None
    problems: list[str] = field(factory=list[str])


def examine(url: str | None, token: str | None, timeout: float) -> Report:
    """Ask a server how it is. Nothing is changed there, and no job is taken."""
    address = Address(url, timeout, None, token)
    http = Http(address, None)
    proxy = address.proxy
    report = Report(
        without_login(address.url), f"{proxy.host} port {proxy.port}" if proxy else None
    )
    try:
        if _is_alive(http, report):
            _find_versions(http, report, has_token=address.has_token)
            if report.api:
                _look_up(http, report)
    except HttpError as error:
        report.problems.append(without_login(str(error)))
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
            report.problems.append(why_not_relay(reply, report.url))
            return False
        compare_clocks(report, reply, now, times[-1])
    report.latency = median(times)
    if certain_difference(report) > CLOSE:
        report.problems.append(
            f"the server's clock is {clocks(report)}: jobs with a run_at will be early or late by "
            "that; let both keep time by NTP"
        )
    return True


def compare_clocks(report: Report, reply: Response, sent: datetime, took: float) -> None:
    """Find by how many seconds the server's clock is ahead: the middle of what can be, and more."""
    try:
        ahead = parsedate_to_datetime(reply.headers.get("date", "")) - sent
    except (ValueError, TypeError):  # no date, or one without a time zone
        return
    report.clock_difference = ahead.total_seconds() + (STALE - took) / 2
    report.clock_margin = (STALE + took) / 2


def certain_difference(report: Report) -> float:
    """Give the seconds by which the clocks differ at least."""
    return abs(report.clock_difference or 0.0) - (report.clock_margin or 0.0)


def clocks(report: Report) -> str:
    """Say how the server's clock is to this machine's."""
    difference, margin = report.clock_difference or 0.0, report.clock_margin or 0.0
    if abs(difference) <= margin:
        return f"the same as this machine's, give or take {margin:.1f} s"
    order = "ahead of" if difference > 0 else "behind"
    return f"{abs(difference):.1f} s {order} this machine's, give or take {margin:.1f} s"


def _find_versions(http: Http, report: Report, *, has_token: bool) -> None:
    strange = list[Response]()
    for version in ("v1", "v2"):
        # No server gives jobs to this: it is refused, or nobody's wish for none.
        reply = http.send(Request("GET", f"/{version}/queues/relay_sdk/jobs?num_jobs=0"))
        if reply.status == 401:
            report.problems.append(why_no_login(reply, report.url, has_token=has_token))
            return
        refused = reply.status == 400 and reply.text.startswith("Failed to deserialize query")
        if refused or reply.status == 204 or reply.text.startswith("Backend error:"):
            report.api.append(version)
        elif reply.status != 404 or reply.content:
            strange.append(reply)
    if not report.api:
        report.problems.extend(why_not_relay(reply, report.url) for reply in strange)
        if not strange:
            report.problems.append(
                "it answers /health, but speaks neither API v1 nor v2: it is not Relay, or the "
                "URL has a path that leads elsewhere"
            )


def _look_up(http: Http, report: Report) -> None:
    """Look for a job that is not there: the only question that the database has to answer."""
    reply = http.send(Request("GET", f"/{report.api[-1]}/queues/relay_sdk/jobs/doctor"))
    report.database = reply.status in (200, 404)
    if reply.text.startswith("Backend error:"):
        report.problems.append(
            f"the server runs, but its database does not answer: {reply.text}. Look whether "
            "PostgreSQL is up, and reached by the server's DATABASE_URL"
        )
    elif not report.database:
        report.problems.append(why_not_relay(reply, report.url))
