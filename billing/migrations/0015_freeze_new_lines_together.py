import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0014_let_no_discount_be_of_nothing"),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name="invoiceline",
            name="freeze_line",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invoiceline",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_line",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    IF EXISTS (\n        SELECT FROM billing_invoice\n        WHERE id IN (OLD.invoice_id, CASE WHEN TG_OP = 'UPDATE' THEN NEW.invoice_id END) AND state <> 'draft'\n    ) THEN \n        RAISE EXCEPTION 'the lines of a finalized invoice never change: correct them by a new line or a credit note'\n            USING ERRCODE = 'restrict_violation';\n\n    END IF;\n    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;\n    RETURN NEW;\n",
                    hash="30da6962bbca1bce5bbc6cde0abb3005665d406b",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_line_cb337",
                    table="billing_invoiceline",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="invoiceline",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_new_lines",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    IF EXISTS (\n        SELECT FROM fresh JOIN billing_invoice AS invoice ON invoice.id = fresh.invoice_id\n        WHERE invoice.state <> 'draft'\n    ) THEN \n        RAISE EXCEPTION 'the lines of a finalized invoice never change: correct them by a new line or a credit note'\n            USING ERRCODE = 'restrict_violation';\n\n    END IF;\n    RETURN NULL;\n",
                    hash="66d0a5361e2f0b6a257fe894ab3054ebd2f697f8",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_freeze_new_lines_2f180",
                    referencing="REFERENCING NEW TABLE AS fresh ",
                    table="billing_invoiceline",
                    when="AFTER",
                ),
            ),
        ),
    ]
