"""Let rotated keys share idempotency keys, and let a colleague answer for each key: at first, who created it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FILL = """
    WITH RECURSIVE chain AS (
        SELECT id, id AS first FROM events_apikey WHERE replaces_id IS NULL
        UNION ALL
        SELECT key.id, chain.first FROM events_apikey key JOIN chain ON key.replaces_id = chain.id
    )
    UPDATE events_apikey key SET family = nullif(chain.first, key.id), responsible_id = key.created_by_id
    FROM chain WHERE chain.id = key.id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0019_fill_differences"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddField(
            "apikey",
            "family",
            models.BigIntegerField(
                editable=False,
                help_text="The primary key of the first key of its rotations. Blank for that key itself.",
                null=True,
            ),
        ),
        migrations.AddField(
            "apikey",
            "responsible",
            models.ForeignKey(
                editable=False,
                help_text="The colleague whose permissions limit the key.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
