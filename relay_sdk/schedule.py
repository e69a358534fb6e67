"""Schedules for repeated jobs: `helper.reschedule(run_at=Every(timedelta(minutes=5)))`."""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from relay_sdk._base.validation import check_choice, check_type

MissedRuns: TypeAlias = Literal["skip", "catch_up"]
"""What to do with runs that were due in the past: skip them, or run them one after another."""

_HORIZONS = dict.fromkeys(("YEARLY", "MONTHLY", "WEEKLY", "DAILY"), timedelta(days=20 * 366)) | {
    "HOURLY": timedelta(days=3 * 366),
    "MINUTELY": timedelta(days=366),
}
"""How far to search for the next run. A rule may have none, and the search takes one step each."""

_UNITS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
}
"""The frequencies with a fixed length in local time."""

_LONGEST_JUMP = timedelta(hours=3)
"""Longer than any change of the clocks in any time zone."""


@runtime_checkable
class Schedule(Protocol):
    """The interface of schedules. Implemented by `Every`, `Cron` and `RRule`."""

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Return when the next run is due, or `None` if there is none.

        `due` is when the last run was due, and `now` is the current time.
        """
        ...


@frozen
class Every:
    """Run every `period`, counted from when the last run was due, so that runs do not drift.

    If runs were missed, `missed` is "skip" to continue with the next one that is due in the future,
    or "catch_up" to run each of them.
    """

    period: timedelta
    missed: MissedRuns = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, MissedRuns)
        instead = "write Every(timedelta(seconds=60))"
        check_type("period must be a timedelta", self.period, timedelta, instead)
        if self.period <= timedelta():
            raise ValueError(f"period must be above 0, not {self.period}")

    def after(self, due: datetime, now: datetime) -> datetime:
        """Return when the next run is due."""
        periods = (now - due) // self.period + 1 if self.missed == "skip" and now > due else 1
        return due + periods * self.period


@frozen
class _Rule:
    """Base class of the rules in the local time of a zone."""

    rule: str
    zone: str = "UTC"
    missed: MissedRuns = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, MissedRuns)
        check_type("a rule must be a str", self.rule, str)
        check_type("zone must be a str such as 'Europe/Berlin'", self.zone, str)
        now = datetime.now(UTC)
        next(self._runs_after(now, now), None)  # raises ValueError for an invalid rule

    def _runs_after(self, due: datetime, now: datetime) -> Iterator[datetime]:
        """Return the due times of the next runs, after the one that was due at `due`."""
        last = max(due, now) if self.missed == "skip" else due
        return (moment for moment in self._due_times(last, due) if moment > last)

    @abstractmethod
    def _due_times(self, last: datetime, due: datetime, /) -> Iterator[datetime]:
        """Yield due times in UTC, from shortly before `last` on; raise `ValueError` if invalid."""


@frozen
class RRule(_Rule):
    """Run by an RFC 5545 rule in local time, such as `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9`.

    A time that daylight saving skips runs an hour later; one that occurs twice runs the first time
    only. Parts that the rule omits are taken from the last due time: the weekday or day of the
    month, at midnight, or the minute of an hourly rule. The shortest frequency is `MINUTELY`.
    `COUNT` is refused, because it would start again with each run. `UNTIL` is in UTC. `missed` is
    as for `Every`.
    """

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Return when the next run is due, or `None` if the rule has ended."""
        return next(self._runs_after(due, now), None)

    def _due_times(self, last: datetime, due: datetime, /) -> Iterator[datetime]:
        from dateutil.rrule import rrulestr  # only this schedule needs it

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
                start = _advance_start(start, last, unit, int(parts.get("INTERVAL", "1")))
            for moment in rrulestr(rule + until, dtstart=start):
                yield moment.astimezone(UTC)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{rule!r} cannot be used: {error}") from error
        if until:
            # The rule has not ended. `None` would wrongly complete the job.
            raise ValueError(f"{rule!r} has no run in the {horizon.days} days after {last}")


@frozen
class Cron(_Rule):
    """Run by a cron expression of five fields in local time, such as `0 9 * * MON-FRI`.

    A time that daylight saving skips runs an hour later; one that occurs twice runs the first time
    only. If both day fields are restricted, either may match, as in cron. `missed` is as for
    `Every`. Needs the extra `cron`.
    """

    def after(self, due: datetime, now: datetime) -> datetime:
        """Return when the next run is due."""
        return next(self._runs_after(due, now))

    def _due_times(self, last: datetime, _: datetime, /) -> Iterator[datetime]:
        try:
            from cronsim import CronSim, CronSimError
        except ImportError as error:
            raise ImportError("Cron needs the extra: pip install 'relay-job-sdk[cron]'") from error

        if len(self.rule.split()) != 5:
            raise ValueError(f"{self.rule!r} must have five fields, as in '0 9 * * MON-FRI'")
        zone = _zone(self.zone)
        # CronSim gets naive local time. The zone is added to each result, which resolves times that
        # daylight saving skips or repeats.
        start = last.astimezone(zone).replace(tzinfo=None) - _LONGEST_JUMP
        try:
            times = CronSim(self.rule, start)
        except CronSimError as error:
            raise ValueError(f"{self.rule!r} is not a cron expression: {error}") from error
        for time in times:
            yield time.replace(tzinfo=zone).astimezone(UTC)
        raise ValueError(f"{self.rule!r} has no run in the 50 years after {last}")


def _advance_start(start: datetime, last: datetime, unit: timedelta, interval: int) -> datetime:
    """Move the start of a rule to shortly before `last`, by whole intervals.

    So the rule keeps its weekday, hour or minute, and the search takes few steps. The distance
    that remains covers the first unit, which may be incomplete, and a change of the clocks.
    """
    # Both are in the same zone, so this is the difference in local time.
    distance = last.astimezone(start.tzinfo) - start - unit - timedelta(days=2)
    # In seconds as int, because many intervals may exceed the range of a timedelta.
    step = unit // timedelta(seconds=1) * interval
    return start + timedelta(seconds=max(0, distance // timedelta(seconds=1) // step * step))


def _zone(name: str) -> tzinfo:
    """Return a time zone. Few programs need one, so zoneinfo is imported here."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
