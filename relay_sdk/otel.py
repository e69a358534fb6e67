"""OpenTelemetry spans and metrics, and propagation of traces in jobs. Needs the extra `otel`.

Names and attributes follow the semantic conventions for messaging.
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
"""Bucket boundaries of the histograms, from the conventions."""

_entered: ContextVar[Mapping[object, tuple[Span, Token[Context]]]] = ContextVar("relay_sdk")
"""The spans started in this context, and the tokens that restore the spans before them."""


class Telemetry:
    """Record spans and metrics of clients and workers: `Client(on_event=Telemetry())`.

    The providers default to the global ones. One `Telemetry` can be used by several clients.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer("relay_sdk", None, tracer_provider, SCHEMA)
        meter = metrics.get_meter("relay_sdk", "", meter_provider, SCHEMA)
        self._sent_messages = meter.create_counter("messaging.client.sent.messages", "{message}")
        self._consumed_messages = meter.create_counter(
            "messaging.client.consumed.messages", "{message}"
        )
        self._request_durations, self._run_durations = (
            meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=SECONDS)
            for name in ("messaging.client.operation.duration", "messaging.process.duration")
        )
        self._running: dict[tuple[str | None, str | None], Context] = {}

    def __call__(self, event: Event) -> None:
        """Record an event of a client or worker."""
        if isinstance(event, JobEvent):
            self._on_job(event)
        elif event.name == "next":
            self._on_next(event)
        else:
            self._on_request(event)

    def _on_next(self, event: RequestEvent) -> None:
        if event.seconds is None or not (event.jobs or event.error):
            return  # polls of an empty queue are frequent and not of interest
        start_time = time_ns() - int(event.seconds * 1e9)
        span = self._start_span(event.name, _message_attributes(event), start_time=start_time)
        self._end(event, span, event.seconds)

    def _on_request(self, event: RequestEvent) -> None:
        key = self, event.name, event.queue, event.id
        if event.seconds is None:
            # Heartbeats are sent by another thread or task than the one that runs the job, so the
            # span of the run is not current there.
            is_heartbeat = event.name == "heartbeat"
            context = self._running.get((event.queue, event.id)) if is_heartbeat else None
            _enter(key, self._start_span(event.name, _message_attributes(event), context), context)
        elif span := _leave(key):
            self._end(event, span, event.seconds)

    def _end(self, event: RequestEvent, span: Span, seconds: float) -> None:
        attributes = _attributes(event.name, event.queue, event.error)
        _close(span, attributes)
        self._request_durations.record(seconds, attributes)
        if event.name == "enqueue":
            self._sent_messages.add(event.jobs, attributes)
        elif event.name == "next":
            self._consumed_messages.add(event.jobs, attributes)

    def _on_job(self, event: JobEvent) -> None:
        key = self, event.queue, event.id
        if event.kind == "started":
            # The parent is the span of the enqueue, not a span that is current in the worker.
            context = _extract_context(event)
            attributes = _attributes("run", event.queue) | {
                "messaging.message.id": event.id,
                "messaging.relay.attempt": event.attempt,
            }
            producer = trace.get_current_span(context).get_span_context()
            links = [Link(producer)] if producer.is_valid else []
            span = self._start_span("run", attributes, context, links=links)
            self._running[event.queue, event.id] = _enter(key, span, context)
            return
        self._running.pop((event.queue, event.id), None)
        attributes = _attributes("run", event.queue, event.error)
        attributes["messaging.relay.outcome"] = event.kind
        if entered := _leave(key):
            _close(entered, attributes)
        self._run_durations.record(event.seconds, attributes)

    def _start_span(
        self, name: str, attributes: Attributes, context: Context | None = None, **options: Any
    ) -> Span:
        queue = attributes.get("messaging.destination.name")
        return self._tracer.start_span(
            f"{name} {queue}" if queue else name,
            context,
            KINDS.get(name, SpanKind.CLIENT),
            attributes,
            **options,
        )


