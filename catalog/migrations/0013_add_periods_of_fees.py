from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0012_add_agreed_terms"),
    ]

    operations = [
        migrations.AddField(
            model_name="price",
            name="periods",
            field=models.PositiveIntegerField(
                db_default=1,
                default=1,
                help_text="Only for recurring fees: 12 makes a fee annual in a monthly subscription. Periods are counted "
                "from the billing anchor.",
                verbose_name="billing periods covered",
            ),
        ),
        migrations.AddIndex(
            model_name="price",
            index=models.Index(condition=models.Q(("periods__gt", 1)), fields=["id"], name="price_of_several_periods"),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=models.Q(("periods", 1), models.Q(("kind", "fixed"), ("periods__gt", 1)), _connector="OR"),
                name="price_periods_of_fee",
                violation_error_message="Only a recurring fee can cover several billing periods.",
            ),
        ),
    ]
