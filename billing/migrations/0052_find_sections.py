from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # invoices can be written while the index is built

    dependencies = [
        ("billing", "0051_add_joint_invoices"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="invoice",
            index=models.Index(condition=models.Q(("joint__isnull", False)), fields=["joint"], name="invoice_of_joint"),
        ),
        ValidateConstraint(model_name="invoice", name="invoice_joint_is_of_subscription"),
        migrations.RunSQL(
            "ALTER TABLE billing_invoice VALIDATE CONSTRAINT invoice_joint_exists", migrations.RunSQL.noop
        ),
    ]
