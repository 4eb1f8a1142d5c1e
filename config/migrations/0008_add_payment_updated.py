"""Add the event of a payment whose surplus was used."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0007_reword_texts"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhookendpoint",
            name="event_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("invoice.create.drafted", "Invoice drafted"),
                        ("invoice.update", "Draft invoice updated"),
                        ("invoice.update.finalized", "Invoice finalized"),
                        ("invoice.update.payment", "Invoice payment recorded or reversed"),
                        ("invoice.update.voided", "Invoice voided"),
                        ("payment.success", "Payment recorded"),
                        ("payment.updated", "Surplus of a payment applied, credited or refunded"),
                        ("payment.reversed", "Payment reversed"),
                        ("refund.succeeded", "Refund recorded"),
                        ("refund.reversed", "Refund reversed"),
                        ("credit_note.created", "Credit note drafted"),
                        ("credit_note.updated", "Credit note finalized or voided"),
                        ("wallet.created", "Wallet created"),
                        ("wallet.updated", "Wallet updated"),
                        ("wallet.terminated", "Wallet closed"),
                        ("wallet.transaction.created", "Wallet transaction created"),
                        ("subscription.created", "Subscription created"),
                        ("subscription.updated", "Scheduled change or cancellation withdrawn"),
                        ("subscription.plan_changed", "Subscription plan changed"),
                        ("subscription.paused", "Subscription paused"),
                        ("subscription.resumed", "Subscription resumed"),
                        ("subscription.cancelled", "Subscription cancelled, now or for a later date"),
                        ("usage.threshold_reached", "Usage alert threshold reached"),
                        ("problem.opened", "Problem opened with a new cause"),
                    ],
                    max_length=40,
                ),
                blank=True,
                default=list,
                help_text="Leave blank to receive all events.",
                size=None,
                verbose_name="events",
            ),
        ),
        migrations.AlterField(
            model_name="webhookmessage",
            name="event_type",
            field=models.CharField(
                choices=[
                    ("invoice.create.drafted", "Invoice drafted"),
                    ("invoice.update", "Draft invoice updated"),
                    ("invoice.update.finalized", "Invoice finalized"),
                    ("invoice.update.payment", "Invoice payment recorded or reversed"),
                    ("invoice.update.voided", "Invoice voided"),
                    ("payment.success", "Payment recorded"),
                    ("payment.updated", "Surplus of a payment applied, credited or refunded"),
                    ("payment.reversed", "Payment reversed"),
                    ("refund.succeeded", "Refund recorded"),
                    ("refund.reversed", "Refund reversed"),
                    ("credit_note.created", "Credit note drafted"),
                    ("credit_note.updated", "Credit note finalized or voided"),
                    ("wallet.created", "Wallet created"),
                    ("wallet.updated", "Wallet updated"),
                    ("wallet.terminated", "Wallet closed"),
                    ("wallet.transaction.created", "Wallet transaction created"),
                    ("subscription.created", "Subscription created"),
                    ("subscription.updated", "Scheduled change or cancellation withdrawn"),
                    ("subscription.plan_changed", "Subscription plan changed"),
                    ("subscription.paused", "Subscription paused"),
                    ("subscription.resumed", "Subscription resumed"),
                    ("subscription.cancelled", "Subscription cancelled, now or for a later date"),
                    ("usage.threshold_reached", "Usage alert threshold reached"),
                    ("problem.opened", "Problem opened with a new cause"),
                    ("webhook.test", "Test message"),
                ],
                max_length=40,
            ),
        ),
    ]
