"""Ten hosts under load: they die, are cut off and return, and the primary fails over. No event is lost or counts twice.

CLUSTER_BROKER chooses the broker, `rabbitmq` or `redis`: other tests kill a worker's Redis. The longest times without a
202 are printed. The commands of the failover are those of docs/scaling.md.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from config.server.postgres import ROLE
from tests.owner import owner_url
from tests.scenarios.cluster.cluster import Cluster
from tests.scenarios.cluster.network import forbids_namespaces, wait_until
from tests.scenarios.cluster.sender import BATCH, CUSTOMERS, make_event

pytestmark = [pytest.mark.cluster, pytest.mark.django_db]

BROKER = os.environ.get("CLUSTER_BROKER", "rabbitmq")
LONGEST_S = 60  # without a 202, whatever happens: far more than it takes, so that a busy machine fails no test
SETUP = f"""
from catalog.models import Feature
from customers.models import Customer
for name in {CUSTOMERS!r}: Customer.objects.create(external_id=name, name=name)
Feature.objects.create(name="Calls", event_name="calls", aggregation="count")
Feature.objects.create(name="Tokens", event_name="tokens", aggregation="sum", field="n")
"""
BILL = """
from datetime import UTC, datetime
from decimal import Decimal
from billing.runs.billing_run import run_to_end
from catalog.models import Feature
from config.db.clock import read_clock
from customers.models import Customer
from tests.factories import make_subscription, make_version
start = datetime(2026, 3, 1, tzinfo=UTC)
features = Feature.objects.order_by("name")
plan = make_version(*({"feature": feature, "unit_amount": Decimal("0.01")} for feature in features), now=start)
for customer in Customer.objects.all(): make_subscription(customer=customer, plan=plan, starts_at=start)
run_to_end(as_of=datetime(2026, 4, 1, tzinfo=UTC))
"""
USAGE = """
    SELECT c.external_id, f.name, sum(CASE f.aggregation WHEN 'count' THEN b.count ELSE b.total END)::int
    FROM events_usagebucket b JOIN customers_customer c ON c.id = b.customer_id
    JOIN catalog_feature f ON f.id = b.feature_id GROUP BY 1, 2
"""
STATES = "SELECT p.reason, count(*) FROM events_event e LEFT JOIN events_problem p ON p.event_id = e.id GROUP BY 1"


QUEUES = """
from config.monitoring.queues import read_queues
from django.utils import timezone
print([queue.waiting for queue in read_queues(now=timezone.now())])
"""


@pytest.fixture
def cluster(tmp_path: Path, migrated_database_url: str) -> Iterator[Cluster]:
    if reason := forbids_namespaces():
        pytest.skip(f"The kernel gives us no network: {reason}")
    tmp_path.chmod(0o755)
    cluster = Cluster(tmp_path, broker=BROKER)
    try:
        cluster.start(owner_url(migrated_database_url))
        cluster.manage("shell", "-v", "0", "-c", SETUP)
        cluster.key = cluster.manage("create_api_key", "cluster")
        yield cluster
    finally:
        cluster.network.remove()


def test_no_event_is_lost_or_counted_twice_while_hosts_die_and_the_primary_fails_over(cluster: Cluster, capsys):
    pauses: dict[str, float] = {}

    def report(event: str, step: Callable[[], None]) -> None:
        since = time.time()
        step()
        cluster.wait_for_load()
        pauses[event] = cluster.longest_pause(since)

    cluster.start_senders()
    report("nothing happens", cluster.wait_for_load)
    report("a web host dies", lambda: let_web_host_die(cluster))
    report("the scheduling host dies", lambda: let_scheduler_die(cluster))
    report("the scheduling host is cut off and returns", lambda: cut_scheduler_off(cluster))
    report("the standby is cut off and returns", lambda: cut_standby_off(cluster))
    report("the primary is cut off, and the standby takes over", lambda: fail_over(cluster))
    report("the old primary returns as standby", lambda: return_as_standby(cluster))
    assert "None" not in cluster.manage_on("web2", "shell", "-v", "0", "-c", QUEUES)
    cluster.stop_senders()
    with capsys.disabled():
        print("\nThe longest time without a 202, with", BROKER)  # noqa: T201  these figures are in docs/scaling.md
        for event, seconds in pauses.items():
            print(f"  {seconds:5.1f} s  {event}")  # noqa: T201
    assert max(pauses.values()) < LONGEST_S
    check_events(cluster)
    check_invoices(cluster)


def let_web_host_die(cluster: Cluster) -> None:
    cluster["web1"].die()
    cluster.wait_for_load()
    cluster["web1"].plug_in()
    cluster.start_web("web1")
    wait_until(lambda: cluster.is_ready("web1"), "the return of web1")


def let_scheduler_die(cluster: Cluster) -> None:
    wait_until(cluster.scheduler, "a beat that schedules")
    dead, other = cluster.scheduler(), other_worker(cluster.scheduler())
    cluster[dead].die()
    wait_until(lambda: cluster.scheduler() == other, "the change of the scheduling host")
    cluster[dead].plug_in()
    cluster.start_worker(dead)
    wait_until(lambda: is_alive(cluster, dead), f"the return of {dead}")


def cut_scheduler_off(cluster: Cluster) -> None:
    cut_off, other = cluster.scheduler(), other_worker(cluster.scheduler())
    cluster[cut_off].unplug()
    wait_until(lambda: cluster.scheduler() == other, "the change of the scheduling host")
    cluster[cut_off].plug_in()
    wait_until(lambda: is_alive(cluster, cut_off), f"the return of {cut_off}")
    assert cluster.scheduler() == other


def cut_standby_off(cluster: Cluster) -> None:
    """Cut the standby off until web says that commits wait for it."""
    cluster.standby.host.unplug()
    wait_until(lambda: not cluster.is_ready("web2"), "a refusal of requests")
    cluster.standby.host.plug_in()
    wait_until(lambda: cluster.is_ready("web2"), "the return of the standby")


def fail_over(cluster: Cluster) -> None:
    """Cut the primary off while it runs, let its standby take over, and give pgbouncer the new address."""
    old, new = cluster.primary, cluster.standby
    committed = "SELECT count(*) FROM events_inboxrequest"
    old.host.unplug()
    new.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
    new.run("pg_ctl", "promote", "-D", str(new.data))
    new.ask("SELECT pg_reload_conf()")
    cluster.pooler.point_to(new.host)
    for command in ("RELOAD", "KILL countinghouse", "RESUME countinghouse"):
        cluster.pooler.command(command)
    cluster.primary, cluster.standby = new, old
    assert old.ask(committed).isdigit()  # it still runs, but its commits wait for a standby: it accepts nothing


def return_as_standby(cluster: Cluster) -> None:
    """Undo what the old primary has that the new one hasn't, and let it follow the new one."""
    new, old = cluster.primary, cluster.standby
    old.run("pg_ctl", "stop", "-m", "immediate", "-D", str(old.data))
    old.host.processes.pop("postgres").wait(30)
    old.host.plug_in()
    wait_until(lambda: old.can_reach(new), "an answer of the new primary to the old one")
    source = f"host={new.host.address} user={ROLE} dbname=postgres application_name={old.host.name}"
    old.run("pg_rewind", "--target-pgdata", str(old.data), "--source-server", source, "--write-recovery-conf")
    old.start()
    cluster.wait_for_the_standby()


