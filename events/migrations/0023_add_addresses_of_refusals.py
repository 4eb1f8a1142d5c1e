from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0022_call_states_status")]

    operations = [
        migrations.AlterField(
            model_name="refusedrequest",
            name="minute",
            field=models.DateTimeField(help_text="The minute of arrival, or the hour without a key that exists, UTC."),
        ),
        migrations.AddField(
            model_name="refusedrequest",
            name="first_address",
            field=models.GenericIPAddressField(blank=True, help_text="Where the first request came from.", null=True),
        ),
        migrations.AddField(
            model_name="refusedrequest",
            name="last_address",
            field=models.GenericIPAddressField(blank=True, help_text="Where the last request came from.", null=True),
        ),
    ]
