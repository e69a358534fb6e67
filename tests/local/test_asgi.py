import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable

import pytest

from relay_sdk.local import App
from relay_sdk.local.asgi import Asgi, Body, Received, Scope, Start
from relay_sdk.local.call import BODY_LIMIT


def scope(method: str, path: str, query: str = "") -> Scope:
    return {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"content-type", b"application/json")],
    }


class Exchange:
    """One request as an ASGI server would bring it, and its answer."""

    def __init__(self, asked: Scope, parts: Iterable[bytes | None] = (b"",)) -> None:
        self.scope = asked
        self.read = 0
        self.sent: list[Start | Body] = []
        self._parts = self._messages(parts)

    async def _messages(self, parts: Iterable[bytes | None]) -> AsyncIterator[Received]:
        for part in parts:
            if part is None:
                yield {"type": "http.disconnect"}
            else:
                self.read += len(part)
                yield {"type": "http.request", "body": part, "more_body": True}
        yield {"type": "http.request"}

    async def receive(self) -> Received:
        return await anext(self._parts)

    async def send(self, message: Start | Body) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def body(self) -> bytes:
        return b"".join(m["body"] for m in self.sent if m["type"] == "http.response.body")

    async def run(self, asgi: Asgi) -> "Exchange":
        await asgi(self.scope, self.receive, self.send)
        return self


def enqueue(id: str, queue: str = "q") -> Exchange:
    body = [{"queue": queue, "id": id, "timeout": 30, "payload": 1}]
    return Exchange(scope("POST", "/v2/queues/jobs"), [json.dumps(body).encode()])


def run(app: App, *exchanges: Exchange) -> None:
    async def main() -> None:
        asgi = Asgi(app)
        await asyncio.gather(*(exchange.run(asgi) for exchange in exchanges))

    asyncio.run(main())


def test_requests_of_one_turn_of_the_loop_share_one_commit() -> None:
    with App() as app:
        statements: list[str] = []
        app.store.connection.set_trace_callback(statements.append)
        exchanges = [enqueue(str(n)) for n in range(10)]

        run(app, *exchanges, again := enqueue("3"))

        assert [exchange.status for exchange in exchanges] == [202] * 10
        assert again.status == 409
        assert statements.count("COMMIT") == 1


def test_no_answer_is_sent_before_the_commit() -> None:
    with App() as app:
        order: list[str] = []
        app.store.connection.set_trace_callback(order.append)

        class Watched(Exchange):
            async def send(self, message: Start | Body) -> None:
                order.append("sent")
                await super().send(message)

        run(app, Watched(scope("DELETE", "/v1/queues/q/jobs/a")))

        assert order.index("COMMIT") < order.index("sent")


def test_a_body_is_read_to_its_end_and_kept_to_the_limit() -> None:
    part = b"[" * 65536
    parts = (part for _ in range(1600))  # 100 MiB, never all in memory
    exchange = Exchange(scope("POST", "/v2/queues/jobs"), parts)

    with App() as app:
        run(app, exchange)

    assert (exchange.status, exchange.read) == (413, 1600 * 65536)
    assert exchange.body == b"Failed to buffer the request body: length limit exceeded"


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    with App() as app:
        run(
            app,
            exact := Exchange(
                scope("POST", "/v2/queues/jobs"), [b"[" + b" " * (BODY_LIMIT - 2), b"]"]
            ),
        )
        run(
            app,
            over := Exchange(
                scope("POST", "/v2/queues/jobs"), [b"[" + b" " * (BODY_LIMIT - 1), b"]"]
            ),
        )

    assert (exact.status, over.status) == (202, 413)


def test_a_request_that_is_cut_off_is_not_carried_out() -> None:
    body = enqueue("a")
    cut = Exchange(body.scope, [b"[]", None])

    with App() as app:
        run(app, cut)

    assert cut.sent == []


@pytest.mark.parametrize(("version", "status"), [(1, 429), (2, 503)])
def test_a_request_cancelled_while_it_is_read_is_told_to_come_again(
    version: int, status: int
) -> None:
    class Endless(Exchange):
        async def receive(self) -> Received:
            await asyncio.Event().wait()
            raise AssertionError

    async def main(exchange: Exchange) -> None:
        with App() as app:
            task = asyncio.create_task(exchange.run(Asgi(app)))
            await asyncio.sleep(0)
            task.cancel()
            await task

    asyncio.run(main(exchange := Endless(scope("POST", f"/v{version}/queues/jobs"))))

    assert exchange.status == status
    assert exchange.body.startswith(b"Backend error: ")


def test_each_request_is_one_line_of_log_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    asked = scope("GET", "/v2/queues/%0A/jobs", "num_jobs=2")
    asked["raw_path"] += b"\xff"

    with App() as app, caplog.at_level(logging.DEBUG, "relay_sdk.local"):
        run(app, Exchange(asked))

    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    method, target, status, _, unit = caplog.messages[0].split(" ")
    assert (method, target, status, unit) == (
        "GET",
        "/v2/queues/%0A/jobs\\xff?num_jobs=2",
        "404",
        "ms",
    )


def test_what_is_not_http_is_refused() -> None:
    async def main() -> None:
        asked = scope("GET", "/")
        asked["type"] = "websocket"
        with App() as app, pytest.raises(ValueError, match="cannot serve websocket"):
            await Exchange(asked).run(Asgi(app))

    asyncio.run(main())
