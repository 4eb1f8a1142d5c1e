"""Traces by OpenTelemetry: sent to the collector if one is set, and not even imported otherwise."""

import os
import subprocess
import sys
import time

import httpx
import pytest
from django.conf import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.config.webhooks.receiver import Receiver, receiving
from tests.web_server import database_url, delete_stored_requests, granian

LOADED = "import django, sys; django.setup(); print('opentelemetry.sdk.trace' in sys.modules)"


@pytest.mark.parametrize(("endpoint", "is_loaded"), [("", "False"), ("http://127.0.0.1:4318", "True")])
def test_opentelemetry_is_imported_only_with_a_collector(endpoint: str, is_loaded: str):
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "DJANGO_SETTINGS_MODULE": "config.settings"}
    answer = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=settings.BASE_DIR,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == is_loaded


def list_spans(receiver: Receiver) -> dict[str, set[str]]:
    """Return the names of the spans that a collector got, by service."""
    names: dict[str, set[str]] = {}
    for request in receiver.received:
        message = ExportTraceServiceRequest()
        message.ParseFromString(request.body)
        for resource in message.resource_spans:
            attributes = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            spans = {span.name for scope in resource.scope_spans for span in scope.spans}
            names.setdefault(attributes["service.name"], set()).update(spans)
    return names


@pytest.mark.django_db(transaction=True)
def test_a_request_and_its_statements_are_traced():
    with receiving() as collector:
        address = collector.url.removesuffix("/hooks")
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with granian(database_url(), **environment) as base_url:
            httpx.get(f"{base_url}/v1/plans", headers={"x-api-key": "sk_none"}, timeout=30)
            until = time.monotonic() + 30
            while "GET v1/plans" not in list_spans(collector).get("countinghouse-web", ()):
                assert time.monotonic() < until, list_spans(collector)
                time.sleep(0.1)
    delete_stored_requests()
    assert "SELECT" in list_spans(collector)["countinghouse-web"]
