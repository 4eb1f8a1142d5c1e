"""Let a coupon be applied only once at a time to a customer or a subscription, also if the application has an end."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeBoundary
from django.db import migrations, models
from django.db.models.functions import Coalesce

from customers.models.subscriptions import TimestampRange


def separate(apps, schema_editor):
    """Let overlapping applications follow one another. One that an earlier one covers gets an empty span of time."""
    rows = apps.get_model("billing", "CouponApplication").objects.order_by(
        "coupon", "customer", "subscription", "starts_at", "pk"
    )
    previous, reach = None, None
    for row in rows.iterator():
        place = (row.coupon_id, row.customer_id, row.subscription_id)
        if place != previous:
            previous, reach = place, row.ended_at
            continue
        if reach is not None and row.starts_at >= reach:
            reach = row.ended_at
            continue
        if reach is None or (row.ended_at is not None and row.ended_at <= reach):
            row.ended_at = row.starts_at
        else:
            row.starts_at, reach = reach, row.ended_at
        row.save(update_fields=["starts_at", "ended_at"])


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0028_add_change_at"),
        ("customers", "0006_reword_texts"),
    ]

    operations = [
        migrations.RunPython(separate, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="couponapplication", name="coupon_applied_once"),
        migrations.AddConstraint(
            model_name="couponapplication",
            constraint=ExclusionConstraint(
                name="coupon_applied_once_at_a_time",
                expressions=[
                    ("coupon", "="),
                    ("customer", "="),
                    (Coalesce("subscription_id", 0, output_field=models.BigIntegerField()), "="),
                    (TimestampRange("starts_at", "ended_at", RangeBoundary()), "&&"),
                ],
                violation_error_message="This discount is applied there already.",
            ),
        ),
    ]
