"""What `relay-sdk demo` shows and runs: a queue, a worker's function and a job."""

from dataclasses import dataclass

from relay_sdk import Job, JobHelper, Queue


@dataclass
class Email:
    """What a job is about."""

    subject: str
    to: list[str]


@dataclass
class Progress:
    """What is kept of a job while it runs."""

    sent: int


EMAILS = Queue("emails", payload=Email, state=Progress)


def make_job() -> Job[Email, Progress]:
    """Make the job that is enqueued."""
    email = Email("Hello", to=["ada@example.org", "bob@example.org", "cy@example.org"])
    return EMAILS.job("welcome-1", email, timeout=30)


def send(helper: JobHelper[Email, Progress]) -> None:
    """Send a mail to each address."""
    email, state = helper.job.payload, helper.job.state
    sent = state.sent if state else 0
    for address in email.to[sent:]:
        if address.startswith("bob") and helper.job.state is None:
            raise ConnectionError("the mail server hung up")
        print(f"  {email.subject!r} is sent to {address}")  # noqa: T201 it is shown
        sent += 1
        helper.heartbeat(Progress(sent))  # kept by the server if this worker dies
