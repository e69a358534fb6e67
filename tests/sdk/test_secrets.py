"""What is secret is sent, and shown nowhere."""

import logging
import traceback
from base64 import b64encode

import httpx
import pytest

from relay_sdk import Backoff, TransportError
from relay_sdk._address import Address

from .both import do
from .conftest import Connect
from .scripted import ScriptedServer, http

pytestmark = pytest.mark.anyio

YES = http("200 OK")
SECRET = "s3cr%65t"  # written with an escape, sent without it
HEADERS = {"Authorization": "Bearer s3cret", "X-Token": "s3cret"}


def shown(error: BaseException) -> str:
    """All that a traceback has of an error and its causes."""
    return "".join(traceback.format_exception(error))


def is_safe(text: str) -> bool:
    return "s3cr" not in text


async def test_a_login_in_the_url_is_sent(connect: Connect) -> None:
    with ScriptedServer(YES) as server:
        url = server.url.replace("//", f"//ada%40x:{SECRET}@")
        assert await do(connect(url, api="v2").exists("emails", "x"))
        assert await do(connect(url, api="v2", headers=HEADERS).exists("emails", "x"))
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
            await do(relay.exists("emails", "x"))
        assert await do(relay.exists("emails", "x"))
    assert is_safe(shown(got.value))
    assert is_safe(caplog.text)
    assert is_safe(repr(relay))
    address = Address(url, 1, HEADERS)
    assert is_safe(repr(address) + address.url)


async def test_it_is_sent_by_a_client_of_ones_own(connect: Connect) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    relay = connect(f"https://ada:{SECRET}@host", answer=answer, api="v2")
    assert await do(relay.exists("emails", "x"))
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
async def test_a_url_that_is_wrong_is_quoted_without_its_login(connect: Connect, url: str) -> None:
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
