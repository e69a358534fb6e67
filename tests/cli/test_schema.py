"""`relay-sdk schema` writes a valid document, from which typed clients can be generated."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from relay_sdk import Client
from relay_sdk.local import LocalServer

from .conftest import Run

MODULE = """
from dataclasses import dataclass
from datetime import datetime, time
from enum import Enum
from typing import Annotated
from uuid import UUID

import attrs
import msgspec
import pydantic

from relay_sdk import Codec, Queue

class Kind(Enum):
    NEWS = "news"
    BILL = "bill"

@dataclass
class Address:
    mail: str
    parent: "Address | None" = None

@dataclass
class Email:
    subject: str
    to: list[Address]
    kind: Kind = Kind.NEWS
    when: datetime | None = None
    times: tuple[time, ...] = ()

@dataclass
class Progress:
    sent: int

class Order(pydantic.BaseModel):
    item: str
    placed: datetime

@attrs.frozen
class Orders:
    orders: list[Order]

class Get(msgspec.Struct, tag=True):
    key: str

class Put(msgspec.Struct, tag=True):
    key: str
    value: Annotated[int, msgspec.Meta(ge=0)]

EMAILS = Queue("emails", payload=Email, state=Progress)
ORDERS = Queue("or/ders.", payload=Order, state=UUID)
BATCHES = Queue("or-ders", payload=Orders)
COMMANDS = Queue("commands", payload=Get | Put)
PLAIN = Queue("plain")
OWN = Queue("own", payload=Codec(str, str))
AGAIN = EMAILS
"""


@pytest.fixture(autouse=True)
def module(offline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / "mails.py"
    file.write_text(MODULE)
    yield file
    sys.modules.pop("mails", None)


@pytest.fixture
def document(offline: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(offline("schema", "mails").stdout)
    return found


def test_each_queue_has_routes_with_its_types(document: dict[str, Any]) -> None:
    schemas, paths = document["components"]["schemas"], document["paths"]

    queues = {"emails", "or/ders.", "or-ders", "commands", "plain", "own"}
    assert {unquote(path.split("/")[3]) for path in paths if path.endswith("/jobs")} - queues == {
        "jobs"
    }
    reply = paths["/v2/queues/emails/jobs"]["get"]["responses"]["200"]
    job = reply["content"]["application/json"]["schema"]["items"]["$ref"].split("/")[-1]
    assert schemas[job]["properties"]["payload"] == {"$ref": "#/components/schemas/Email"}
    assert schemas[job]["properties"]["queue"]["const"] == "emails"
    assert "Order" in schemas
    assert "/v2/queues/or%2Fders%2E/jobs" in paths
    assert not any("{queue}" in path for path in paths)


def test_each_type_is_a_json_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["Email"]["required"] == ["subject", "to"]
    assert schemas["Email"]["properties"]["when"]["anyOf"][0]["format"] == "date-time"
    assert schemas["Email"]["properties"]["times"]["items"]["format"] == "time"
    assert schemas["Address"]["properties"]["parent"]["anyOf"][0] == {
        "$ref": "#/components/schemas/Address"
    }
    assert schemas["Orders"]["properties"]["orders"]["items"]["$ref"].endswith("/Order")
    assert document["x-relay-queues"]["plain"] == {"payload": {}, "state": {}}


def test_it_is_the_same_each_time_and_goes_to_a_file(
    offline: Run, document: dict[str, Any]
) -> None:
    result = offline("schema", "mails", "-o", "mails.json")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("relay-sdk: wrote mails.json: commands, emails, ")
    assert json.loads(Path("mails.json").read_text()) == document


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_it_is_valid_openapi_of_one_version(offline: Run, api: str) -> None:
    validator = pytest.importorskip("openapi_spec_validator")

    document = json.loads(offline("schema", "mails", "--api", api).stdout)

    validator.validate(document)
    assert {path.split("/")[1] for path in document["paths"]} == {"health", api}
    assert "example" not in json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "'wrong' declares no queue"),
        ("import nowhere", "cannot import 'wrong': ModuleNotFoundError"),
        (
            "from relay_sdk import Queue\na = Queue('q', payload=int)\nb = Queue('q', payload=str)",
            "'wrong' declares two different queues named 'q'",
        ),
        (
            "from dataclasses import dataclass\nfrom relay_sdk import Queue\n"
            "@dataclass\nclass QJob:\n    a: int\nq = Queue('q', payload=QJob)",
            "the document has another schema that is named 'QJob'",
        ),
        (
            "from pydantic import create_model\nfrom relay_sdk import Queue\n"
            "a = Queue('a', payload=create_model('M', x=(int, ...)))\n"
            "b = Queue('b', payload=create_model('M', y=(int, ...)))",
            "two different types are named 'M'",
        ),
    ],
)
def test_a_usage_error_is_explained(offline: Run, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wrong.py").write_text(text)

    result = offline("schema", "wrong")
    sys.modules.pop("wrong", None)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_file_that_cannot_be_written_is_a_usage_error(offline: Run) -> None:
    result = offline("schema", "mails", "-o", "nowhere/mails.json")

    assert result.exit_code == 2
    assert "cannot write nowhere/mails.json: No such file" in result.stderr


@pytest.mark.skipif(find_spec("openapi_python_client") is None, reason="needs the generator")
def test_a_client_that_is_generated_from_it_talks_to_the_server(
    offline: Run, tmp_path: Path, server: LocalServer, relay: Client
) -> None:
    """Use only the document, as a team with another language would."""
    offline("schema", "mails", "-o", "mails.json")
    (tmp_path / "config.yml").write_text("literal_enums: true\npost_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    command += ["--path", "mails.json", "--config", "config.yml", "--meta", "none"]
    command += ["--output-path", "generated_mails"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "producer.py").write_text(
        "import sys\n"
        "from generated_mails import Client\n"
        "from generated_mails.api.v2 import enqueue_v2, get_v2_emails, next_v2_emails\n"
        "from generated_mails.api.v2 import complete_v2_emails\n"
        "from generated_mails.models import Address, Email, NewEmailsJob, Progress\n"
        "client = Client(base_url=sys.argv[1])\n"
        "email = Email(subject='Hi', to=[Address(mail='ada')], kind='bill')\n"
        "jobs = [NewEmailsJob(queue='emails', id=id, timeout=60, payload=email,\n"
        "                     state=Progress(sent=3)) for id in 'ab']\n"
        "assert enqueue_v2.sync_detailed(client=client, body=jobs).status_code == 202\n"
        "there = get_v2_emails.sync('a', client=client)\n"
        "assert there.payload == email and there.state.sent == 3, there\n"
        "(mine,) = next_v2_emails.sync(client=client)\n"
        "assert mine.payload.to[0].mail == 'ada'\n"
        "complete_v2_emails.sync_detailed(mine.id, mine.run_id, client=client)\n"
    )

    done = subprocess.run(
        [sys.executable, "producer.py", server.url],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": ""},
    )

    assert done.returncode == 0, done.stderr
    (helper,) = relay.next(importlib.import_module("mails").EMAILS, 5)
    payload = helper.job.payload
    assert (helper.job.id, payload.to[0].mail, payload.kind.name) == ("b", "ada", "BILL")
