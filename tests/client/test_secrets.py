"""Secrets are sent to the server, and never shown."""

import logging
import traceback
from base64 import b64encode
from typing import Any

import httpx
import pytest

from relay_sdk import Backoff, TransportError, UnexpectedStatusError
from relay_sdk._http.address import Address

from ..support.fixtures import Connect
from ..support.scripted_server import ScriptedServer, http
from ..support.sync_async import maybe_await

pytestmark = pytest.mark.anyio

YES = http("200 OK")
SECRET = "s3cr%65t"  # written with an escape, sent without it
HEADERS = {"Authorization": "Bearer s3cret", "X-Token": "s3cret"}


def shown(error: BaseException) -> str:
    """Return the text of an error and its causes in a traceback."""
    return "".join(traceback.format_exception(error))


def is_safe(text: str) -> bool:
    return "s3cr" not in text


async def test_a_login_in_the_url_is_sent(connect: Connect) -> None:
    with ScriptedServer(YES) as server:
        url = server.url.replace("//", f"//ada%40x:{SECRET}@")
        assert await maybe_await(connect(url, api="v2").exists("emails", "x"))
        assert await maybe_await(connect(url, api="v2", headers=HEADERS).exists("emails", "x"))
    login = b64encode(b"ada@x:s3cret")
    for request in server.requests:
        assert request.lower().count(b"authorization:") == 1
        assert b"\r\nAuthorization: Basic " + login + b"\r\n" in request
        assert b"@" not in request.replace(login, b"")


