import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0016_look_up_scopes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="duplicateevent",
            name="differs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(
                    choices=[
                        ("external_customer_id", "Another customer"),
                        ("source", "Another source"),
                        ("event_name", "Another event name"),
                        ("timestamp", "Another timestamp"),
                        ("properties", "Other properties"),
                    ]
                ),
                blank=True,
                db_default=models.Value("{}"),
                default=list,
                help_text="The fields in which a conflict differs from the first event, the most telling one first.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="duplicateevent",
            name="dismissal",
            field=models.CharField(
                blank=True, db_default="", help_text="Why a conflict was dismissed.", max_length=255
            ),
        ),
        migrations.AddField(
            model_name="duplicateevent",
            name="dismissed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="duplicateevent",
            name="dismissed_by",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="duplicateevent",
            index=models.Index(
                condition=models.Q(("dismissed_at", None), ("kind", "conflict")),
                fields=["-last_at", "-id"],
                name="conflict_open_newest",
            ),
        ),
        migrations.AddIndex(
            model_name="duplicateevent",
            index=models.Index(
                django.db.models.functions.comparison.Coalesce(models.F("api_key_id"), models.Value(0)),
                django.db.models.functions.comparison.Coalesce(
                    models.F("differs__0"), models.Value("properties", output_field=models.TextField())
                ),
                models.F("id"),
                condition=models.Q(("dismissed_at", None), ("kind", "conflict")),
                name="conflict_open_of_cause",
            ),
        ),
        migrations.AddConstraint(
            model_name="duplicateevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("dismissal", ""), ("dismissed_at", None)),
                    models.Q(
                        ("dismissed_at__isnull", False),
                        ("kind", "conflict"),
                        models.Q(("dismissal", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="conflict_dismissed_has_reason",
            ),
        ),
    ]
