"""Due subscribers: customers with a fee and two usage prices, and a month of usage."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from catalog.models import Feature, PlanVersion, Price
from events.ledger.rollup import roll_up
from tests.factories import make_feature, make_version

END = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)  # so that one period is due
START = (END - timedelta(days=1)).replace(day=1)
TABLES = (
    *("billing_simulationinvoice", "billing_simulationchunk", "billing_simulation"),
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
)
USE = """
    INSERT INTO events_usagebucket (
        customer_id, feature_id, hour, count, total, weighted, maximum, minimum, latest, latest_at, latest_id, checksum
    )
    SELECT customer.id, feature, %(start)s::timestamptz + no * interval '25 hours', 9, 9000 + no, 0, 4000, 10, 10,
        %(start)s::timestamptz + no * interval '25 hours', no, hashint8(customer.id * 31 + no)
    FROM customers_customer AS customer
    CROSS JOIN unnest(%(features)s::bigint[]) AS feature
    CROSS JOIN generate_series(0, %(hours)s - 1) AS no
    WHERE customer.id > %(known)s
"""
PHASE = SUBSCRIBE[2]
# An own version for each subscription, which replaces all prices of the plan: as agreed terms do.
AGREE = (
    """
    INSERT INTO catalog_planversion (
        plan_id, number, state, trial_days, is_held, note, base_id, agreed_for, updated_at
    )
    SELECT version.plan_id, version.number, 'draft', 0, false, '', version.id, subscription.public_id, now()
    FROM customers_subscription AS subscription, catalog_planversion AS version
    WHERE version.id = %(version)s
        AND NOT EXISTS (SELECT FROM customers_subscriptionphase WHERE subscription_id = subscription.id)
    """,
    """
    INSERT INTO catalog_price (public_id, version_id, listed_id, updated_at, unit_amount, {columns})
    SELECT 'price_' || md5(agreed.id || ':' || price.id), agreed.id, price.id, now(), price.unit_amount * 0.9,
        {columns}
    FROM catalog_planversion AS agreed JOIN catalog_price AS price ON price.version_id = agreed.base_id
    WHERE agreed.base_id = %(version)s AND agreed.state = 'draft'
    """,
    """
    INSERT INTO catalog_pricetier (price_id, up_to, unit_amount, flat_amount, rate_percent)
    SELECT price.id, tier.up_to, tier.unit_amount * 0.9, tier.flat_amount, tier.rate_percent
    FROM catalog_planversion AS agreed
    JOIN catalog_price AS price ON price.version_id = agreed.id
    JOIN catalog_pricetier AS tier ON tier.price_id = price.listed_id
    WHERE agreed.base_id = %(version)s AND agreed.state = 'draft'
    """,
    """
    UPDATE catalog_planversion SET state = 'published', published_at = now()
    WHERE base_id = %(version)s AND state = 'draft'
    """,
    """
    INSERT INTO customers_subscriptionphase (subscription_id, kind, plan_version_id, starts_at, reason, recorded_at)
    SELECT subscription.id, 'active', agreed.id, %(start)s, '', %(start)s
    FROM customers_subscription AS subscription
    JOIN catalog_planversion AS agreed ON agreed.agreed_for = subscription.public_id AND agreed.base_id = %(version)s
    WHERE NOT EXISTS (SELECT FROM customers_subscriptionphase WHERE subscription_id = subscription.id)
    """,
)
NOT_COPIED = {"id", "public_id", "version", "listed", "created_at", "updated_at", "unit_amount"}
HOURS = 24  # of usage per customer and feature, on 24 different days


def make_plan(*, fees: int = 1) -> PlanVersion:
    """Migrate, empty the tables, and make the plan: fees of $20 in arrears, calls at $0.01, tokens in three tiers."""
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
    named = [fee | {"name": f"Fee {number}"} for number in range(1, fees + 1)]
    return make_version(*named, {"feature": calls, "unit_amount": Decimal("0.01")}, usage, name="Bench")


def subscribe(
    version: PlanVersion, count: int, *, now: datetime, hours: int = HOURS, months: int = 1, has_overrides: bool = False
) -> None:
    """Subscribe more customers to the plan, with some hours of usage a month, due for all months since the start.

    `has_overrides` replaces each price of the plan, for each subscription.
    """
    starts = [START]
    while len(starts) < months:
        starts.insert(0, (starts[0] - timedelta(days=1)).replace(day=1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM customers_customer")
        known = cursor.fetchone()[0]
        parameters = {
            "first": known + 1,
            "last": known + count,
            "known": known,
            "hours": hours,
            "start": starts[0],
            "end": END,
            "version": version.pk,
            "features": list(Feature.objects.filter(prices__version=version).values_list("pk", flat=True)),
        }
        for statement in SUBSCRIBE:
            for part in list_agreeing() if has_overrides and statement is PHASE else (statement,):
                cursor.execute(part, parameters)
        for start in starts:
            cursor.execute(USE, parameters | {"start": start})
        cursor.execute("TRUNCATE events_usageday, events_usagerollup")  # the new buckets aren't in them yet
    roll_up(now=now)
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")


def list_agreeing() -> list[str]:
    """Return the statements that agree a price instead of each price of the plan, and start with these terms."""
    names = [field.column for field in Price._meta.concrete_fields if field.name not in NOT_COPIED]
    return [statement.format(columns=", ".join(names)) for statement in AGREE]
