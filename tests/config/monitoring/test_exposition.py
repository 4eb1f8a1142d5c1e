"""`/metrics`: who may read it, what it says, and that the dashboard and the documentation know all of it."""

import json
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from billing.kinds import ProofKind
from billing.models import ProofResult, ProofRun, SelfTest
from billing.runs.billing_run import run_to_end
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, raise_alarm
from config.backups.models import Backup
from config.monitoring import exposition
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import Process, TaskRecord
from tests.events.senders import send
from tests.factories import NOW, START, make_subscription
from tests.web_server import database_url, delete_stored_requests, granian

pytestmark = pytest.mark.django_db
TOKEN = "for-this-test-run-only"
TYPE = re.compile(r"^# TYPE (\S+)", re.MULTILINE)
METRIC = re.compile(r"\bcountinghouse_[a-z0-9_]+")
SUFFIXES = ("_bucket", "_count", "_sum")


@pytest.fixture
def prometheus(settings: Settings) -> Client:
    settings.METRICS_TOKEN = TOKEN
    return Client(headers={"authorization": f"Bearer {TOKEN}"})


def read(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    return parse(client.get("/metrics").content.decode())


def parse(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values by metric and labels."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return values


def test_metrics_are_off_without_a_token_or_addresses(client: Client):
    assert client.get("/metrics").status_code == 404


def test_metrics_need_the_token(prometheus: Client, client: Client):
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
    response = prometheus.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_an_allowed_network_reads_metrics_but_not_who_a_proxy_forwards(settings: Settings):
    settings.METRICS_ADDRESSES = ["10.1.0.0/16"]
    assert Client(REMOTE_ADDR="10.1.2.3").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="10.2.2.3").get("/metrics").status_code == 401
    forwarded = Client(REMOTE_ADDR="127.0.0.1", headers={"x-forwarded-for": "203.0.113.9"})
    assert forwarded.get("/metrics").status_code == 401


def test_metrics_say_what_the_database_knows(prometheus: Client):
    write_heartbeat(Process.WORKER)
    TaskRecord.objects.create(task="billing.tasks.run_billing", started_at=NOW, runs=7, failures=2, total_s=10.5)
    raise_alarm(Finding(AlarmKind.DISK_LOW, "1 GB left.", "Extend the disk."), now=NOW)
    send("api.calls", received_at=NOW)
    values = read(prometheus)
    assert values["countinghouse_build_info"] == {("0.1.0",): 1}
    assert values["countinghouse_process_silent_seconds"][("worker",)] < 60
    assert values["countinghouse_task_runs_total"][("billing.tasks.run_billing",)] == 7
    assert values["countinghouse_task_failures_total"][("billing.tasks.run_billing",)] == 2
    assert values["countinghouse_task_seconds_total"][("billing.tasks.run_billing",)] == 10.5
    assert values["countinghouse_alarms_open"] == {("disk_low",): 1}
    assert values["countinghouse_inbox_events"] == {(): 1}
    assert values["countinghouse_database_bytes"][()] > 1_000_000
    assert set(values["countinghouse_source_failed"].values()) == {0}


def test_metrics_say_whether_proofs_backups_and_the_self_test_are_well(prometheus: Client, settings: Settings):
    settings.SELF_TEST = True
    now = timezone.now()
    hour_ago = now - timedelta(hours=1)
    night = ProofRun.objects.create(started_at=hour_ago, finished_at=hour_ago, is_nightly=True)
    ProofResult.objects.create(run=night, kind=ProofKind.LINES, scope="-", checked=9, differing=2, finished_at=now)
    Backup.objects.create(name="1", started_at=hour_ago, finished_at=hour_ago, verified_at=hour_ago)
    Backup.objects.create(name="2", started_at=now, finished_at=now, problem="One table differs.")
    SelfTest.objects.create(started_at=now, finished_at=now)
    values = {name: samples[()] for name, samples in read(prometheus).items() if () in samples}
    assert values["countinghouse_proof_differing"] == 2
    assert values["countinghouse_backup_failed"] == values["countinghouse_self_test_passed"] == 1
    for name in ("proof", "backup"):
        assert 3600 <= values[f"countinghouse_{name}_age_seconds"] < 3700
    SelfTest.objects.update(failed_stage="counted", problem="34 instead of 34.75")
    assert read(prometheus)["countinghouse_self_test_passed"] == {(): 0}


def test_a_source_that_fails_is_named_and_the_others_are_read(prometheus: Client, monkeypatch: pytest.MonkeyPatch):
    def refuse(now: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setitem(exposition._sources, "inbox", refuse)
    values = read(prometheus)
    assert values["countinghouse_source_failed"][("inbox",)] == 1
    assert values["countinghouse_source_failed"][("alarms",)] == 0
    assert "countinghouse_alarms_unacknowledged" in values


def list_names(prometheus: Client, settings: Settings) -> set[str]:
    """Return the names of all metrics, without the suffixes of histograms."""
    settings.SELF_TEST = True
    make_subscription()
    run_to_end(as_of=START)
    TaskRecord.objects.create(task="billing.tasks.run_billing", started_at=NOW, succeeded_at=NOW)
    night = ProofRun.objects.create(started_at=NOW, finished_at=NOW, is_nightly=True)
    ProofResult.objects.create(run=night, kind=ProofKind.LINES, scope="All lines", checked=2, finished_at=NOW)
    Backup.objects.create(name="2026-03-10", started_at=NOW, finished_at=NOW, verified_at=NOW)
    SelfTest.objects.create(started_at=NOW, finished_at=NOW)
    exposed = set(TYPE.findall(prometheus.get("/metrics").content.decode()))
    of_processes = {"countinghouse_http_request_seconds", "countinghouse_lane_busiest", "countinghouse_lane_threads"}
    return exposed | of_processes | {"countinghouse_database_free_bytes"}


def test_the_dashboard_and_the_alert_rules_use_metrics_that_exist(prometheus: Client, settings: Settings):
    names, folder = list_names(prometheus, settings), settings.BASE_DIR / "docs" / "monitoring"
    dashboard = json.loads((folder / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(queries) >= 15
    for text in [*queries, (folder / "alerts.yaml").read_text()]:
        used = {re.sub("|".join(f"{suffix}$" for suffix in SUFFIXES), "", name) for name in METRIC.findall(text)}
        assert used - names == set()


def test_every_metric_is_documented(prometheus: Client, settings: Settings):
    documented = set(METRIC.findall((settings.BASE_DIR / "docs" / "operations.md").read_text()))
    assert documented == list_names(prometheus, settings)


@pytest.mark.django_db(transaction=True)
def test_web_processes_count_requests_by_route_and_status_together(tmp_path: Path):
    environment = {"METRICS_TOKEN": TOKEN, "DATA_DIR": str(tmp_path), "GRANIAN_WORKERS": "2"}
    with granian(database_url(), **environment) as base_url:
        for path in (*["/v1/plans"] * 5, "/v1/nowhere/at/all", "/nowhere"):
            httpx.get(f"{base_url}{path}", timeout=30)
        httpx.post(f"{base_url}/v1/events", json={}, timeout=30)
        response = httpx.get(f"{base_url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)
    delete_stored_requests()
    counts = parse(response.text)["countinghouse_http_request_seconds_count"]
    assert counts[("GET", "/v1/plans", "401")] == 5
    assert counts[("GET", "/v1/<path:path>", "404")] == 1
    assert counts[("GET", "unmatched", "404")] == 1
    assert counts[("POST", "/v1/events", "401")] == 1
