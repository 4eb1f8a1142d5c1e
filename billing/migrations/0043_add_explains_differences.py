from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0042_prove_the_ledger"),
    ]

    operations = [
        migrations.AddField(
            model_name="companyprofile",
            name="explains_differences",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Print why an invoice differs from the last one, by cause. Invoices that are finalized already "
                "keep their documents.",
                verbose_name="explain differences",
            ),
        ),
    ]
