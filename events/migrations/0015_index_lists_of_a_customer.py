from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # the ledger keeps accepting events while its index is built

    dependencies = [("events", "0014_add_checked_until")]

    operations = [
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(fields=["customer", "-id"], name="event_of_customer"),
        ),
        AddIndexConcurrently(
            model_name="problem",
            index=models.Index(fields=["external_customer_id", "state", "-id"], name="problem_of_customer"),
        ),
        AddIndexConcurrently(
            model_name="duplicateevent",
            index=models.Index(fields=["external_customer_id", "-last_at", "-id"], name="duplicate_of_customer"),
        ),
    ]
