"""A job runs at a fixed interval, or by a rule in local time."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrule, rrulestr
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from relay_sdk import Every, RRule, Schedule
from relay_sdk.schedule import MissedRuns

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def series(schedule: Schedule, due: datetime, count: int) -> list[datetime]:
    """Yield the due times of runs, none of which is late."""
    moments = [due]
    while len(moments) <= count:
        moment = schedule.after(moments[-1], moments[-1])
        assert moment is not None
        assert moment.utcoffset() == timedelta()
        moments.append(moment)
    return moments[1:]


def walls(zone: str, moments: list[datetime]) -> list[str]:
    return [moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for moment in moments]


def test_an_interval_is_counted_from_when_the_run_was_due() -> None:
    every = Every(timedelta(minutes=5))
    late = timedelta(seconds=40)
    due = START
    for number in range(1, 1000):
        due = every.after(due, due + late)
        assert due == START + number * timedelta(minutes=5)


@pytest.mark.parametrize(
    ("late", "skipped"),
    [(0, 1), (1, 1), (299, 1), (300, 2), (301, 2), (3600, 13), (10**6, 3334)],
)
def test_missed_runs_are_skipped_or_caught_up_in_step(late: int, skipped: int) -> None:
    period = timedelta(minutes=5)
    now = START + timedelta(seconds=late)
    assert Every(period).after(START, now) == START + skipped * period
    assert Every(period).after(START, now) > now
    assert Every(period, missed="catch_up").after(START, now) == START + period


def test_a_run_before_its_due_time_does_not_run_twice() -> None:
    """This happens if the clock of the worker is behind that of the server."""
    early = START - timedelta(seconds=2)
    assert Every(HOUR).after(START, early) == START + HOUR
    assert RRule("FREQ=HOURLY").after(START, early) == START + HOUR


@pytest.mark.parametrize("period", [timedelta(), timedelta(seconds=-1)])
def test_an_interval_must_be_above_zero(period: timedelta) -> None:
    with pytest.raises(ValueError, match="period must be above 0"):
        Every(period)


def test_missed_must_be_one_of_the_choices() -> None:
    with pytest.raises(ValueError, match="missed must be one of 'skip', 'catch_up'"):
        Every(HOUR, missed="forget")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="missed must be one of"):
        RRule("FREQ=DAILY", missed="")  # type: ignore[arg-type]


ZONES = {
    # zone: the day before the clocks go forward, the day before they go back
    "Europe/Berlin": ((2030, 3, 30), (2030, 10, 26)),
    "America/New_York": ((2030, 3, 9), (2030, 11, 2)),
    "Australia/Sydney": ((2030, 10, 5), (2030, 4, 6)),
    "Australia/Lord_Howe": ((2030, 10, 5), (2030, 4, 6)),  # by half an hour
}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", [0, 1])
def test_a_daily_job_keeps_its_local_time(zone: str, change: int) -> None:
    due = datetime(*ZONES[zone][change], 9, 30, tzinfo=ZoneInfo(zone))
    moments = series(RRule("FREQ=DAILY;BYHOUR=9;BYMINUTE=30", zone), due, 3)
    assert {wall[6:11] for wall in walls(zone, moments)} == {"09:30"}
    assert len({wall[12:] for wall in walls(zone, [due, *moments])}) == 2
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in [due, *moments]]
    assert {after - before for before, after in pairwise(days)} == {timedelta(days=1)}


def test_a_skipped_hour_runs_an_hour_later() -> None:
    due = datetime(2030, 3, 30, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    moments = series(RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Berlin"), due, 2)
    assert walls("Europe/Berlin", moments) == ["03-31 03:30 +0200", "04-01 02:30 +0200"]


def test_a_repeated_hour_runs_the_first_time() -> None:
    due = datetime(2030, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    moments = series(RRule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Berlin"), due, 2)
    assert walls("Europe/Berlin", moments) == ["10-27 02:30 +0200", "10-28 02:30 +0100"]


@pytest.mark.parametrize("rule", ["FREQ=HOURLY", "FREQ=MINUTELY;INTERVAL=30"])
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", [0, 1])
def test_short_steps_come_through_a_change_without_repeating(
    rule: str, zone: str, change: int
) -> None:
    due = datetime(*ZONES[zone][change], 22, tzinfo=ZoneInfo(zone))
    moments = series(RRule(rule, zone), due, 30)
    steps = {after - before for before, after in pairwise(moments)}
    assert min(steps) > timedelta()
    assert max(steps) <= 2 * HOUR


@pytest.mark.parametrize(
    ("rule", "due", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", "2030-01-07T09", "2030-01-14T09"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9", "2030-01-07T09", "2030-01-21T09"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=6", "2030-01-31T06", "2030-02-28T06"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2030-02-28T00", "2030-03-29T00"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2032-02-29T00", "2036-02-29T00"),
        ("FREQ=DAILY;INTERVAL=3", "2030-01-01T00", "2030-01-04T00"),
        ("FREQ=HOURLY;INTERVAL=6;BYMINUTE=15", "2030-01-01T06:15", "2030-01-01T12:15"),
        ("FREQ=MINUTELY;INTERVAL=90", "2030-01-01T01:30", "2030-01-01T03:00"),
        ("freq=daily;byhour=9", "2030-01-01T09", "2030-01-02T09"),
    ],
)
def test_a_rule_returns_the_next_due_time(rule: str, due: str, expected: str) -> None:
    moment = datetime.fromisoformat(due).replace(tzinfo=UTC)
    after = RRule(rule).after(moment, moment)
    assert after == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_missed_runs_of_a_rule_are_skipped_or_caught_up() -> None:
    due = datetime(2030, 1, 1, 9, tzinfo=UTC)
    now = datetime(2030, 1, 10, 15, tzinfo=UTC)
    rule = "FREQ=DAILY;INTERVAL=2;BYHOUR=9"
    assert RRule(rule).after(due, now) == datetime(2030, 1, 11, 9, tzinfo=UTC)
    assert RRule(rule, missed="catch_up").after(due, now) == datetime(2030, 1, 3, 9, tzinfo=UTC)


def test_a_rule_that_has_ended_returns_none() -> None:
    rule = RRule("FREQ=DAILY;BYHOUR=9;UNTIL=20300103T090000Z")
    assert series(rule, datetime(2030, 1, 1, 9, tzinfo=UTC), 2)[-1].day == 3
    last = datetime(2030, 1, 3, 9, tzinfo=UTC)
    assert rule.after(last, last) is None


def step_by_step(recurring: RRule, due: datetime, now: datetime) -> datetime | None:
    """Return the next due time by stepping through all since a run was due."""
    zero = {"second": 0, "microsecond": 0, "fold": 0}
    if "MINUTELY" not in recurring.rule:
        zero["minute"] = 0
        if "HOURLY" not in recurring.rule:
            zero["hour"] = 0
    start = due.astimezone(ZoneInfo(recurring.zone)).replace(**zero)  # type: ignore[arg-type]
    until = f";UNTIL={max(due, now) + timedelta(days=20 * 366):%Y%m%dT%H%M%SZ}"
    walls = rrulestr(recurring.rule + until, dtstart=start)
    moments = (wall.astimezone(UTC) for wall in walls)
    return next((moment for moment in moments if moment > max(due, now)), None)


def some(name: str, *values: int) -> st.SearchStrategy[str]:
    """Draw one part of a rule, or none."""
    lists = st.lists(st.sampled_from(values), max_size=3, unique=True)
    return lists.map(lambda chosen: f";{name}=" + ",".join(map(str, chosen)) if chosen else "")


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, timedelta]:
    """Draw a rule, and a pause after which a search step by step is still fast."""
    frequency, days = draw(
        st.sampled_from([("MINUTELY", 4), ("HOURLY", 60), ("DAILY", 1000), ("WEEKLY", 4000)])
    )
    rule = f"FREQ={frequency};INTERVAL={draw(st.sampled_from([1, 2, 3, 5, 11, 45, 90]))}"
    rule += draw(some("BYHOUR", *range(24))) + draw(some("BYMINUTE", *range(60)))
    days_of_a_week = st.sampled_from([";BYDAY=MO", ";BYDAY=TU,SU", ";BYDAY=MO,TU,WE,TH,FR"])
    days_of_a_month = some("BYMONTHDAY", 1, 15, 28, -1, -3)
    # Only one of them, because a combination may never be due, which takes long to detect.
    of_a_year = days_of_a_week | some("BYMONTH", 1, 3, 4, 10, 11)
    rule += draw(of_a_year if frequency == "WEEKLY" else of_a_year | days_of_a_month)
    rule += draw(st.sampled_from(["", ";WKST=SU", ";WKST=TH"]))
    if "BY" in rule:
        rule += draw(st.sampled_from(["", ";BYSETPOS=1", ";BYSETPOS=-1"]))
    return rule, timedelta(days=days)


MOMENTS = st.integers(0, 41 * 366 * 24 * 60).map(
    lambda minutes: datetime(1999, 12, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@settings(max_examples=60, deadline=None)
@given(
    rules(),
    st.sampled_from(["UTC", *ZONES]),
    MOMENTS,
    st.floats(0, 1),
    st.sampled_from(["skip", "catch_up"]),
)
def test_a_rule_keeps_step_after_any_pause(
    drawn: tuple[str, timedelta], zone: str, due: datetime, away: float, missed: MissedRuns
) -> None:
    rule, longest = drawn
    now = due + away * longest
    try:
        recurring = RRule(rule, zone, missed=missed)
        found = recurring.after(due, now)
    except ValueError:
        reject()  # a rule that is never due
    assert found == step_by_step(recurring, due, now if missed == "skip" else due)


@pytest.mark.parametrize(
    ("rule", "zone", "now"),
    [
        # The week of the last due time and the current week are both incomplete.
        ("FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=1", "UTC", "2030-03-28T12:00Z"),
        ("FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=-1;WKST=SA", "UTC", "2030-03-29T12:00Z"),
        # The clocks have just changed.
        ("FREQ=MINUTELY;INTERVAL=7", "Europe/Berlin", "2030-03-31T01:10Z"),
        ("FREQ=MINUTELY;INTERVAL=7", "Europe/Berlin", "2030-10-27T01:10Z"),
        ("FREQ=HOURLY;INTERVAL=5", "America/New_York", "2030-03-10T07:30Z"),
    ],
)
def test_a_rule_keeps_step_where_a_week_or_a_clock_is_cut(rule: str, zone: str, now: str) -> None:
    recurring, moment = RRule(rule, zone), datetime.fromisoformat(now)
    for hours in range(150, 300, 7):
        due = moment - timedelta(hours=hours, minutes=hours)
        assert recurring.after(due, moment) == step_by_step(recurring, due, moment)


@pytest.mark.parametrize("rule", ["FREQ=MINUTELY", "FREQ=MINUTELY;INTERVAL=7", "FREQ=HOURLY"])
def test_a_rule_takes_few_steps_after_a_pause_of_years(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    iterate = rrule._iter  # type: ignore[attr-defined]

    def counted(self: rrule) -> Iterator[datetime]:
        nonlocal steps
        for moment in iterate(self):
            steps += 1
            yield moment

    monkeypatch.setattr(rrule, "_iter", counted)
    now = START + timedelta(days=3 * 366)
    assert RRule(rule).after(START, now) > now
    assert steps < 4000  # those of two days and an hour, and not those of three years


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "hello",
        "FREQ=SOMETIMES",
        "FREQ=DAILY;BYDAY=XX",
        "FREQ=DAILY;BYHOUR=25",
        "FREQ=HOURLY;BYHOUR=25",
        "FREQ=HOURLY;BYMINUTE=99",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BOGUS=1",
        "FREQ=DAILY;COUNT=3",
        "FREQ=DAILY;UNTIL=20300101",
        "FREQ=SECONDLY;INTERVAL=90",
        "RRULE:FREQ=DAILY",
        "DTSTART:20300101T090000\nRRULE:FREQ=DAILY",
        "RRULE:FREQ=DAILY\nEXDATE:20300102T000000",
        "RRULE:FREQ=DAILY\nRRULE:FREQ=HOURLY",
    ],
)
@pytest.mark.timeout(20)
def test_a_rule_that_is_invalid_or_never_due_is_refused_at_once(rule: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(rule))):
        RRule(rule)


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "../etc", "Europe"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        RRule("FREQ=DAILY", zone)
