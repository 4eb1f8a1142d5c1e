"""Add the schema `reporting`: views for business intelligence tools, documented in docs/reporting.md."""

from django.db import migrations

VIEWS = {
    "customers": """
        SELECT public_id AS customer_id, external_id, name, email, state AS status, currency, timezone,
            address_country AS country, tax_id, metadata, created_at, archived_at
        FROM public.customers_customer
    """,
    "subscriptions": """
        SELECT subscription.public_id AS subscription_id, customer.public_id AS customer_id, customer.external_id,
            plan.public_id AS plan_id, plan.name AS plan, version.number AS plan_version, phase.kind AS phase,
            subscription.currency, subscription.interval, subscription.interval_count, subscription.timezone,
            subscription.started_at, subscription.ended_at, subscription.cancelled_at, subscription.metadata
        FROM public.customers_subscription AS subscription
        JOIN public.customers_customer AS customer ON customer.id = subscription.customer_id
        LEFT JOIN LATERAL (
            SELECT kind, plan_version_id FROM public.customers_subscriptionphase
            WHERE subscription_id = subscription.id AND starts_at <= now() AND (ends_at IS NULL OR ends_at > now())
                AND superseded_at IS NULL
            ORDER BY starts_at DESC LIMIT 1
        ) AS phase ON true
        LEFT JOIN public.catalog_planversion AS version ON version.id = phase.plan_version_id
        LEFT JOIN public.catalog_plan AS plan ON plan.id = version.plan_id
    """,
    "invoices": """
        SELECT invoice.public_id AS invoice_id, invoice.number, customer.public_id AS customer_id, customer.external_id,
            subscription.public_id AS subscription_id, invoice.kind, invoice.state AS status, invoice.currency,
            invoice.period_start, invoice.period_end, invoice.subtotal, invoice.discount_total, invoice.tax_total,
            invoice.tax_included, invoice.total, invoice.credits_applied, invoice.amount_due, invoice.amount_credited,
            invoice.amount_paid,
            CASE WHEN invoice.state = 'finalized'
                THEN greatest(invoice.amount_due - invoice.amount_credited - invoice.amount_paid, 0) ELSE 0
            END AS amount_remaining,
            invoice.issued_at, invoice.due_at, invoice.finalized_at, invoice.paid_at, invoice.voided_at, invoice.metadata
        FROM public.billing_invoice AS invoice
        JOIN public.customers_customer AS customer ON customer.id = invoice.customer_id
        LEFT JOIN public.customers_subscription AS subscription ON subscription.id = invoice.subscription_id
    """,
    "invoice_lines": """
        SELECT line.public_id AS line_id, invoice.public_id AS invoice_id, invoice.number, invoice.state AS status,
            customer.public_id AS customer_id, customer.external_id, line.position, line.kind, line.description,
            plan.name AS plan, version.number AS plan_version, feature.public_id AS feature_id, feature.name AS feature,
            line.period_start, line.period_end, line.quantity, line.free_units, line.billable_quantity,
            line.unit_amount, invoice.currency, line.amount, line.discount_amount, line.tax_amount, line.events_count
        FROM public.billing_invoiceline AS line
        JOIN public.billing_invoice AS invoice ON invoice.id = line.invoice_id
        JOIN public.customers_customer AS customer ON customer.id = invoice.customer_id
        LEFT JOIN public.catalog_feature AS feature ON feature.id = line.feature_id
        LEFT JOIN public.catalog_planversion AS version ON version.id = line.plan_version_id
        LEFT JOIN public.catalog_plan AS plan ON plan.id = version.plan_id
    """,
    "payments": """
        SELECT payment.public_id AS payment_id, invoice.public_id AS invoice_id, invoice.number,
            customer.public_id AS customer_id, customer.external_id, payment.kind, payment.currency, payment.amount, payment.surplus,
            payment.received_on, payment.method, payment.reference, payment.recorded_at
        FROM public.billing_payment AS payment
        JOIN public.billing_invoice AS invoice ON invoice.id = payment.invoice_id
        JOIN public.customers_customer AS customer ON customer.id = invoice.customer_id
    """,
    "credit_notes": """
        SELECT note.public_id AS credit_note_id, note.number, invoice.public_id AS invoice_id,
            invoice.number AS invoice_number, customer.public_id AS customer_id, customer.external_id,
            note.state AS status, note.reason, note.currency, note.subtotal, note.tax_total, note.tax_included,
            note.total, note.refund_due, note.created_at, note.finalized_at, note.voided_at
        FROM public.billing_creditnote AS note
        JOIN public.billing_invoice AS invoice ON invoice.id = note.invoice_id
        JOIN public.customers_customer AS customer ON customer.id = note.customer_id
    """,
    "usage_hours": """
        SELECT customer.public_id AS customer_id, customer.external_id, feature.public_id AS feature_id,
            feature.name AS feature, feature.aggregation, usage.hour, usage.count AS events, usage.total AS sum,
            usage.maximum, usage.minimum, usage.latest
        FROM public.events_usagebucket AS usage
        JOIN public.customers_customer AS customer ON customer.id = usage.customer_id
        JOIN public.catalog_feature AS feature ON feature.id = usage.feature_id
    """,
    "problems": """
        SELECT problem.id AS problem_id, problem.event_name, problem.external_customer_id,
            feature.public_id AS feature_id, feature.name AS feature, problem.reason,
            CASE problem.state WHEN 1 THEN 'open' WHEN 2 THEN 'resolved' WHEN 3 THEN 'dismissed' ELSE 'voided' END AS status,
            problem.occurred_at, problem.created_at, problem.closed_at
        FROM public.events_problem AS problem
        LEFT JOIN public.catalog_feature AS feature ON feature.id = problem.feature_id
    """,
}


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0031_add_coupons_of_one_off_invoices"),
        ("catalog", "0007_reword_texts"),
        ("customers", "0006_reword_texts"),
        ("events", "0013_reword_texts"),
    ]

    operations = [
        migrations.RunSQL("CREATE SCHEMA reporting", "DROP SCHEMA reporting CASCADE"),
        *(
            migrations.RunSQL(f"CREATE VIEW reporting.{name} AS {query}", migrations.RunSQL.noop)
            for name, query in VIEWS.items()
        ),
    ]
