"""When a job runs again: `helper.reschedule(run_at=Every(timedelta(minutes=5)))`."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from relay_sdk._checks import check_choice, check_type

Missed: TypeAlias = Literal["skip", "catch_up"]
"""Moments that passed while nothing ran: skip them, or run them one after another."""

_HORIZONS = {
    "YEARLY": timedelta(days=20 * 366),
    "MONTHLY": timedelta(days=20 * 366),
    "WEEKLY": timedelta(days=20 * 366),
    "DAILY": timedelta(days=20 * 366),
    "HOURLY": timedelta(days=3 * 366),
    "MINUTELY": timedelta(days=366),
}
"""How far to search for the next moment. A rule may have none, and the search goes step by step."""

_UNITS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
}
"""The units that are always of the same length in local time."""

_LONGEST_JUMP = timedelta(hours=3)
"""More than any zone's clocks are moved at once."""


@runtime_checkable
class Schedule(Protocol):
    """A series of moments: `Every`, `Cron`, `Recurring`, or an object of your own."""

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Give the moment after the one a run was due at, or `None` when there are no more."""
        ...


@frozen
class Every:
    """Every `period`, counted from when a run was due, not from when it ended: no drift."""

    period: timedelta
    missed: Missed = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, Missed)
        instead = "write Every(timedelta(seconds=60))"
        check_type("period must be a timedelta", self.period, timedelta, instead)
        if self.period <= timedelta():
            raise ValueError(f"period must be above 0, not {self.period}")

    def after(self, due: datetime, now: datetime) -> datetime:
        """Give the moment after the one a run was due at."""
        periods = (now - due) // self.period + 1 if self.missed == "skip" and now > due else 1
        return due + periods * self.period


@frozen
class Recurring:
    """By an RFC 5545 rule, such as `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9`, in the local time of a zone.

    A time that daylight saving skips runs an hour later; one that comes twice runs the first time
    only. What the rule leaves open is taken from the moment it counts from: the weekday or day of
    the month, at midnight, or the minute of an hourly rule. The shortest frequency is `MINUTELY`.
    `COUNT` is refused, because it would start again with each run; `UNTIL` is in UTC.
    """

    rule: str
    zone: str = "UTC"
    missed: Missed = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check(self.rule, self.zone, self.missed)
        parts = _parts(self.rule)
        if parts.get("FREQ") not in _HORIZONS:
            raise ValueError(f"{self.rule!r}: FREQ must be one of {', '.join(_HORIZONS)}")
        if "COUNT" in parts or "\n" in self.rule or not parts.get("INTERVAL", "1").strip("0"):
            raise ValueError(f"{self.rule!r} must be one rule without COUNT, with INTERVAL above 0")
        now = datetime.now(UTC)
        try:
            self.after(now, now)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.rule!r} cannot be used: {error}") from error

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Give the moment after the one a run was due at, or `None` when the rule has ended."""
        from dateutil.rrule import rrulestr  # only who has such a schedule needs it

        parts = _parts(self.rule)
        frequency = parts["FREQ"]
        last = max(due, now) if self.missed == "skip" else due
        start = due.astimezone(_zone(self.zone)).replace(second=0, microsecond=0, fold=0)
        if frequency != "MINUTELY":
            start = start.replace(minute=0)
        if frequency not in ("MINUTELY", "HOURLY"):
            start = start.replace(hour=0)
        if unit := _UNITS.get(frequency):
            start = _closer(start, last, unit, int(parts.get("INTERVAL", "1")))
        rule = self.rule
        if "UNTIL" not in parts:
            rule += f";UNTIL={last + _HORIZONS[frequency]:%Y%m%dT%H%M%SZ}"
        moments = (moment.astimezone(UTC) for moment in rrulestr(rule, dtstart=start))
        found = next((moment for moment in moments if moment > last), None)
        if found is None and "UNTIL" not in parts:
            # It has not ended, it is only too far: nothing may be completed because of that.
            days = _HORIZONS[frequency].days
            raise ValueError(f"{self.rule!r} has no moment in the {days} days after {last}")
        return found


@frozen
class Cron:
    """By a cron expression of five fields, such as `0 9 * * MON-FRI`, in the local time of a zone.

    A time that daylight saving skips runs an hour later; one that comes twice runs the first time
    only. If both day fields are restricted, either may match, as in cron. Needs the extra `cron`.
    """

    rule: str
    zone: str = "UTC"
    missed: Missed = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check(self.rule, self.zone, self.missed)
        if len(self.rule.split()) != 5:
            raise ValueError(f"{self.rule!r} must have five fields, as in '0 9 * * MON-FRI'")
        now = datetime.now(UTC)
        self.after(now, now)

    def after(self, due: datetime, now: datetime) -> datetime:
        """Give the moment after the one a run was due at."""
        try:
            from cronsim import CronSim, CronSimError
        except ImportError as error:
            raise ImportError("Cron needs the extra: pip install 'relay-job-sdk[cron]'") from error

        last = max(due, now) if self.missed == "skip" else due
        zone = _zone(self.zone)
        # In local time without a zone, which then says what a time that is skipped or doubled is.
        start = last.astimezone(zone).replace(tzinfo=None) - _LONGEST_JUMP
        try:
            times = CronSim(self.rule, start)
        except CronSimError as error:
            raise ValueError(f"{self.rule!r} is not a cron expression: {error}") from error
        moments = (time.replace(tzinfo=zone).astimezone(UTC) for time in times)
        for moment in moments:
            if moment > last:
                return moment
        raise ValueError(f"{self.rule!r} has no moment in the 50 years after {last}")


def _closer(start: datetime, last: datetime, unit: timedelta, interval: int) -> datetime:
    """Move the start of a rule to shortly before a moment, by whole intervals.

    So the rule keeps its weekday, hour or minute. The time that is left covers the first unit,
    which may not be a whole one, and a change of the clocks.
    """
    # Both are in one zone, so this is the difference in local time.
    away = last.astimezone(start.tzinfo) - start - unit - timedelta(days=2)
    # As numbers: many intervals may be more than a timedelta holds.
    step = unit // timedelta(seconds=1) * interval
    return start + timedelta(seconds=max(0, away // timedelta(seconds=1) // step * step))


def _check(rule: str, zone: str, missed: Missed) -> None:
    check_choice("missed", missed, Missed)
    check_type("a rule must be a str", rule, str)
    check_type("zone must be a str such as 'Europe/Berlin'", zone, str)
    _zone(zone)


def _zone(name: str) -> tzinfo:
    """Find a time zone. Few programs need one, so zoneinfo is imported late."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def _parts(rule: str) -> dict[str, str]:
    """Split a rule into its parts."""
    return {name: value for name, _, value in (p.partition("=") for p in rule.upper().split(";"))}
