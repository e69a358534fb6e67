"""Text from elsewhere cannot break a log line, move the cursor or reverse text."""

import httpx
import pytest

from relay_sdk import (
    Backoff,
    PayloadError,
    Queue,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
)
from relay_sdk.exceptions import printable
from relay_sdk.job import from_raw

from ..support.fixtures import Connect
from ..support.flow_player import received
from ..support.sync_async import maybe_await

pytestmark = pytest.mark.anyio

NASTY = "a\nb\r\x1b[2J\x00\x7f\x85\x9b\u200e\u202e\u2028\u2066\ufeffz"


def test_printable_text_stays_as_it_is() -> None:
    for text in ("", "plain", "é 日本 🦆", r"a\nb", 'it\'s "quoted"'):
        assert printable(text) == text


def test_control_characters_are_escaped() -> None:
    text = printable(NASTY)
    assert text == (r"a\nb\r\x1b[2J\x00\x7f\x85\x9b\u200e\u202e\u2028\u2066\ufeffz")
    assert printable(text) == text


@pytest.mark.parametrize("status", [400, 422, 500, 418])
async def test_a_message_of_the_server_is_escaped_and_kept_raw(
    connect: Connect, status: int
) -> None:
    reply = httpx.Response(status, content=NASTY.encode())
    relay = connect(answer=lambda request: reply, api="v2", retry_backoff=Backoff(retries=0))
    with pytest.raises((RequestRejectedError, ServerBusyError, UnexpectedStatusError)) as raised:
        await maybe_await(relay.enqueue(Queue("emails").job("x", 1)))
    assert printable(NASTY) in str(raised.value)
    assert raised.value.message == NASTY


def test_every_error_has_one_printable_line() -> None:
    for error in (
        RelayError(NASTY),
        TransportError(NASTY, sent=False),
        RequestRejectedError("job", 422, NASTY),
        PayloadError(NASTY, NASTY, "payload", NASTY, None),
    ):
        assert str(error).isprintable()


def test_ids_and_queues_are_escaped_and_kept_raw() -> None:
    error = PayloadError("q", NASTY, "payload", "no", None)
    assert str(error).isprintable()
    assert error.id == NASTY
    for wrong in ({"timeout": -1}, {"max_retries": -1}):
        with pytest.raises(ValueError) as raised:
            Queue(NASTY.replace("\0", "")).job("x\n", 1, **wrong)
        assert str(raised.value).isprintable()


def test_a_text_of_the_payload_is_escaped() -> None:
    q = Queue("emails", dict[str, int])
    with pytest.raises(PayloadError) as raised:
        from_raw(q, received(payload={NASTY: "word"}))
    assert str(raised.value).isprintable()
