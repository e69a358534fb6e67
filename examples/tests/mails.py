"""The code under test: a producer and a worker that sends mails."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from relay_sdk import Backoff, Client, JobHelper, Queue, Worker

Send = Callable[[str, str], None]


@dataclass
class Mail:
    to: list[str]
    text: str


MAILS = Queue("mails", payload=Mail, state=int)  # the state: the number of mails sent


def sign_up(relay: Client, address: str, now: datetime) -> None:
    """Send a greeting at once, and a question a week later."""
    hello = Mail([address], "Hello!")
    question = Mail([address], "How is it going?")
    relay.enqueue_batch(
        [
            MAILS.job(f"hello-{address}", hello, timeout=30),
            MAILS.job(f"question-{address}", question, run_at=now + timedelta(days=7)),
        ]
    )


def deliver(helper: JobHelper[Mail, int], send: Send) -> None:
    mail, sent = helper.job.payload, helper.job.state or 0
    for address in mail.to[sent:]:
        send(address, mail.text)
        sent += 1
        helper.heartbeat(sent)


def mail_worker(relay: Client, send: Send, retry: Backoff | None = None) -> Worker:
    return Worker(relay, MAILS, lambda helper: deliver(helper, send), retry=retry)
