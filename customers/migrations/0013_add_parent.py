import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0012_add_commitments"),
    ]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                help_text="The customer who gets and pays the invoices of this customer's subscriptions, such as a "
                "parent company. Its address, taxes, discounts and prepaid credit apply.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="customers.customer",
                verbose_name="paid by",
            ),
        ),
        migrations.AddConstraint(
            model_name="customer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("parent", None),
                    models.Q(("parent", models.F("id")), _negated=True),
                    _connector="OR",
                ),
                name="customer_not_own_parent",
                violation_error_message="A customer isn't its own parent. Leave this field blank.",
            ),
        ),
    ]
