"""Spans and metrics for OpenTelemetry, and jobs that carry their trace; needs the extra `otel`.

Names and attributes are those of the semantic conventions for messaging.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from time import time_ns
from typing import Any, TypeAlias, TypeVar, overload

import msgspec
from attrs import field, frozen
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from typing_extensions import TypeForm

from relay_sdk._codecs.json import CodecError
from relay_sdk.codec import Codec, TextCodec, text_codec
from relay_sdk.events import Event, JobEvent, RequestEvent

T = TypeVar("T")
Attributes: TypeAlias = dict[str, str | int]

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
TYPES = {
    "enqueue": "send", "next": "receive", "run": "process", "complete": "settle",
    "requeue": "settle",
}  # fmt: skip
KINDS = {"enqueue": SpanKind.PRODUCER, "run": SpanKind.CONSUMER}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds of the histograms' buckets, as the conventions have them."""


_entered: ContextVar[Mapping[object, tuple[Span, Token[Context]]]] = ContextVar("relay_sdk")
"""The spans that are current here, and what makes those before them current again."""


class Telemetry:
    """Makes spans and metrics of what clients and workers do: `Client(on_event=Telemetry())`.

    The providers default to the global ones. One `Telemetry` may serve any number of clients.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("relay_sdk", None, tracer_provider, SCHEMA)
        meter = metrics.get_meter("relay_sdk", "", meter_provider, SCHEMA)
        self._sent = meter.create_counter("messaging.client.sent.messages", "{message}")
        self._consumed = meter.create_counter("messaging.client.consumed.messages", "{message}")
        self._requests, self._runs = (
            meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=SECONDS)
            for name in ("messaging.client.operation.duration", "messaging.process.duration")
        )
        self._running: dict[tuple[str | None, str | None], Context] = {}

    def __call__(self, event: Event) -> None:
        """Take an event, as a client tells it."""
        if isinstance(event, JobEvent):
            self._job(event)
        elif event.name == "next":
            self._next(event)
        else:
            self._request(event)

    def _next(self, event: RequestEvent) -> None:
        if event.seconds is None or not (event.jobs or event.error):
            return  # polls of an empty queue are many, and say nothing
        began = time_ns() - int(event.seconds * 1e9)
        span = self._span(event.name, _details(event), start_time=began)
        self._end(event, span, event.seconds)

    def _request(self, event: RequestEvent) -> None:
        key = self, event.name, event.queue, event.id
        if event.seconds is None:
            # Heartbeats come from another thread or task than the one that runs the job.
            beats = event.name == "heartbeat"
            context = self._running.get((event.queue, event.id)) if beats else None
            _enter(key, self._span(event.name, _details(event), context), context)
        elif span := _leave(key):
            self._end(event, span, event.seconds)

    def _end(self, event: RequestEvent, span: Span, seconds: float) -> None:
        about = _about(event.name, event.queue, event.error)
        _close(span, about)
        self._requests.record(seconds, about)
        if event.name == "enqueue":
            self._sent.add(event.jobs, about)
        elif event.name == "next":
            self._consumed.add(event.jobs, about)

    def _job(self, event: JobEvent) -> None:
        key = self, event.queue, event.id
        if event.kind == "started":
            # Whatever was current where the worker was started has nothing to do with it.
            context = _carried(event)
            details = _about("run", event.queue) | {
                "messaging.message.id": event.id,
                "messaging.relay.attempt": event.attempt,
            }
            made = trace.get_current_span(context).get_span_context()
            links = [Link(made)] if made.is_valid else []
            span = self._span("run", details, context, links=links)
            self._running[event.queue, event.id] = _enter(key, span, context)
            return
        self._running.pop((event.queue, event.id), None)
        about = _about("run", event.queue, event.error)
        about["messaging.relay.outcome"] = event.kind
        if left := _leave(key):
            _close(left, about)
        self._runs.record(event.seconds, about)

    def _span(
        self, name: str, details: Attributes, context: Context | None = None, **options: Any
    ) -> Span:
        queue = details.get("messaging.destination.name")
        return self._tracer.start_span(
            f"{name} {queue}" if queue else name,
            context,
            KINDS.get(name, SpanKind.CLIENT),
            details,
            **options,
        )


def _about(name: str, queue: str | None, error: BaseException | None = None) -> Attributes:
    """Give the attributes of spans and metrics alike, of which there are few values."""
    about: Attributes = {"messaging.system": "relay", "messaging.operation.name": name}
    if name in TYPES:
        about["messaging.operation.type"] = TYPES[name]
    if queue is not None:
        about["messaging.destination.name"] = queue
    if error is not None:
        # What it says is the log's: it may quote what is nobody's business.
        about["error.type"] = f"{type(error).__module__}.{type(error).__qualname__}"
    return about


def _details(event: RequestEvent) -> Attributes:
    details = _about(event.name, event.queue)
    if event.id is not None:
        details["messaging.message.id"] = event.id
    elif event.jobs:
        details["messaging.batch.message_count"] = event.jobs
    return details


def _close(span: Span, about: Attributes) -> None:
    span.set_attributes(about)
    if "error.type" in about:
        span.set_status(StatusCode.ERROR)
    span.end()


def _enter(key: object, span: Span, context: Context | None) -> Context:
    """Make a span current in this thread or task."""
    entered = trace.set_span_in_context(span, context)
    _entered.set({**_entered.get({}), key: (span, attach(entered))})
    return entered


def _leave(key: object) -> Span | None:
    """Make the span current again that was so before; give the one that is left."""
    others = dict(_entered.get({}))
    if key not in others:
        return None
    span, before = others.pop(key)
    _entered.set(others)
    detach(before)
    return span


@frozen
class _Traced(Codec[T]):
    """What `traced` gives."""

    form: Any
    member: str
    _codec: TextCodec[T] = field(eq=False, repr=False)

    def write(self, value: T) -> bytes:
        text = self._codec.write(value)
        carrier = dict[str, str]()
        propagate.inject(carrier)
        if not carrier:
            return text
        members = _members(text)
        if members is None or self.member in members:
            raise CodecError(
                f"a payload that carries its trace must be a JSON object without {self.member!r}"
            )
        members[self.member] = msgspec.Raw(msgspec.json.encode(carrier))
        return msgspec.json.encode(members)

    def read(self, text: bytes) -> T:
        members = _members(text)
        if members is not None and members.pop(self.member, None) is not None:
            text = msgspec.json.encode(members)
        return self._codec.read(text)

    def carrier(self, text: bytes) -> dict[str, str]:
        """Give what a payload carries."""
        try:
            return msgspec.json.decode((_members(text) or {})[self.member], type=dict[str, str])
        except (KeyError, ValueError):
            return {}

    def __reduce__(self) -> tuple[object, ...]:
        return traced, (self.form, self.member)


@overload
def traced(payload: type[T] | Codec[T], member: str = ...) -> Codec[T]: ...
@overload
def traced(payload: TypeForm[T], member: str = ...) -> Codec[T]: ...
def traced(payload: Any, member: str = "trace") -> Codec[Any]:
    """Let a queue's payloads carry the trace in which they were enqueued to their handler.

    `Queue("emails", traced(Email))` writes it as a member of the payload's JSON object, by the
    propagator that OpenTelemetry is set to (W3C's `traceparent` and `tracestate` unless you choose
    another), and takes it off before the payload is read. Jobs without one are read as well.
    """
    codec = text_codec(payload)
    return _Traced(codec.write, codec.read, payload, member, codec)


def _members(text: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return None


def _carried(event: JobEvent) -> Context:
    """Give the context in which a job was enqueued, or an empty one."""
    codec = event._types and event._types._payload  # pyright: ignore[reportPrivateUsage]
    carrier = codec.carrier(bytes(event.raw.payload)) if isinstance(codec, _Traced) else {}
    return propagate.extract(carrier, Context())
