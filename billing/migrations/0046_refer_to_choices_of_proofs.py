"""Refer to the kinds and subjects of proofs instead of listing them: a new one needs no migration."""

from django.db import migrations, models

import billing.kinds


class Migration(migrations.Migration):
    dependencies = [("billing", "0045_add_emails")]

    operations = [
        migrations.AlterField(
            model_name="proofdifference",
            name="subject",
            field=models.CharField(choices=billing.kinds.list_proof_subjects, max_length=16),
        ),
        migrations.AlterField(
            model_name="proofresult",
            name="kind",
            field=models.CharField(choices=billing.kinds.list_proof_kinds, max_length=16),
        ),
    ]
