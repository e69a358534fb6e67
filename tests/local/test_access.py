"""Requests that are refused before they are routed."""

from collections.abc import Iterator

import pytest

from relay_sdk.local import LocalServer
from relay_sdk.local.access import AccessControl

from .raw_client import Raw, jobs

NEXT = "/v2/queues/q/jobs"
HOSTS = ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "a.localhost."]
STRANGERS = ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "", "[::2]"]


@pytest.fixture
def running() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


def status(guard: AccessControl, target: str = NEXT, **headers: str) -> int:
    refused = guard.refusal(target, {k.replace("_", "-"): v for k, v in headers.items()})
    return refused.status if refused else 200


@pytest.mark.parametrize("host", HOSTS)
def test_the_names_of_this_machine_are_allowed(host: str) -> None:
    guard = AccessControl("127.0.0.1")

    assert [status(guard, host=host) for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("host", STRANGERS)
def test_a_foreign_name_that_points_here_is_refused(host: str) -> None:
    guard = AccessControl("127.0.0.1")

    assert [status(guard, host=host) for _ in range(2)] == [403, 403]


def test_a_client_without_a_host_is_allowed() -> None:
    assert status(AccessControl("127.0.0.1")) == 200


def test_beyond_loopback_any_address_and_the_host_name_are_allowed() -> None:
    guard = AccessControl("relay.internal")

    assert status(guard, host="10.0.0.1:8080") == 200
    assert status(guard, host="relay.internal:8080") == 200
    assert status(guard, host="evil.example") == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://localhost:8080", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},  # an image, say, has no origin
        {"sec_fetch_site": "same-site"},
    ],
)
@pytest.mark.parametrize("token", [None, "secret"])
def test_a_page_of_another_origin_is_refused(headers: dict[str, str], token: str | None) -> None:
    guard = AccessControl("127.0.0.1", token)

    sent = {"host": "localhost:8080", "authorization": "Bearer secret"} | headers
    assert status(guard, **sent) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "none"},
        {"origin": "http://localhost:8080", "sec_fetch_site": "same-origin"},
        {"origin": "https://localhost:8080", "sec_fetch_site": "same-origin"},  # by a TLS proxy
        {"origin": "http://localhost:8080"},
    ],
)
def test_a_typed_address_is_allowed(headers: dict[str, str]) -> None:
    assert status(AccessControl("127.0.0.1"), host="localhost:8080", **headers) == 200


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "secret",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic secret",
        "bearer é",
        "Bearersecret",
    ],
)
def test_without_the_token_only_health_is_allowed(given: str | None) -> None:
    guard = AccessControl("127.0.0.1", "secret")
    headers = {} if given is None else {"authorization": given}

    assert status(guard, **headers) == 401
    assert status(guard, "/nowhere", **headers) == 401
    assert status(guard, "/healthy", **headers) == 401
    assert status(guard, "/health", **headers) == 200


@pytest.mark.parametrize("given", ["Bearer secret", "bearer  secret ", "BEARER secret"])
def test_with_the_token_everything_is_allowed(given: str) -> None:
    assert status(AccessControl("127.0.0.1", "secret"), authorization=given) == 200


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="token must not be empty"):
        LocalServer(token="")


def test_with_the_token_any_host_is_allowed() -> None:
    guard = AccessControl("127.0.0.1", "secret")

    assert status(guard, host="relay.example", authorization="Bearer secret") == 200


def test_a_page_cannot_claim_jobs_or_read_answers(running: LocalServer) -> None:
    with Raw(running.url) as client:
        assert client.ask("POST", "/v2/queues/jobs", jobs("a")).status == 202

        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            answer = client.ask("GET", NEXT, **headers)
            assert answer.status == 403
            assert not any("access-control" in name for name in answer.headers)

        assert client.ask("GET", NEXT).status == 200


def test_a_response_without_the_token_names_the_scheme() -> None:
    with LocalServer(token="secret") as running, Raw(running.url) as client:
        answer = client.ask("GET", NEXT)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.ask("GET", "/health").status == 200
        assert client.ask("GET", NEXT, authorization="Bearer secret").status == 204


def test_beyond_loopback_a_server_without_a_token_logs_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with LocalServer(host="0.0.0.0", token="secret"), LocalServer():
        assert caplog.messages == []

    with LocalServer(host="0.0.0.0"):
        (message,) = caplog.messages
        assert "set a token" in message
