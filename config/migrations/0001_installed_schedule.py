from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("django_celery_beat", "0019_alter_periodictasks_options")]

    operations = [
        migrations.CreateModel(
            name="InstalledSchedule",
            fields=[
                ("task", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("installed_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"verbose_name": "installed schedule"},
        ),
    ]
