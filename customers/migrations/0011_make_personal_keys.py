"""Make the key of each customer's personal data in the change log, so that writing an entry doesn't wait for another."""

from itertools import batched

from cryptography.fernet import Fernet
from django.db import migrations

CHUNK = 5_000


def make_keys(apps, schema_editor):
    keys = apps.get_model("config", "PersonalKey").objects
    known = set(keys.values_list("customer_id", flat=True))
    customers = apps.get_model("customers", "Customer").objects.order_by("pk").values_list("pk", flat=True)
    for part in batched((pk for pk in customers.iterator() if pk not in known), CHUNK):
        keys.bulk_create([keys.model(customer_id=pk, key=Fernet.generate_key().decode()) for pk in part])


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0017_find_changes_of_a_customer"),
        ("customers", "0010_add_personal_data"),
    ]

    operations = [migrations.RunPython(make_keys, migrations.RunPython.noop)]
