"""Spans to a collector: OTLP over HTTP, in protobuf (opentelemetry.io/docs/specs/otlp)."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from nadia import __version__
from nadia.errors import NadiaError, UnavailableError
from nadia.tracing.config import TracingSettings, read_headers
from nadia.tracing.journey import Span

if TYPE_CHECKING:
    import httpx2
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

_PATH: Final = "/v1/traces"
_MALFORMED: Final = frozenset({400, 413, 415, 422})
_NOT_ADMITTED: Final = frozenset({401, 403})


class TracesRefusedError(NadiaError):
    """The collector takes such spans neither now nor later."""


class Collector:
    """Sends spans.

    Parameters
    ----------
    settings : TracingSettings
        Where to; its endpoint is set.
    """

    def __init__(self, settings: TracingSettings) -> None:
        assert settings.endpoint is not None, "tracing is on"
        endpoint = settings.endpoint.rstrip("/")
        self._url = endpoint if urlsplit(endpoint).path else endpoint + _PATH
        self._headers = read_headers(settings.headers) if settings.headers else {}
        self._timeout_seconds = settings.timeout_seconds
        self._client: httpx2.AsyncClient | None = None

    async def send(self, spans: Sequence[Span]) -> None:
        """Send spans, all of them or none.

        Raises
        ------
        UnavailableError
            If the collector does not answer, or cannot take them now.
        TracesRefusedError
            If it cannot read them.
        """
        import httpx2

        if self._client is None:
            # It is connected to directly and nowhere else, whatever the environment or its answer says.
            self._client = httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._timeout_seconds)
        headers = {"Content-Type": "application/x-protobuf", **self._headers}
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.stream("POST", self._url, content=encoded(spans), headers=headers) as answer,
            ):
                status = answer.status_code  # what else it says is not waited for
        except (httpx2.HTTPError, OSError, TimeoutError) as exc:
            raise UnavailableError(
                f"the trace collector cannot be reached ({type(exc).__name__})",
                hint="does it run? NADIA_TRACING_ENDPOINT says where it is looked for",
            ) from exc
        if status in _MALFORMED:
            raise TracesRefusedError(f"the trace collector refused spans with status {status}")
        if not 200 <= status < 300:
            raise UnavailableError(
                f"the trace collector answered with status {status}",
                hint="see NADIA_TRACING_HEADERS"
                if status in _NOT_ADMITTED
                else "see its log, and NADIA_TRACING_ENDPOINT",
            )

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def encoded(spans: Sequence[Span]) -> bytes:
    """Return spans as the body of an export request."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1 import trace_pb2

    told = [
        trace_pb2.Span(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_span_id=span.parent_id,
            name=span.name,
            kind=trace_pb2.Span.SPAN_KIND_CLIENT if span.asks_others else trace_pb2.Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=_nanoseconds(span.begun_at),
            end_time_unix_nano=_nanoseconds(span.ended_at),
            attributes=_attributes(span.attributes),
            status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR) if span.is_error else None,
        )
        for span in spans
    ]
    request = ExportTraceServiceRequest(
        resource_spans=[
            trace_pb2.ResourceSpans(
                resource=Resource(attributes=_attributes({"service.name": "nadia", "service.version": __version__})),
                scope_spans=[
                    trace_pb2.ScopeSpans(scope=InstrumentationScope(name="nadia", version=__version__), spans=told)
                ],
            )
        ]
    )
    return bytes(request.SerializeToString())


def _attributes(values: Mapping[str, str | int | float | bool]) -> "Sequence[KeyValue]":
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    found = []
    for name, value in values.items():
        if isinstance(value, bool):
            told = AnyValue(bool_value=value)
        elif isinstance(value, int):
            told = AnyValue(int_value=value)
        elif isinstance(value, float):
            told = AnyValue(double_value=value)
        else:
            told = AnyValue(string_value=value)
        found.append(KeyValue(key=name, value=told))
    return found


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
