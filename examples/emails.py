"""The queue of mails, declared once for producer and worker."""

from dataclasses import dataclass

from relay_sdk import Queue


@dataclass
class Email:
    subject: str
    to: list[str]


@dataclass
class Progress:
    sent: int


EMAILS = Queue("emails", payload=Email, state=Progress)
