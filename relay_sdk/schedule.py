"""When a job runs again: `helper.reschedule(run_at=Every(timedelta(minutes=5)))`."""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from relay_sdk._base.validation import check_choice, check_type

MissedRuns: TypeAlias = Literal["skip", "catch_up"]
"""Moments that passed while nothing ran: skip them, or run them one after another."""

_HORIZONS = dict.fromkeys(("YEARLY", "MONTHLY", "WEEKLY", "DAILY"), timedelta(days=20 * 366)) | {
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
    """A series of moments: `Every`, `Cron`, `RRule`, or an object of your own."""

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Give the moment after the one a run was due at, or `None` when there are no more."""
        ...


@frozen
class Every:
    """Every `period`, counted from when a run was due, not from when it ended: no drift."""

    period: timedelta
    missed: MissedRuns = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, MissedRuns)
        instead = "write Every(timedelta(seconds=60))"
        check_type("period must be a timedelta", self.period, timedelta, instead)
        if self.period <= timedelta():
            raise ValueError(f"period must be above 0, not {self.period}")

    def after(self, due: datetime, now: datetime) -> datetime:
        """Give the moment after the one a run was due at."""
        periods = (now - due) // self.period + 1 if self.missed == "skip" and now > due else 1
        return due + periods * self.period


@frozen
class _Rule:
    """What the rules in the local time of a zone have in common."""

    rule: str
    zone: str = "UTC"
    missed: MissedRuns = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, MissedRuns)
        check_type("a rule must be a str", self.rule, str)
        check_type("zone must be a str such as 'Europe/Berlin'", self.zone, str)
        now = datetime.now(UTC)
        next(self._coming(now, now), None)  # what is wrong with the rule is said now

    def _coming(self, due: datetime, now: datetime) -> Iterator[datetime]:
        """Give the moments after the one a run was due at."""
        last = max(due, now) if self.missed == "skip" else due
        return (moment for moment in self._moments(last, due) if moment > last)

    @abstractmethod
    def _moments(self, last: datetime, due: datetime, /) -> Iterator[datetime]:
        """Give the moments from about `last` on, in UTC; `ValueError` when that is impossible."""


@frozen
class RRule(_Rule):
    """By an RFC 5545 rule, such as `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9`, in the local time of a zone.

    A time that daylight saving skips runs an hour later; one that comes twice runs the first time
    only. What the rule leaves open is taken from the moment it counts from: the weekday or day of
    the month, at midnight, or the minute of an hourly rule. The shortest frequency is `MINUTELY`.
    `COUNT` is refused, because it would start again with each run; `UNTIL` is in UTC.
    """

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Give the moment after the one a run was due at, or `None` when the rule has ended."""
        return next(self._coming(due, now), None)

    def _moments(self, last: datetime, due: datetime, /) -> Iterator[datetime]:
        from dateutil.rrule import rrulestr  # only who has such a schedule needs it

        rule = self.rule
        parts = {
            name: value for name, _, value in (p.partition("=") for p in rule.upper().split(";"))
        }
        frequency = parts.get("FREQ", "")
        if frequency not in _HORIZONS:
            raise ValueError(f"{rule!r}: FREQ must be one of {', '.join(_HORIZONS)}")
        if "COUNT" in parts or "\n" in rule or not parts.get("INTERVAL", "1").strip("0"):
            raise ValueError(f"{rule!r} must be one rule without COUNT, with INTERVAL above 0")
        start = due.astimezone(_zone(self.zone)).replace(second=0, microsecond=0, fold=0)
        if frequency != "MINUTELY":
            start = start.replace(minute=0)
        if frequency not in ("MINUTELY", "HOURLY"):
            start = start.replace(hour=0)
        horizon = _HORIZONS[frequency]
        until = "" if "UNTIL" in parts else f";UNTIL={last + horizon:%Y%m%dT%H%M%SZ}"
        try:
            if unit := _UNITS.get(frequency):
                start = _closer(start, last, unit, int(parts.get("INTERVAL", "1")))
            for moment in rrulestr(rule + until, dtstart=start):
                yield moment.astimezone(UTC)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{rule!r} cannot be used: {error}") from error
        if until:
            # It has not ended, it is only too far: nothing may be completed because of that.
            raise ValueError(f"{rule!r} has no moment in the {horizon.days} days after {last}")


@frozen
class Cron(_Rule):
    """By a cron expression of five fields, such as `0 9 * * MON-FRI`, in the local time of a zone.

    A time that daylight saving skips runs an hour later; one that comes twice runs the first time
    only. If both day fields are restricted, either may match, as in cron. Needs the extra `cron`.
    """

    def after(self, due: datetime, now: datetime) -> datetime:
        """Give the moment after the one a run was due at."""
        return next(self._coming(due, now))

    def _moments(self, last: datetime, _: datetime, /) -> Iterator[datetime]:
        try:
            from cronsim import CronSim, CronSimError
        except ImportError as error:
            raise ImportError("Cron needs the extra: pip install 'relay-job-sdk[cron]'") from error

        if len(self.rule.split()) != 5:
            raise ValueError(f"{self.rule!r} must have five fields, as in '0 9 * * MON-FRI'")
        zone = _zone(self.zone)
        # In local time without a zone, which then says what a time that is skipped or doubled is.
        start = last.astimezone(zone).replace(tzinfo=None) - _LONGEST_JUMP
        try:
            times = CronSim(self.rule, start)
        except CronSimError as error:
            raise ValueError(f"{self.rule!r} is not a cron expression: {error}") from error
        for time in times:
            yield time.replace(tzinfo=zone).astimezone(UTC)
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


def _zone(name: str) -> tzinfo:
    """Find a time zone. Few programs need one, so zoneinfo is imported late."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
