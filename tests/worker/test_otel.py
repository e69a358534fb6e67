"""Spans and metrics of OpenTelemetry, and the trace that jobs carry from producer to handler."""

import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from relay_sdk import Backoff, Client, JobExistsError, PayloadError, Queue
from relay_sdk.otel import Telemetry, traced
from relay_sdk.testing import transport

from .harness import Harness, Helper, maybe_await

pytestmark = pytest.mark.anyio

SECRET = "do not tell"


@dataclass
class Email:
    to: str


EMAILS = Queue("emails", traced(Email))


class Recorder:
    """A telemetry, and what it has made."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracer_provider.get_tracer("test")
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=self.tracer_provider, meter_provider=meters)
        self.meters = meters

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    def points(self, name: str) -> dict[str, Any]:
        """The points of a metric, by operation."""
        data = self.reader.get_metrics_data()
        assert data
        return {
            point.attributes["messaging.operation.name"]: point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.tracer_provider.shutdown()
    recorder.meters.shutdown()


@pytest.fixture
def producer(harness: Harness, recorder: Recorder) -> Iterator[Client]:
    """A producer whose requests are recorded too."""
    with httpx.Client(transport=transport(harness.server.app), verify=False) as own:
        yield Client("http://server", http_client=own, api="v2", on_event=recorder.telemetry)


async def end(helper: Helper) -> None:
    pass


def ids(span: ReadableSpan | None) -> tuple[int, int]:
    assert span
    assert span.context
    return span.context.trace_id, span.context.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    return (span.parent.trace_id, span.parent.span_id) if span.parent else None


async def test_each_operation_has_a_span_by_the_conventions(
    harness: Harness, recorder: Recorder, producer: Client
) -> None:
    async def handle(helper: Helper) -> None:
        await maybe_await(helper.heartbeat())

    producer.enqueue(EMAILS.job("a", Email(SECRET)))
    async with harness.running(
        harness.worker(EMAILS, handle, client=harness.client(on_event=recorder.telemetry))
    ):
        await harness.until(lambda: recorder.spans("run emails"))
    about = {"messaging.system": "relay", "messaging.destination.name": "emails"}
    one = {"messaging.message.id": "a"}
    for name, kind, more in (
        ("enqueue", SpanKind.PRODUCER, one | {"messaging.operation.type": "send"}),
        (
            "next",
            SpanKind.CLIENT,
            {"messaging.operation.type": "receive", "messaging.batch.message_count": 1},
        ),
        (
            "run",
            SpanKind.CONSUMER,
            one
            | {
                "messaging.operation.type": "process",
                "messaging.relay.attempt": 1,
                "messaging.relay.outcome": "completed",
            },
        ),
        ("heartbeat", SpanKind.CLIENT, one),
        ("complete", SpanKind.CLIENT, one | {"messaging.operation.type": "settle"}),
    ):
        span = recorder.span(f"{name} emails")
        assert span.kind == kind
        assert span.attributes == about | more | {"messaging.operation.name": name}
        assert span.status.status_code == StatusCode.UNSET
    assert SECRET not in "".join(span.to_json() for span in recorder.exporter.get_finished_spans())


async def test_the_trace_goes_from_the_producer_to_the_handler_and_what_it_does(
    harness: Harness, recorder: Recorder, producer: Client
) -> None:
    async def handle(helper: Helper) -> None:
        with recorder.tracer.start_as_current_span("inside"):
            payloads.append(helper.job.payload)
            seen.append(baggage.get_baggage("tenant"))
            await maybe_await(helper.heartbeat())

    payloads, seen = list[Email](), list[object]()
    with recorder.tracer.start_as_current_span("request"):
        token = context.attach(baggage.set_baggage("tenant", "blue"))
        producer.enqueue(EMAILS.job("a", Email("b@example.org")))
        context.detach(token)
    async with harness.running(
        harness.worker(EMAILS, handle, client=harness.client(on_event=recorder.telemetry))
    ):
        await harness.until(lambda: recorder.spans("run emails"))
    span = recorder.span
    run = span("run emails")
    assert parent(span("enqueue emails")) == ids(span("request"))
    assert parent(run) == ids(span("enqueue emails"))
    assert [ids(link) for link in run.links] == [parent(run)]  # type: ignore[arg-type]
    assert parent(span("inside")) == ids(run)
    assert parent(span("heartbeat emails")) == ids(run)
    assert parent(span("complete emails")) == ids(run)
    assert payloads == [Email("b@example.org")]
    assert seen == ["blue"]
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_an_automatic_heartbeat_belongs_to_its_run(
    harness: Harness, recorder: Recorder
) -> None:
    async def handle(helper: Helper) -> None:
        await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue(Queue("q").job("a", 1, timeout=30))
    async with harness.running(
        harness.worker("q", handle, client=harness.client(on_event=recorder.telemetry))
    ):
        await harness.until(lambda: recorder.spans("heartbeat q"), tick=1)
        gate.open()
        await harness.until(lambda: recorder.spans("run q"))
    assert {parent(span) for span in recorder.spans("heartbeat q")} == {ids(recorder.span("run q"))}


async def test_jobs_that_run_at_once_are_apart_and_none_is_the_workers_child(
    harness: Harness, recorder: Recorder
) -> None:
    async def handle(helper: Helper) -> None:
        with recorder.tracer.start_as_current_span(helper.raw.id):
            await gate.passed()

    gate = harness.gate()
    harness.producer.enqueue_batch([Queue("q").job(id, 1) for id in "abc"])
    with recorder.tracer.start_as_current_span("startup"):
        async with harness.running(
            harness.worker("q", handle, client=harness.client(on_event=recorder.telemetry))
        ):
            await harness.until(lambda: gate.waiting == 3)
            gate.open()
            await harness.until(lambda: len(recorder.spans("run q")) == 3)
    for run in recorder.spans("run q"):
        assert run.attributes
        assert parent(run) is None
        assert parent(recorder.span(str(run.attributes["messaging.message.id"]))) == ids(run)


@pytest.mark.parametrize("retry", [None, Backoff(1000, maximum=1000, retries=1)])
async def test_a_handler_that_raises_fails_its_span_and_says_no_more_than_the_type(
    harness: Harness, recorder: Recorder, retry: Backoff | None
) -> None:
    async def handle(helper: Helper) -> None:
        raise LookupError(SECRET)

    harness.producer.enqueue(Queue("q").job("a", 1, timeout=600))
    client = harness.client(on_event=recorder.telemetry)
    async with harness.running(harness.worker("q", handle, client=client, retry=retry)):
        await harness.until(lambda: recorder.spans("run q"))
    span = recorder.span("run q")
    assert span.status.status_code == StatusCode.ERROR
    assert span.attributes
    assert span.attributes["error.type"] == "builtins.LookupError"
    assert span.attributes["messaging.relay.outcome"] == ("retried" if retry else "failed")
    assert SECRET not in span.to_json()


async def test_metrics_count_and_time_by_the_conventions(
    harness: Harness, recorder: Recorder, producer: Client
) -> None:
    producer.enqueue_batch([Queue("q").job(id, SECRET) for id in "abc"])
    with pytest.raises(JobExistsError):
        producer.enqueue(Queue("q").job("a", 1))
    client = harness.client(on_event=recorder.telemetry)
    async with harness.running(harness.worker("q", end, client=client)):
        await harness.until(lambda: len(recorder.spans("run q")) == 3)
    assert SECRET not in "".join(map(repr, recorder.reader.get_metrics_data().resource_metrics))  # type: ignore[union-attr]
    data = {
        name: recorder.points(name)
        for name in (
            "messaging.client.sent.messages",
            "messaging.client.consumed.messages",
            "messaging.client.operation.duration",
            "messaging.process.duration",
        )
    }
    assert data["messaging.client.consumed.messages"]["next"].value == 3
    assert set(data["messaging.client.operation.duration"]) == {"enqueue", "next", "complete"}
    run = data["messaging.process.duration"]["run"]
    assert (run.count, run.explicit_bounds[0]) == (3, 0.005)
    assert run.attributes["messaging.relay.outcome"] == "completed"
    assert not {"messaging.message.id"} & set(run.attributes)


async def test_polls_of_an_empty_queue_make_no_spans(recorder: Recorder, harness: Harness) -> None:
    await maybe_await(harness.client(on_event=recorder.telemetry).next("q", timeout=0))
    assert recorder.exporter.get_finished_spans() == ()


async def test_a_batch_of_several_queues_names_none(producer: Client, recorder: Recorder) -> None:
    producer.enqueue_batch([Queue("q").job("a", 1), Queue("r").job("a", 1)])
    span = recorder.span("enqueue")
    assert span.attributes
    assert span.attributes["messaging.batch.message_count"] == 2
    assert "messaging.destination.name" not in span.attributes


def wire(queue: Queue[Any, Any], payload: Any) -> dict[str, Any]:
    """A payload as it is written."""
    text: bytes = queue._payload.write(payload)
    return msgspec.json.decode(text)  # type: ignore[no-any-return]


class TestTraced:
    def test_the_member_is_where_one_says(self, recorder: Recorder) -> None:
        meta = Queue("emails", traced(Email, "meta"))
        with recorder.tracer.start_as_current_span("request") as span:
            text = wire(meta, Email("a"))
        made = span.get_span_context()
        assert text["to"] == "a"
        assert text["meta"]["traceparent"].startswith(
            f"00-{made.trace_id:032x}-{made.span_id:016x}-"
        )

    def test_without_a_trace_a_payload_is_as_it_was(self) -> None:
        assert wire(EMAILS, Email("a")) == {"to": "a"}

    @pytest.mark.parametrize(
        "text",
        [
            b'{"to":"a"}',
            b'{"to":"a","trace":{"traceparent":"00-1-2-3"}}',
            b'{"to":"a","trace":3}',
            b'{"trace":{"traceparent":["x"]},"to":"a"}',
        ],
    )
    def test_whatever_it_carries_it_is_read(self, text: bytes) -> None:
        assert EMAILS._payload.read(text) == Email("a")

    def test_a_payload_that_is_no_object_is_refused_while_there_is_a_trace(
        self, recorder: Recorder
    ) -> None:
        numbers = Queue("numbers", traced(int))
        assert numbers._payload.write(3) == b"3"
        with (
            recorder.tracer.start_as_current_span("request"),
            Client("http://127.0.0.1:1") as relay,
            pytest.raises(PayloadError, match="must be a JSON object"),
        ):
            relay.enqueue(numbers.job("a", 3))

    def test_big_numbers_and_order_survive(self, recorder: Recorder) -> None:
        plain: Queue[Any, None] = Queue("q", traced(dict[str, int]))
        with recorder.tracer.start_as_current_span("request"):
            text = plain._payload.write({"z": 2**63, "a": 1})
        assert text.startswith(b'{"z":9223372036854775808,"a":1,"trace":')
        assert plain._payload.read(text) == {"z": 2**63, "a": 1}

    def test_its_queue_can_be_pickled(self) -> None:
        again = pickle.loads(pickle.dumps(EMAILS))
        assert again._payload.read(b'{"to":"a","trace":{}}') == Email("a")


def test_the_sdk_alone_loads_no_opentelemetry() -> None:
    program = (
        "import sys; from relay_sdk import *; Client().close(); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


async def test_no_context_is_left_behind_in_silence(
    harness: Harness, recorder: Recorder, producer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenTelemetry logs a context that is left in another thread or task than it was entered."""
    producer.enqueue_batch([EMAILS.job(str(n), Email("a"), timeout=1) for n in range(30)])
    client = harness.client(on_event=recorder.telemetry)
    async with harness.running(harness.worker(EMAILS, end, client=client)):
        await harness.until(lambda: len(recorder.spans("run emails")) == 30)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
