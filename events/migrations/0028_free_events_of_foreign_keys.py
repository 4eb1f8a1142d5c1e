"""Mark touched events, and drop the foreign keys to events, which make deleting an event many times dearer."""

import django.db.models.deletion
from django.db import migrations, models

# In the order in which batches lock the tables. Otherwise a batch that has written events and goes on to problems, and
# this migration, would wait for each other.
LOCK = "LOCK TABLE events_event IN ACCESS EXCLUSIVE MODE"


class Migration(migrations.Migration):
    dependencies = [("events", "0027_copy_pruned_ids")]
    why_safe = "The lock is held for milliseconds: no row is read or written, and foreign keys are only dropped."

    operations = [
        migrations.RunSQL(LOCK, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="event",
            name="is_touched",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Whether the event was changed after it was processed: by a replay, a void or a dismissal.",
            ),
        ),
        migrations.AlterField(
            model_name="problem",
            name="event",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="problems",
                to="events.event",
            ),
        ),
        migrations.AlterField(
            model_name="eventvoid",
            name="event",
            field=models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="void",
                to="events.event",
            ),
        ),
    ]