def other_worker(name: str) -> str:
    return {"worker1": "worker2", "worker2": "worker1"}[name]


def is_alive(cluster: Cluster, host: str) -> bool:
    """Tell whether a host's worker and beat were seen in the last seconds."""
    seen = f"SELECT count(DISTINCT process) FROM config_heartbeat WHERE host = '{host}' AND process <> 'checks'"
    return cluster.primary.ask(f"{seen} AND seen_at > clock_timestamp() - interval '6 seconds'") == "2"


def check_events(cluster: Cluster) -> None:
    """Check that every accepted event is in one state, and that usage is what was sent, calculated event by event."""
    wait_until(lambda: cluster.primary.ask("SELECT count(*) FROM events_inboxrequest") == "0", "an empty inbox", 120)
    events = sent_events(cluster)
    ids = cluster.primary.ask("SELECT event_id FROM events_event").splitlines()
    assert Counter(ids) == Counter(event["event_id"] for event in events)
    unknown = sum(event["event_name"] == "typing" for event in events)
    assert rows(cluster, STATES) == {("", len(events) - unknown), ("unknown_event_name", unknown)}
    assert rows(cluster, USAGE) == {(*pair, quantity) for pair, quantity in expected_usage(events).items()}
    assert cluster.manage("rebuild_usage") == "Usage matches the ledger."


def check_invoices(cluster: Cluster) -> None:
    """Check that the month's invoices bill that usage at a cent a unit, and that every line proves itself."""
    cluster.manage("shell", "-v", "0", "-c", BILL)
    quantity = sum(expected_usage(sent_events(cluster)).values())
    billed = cluster.primary.ask("SELECT sum(total) FROM billing_invoice")
    assert Decimal(billed) == Decimal("0.01") * quantity
    for result in cluster.manage("prove", "--month", "2026-03").splitlines():
        figures = re.search(r": (?P<proved>[\d,]+) of (?P<checked>[\d,]+) proved", result)
        assert figures["proved"] == figures["checked"], result


def sent_events(cluster: Cluster) -> list[dict[str, Any]]:
    batches = [(name, first) for name, lines in cluster.accepted().items() for _, first, _ in lines]
    return [make_event(name, number) for name, first in batches for number in range(first, first + BATCH)]


def expected_usage(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    usage: Counter[tuple[str, str]] = Counter()
    for event in events:
        customer, name = event["external_customer_id"], event["event_name"]
        if name == "calls":
            usage[customer, "Calls"] += 1
        if name == "tokens":
            usage[customer, "Tokens"] += event["properties"]["n"]
    return usage


def rows(cluster: Cluster, query: str) -> set[tuple[Any, ...]]:
    """Return rows whose last column is a whole number."""
    lines = [line.split("|") for line in cluster.primary.ask(query).splitlines()]
    return {(*line[:-1], int(line[-1])) for line in lines}


def test_the_documented_failover_is_the_tested_one():
    text = " ".join((Path(settings.BASE_DIR) / "docs" / "scaling.md").read_text().split())
    for command in (
        "ALTER SYSTEM SET synchronous_standby_names = ''",
        "pg_ctl promote",
        "SELECT pg_reload_conf()",
        "RELOAD",
        "KILL countinghouse",
        "RESUME countinghouse",
        "pg_ctl stop -m immediate",
        "until pg_isready --quiet --host db2; do sleep 1; done",
        "pg_rewind",
        "--write-recovery-conf",
        "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'",
    ):
        assert command in text