def _attributes(name: str, queue: str | None, error: BaseException | None = None) -> Attributes:
    """Return the attributes of spans and metrics, which have few distinct values."""
    attributes: Attributes = {"messaging.system": "relay", "messaging.operation.name": name}
    if name in TYPES:
        attributes["messaging.operation.type"] = TYPES[name]
    if queue is not None:
        attributes["messaging.destination.name"] = queue
    if error is not None:
        # The message is left out, because it may contain private data.
        attributes["error.type"] = f"{type(error).__module__}.{type(error).__qualname__}"
    return attributes


def _message_attributes(event: RequestEvent) -> Attributes:
    attributes = _attributes(event.name, event.queue)
    if event.id is not None:
        attributes["messaging.message.id"] = event.id
    elif event.jobs:
        attributes["messaging.batch.message_count"] = event.jobs
    return attributes


def _close(span: Span, attributes: Attributes) -> None:
    span.set_attributes(attributes)
    if "error.type" in attributes:
        span.set_status(StatusCode.ERROR)
    span.end()


def _enter(key: object, span: Span, context: Context | None) -> Context:
    """Make a span current in this thread or task; return its context."""
    entered = trace.set_span_in_context(span, context)
    _entered.set({**_entered.get({}), key: (span, attach(entered))})
    return entered


def _leave(key: object) -> Span | None:
    """Make the previous span current again; return the one that was entered with `key`."""
    others = dict(_entered.get({}))
    if key not in others:
        return None
    span, token = others.pop(key)
    _entered.set(others)
    detach(token)
    return span


@frozen
class _TracedCodec(Codec[T]):
    """A codec that adds the current trace to payloads, and removes it from them."""

    type_form: Any
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
                f"a payload with a trace must be a JSON object without a member {self.member!r}"
            )
        members[self.member] = msgspec.Raw(msgspec.json.encode(carrier))
        return msgspec.json.encode(members)

    def read(self, text: bytes) -> T:
        members = _members(text)
        if members is not None and members.pop(self.member, None) is not None:
            text = msgspec.json.encode(members)
        return self._codec.read(text)

    def carrier(self, text: bytes) -> dict[str, str]:
        """Return the trace of a payload, as the propagator wrote it."""
        try:
            return msgspec.json.decode((_members(text) or {})[self.member], type=dict[str, str])
        except (KeyError, ValueError):
            return {}

    def __reduce__(self) -> tuple[object, ...]:
        return traced, (self.type_form, self.member)


@overload
def traced(payload: type[T] | Codec[T], member: str = ...) -> Codec[T]: ...
@overload
def traced(payload: TypeForm[T], member: str = ...) -> Codec[T]: ...
def traced(payload: Any, member: str = "trace") -> Codec[Any]:
    """Return a codec that propagates the trace of an enqueue to the handler of the job.

    `Queue("emails", traced(Email))` writes the trace as a member of the payload's JSON object, with
    the global propagator of OpenTelemetry (W3C's `traceparent` and `tracestate` by default), and
    removes it before the payload is decoded. Jobs without a trace are decoded as well.
    """
    codec = text_codec(payload)
    # A `Codec` converts plain JSON values. The methods of `_TracedCodec` work on the text instead,
    # which is faster and keeps the digits of numbers.
    return _TracedCodec(
        lambda value: msgspec.json.decode(codec.write(value)),
        lambda value: codec.read(msgspec.json.encode(value)),
        payload,
        member,
        codec,
    )


def _members(text: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return None


def _extract_context(event: JobEvent) -> Context:
    """Return the context in which a job was enqueued, or an empty one."""
    codec = event._types and event._types._payload  # pyright: ignore[reportPrivateUsage]
    carrier = codec.carrier(bytes(event.raw.payload)) if isinstance(codec, _TracedCodec) else {}
    return propagate.extract(carrier, Context())
