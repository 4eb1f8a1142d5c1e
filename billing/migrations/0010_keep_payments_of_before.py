"""Give every invoice that was marked as paid its payment, and make the first number series the default."""

from django.db import migrations

from config.db import make_public_id

BATCH = 1_000


def keep(apps, schema_editor):
    Invoice = apps.get_model("billing", "Invoice")
    Payment = apps.get_model("billing", "Payment")
    paid = Invoice.objects.exclude(amount_paid=0).filter(payments=None).order_by("pk")
    rows = (
        Payment(
            public_id=make_public_id("pay"),
            invoice=invoice,
            kind="payment",
            amount=invoice.amount_paid,
            currency=invoice.currency,
            received_on=(invoice.paid_at or invoice.updated_at).date(),
            method="other",
            note="Marked as paid before payments were kept.",
            recorded_at=invoice.paid_at or invoice.updated_at,
        )
        for invoice in paid.iterator()
    )
    Payment.objects.bulk_create(rows, batch_size=BATCH)
    apps.get_model("billing", "NumberSeries").objects.filter(name="invoices").update(is_default=True)


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_add_payments_and_credit_notes")]

    operations = [migrations.RunPython(keep, migrations.RunPython.noop)]
