"""The queue that the other modules of this folder use. None of them is ever run, only checked."""

from dataclasses import dataclass

from relay_sdk import Queue


@dataclass
class Email:
    to: str


@dataclass
class UrgentEmail(Email):
    deadline: int


@dataclass
class Progress:
    sent: int


EMAILS = Queue("emails", payload=Email, state=Progress)
URGENT = Queue("urgent", payload=UrgentEmail, state=Progress)
