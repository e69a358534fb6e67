"""What the local server answers and what openapi/relay.yaml describes are the same set."""

from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from relay_sdk.local import ROUTES

from .wire import Wire

DESCRIPTION = Path(__file__).parents[2] / "openapi" / "relay.yaml"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"}


@cache
def described() -> dict[str, set[str]]:
    """The methods of each path in the description."""
    paths = yaml.safe_load(DESCRIPTION.read_text())["paths"]
    return {path: METHODS & {name.upper() for name in item} for path, item in paths.items()}


def test_the_table_of_routes_is_the_description() -> None:
    pairs = [(method, path) for path, methods in described().items() for method in methods]
    assert sorted(ROUTES) == sorted(pairs)


@pytest.mark.parametrize("path", sorted(described()))
def test_a_path_answers_the_methods_that_are_described(wire: Wire, queue: str, path: str) -> None:
    if wire.flavor != "local":
        pytest.skip("the description is stricter than the real servers")
    target = path.format(queue=queue, id="x", run_id=uuid4())
    answers = {method: wire.send(method, target) for method in METHODS}
    refusals = {method for method, answer in answers.items() if answer.status == 405}
    assert answers.keys() - refusals == described()[path]
    for method in refusals:
        assert answers[method].allow == described()[path]
