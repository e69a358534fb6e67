"""Tests without sockets or sleeps. The SDK provides `relay` and `relay_clock`."""

from datetime import timedelta

import pytest
from mails import MAILS, Mail, deliver, mail_worker, sign_up

from relay_sdk import Backoff, Client
from relay_sdk.testing import Clock, drain


class Mailbox:
    """Records mails. Refuses some addresses once."""

    def __init__(self, *refused: str) -> None:
        self.refused = list(refused)
        self.sent: list[str] = []

    def send(self, address: str, text: str) -> None:
        if address in self.refused:
            self.refused.remove(address)
            raise ConnectionError(address)
        self.sent.append(f"{address}: {text}")


def test_the_producer_enqueues_both_mails(relay: Client, relay_clock: Clock) -> None:
    sign_up(relay, "ada@example.org", relay_clock.now())

    assert relay.get(MAILS, "hello-ada@example.org").payload.text == "Hello!"
    assert relay.exists(MAILS, "question-ada@example.org")


def test_the_handler_saves_its_progress(relay: Client) -> None:
    relay.enqueue(MAILS.job("news", Mail(["ada", "bob"], "News")))
    mailbox = Mailbox("bob")

    [helper] = relay.next(MAILS)
    with pytest.raises(ConnectionError):
        deliver(helper, mailbox.send)

    assert relay.get(MAILS, "news").state == 1


def test_a_scheduled_mail_is_sent_next_week(relay: Client, relay_clock: Clock) -> None:
    mailbox = Mailbox()
    worker = mail_worker(relay, mailbox.send)
    sign_up(relay, "ada@example.org", relay_clock.now())

    assert drain(worker) == 1
    assert drain(worker) == 0
    relay_clock.advance(timedelta(days=7))
    assert drain(worker) == 1


def test_a_failed_job_resumes_after_its_timeout(relay: Client, relay_clock: Clock) -> None:
    mailbox = Mailbox("bob")
    worker = mail_worker(relay, mailbox.send)
    relay.enqueue(MAILS.job("news", Mail(["ada", "bob"], "News"), timeout=30))

    with pytest.raises(ConnectionError):
        drain(worker)
    relay_clock.advance(31)
    drain(worker)

    assert mailbox.sent == ["ada: News", "bob: News"]  # no mail is sent twice
    assert not relay.exists(MAILS, "news")


def test_a_job_that_keeps_failing_is_given_up(relay: Client, relay_clock: Clock) -> None:
    worker = mail_worker(
        relay, Mailbox("bob", "bob", "bob").send, Backoff(10, maximum=60, retries=2)
    )
    relay.enqueue(MAILS.job("news", Mail(["bob"], "News")))

    for _ in range(3):
        with pytest.raises(ConnectionError):
            drain(worker)
        relay_clock.advance(60)

    assert not relay.exists(MAILS, "news")


def test_a_worker_that_dies_loses_nothing(relay: Client) -> None:
    relay.enqueue(MAILS.job("news", Mail(["ada"], "News"), timeout=30))
    relay.next(MAILS)  # a worker claims the job and dies

    [helper] = relay.next(MAILS)  # moves the clock by 30 seconds instead of waiting

    assert helper.job.id == "news"
