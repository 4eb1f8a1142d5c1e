"""Due subscribers: customers with a fee and two usage prices, and a month of usage."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from catalog.models import Feature, PlanVersion
from events.ledger.rollup import roll_up
from tests.factories import make_feature, make_version

END = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)  # so that one period is due
START = (END - timedelta(days=1)).replace(day=1)
TABLES = (
    *("billing_invoiceline", "billing_invoice", "billing_runchunk", "billing_billingrun", "billing_billingstate"),
    *("customers_subscriptionphase", "customers_subscription", "customers_customer"),
    *("events_usagebucket", "events_usageday", "events_usagerollup"),
)
# Subscribed a month ago, so that the run creates one invoice each, with the month's fee and usage.
SUBSCRIBE = (
    """
    INSERT INTO customers_customer (
        public_id, external_id, name, email, currency, timezone, state, contact, address_line1, address_line2,
        address_city, address_state, address_postal_code, address_country, tax_id, tax_treatment, metadata, updated_at
    )
    SELECT 'cust_' || md5(no::text), 'run_' || no, 'Customer ' || no, '', 'USD', 'UTC', 'active', '', '', '',
        '', '', '', '', '', 'taxable', '{}', now()
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS no
    """,
    """
    INSERT INTO customers_subscription (
        public_id, customer_id, currency, interval, interval_count, alignment, anchor, timezone, started_at, prorate,
        metadata, updated_at
    )
    SELECT 'subs_' || md5(id::text), id, 'USD', 'month', 1, 'anniversary', %(start)s, 'UTC', %(start)s, true,
        '{}', now()
    FROM customers_customer AS customer
    WHERE NOT EXISTS (SELECT FROM customers_subscription WHERE customer_id = customer.id)
    """,
    """
    INSERT INTO customers_subscriptionphase (subscription_id, kind, plan_version_id, starts_at, reason, recorded_at)
    SELECT id, 'active', %(version)s, %(start)s, '', %(start)s
    FROM customers_subscription AS subscription
    WHERE NOT EXISTS (SELECT FROM customers_subscriptionphase WHERE subscription_id = subscription.id)
    """,
    """
    INSERT INTO billing_billingstate (subscription_id, due_at, opened, parked_reason, attempts)
    SELECT id, %(end)s, true, '', 0 FROM customers_subscription
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO events_usagebucket (
        customer_id, feature_id, hour, count, total, weighted, maximum, minimum, latest, latest_at, latest_id, checksum
    )
    SELECT customer.id, feature, %(start)s::timestamptz + no * interval '25 hours', 9, 9000 + no, 0, 4000, 10, 10,
        %(start)s::timestamptz + no * interval '25 hours', no, hashint8(customer.id * 31 + no)
    FROM customers_customer AS customer
    CROSS JOIN unnest(%(features)s::bigint[]) AS feature
    CROSS JOIN generate_series(0, %(hours)s - 1) AS no
    WHERE customer.id > %(known)s
    """,
)
HOURS = 24  # of usage per customer and feature, on 24 different days


def make_plan() -> PlanVersion:
    """Migrate, empty the tables, and make the plan: $20 in arrears, calls at $0.01, tokens in three tiers."""
    call_command("migrate", interactive=False, verbosity=0)
    for message in Path(settings.BROKER_DIR, "messages").glob("*.msg"):  # this process keeps using the folder
        message.unlink(missing_ok=True)
    with connection.cursor() as cursor:
        cursor.execute("SET countinghouse.allow_truncate = 'on'")
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE")
    calls = make_feature(name="API calls")
    tokens = make_feature(name="Tokens", event_name="model.usage", field="tokens")
    fee = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": Decimal(20)}
    tiers = [(50_000, Decimal("0.0002")), (100_000, Decimal("0.0001"), Decimal(1)), (None, Decimal("0.00005"))]
    usage = {"feature": tokens, "model": "graduated", "tiers": tiers}
    return make_version(fee, {"feature": calls, "unit_amount": Decimal("0.01")}, usage, name="Bench")


def subscribe(version: PlanVersion, count: int, *, now: datetime, hours: int = HOURS) -> None:
    """Subscribe more customers to the plan, with some hours of usage, all due at the end of the month."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM customers_customer")
        known = cursor.fetchone()[0]
        parameters = {
            "first": known + 1,
            "last": known + count,
            "known": known,
            "hours": hours,
            "start": START,
            "end": END,
            "version": version.pk,
            "features": list(Feature.objects.filter(prices__version=version).values_list("pk", flat=True)),
        }
        for statement in SUBSCRIBE:
            cursor.execute(statement, parameters)
        cursor.execute("TRUNCATE events_usageday, events_usagerollup")  # the new buckets aren't in them yet
    roll_up(now=now)
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")