async def test_a_login_in_the_url_and_a_token_are_not_shown(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(b"", YES) as server:
        url = server.url.replace("//", f"//ada:{SECRET}@") + "/prefix"
        relay = connect(url, api="v2", headers=HEADERS, retry_backoff=Backoff(retries=0))
        with pytest.raises(TransportError, match="queue 'emails'") as got:
            await maybe_await(relay.exists("emails", "x"))
        assert await maybe_await(relay.exists("emails", "x"))
    assert is_safe(shown(got.value))
    assert is_safe(caplog.text)
    assert is_safe(repr(relay))
    address = Address(url, 1, HEADERS)
    assert is_safe(repr(address) + address.url)


async def test_a_login_in_the_url_is_sent_by_a_custom_http_client(connect: Connect) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    relay = connect(f"https://ada:{SECRET}@host", answer=answer, api="v2")
    assert await maybe_await(relay.exists("emails", "x"))
    assert str(requests[0].url) == "https://host/v2/queues/emails/jobs/x"
    assert requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:s3cret@host:port", "http://ada:s3c/ret@host", "ada:s3cret@host",
        "ftp://ada:s3cret@host", "http://ada:s3c#ret@host", "http://ada:s3c@ret@host:x",
        "http://ada:s3c?ret@host", "http://ada:s3cret\n@host", "http://s3cret@",
    ],
)  # fmt: skip
async def test_an_invalid_url_is_quoted_without_its_login(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as got:
        connect(url)
    assert is_safe(shown(got.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Token", "s3cret\n"), ("X-Token", "s3cret\0"), ("X-Token", " s3cret"),
        ("X-Token", "s3crét"), ("X Token", "s3cret"), ("", "s3cret"),
    ],
)  # fmt: skip
async def test_a_header_that_cannot_be_sent_is_refused_without_its_value(
    connect: Connect, name: str, value: str
) -> None:
    with pytest.raises(ValueError, match=f"header '{name}'") as got:
        connect(headers={name: value})
    assert is_safe(shown(got.value))


TOKEN = "s3cr~et/+="


async def test_a_token_is_sent_with_every_request_and_not_shown(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(http("401 Unauthorized", b"No."), http("200 OK")) as server:
        relay = connect(server.url, api="v2", token=TOKEN)
        with pytest.raises(UnexpectedStatusError) as got:
            await maybe_await(relay.exists("emails", "x"))
        monkeypatch.setenv("RELAY_TOKEN", TOKEN)
        assert await maybe_await(connect(server.url, api="v2").exists("emails", "x"))
    for request in server.requests:
        assert f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in request
    assert is_safe(shown(got.value) + caplog.text + repr(relay) + repr(vars(relay)))


async def test_an_empty_variable_is_not_a_token_and_an_argument_takes_precedence(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200)

    seen: list[str | None] = []
    monkeypatch.setenv("RELAY_TOKEN", "")
    await maybe_await(connect(answer=answer, api="v2").exists("emails", "x"))
    monkeypatch.setenv("RELAY_TOKEN", "other")
    await maybe_await(connect(answer=answer, api="v2", token=TOKEN).exists("emails", "x"))
    assert seen == [None, f"Bearer {TOKEN}"]


@pytest.mark.parametrize("own", [False, True])
async def test_a_token_is_not_sent_to_other_hosts(connect: Connect, kind: str, own: bool) -> None:
    with ScriptedServer(http("200 OK")) as other:
        away = http("307 Temporary Redirect", b"", f"location: {other.url}/v2/queues/q/jobs/x")
        with ScriptedServer(away) as server:
            options: dict[str, Any] = {"token": TOKEN, "api": "v2"}
            if own:
                make = httpx.Client if kind == "sync" else httpx.AsyncClient
                options["http_client"] = make(follow_redirects=True)
            with pytest.raises(UnexpectedStatusError, match="307"):
                await maybe_await(connect(server.url, **options).exists("q", "x"))
            if own:
                closed = options["http_client"]
                await maybe_await(closed.close() if kind == "sync" else closed.aclose())
    assert len(server.requests) == 1
    assert other.requests == []


@pytest.mark.parametrize("source", ["token", "RELAY_TOKEN"])
@pytest.mark.parametrize(
    ("url", "headers", "where"),
    [
        ("http://ada:s3cret@host", None, "in base_url"),
        ("http://host", {"authorization": "Basic s3cret"}, "in headers"),
    ],
)
async def test_a_token_and_another_login_are_refused(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    headers: dict[str, str] | None,
    where: str,
    source: str,
) -> None:
    options = {"token": TOKEN} if source == "token" else {}
    monkeypatch.setenv("RELAY_TOKEN", TOKEN)
    with pytest.raises(ValueError, match=f"{source} and a login {where} exclude") as got:
        connect(url, headers=headers, **options)
    assert is_safe(shown(got.value))


@pytest.mark.parametrize("options", [{"auth": ("ada", "s3cret")}, {"headers": HEADERS}])
async def test_a_token_and_a_login_of_a_custom_http_client_are_refused(
    connect: Connect, kind: str, options: Any
) -> None:
    own = (httpx.Client if kind == "sync" else httpx.AsyncClient)(verify=False, **options)
    with pytest.raises(ValueError, match="a token and a login in http_client exclude each other"):
        connect(token=TOKEN, http_client=own)
    await maybe_await(own.close() if isinstance(own, httpx.Client) else own.aclose())


@pytest.mark.parametrize("token", ["", "s3cr et", "s3cret\n", "s3cret\r\nX: y", "s3cr\0", "s3crét"])
async def test_an_invalid_token_is_refused_without_its_value(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    with pytest.raises(ValueError, match="token cannot be sent") as got:
        connect(token=token)
    assert is_safe(shown(got.value))
    if token and "\0" not in token:
        monkeypatch.setenv("RELAY_TOKEN", token)
        with pytest.raises(ValueError, match="RELAY_TOKEN cannot be sent") as got:
            connect()
        assert is_safe(shown(got.value))


async def test_a_token_of_the_wrong_type_is_refused_without_its_value(connect: Connect) -> None:
    with pytest.raises(TypeError, match="token must be a str, not of type bytes") as got:
        connect(token=b"s3cret")
    assert is_safe(str(got.value))
