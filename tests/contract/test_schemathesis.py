"""Generated requests find nothing in the local server that the description does not say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests
import schemathesis
from schemathesis.checks import CheckContext, CheckFunction
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from relay_sdk.local import LocalServer

from .api import Api
from .wire import Wire, over_socket

# The methods that mean a job in flight.
CLAIMING = {"PATCH", "PUT", "DELETE"}

DESCRIPTION = Path(__file__).parents[2] / "openapi" / "relay.yaml"

schema = schemathesis.openapi.from_path(DESCRIPTION)
schema.config.generation.update(deterministic=True, max_examples=30, no_shrink=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    """A server in real time, with nothing to be reaped in its lifetime."""
    with LocalServer(reap_interval=3600) as server:
        yield Wire(over_socket(server.url), reap_interval=3600, url=server.url)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@schema.parametrize()
def test_every_answer_is_described(
    case: schemathesis.Case[Any], server: Wire, session: requests.Session
) -> None:
    answered(case, server, session)
    # The second time there is a job, and for an enqueue a conflict.
    prepare(case, server)
    answered(case, server, session)


def answered(case: schemathesis.Case[Any], server: Wire, session: requests.Session) -> None:
    case.headers.pop("Prefer", None)  # the server would wait for jobs
    response = case.call(base_url=server.url, session=session)
    case.validate_response(response, checks=CHECKS)


def no_server_error(ctx: CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """Fail on 5xx."""
    assert response.status_code < 500, response.text


CHECKS: list[CheckFunction] = [
    no_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def prepare(case: schemathesis.Case[Any], server: Wire) -> None:
    """Put the job there that a request speaks of, claimed where a run is meant."""
    in_path = {name: unquote(str(value)) for name, value in case.path_parameters.items()}
    match in_path if "{queue}" in case.path else case.body:
        case {"queue": str(queue), **others} if isinstance(key := others.get("id", "x"), str):
            api = Api("v2", server, queue)
            if api.enqueue(api.job(key), mode="replace").status == 202 and case.method in CLAIMING:
                runs = {job["id"]: job["run_id"] for job in api.taken(100)}
                if "run_id" in others:
                    case.path_parameters["run_id"] = runs[key]
