"""Traces by OpenTelemetry, the extra `tracing`. Imported only if OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from celery import signals
from django.http import HttpRequest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from config.server.secret_paths import hide_secrets
from config.version import VERSION

ADDRESSES = ("http.url", "http.target", "url.full", "url.path")


def trace_requests() -> None:
    """Trace the requests of this web process. Call it before Django loads its middleware."""
    _export("web")
    DjangoInstrumentor().instrument(request_hook=hide_address)


def hide_address(span: trace.Span, request: HttpRequest) -> None:
    """Hide the secrets of the request's address."""
    for name in ADDRESSES:
        value = getattr(span, "attributes", {}).get(name)
        if isinstance(value, str):
            span.set_attribute(name, hide_secrets(value))


def trace_tasks() -> None:
    """Trace tasks: as they are enqueued, and in each process of a worker, which has an exporter of its own."""
    CeleryInstrumentor().instrument()
    signals.worker_process_init.connect(_export_in_worker, weak=False, dispatch_uid="tracing")


def _export_in_worker(**kwargs: object) -> None:
    _export("worker")


def _export(service: str) -> None:
    """Send the spans of this process to the collector, with those of its SQL statements."""
    resource = Resource.create({"service.name": f"countinghouse-{service}", "service.version": VERSION})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    PsycopgInstrumentor().instrument()
