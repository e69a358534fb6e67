"""jedi, the engine of IPython, Jupyter and vim, completes the fields of payload and state.

Pyright, the engine of VS Code, follows the types everywhere. Jedi does not look into unions, such
as `Queue | str`, so it needs the types written down: at the argument of a handler, where they are
anyway, or at the variable.
"""

import jedi
import pytest

DECLARED = """\
from dataclasses import dataclass
from relay_sdk import AsyncJobHelper, Client, Job, JobHelper, Queue

@dataclass
class Email:
    to: str

@dataclass
class Progress:
    sent: int

EMAILS = Queue("emails", payload=Email, state=Progress)
"""


def completed(code: str) -> set[str]:
    """Return the public names that are offered at the end of a program."""
    offered = jedi.Script(DECLARED + code).complete()
    return {each.name for each in offered if not each.name.startswith("_")}


@pytest.mark.parametrize(
    ("code", "field"),
    [
        ("def send(helper: JobHelper[Email, Progress]):\n    helper.job.payload.", "to"),
        ("def send(helper: JobHelper[Email, Progress]):\n    helper.job.state.", "sent"),
        ("def send(helper: JobHelper[Email]):\n    helper.job.payload.", "to"),
        ("async def send(helper: AsyncJobHelper[Email, Progress]):\n    helper.job.payload.", "to"),
        ("job: Job[Email, Progress] = Client().get(EMAILS, '1')\njob.payload.", "to"),
        ("EMAILS.job('1', Email('ada')).payload.", "to"),
    ],
)
def test_fields_are_completed(code: str, field: str) -> None:
    assert completed(code) == {field}


@pytest.mark.parametrize("code", ["Client().", "with Client() as relay:\n    relay."])
def test_methods_of_a_client_are_completed(code: str) -> None:
    assert {"enqueue", "next", "get"} <= completed(code)


def test_methods_of_a_helper_are_completed() -> None:
    code = "for helper in Client().next(EMAILS):\n    helper."
    assert {"complete", "heartbeat", "reschedule"} <= completed(code)
