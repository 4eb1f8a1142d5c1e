"""Write the label of a customer's tax ID with capitals."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("customers", "0014_add_email_recipients")]

    operations = [
        migrations.AlterField(
            model_name="customer",
            name="tax_id",
            field=models.CharField(blank=True, max_length=64, verbose_name="tax ID"),
        )
    ]
