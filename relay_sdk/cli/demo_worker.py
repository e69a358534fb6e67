"""The queue, job and handler that `relay-sdk demo` shows and runs."""

from dataclasses import dataclass

from relay_sdk import Job, JobHelper, Queue


@dataclass
class Email:
    """The payload: the mail to send."""

    subject: str
    to: list[str]


@dataclass
class Progress:
    """The state: how many addresses have been served."""

    sent: int


EMAILS = Queue("emails", payload=Email, state=Progress)


def make_job() -> Job[Email, Progress]:
    """Make the job that the demo enqueues."""
    email = Email("Hello", to=["ada@example.org", "bob@example.org", "cy@example.org"])
    return EMAILS.job("welcome-1", email, timeout=30)


def send(helper: JobHelper[Email, Progress]) -> None:
    """Send a mail to each address."""
    email, state = helper.job.payload, helper.job.state
    sent = state.sent if state else 0
    for address in email.to[sent:]:
        if address.startswith("bob") and helper.job.state is None:
            raise ConnectionError("the mail server hung up")
        print(f"  sent {email.subject!r} to {address}")  # noqa: T201 the demo shows this output
        sent += 1
        helper.heartbeat(Progress(sent))  # the server keeps it if this worker dies
