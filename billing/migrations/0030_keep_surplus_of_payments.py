"""Keep the part of a payment that is more than the amount due, and what it is used for."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import config.db


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0029_apply_coupons_once_at_a_time"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="invoice",
            name="invoice_begins_unsettled",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="invoice",
            name="settle_invoice",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="payment",
            name="payment_is_counted",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="payment",
            name="freeze_payment",
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_sign_fits_kind",
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_back_has_reason",
        ),
        migrations.AddField(
            model_name="payment",
            name="source",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="The payment whose surplus is used.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="uses",
                to="billing.payment",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="surplus",
            field=config.db.AmountField(
                db_default=0,
                decimal_places=4,
                default=0,
                editable=False,
                help_text="The part that is more than the amount due; negative if it is taken from the surplus of the source.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="creditgrant",
            name="kind",
            field=models.CharField(
                choices=[
                    ("purchased", "Purchased"),
                    ("promotional", "Promotional"),
                    ("correction", "Correction"),
                    ("invoice", "From a negative invoice"),
                    ("overpayment", "From an overpayment"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="kind",
            field=models.CharField(
                choices=[
                    ("payment", "Payment"),
                    ("applied", "Applied from a surplus"),
                    ("reversal", "Reversal"),
                    ("refund", "Refund"),
                ],
                default="payment",
                max_length=8,
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(condition=models.Q(("surplus__gt", 0)), fields=["invoice"], name="payment_with_surplus"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invoice",
            trigger=pgtrigger.compiler.Trigger(
                name="invoice_begins_unsettled",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.amount_paid <> 0 OR NEW.amount_credited <> 0)",
                    func="\n    IF TG_OP = 'INSERT' OR NEW.amount_paid <> (\n        SELECT coalesce(sum(amount - surplus), 0) FROM billing_payment WHERE invoice_id = NEW.id\n    ) OR NEW.amount_credited <> (\n        SELECT coalesce(sum(total), 0) FROM billing_creditnote WHERE invoice_id = NEW.id AND state = 'finalized'\n    ) THEN\n        RAISE EXCEPTION 'invoice %: what is paid and credited is the sum of its payments and credit notes', NEW.id\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n",
                    hash="5b7e0586f774069d62d44e10754d802bc6b24d16",
                    operation="INSERT",
                    pgid="pgtrigger_invoice_begins_unsettled_dac88",
                    table="billing_invoice",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invoice",
            trigger=pgtrigger.compiler.Trigger(
                name="settle_invoice",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (NEW.amount_paid <> OLD.amount_paid OR NEW.amount_credited <> OLD.amount_credited)",
                    func="\n    IF TG_OP = 'INSERT' OR NEW.amount_paid <> (\n        SELECT coalesce(sum(amount - surplus), 0) FROM billing_payment WHERE invoice_id = NEW.id\n    ) OR NEW.amount_credited <> (\n        SELECT coalesce(sum(total), 0) FROM billing_creditnote WHERE invoice_id = NEW.id AND state = 'finalized'\n    ) THEN\n        RAISE EXCEPTION 'invoice %: what is paid and credited is the sum of its payments and credit notes', NEW.id\n            USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n",
                    hash="53ad661cfe7ff4fe432e9e092a0159ceb401ef49",
                    operation="UPDATE",
                    pgid="pgtrigger_settle_invoice_920b2",
                    table="billing_invoice",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_payment",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    IF TG_OP <> 'INSERT' THEN\n        RAISE EXCEPTION 'payments never change: reverse the payment, and record it again'\n            USING ERRCODE = 'restrict_violation';\n    END IF;\n    IF NOT EXISTS (\n        SELECT FROM billing_invoice\n        WHERE id = NEW.invoice_id AND currency = NEW.currency\n            AND (state IN ('finalized', 'paid') OR state = 'void' AND NEW.amount = NEW.surplus)\n    ) THEN\n        RAISE EXCEPTION 'a payment needs a finalized invoice of its currency' USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n",
                    hash="f2f334ea7b5dab00ef958f69e3d9bbc0051d887d",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_payment_54577",
                    table="billing_payment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="payment_is_counted",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    constraint="CONSTRAINT",
                    func="\n    IF (SELECT amount_paid FROM billing_invoice WHERE id = NEW.invoice_id)\n        IS DISTINCT FROM (SELECT sum(amount - surplus) FROM billing_payment WHERE invoice_id = NEW.invoice_id)\n    THEN\n        RAISE EXCEPTION 'the payments of invoice % don''t add up to its amount paid', NEW.invoice_id\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF (SELECT sum(surplus) FROM billing_payment WHERE id = NEW.source_id OR source_id = NEW.source_id) < 0 THEN\n        RAISE EXCEPTION 'more than the surplus of payment % is used', NEW.source_id USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NULL;\n",
                    hash="1f136f0ca55a1309e26c8f5c101dd6f789d01c00",
                    operation="INSERT",
                    pgid="pgtrigger_payment_is_counted_96359",
                    table="billing_payment",
                    timing="DEFERRABLE INITIALLY DEFERRED",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__gt", 0), ("kind", "payment")),
                    models.Q(("amount", 0), ("kind", "applied")),
                    models.Q(("kind", "reversal"), models.Q(("amount", 0), ("surplus", 0), _negated=True)),
                    models.Q(("amount__lt", 0), ("kind", "refund")),
                    _connector="OR",
                ),
                name="payment_sign_fits_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind", "payment"), ("source", None), ("surplus__gte", 0), ("surplus__lte", models.F("amount"))
                    ),
                    models.Q(("kind", "applied"), ("source__isnull", False), ("surplus__lt", 0)),
                    models.Q(("kind", "refund"), ("source", None), ("surplus", 0)),
                    models.Q(("kind", "refund"), ("source__isnull", False), ("surplus", models.F("amount"))),
                    models.Q(("kind", "reversal"), ("source", None), ("surplus", 0)),
                    models.Q(("kind", "reversal"), ("source__isnull", False), models.Q(("surplus", 0), _negated=True)),
                    _connector="OR",
                ),
                name="payment_surplus_fits_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["payment", "applied"]), models.Q(("reason", ""), _negated=True), _connector="OR"
                ),
                name="payment_back_has_reason",
            ),
        ),
    ]
