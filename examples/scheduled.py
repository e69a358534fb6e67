"""Write a report every Monday at nine in Berlin, however many instances of this run."""

from dataclasses import dataclass
from datetime import UTC, datetime

from relay_sdk import Client, JobHelper, Queue, RRule, Worker


@dataclass
class Report:
    title: str


REPORTS = Queue("reports", payload=Report)
MONDAYS = RRule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", "Europe/Berlin")


def write(helper: JobHelper[Report]) -> None:
    print(f"{helper.job.payload.title}, due {helper.job.run_at}", flush=True)
    helper.reschedule(run_at=MONDAYS)


if __name__ == "__main__":
    with Client() as relay:  # the server at $RELAY_URL
        now = datetime.now(UTC)
        first = REPORTS.job("weekly", Report("This week"), run_at=MONDAYS.after(now, now))
        relay.enqueue(first, mode="ignore")  # keeps the job if it exists
        Worker(relay, REPORTS, write).run()
