"""Write the label of the company's tax ID with capitals."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0046_refer_to_choices_of_proofs")]

    operations = [
        migrations.AlterField(
            model_name="companyprofile",
            name="tax_id",
            field=models.CharField(
                blank=True,
                help_text="Include the type, for example VAT DE123456789.",
                max_length=64,
                verbose_name="tax ID",
            ),
        )
    ]
