"""Cron expressions use local time, with the same rules as `RRule`."""

import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_sdk import Cron, Queue, RRule, Schedule, Worker
from relay_sdk.testing import InProcessServer, drain

from .test_schedule import ZONES, series, walls

BERLIN = "Europe/Berlin"


def test_nine_on_weekdays() -> None:
    friday = datetime(2030, 1, 4, 9, tzinfo=ZoneInfo(BERLIN))
    moments = series(Cron("0 9 * * MON-FRI", BERLIN), friday, 3)
    assert walls(BERLIN, moments) == ["01-07 09:00 +0100", "01-08 09:00 +0100", "01-09 09:00 +0100"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("*/15 * * * *", "01-01 12:15"),
        ("0 0 1 * *", "02-01 00:00"),
        ("0 0 29 2 *", "02-29 00:00"),
        ("30 4 1,15 * 5", "01-04 04:30"),  # both day fields: either may match
        ("0 0 L * *", "01-31 00:00"),
        ("0 12 * * 0", "01-06 12:00"),
        ("0 12 * * 7", "01-06 12:00"),
        ("0 8 * jan mon", "01-07 08:00"),
    ],
)
def test_what_an_expression_means(rule: str, expected: str) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    moment = Cron(rule).after(noon, noon)
    assert f"{moment:%m-%d %H:%M}" == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", [0, 1])
def test_local_time_is_kept_over_both_changes_of_the_clocks(zone: str, change: int) -> None:
    due = datetime(*ZONES[zone][change], 9, 30, tzinfo=ZoneInfo(zone))
    moments = series(Cron("30 9 * * *", zone), due, 3)
    assert {wall[6:11] for wall in walls(zone, moments)} == {"09:30"}
    assert len({wall[12:] for wall in walls(zone, [due, *moments])}) == 2


def test_a_time_that_is_skipped_runs_an_hour_later() -> None:
    due = datetime(2030, 3, 30, 2, 30, tzinfo=ZoneInfo(BERLIN))
    moments = series(Cron("30 2 * * *", BERLIN), due, 2)
    assert walls(BERLIN, moments) == ["03-31 03:30 +0200", "04-01 02:30 +0200"]


def test_a_repeated_time_runs_the_first_time_only() -> None:
    due = datetime(2030, 10, 26, 2, 30, tzinfo=ZoneInfo(BERLIN))
    moments = series(Cron("30 2 * * *", BERLIN), due, 2)
    assert walls(BERLIN, moments) == ["10-27 02:30 +0200", "10-28 02:30 +0100"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", [0, 1])
@pytest.mark.parametrize(
    ("cron", "rule"),
    [
        ("0 * * * *", "FREQ=HOURLY;BYMINUTE=0"),
        ("*/30 * * * *", "FREQ=MINUTELY;BYMINUTE=0,30"),
        ("30 2 * * *", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30"),
    ],
)
def test_cron_agrees_with_an_equivalent_rrule(zone: str, change: int, cron: str, rule: str) -> None:
    due = datetime(*ZONES[zone][change], 12, tzinfo=ZoneInfo(zone))
    assert series(Cron(cron, zone), due, 80) == series(RRule(rule, zone), due, 80)


@given(st.integers(0, 365 * 24 * 60), st.sampled_from(list(ZONES)))
def test_the_next_moment_is_always_later(minutes: int, zone: str) -> None:
    due = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    moments = [due, *series(Cron("*/20 1-3 * * *", zone), due, 20)]
    assert all(before < after for before, after in pairwise(moments))


def test_missed_runs_are_skipped_or_caught_up() -> None:
    due, now = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 3, 12, tzinfo=UTC)
    assert Cron("0 0 * * *").after(due, now) == datetime(2030, 1, 4, tzinfo=UTC)
    assert Cron("0 0 * * *", missed="catch_up").after(due, now) == datetime(2030, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "must have five fields"),
        ("* * * *", "must have five fields"),
        ("0 * * * * *", "must have five fields"),
        ("@daily", "must have five fields"),
        ("60 * * * *", "is not a cron expression: Bad minute"),
        ("* * * * FOO", "is not a cron expression: Bad day-of-week"),
        ("0 0 31 2 *", "is not a cron expression: Bad day-of-month"),
        ("0 0 29 2 2#5", None),
    ],
)
def test_an_invalid_expression_is_refused(rule: str, message: str | None) -> None:
    if message is None:
        Cron(rule)
        return
    with pytest.raises(ValueError, match=message):
        Cron(rule)


def test_a_zone_and_a_choice_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="no time zone 'Europe/Atlantis'"):
        Cron("* * * * *", "Europe/Atlantis")
    with pytest.raises(ValueError, match="missed must be one of"):
        Cron("* * * * *", missed="forget")  # type: ignore[arg-type]


def test_without_cronsim_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ImportError, match=r"pip install 'relay-job-sdk\[cron\]'"):
        Cron("* * * * *")


def test_a_worker_reschedules_the_job_for_the_next_due_time() -> None:
    hourly: Schedule = Cron("0 * * * *")
    with InProcessServer() as server:
        relay = server.client()
        due = server.clock.now().replace(minute=0, second=0, microsecond=0)
        relay.enqueue(Queue("reports").job("hourly", 1, run_at=due))
        worker = Worker(relay, "reports", lambda helper: helper.reschedule(run_at=hourly))
        assert drain(worker) == 1
        assert relay.get("reports", "hourly").run_at == due + timedelta(hours=1)
