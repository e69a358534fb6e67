"""When a job runs again: `helper.reschedule(Every(timedelta(minutes=5)))`."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, TypeAlias
from zoneinfo import ZoneInfo

from attrs import field, frozen

from relay_sdk._checks import check_choice

Missed: TypeAlias = Literal["skip", "catch_up"]
"""What becomes of moments that passed while nothing ran: left out, or run one after another."""


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
    that of the moment it is counted from, at midnight, or the full hour or minute of a rule of
    hours or minutes. A rule with `COUNT` would count anew for each run, and is refused.
    """

    rule: str
    zone: str = "UTC"
    missed: Missed = field(default="skip", kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_choice("missed", self.missed, Missed)
        try:
            ZoneInfo(self.zone)
        except (KeyError, OSError) as error:
            raise ValueError(f"there is no time zone {self.zone!r}") from error
        if "COUNT=" in self.rule.upper():
            raise ValueError(f"{self.rule!r}: COUNT would count anew for each run; use UNTIL")
        try:
            self._from(datetime.now(UTC))
        except ValueError as error:
            raise ValueError(f"{self.rule!r} is no RFC 5545 rule: {error}") from error

    def after(self, due: datetime, now: datetime) -> datetime | None:
        """Give the moment that follows the one a run was due at; `None` when the rule has ended."""
        last = max(due, now) if self.missed == "skip" else due
        for moment in self._from(due):
            if moment.astimezone(UTC) > last:
                return moment.astimezone(UTC)
        return None

    def _from(self, due: datetime) -> Iterator[datetime]:
        """Begin the series on the day, or in the hour or minute, of a moment: it stays in step."""
        local = due.astimezone(ZoneInfo(self.zone)).replace(second=0, microsecond=0, fold=0)
        frequency = re.search(r"FREQ=(HOUR|MINUTE|SECOND)LY", self.rule.upper())
        start = {
            None: local.replace(hour=0, minute=0),
            "HOUR": local.replace(minute=0),
            "MINUTE": local,
            "SECOND": local,
        }[frequency and frequency[1]]
        from dateutil.rrule import rrulestr  # only who has such a schedule needs it

        return iter(rrulestr(self.rule, dtstart=start))
