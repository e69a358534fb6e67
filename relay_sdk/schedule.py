"""When a job runs again: `helper.reschedule(Every(timedelta(minutes=5)))`."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, Protocol, TypeAlias

from attrs import field, frozen

from relay_sdk._checks import check_choice

Missed: TypeAlias = Literal["skip", "catch_up"]
"""What becomes of moments that passed while nothing ran: left out, or run one after another."""


_HORIZONS = {
    "YEARLY": timedelta(days=20 * 366),
    "MONTHLY": timedelta(days=20 * 366),
    "WEEKLY": timedelta(days=20 * 366),
    "DAILY": timedelta(days=20 * 366),
    "HOURLY": timedelta(days=3 * 366),
    "MINUTELY": timedelta(days=366),
}
"""How far is looked for the next moment: a rule may have none, and the search is step by step."""

_UNITS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
}
"""What has the same length everywhere on a clock on the wall."""


class Schedule(Protocol):
    """A series of moments."""

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Give the moment that follows the one a run was due at; `None` when there is none."""
        ...


@frozen
class Every:
    """Every `period`, counted from when a run was due and not from when it ended: no drift."""

    period: timedelta
    missed: Missed = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, Missed)
        if self.period <= timedelta():
            raise ValueError(f"period must be above 0, not {self.period}")

    def after(self, due: datetime, now: datetime) -> datetime:
        """Give the moment that follows the one a run was due at."""
        periods = (now - due) // self.period + 1 if self.missed == "skip" and now > due else 1
        return due + periods * self.period


@frozen
class Recurring:
    """At the moments of an RFC 5545 rule, as `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9`, in a time zone.

    Hours are those on the wall, in summer and in winter. One that a change of the clocks leaves out
    is run an hour later; one that comes twice is run at the first. What the rule does not say is
    that of the moment it is counted from, at midnight, or at the full hour or minute where the rule
    is one of hours or minutes. The smallest is minutes. `COUNT` would count anew for each run, and
    is refused; `UNTIL` is in UTC.
    """

    rule: str
    zone: str = "UTC"
    missed: Missed = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, Missed)
        _zone(self.zone)
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
        """Give the moment that follows the one a run was due at; `None` when the rule has ended."""
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


def _closer(start: datetime, last: datetime, unit: timedelta, interval: int) -> datetime:
    """Move the start of a rule to shortly before a moment, by whole intervals.

    It stays in phase: same weekday, hour or minute, as far as its rule takes them from there. What
    is left covers the first unit, which may be a part of one, and a change of the clocks.
    """
    # Of one zone, so what lies between them is that on the wall.
    away = last.astimezone(start.tzinfo) - start - unit - timedelta(days=2)
    # As numbers: many intervals may be more than a timedelta holds.
    step = unit // timedelta(seconds=1) * interval
    return start + timedelta(seconds=max(0, away // timedelta(seconds=1) // step * step))


def _zone(name: str) -> tzinfo:
    """Find a time zone. Few programs need one, so what knows them is imported late."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def _parts(rule: str) -> dict[str, str]:
    """Read the parts of a rule, as far as they are looked at here."""
    return {name: value for name, _, value in (p.partition("=") for p in rule.upper().split(";"))}
